import audit.ids
from audit.append_only import append_only
import django.db.models.deletion
import tenants.sentences
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('payments', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Program',
            fields=[
                ('id', audit.ids.UUIDv7Field(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('code', models.SlugField(max_length=64, unique=True)),
                ('name', models.CharField(max_length=80)),
                ('member_key', models.CharField(choices=[('BY_REFERENCE', 'what the customer types is the member: VIP001'), ('BY_PAYER', 'the member code, the enrolled phone number, or its hash')], default='BY_PAYER', max_length=12)),
                ('language', models.CharField(choices=[('en', 'English'), ('sw', 'Kiswahili')], default='en', max_length=5)),
                ('is_active', models.BooleanField(default=True)),
                ('is_joinable', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.CreateModel(
            name='Member',
            fields=[
                ('id', audit.ids.UUIDv7Field(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('environment', models.CharField(choices=[('PRACTICE', 'Practice: our simulator, no real money'), ('SANDBOX', "Safaricom's sandbox, no real money"), ('PRODUCTION', 'Live: real money')], max_length=10)),
                ('code', models.CharField(max_length=64)),
                ('name', models.CharField(blank=True, max_length=80)),
                ('phone_number', models.CharField(blank=True, max_length=12)),
                ('phone_hash', models.CharField(blank=True, max_length=64)),
                ('is_known_by_phone', models.BooleanField(db_default=True, default=True)),
                ('consented_at', models.DateTimeField(null=True)),
                ('consent_way', models.CharField(blank=True, choices=[('TOLD', "told one of the business's people or its software"), ('LIST', 'collected by the business before, and brought in with a list'), ('SELF', 'given by the member, by a link that was sent to the number')], max_length=4)),
                ('consent_note', models.CharField(blank=True, max_length=254)),
                ('points_balance', models.BigIntegerField(default=0)),
                ('stamps', models.PositiveSmallIntegerField(default=0)),
                ('is_active', models.BooleanField(default=True)),
                ('joined_at', models.DateTimeField()),
                ('program', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='members', to='loyalty.program')),
            ],
        ),
        migrations.CreateModel(
            name='JoinLink',
            fields=[
                ('id', audit.ids.UUIDv7Field(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('environment', models.CharField(choices=[('PRACTICE', 'Practice: our simulator, no real money'), ('SANDBOX', "Safaricom's sandbox, no real money"), ('PRODUCTION', 'Live: real money')], max_length=10)),
                ('phone_number', models.CharField(max_length=12)),
                ('name', models.CharField(blank=True, max_length=80)),
                ('token_hash', models.BinaryField(max_length=32, null=True, unique=True)),
                ('asked_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('used_at', models.DateTimeField(null=True)),
                ('program', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='join_links', to='loyalty.program')),
            ],
            options={
                'indexes': [models.Index(fields=['expires_at'], name='join_link_expires'), models.Index(fields=['phone_number'], name='join_link_phone')],
            },
        ),
        migrations.CreateModel(
            name='AccrualRule',
            fields=[
                ('id', audit.ids.UUIDv7Field(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('points', models.PositiveIntegerField(default=1)),
                ('per_kes', models.PositiveIntegerField(default=100)),
                ('multiplier', models.DecimalField(decimal_places=2, default=1, max_digits=5)),
                ('minimum_kes', models.PositiveIntegerField(default=0)),
                ('cap_points', models.PositiveIntegerField(null=True)),
                ('program', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='accrual_rule', to='loyalty.program')),
            ],
        ),
        migrations.CreateModel(
            name='Reward',
            fields=[
                ('id', audit.ids.UUIDv7Field(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('description', models.CharField(max_length=80)),
                ('status', models.CharField(choices=[('READY', 'can be collected'), ('COLLECTED', 'was collected'), ('WITHDRAWN', 'taken back, because a payment was')], default='READY', max_length=9)),
                ('created_at', models.DateTimeField()),
                ('collected_at', models.DateTimeField(null=True)),
                ('member', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='rewards', to='loyalty.member')),
                ('payment', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='reward', to='payments.payment')),
            ],
        ),
        migrations.CreateModel(
            name='StampRule',
            fields=[
                ('id', audit.ids.UUIDv7Field(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('payments_needed', models.PositiveSmallIntegerField()),
                ('minimum_kes', models.PositiveIntegerField(default=0)),
                ('reward', models.CharField(max_length=80)),
                ('thanks', models.CharField(max_length=80)),
                ('noun', models.CharField(max_length=40)),
                ('noun_plural', models.CharField(max_length=40)),
                ('program', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='stamp_rule', to='loyalty.program')),
            ],
        ),
        migrations.CreateModel(
            name='PointsEntry',
            fields=[
                ('id', audit.ids.UUIDv7Field(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('EARN', 'earned by a payment'), ('REDEEM', 'spent'), ('ADJUST', 'corrected by a person'), ('EXPIRE', 'expired'), ('REVERSE', 'taken back, because the payment was')], max_length=8)),
                ('points', models.BigIntegerField()),
                ('balance_after', models.BigIntegerField()),
                ('note', tenants.sentences.SentenceField(blank=True, max_length=254)),
                ('created_at', models.DateTimeField()),
                ('member', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='loyalty.member')),
                ('payment', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='points_entries', to='payments.payment')),
            ],
            options={
                'indexes': [models.Index(fields=['member', '-id'], name='points_of_member')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('kind', 'EARN')), fields=('payment',), name='points_earned_once'), models.UniqueConstraint(condition=models.Q(('kind', 'REVERSE')), fields=('payment',), name='points_reversed_once'), models.CheckConstraint(condition=models.Q(models.Q(('kind', 'ADJUST'), models.Q(('points', 0), _negated=True)), models.Q(('kind', 'EARN'), ('points__gt', 0)), models.Q(('kind__in', ['REDEEM', 'EXPIRE', 'REVERSE']), ('points__lt', 0)), _connector='OR'), name='points_sign_agrees'), models.CheckConstraint(condition=models.Q(models.Q(('kind__in', ['EARN', 'REVERSE']), _negated=True), ('payment__isnull', False), _connector='OR'), name='points_have_a_payment'), models.CheckConstraint(condition=models.Q(models.Q(('kind', 'ADJUST'), _negated=True), models.Q(('note', ''), _negated=True), _connector='OR'), name='points_adjusted_for_a_reason'), models.CheckConstraint(condition=models.Q(('balance_after__gte', 0)), name='points_balance_after_not_negative')],
            },
        ),
        migrations.CreateModel(
            name='PointsTotal',
            fields=[
                ('id', audit.ids.UUIDv7Field(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('environment', models.CharField(choices=[('PRACTICE', 'Practice: our simulator, no real money'), ('SANDBOX', "Safaricom's sandbox, no real money"), ('PRODUCTION', 'Live: real money')], max_length=10)),
                ('date', models.DateField()),
                ('earned', models.BigIntegerField(default=0)),
                ('spent', models.BigIntegerField(default=0)),
                ('corrected', models.BigIntegerField(default=0)),
                ('program', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='points_totals', to='loyalty.program')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('program', 'environment', 'date'), name='points_total_once'), models.CheckConstraint(condition=models.Q(('earned__gte', 0), ('spent__gte', 0)), name='points_total_not_negative')],
            },
        ),
        migrations.CreateModel(
            name='PaymentOutcome',
            fields=[
                ('payment', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='outcome', serialize=False, to='payments.payment')),
                ('status', models.CharField(choices=[('EARNED', 'points or a stamp were given'), ('WAITING', 'the payer is not known; it can be claimed with the receipt'), ('NOTHING', 'the rules give nothing for it'), ('NO_PROGRAM', 'no active program takes it'), ('REVERSED', 'the payment was given back, and what it gave was taken back')], max_length=10)),
                ('points', models.PositiveBigIntegerField(default=0)),
                ('gave_stamp', models.BooleanField(default=False)),
                ('points_kept', models.PositiveBigIntegerField(db_default=0)),
                ('decided_at', models.DateTimeField()),
                ('member', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='outcomes', to='loyalty.member')),
                ('program', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='outcomes', to='loyalty.program')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('status', 'WAITING')), fields=['payment'], name='outcome_waiting')],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(models.Q(('points__gt', 0), ('gave_stamp', True), _connector='OR'), ('member__isnull', False), ('program__isnull', False), ('status', 'EARNED')), models.Q(('gave_stamp', False), ('member', None), ('points', 0), ('program__isnull', False), ('status__in', ['WAITING', 'NOTHING'])), models.Q(('gave_stamp', False), ('member', None), ('points', 0), ('program', None), ('status', 'NO_PROGRAM')), ('status', 'REVERSED'), _connector='OR'), name='outcome_agrees'), models.CheckConstraint(condition=models.Q(('points_kept', 0), models.Q(('points_kept__lte', models.F('points')), ('status', 'REVERSED')), _connector='OR'), name='outcome_kept_agrees')],
            },
        ),
        migrations.AddIndex(
            model_name='member',
            index=models.Index(condition=models.Q(('phone_hash', ''), _negated=True), fields=['program', 'environment', 'phone_hash'], name='member_hash'),
        ),
        migrations.AddIndex(
            model_name='member',
            index=models.Index(fields=['environment', '-id'], name='member_newest'),
        ),
        migrations.AddConstraint(
            model_name='member',
            constraint=models.UniqueConstraint(fields=('program', 'environment', 'code'), name='member_code_once'),
        ),
        migrations.AddConstraint(
            model_name='member',
            constraint=models.UniqueConstraint(condition=models.Q(models.Q(('phone_number', ''), _negated=True), ('is_known_by_phone', True)), fields=('program', 'environment', 'phone_number'), name='member_phone_once'),
        ),
        migrations.AddConstraint(
            model_name='member',
            constraint=models.CheckConstraint(condition=models.Q(('code', ''), _negated=True), name='member_has_code'),
        ),
        migrations.AddConstraint(
            model_name='member',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('consented_at', None), ('phone_hash', ''), ('phone_number', '')), models.Q(models.Q(('phone_number', ''), _negated=True), models.Q(('phone_hash', ''), _negated=True), ('consented_at__isnull', False)), _connector='OR'), name='member_phone_by_consent'),
        ),
        migrations.AddConstraint(
            model_name='member',
            constraint=models.CheckConstraint(condition=models.Q(('points_balance__gte', 0)), name='member_points_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='accrualrule',
            constraint=models.CheckConstraint(condition=models.Q(('points__lte', 1000)), name='accrual_points_limit'),
        ),
        migrations.AddConstraint(
            model_name='accrualrule',
            constraint=models.CheckConstraint(condition=models.Q(('per_kes__gt', 0)), name='accrual_per_kes_positive'),
        ),
        migrations.AddConstraint(
            model_name='accrualrule',
            constraint=models.CheckConstraint(condition=models.Q(('multiplier__gte', 0)), name='accrual_multiplier_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='reward',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('collected_at', None), ('status__in', ['READY', 'WITHDRAWN'])), models.Q(('collected_at__isnull', False), ('status', 'COLLECTED')), _connector='OR'), name='reward_collected_agrees'),
        ),
        migrations.AddConstraint(
            model_name='stamprule',
            constraint=models.CheckConstraint(condition=models.Q(('payments_needed__gt', 0)), name='stamp_rule_needs_payments'),
        ),
        append_only('loyalty.PointsEntry'),  # a member's points are the sum of these
    ]
