import audit.ids
import channels.fields
import django.db.models.deletion
import tenants.sentences
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='IdempotencyKey',
            fields=[
                ('id', audit.ids.UUIDv7Field(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('environment', models.CharField(choices=[('PRACTICE', 'Practice: our simulator, no real money'), ('SANDBOX', "Safaricom's sandbox, no real money"), ('PRODUCTION', 'Live: real money')], max_length=10)),
                ('key', models.CharField(max_length=255)),
                ('request_hash', models.BinaryField(max_length=32)),
                ('status', models.PositiveSmallIntegerField()),
                ('body', models.JSONField()),
                ('created_at', models.DateTimeField()),
            ],
            options={
                'indexes': [models.Index(fields=['created_at'], name='idempotency_key_age')],
                'constraints': [models.UniqueConstraint(fields=('environment', 'key'), name='idempotency_key_once')],
            },
        ),
        migrations.CreateModel(
            name='KeptDraft',
            fields=[
                ('id', audit.ids.UUIDv7Field(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(max_length=16)),
                ('environment', models.CharField(choices=[('PRACTICE', 'Practice: our simulator, no real money'), ('SANDBOX', "Safaricom's sandbox, no real money"), ('PRODUCTION', 'Live: real money')], max_length=10)),
                ('token_hash', models.BinaryField(max_length=32, unique=True)),
                ('content', models.JSONField()),
                ('rows', models.PositiveIntegerField()),
                ('rows_done', models.PositiveIntegerField(default=0)),
                ('asked_at', models.DateTimeField(null=True)),
                ('asked', models.JSONField(default=dict)),
                ('refusal', models.JSONField(default=dict)),
                ('made', models.JSONField(null=True)),
                ('expires_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='MpesaChannel',
            fields=[
                ('id', audit.ids.UUIDv7Field(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=80)),
                ('shortcode', models.CharField(blank=True, max_length=10)),
                ('store_number', models.CharField(blank=True, max_length=10)),
                ('kind', models.CharField(choices=[('PAYBILL', 'PayBill: the customer types an account number'), ('TILL', 'Till: the customer types only the till number'), ('BUY_GOODS', "Buy Goods: a head office's number, paid like a till")], max_length=10)),
                ('environment', models.CharField(choices=[('PRACTICE', 'Practice: our simulator, no real money'), ('SANDBOX', "Safaricom's sandbox, no real money"), ('PRODUCTION', 'Live: real money')], max_length=10)),
                ('status', models.CharField(choices=[('DRAFT', 'credentials are missing'), ('CONFIGURED', 'credentials are saved, not proved'), ('VERIFIED', 'Safaricom accepted the credentials'), ('ACTIVE', 'payments are being received'), ('SUSPENDED', 'switched off by the business; what still arrives is recorded')], default='DRAFT', max_length=10)),
                ('is_primary', models.BooleanField(default=False)),
                ('consumer_key', channels.fields.EncryptedTextField(blank=True, default='')),
                ('consumer_secret', channels.fields.EncryptedTextField(blank=True, default='')),
                ('passkey', channels.fields.EncryptedTextField(blank=True, default='')),
                ('initiator_name', models.CharField(blank=True, max_length=64)),
                ('initiator_credential', channels.fields.EncryptedTextField(blank=True, default='')),
                ('callback_token', channels.fields.EncryptedTextField()),
                ('secret_notes', models.JSONField(default=dict)),
                ('account_mapping', models.JSONField(default=dict)),
                ('response_type', models.CharField(choices=[('Completed', 'complete the payment'), ('Cancelled', 'cancel the payment')], default='Completed', max_length=9)),
                ('register_version', models.PositiveSmallIntegerField(default=2)),
                ('minimum_amount', models.PositiveIntegerField(null=True)),
                ('maximum_amount', models.PositiveIntegerField(null=True)),
                ('accepts_unmapped', models.BooleanField(default=True)),
                ('nominated_number', models.CharField(blank=True, max_length=15)),
                ('pull_registered_at', models.DateTimeField(null=True)),
                ('low_float', models.JSONField(default=dict)),
                ('bill_manager_app_key', channels.fields.EncryptedTextField(blank=True, default='')),
                ('bill_manager_opted_in_at', models.DateTimeField(null=True)),
                ('notes', models.TextField(blank=True)),
                ('organisation_name', models.CharField(blank=True, max_length=120)),
                ('configured_at', models.DateTimeField(null=True)),
                ('verified_at', models.DateTimeField(null=True)),
                ('first_verified_at', models.DateTimeField(null=True)),
                ('urls_asked_at', models.DateTimeField(null=True)),
                ('urls_registered_at', models.DateTimeField(null=True)),
                ('activated_at', models.DateTimeField(null=True)),
                ('suspended_at', models.DateTimeField(null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('environment', 'shortcode'), name='channel_shortcode_once'), models.UniqueConstraint(condition=models.Q(('store_number', ''), _negated=True), fields=('environment', 'store_number'), name='channel_store_number_once'), models.UniqueConstraint(condition=models.Q(('is_primary', True)), fields=('is_primary',), name='channel_one_primary'), models.CheckConstraint(condition=models.Q(('shortcode__regex', '^[0-9]{5,7}$'), models.Q(('environment', 'PRACTICE'), ('shortcode', ''), ('status', 'DRAFT')), _connector='OR'), name='channel_shortcode_digits')],
            },
        ),
        migrations.CreateModel(
            name='SmsMessage',
            fields=[
                ('id', audit.ids.UUIDv7Field(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('dedup_key', models.CharField(max_length=80)),
                ('phone_number', models.CharField(blank=True, max_length=12)),
                ('body', models.TextField(blank=True)),
                ('environment', models.CharField(choices=[('PRACTICE', 'Practice: our simulator, no real money'), ('SANDBOX', "Safaricom's sandbox, no real money"), ('PRODUCTION', 'Live: real money')], max_length=10)),
                ('status', models.CharField(choices=[('QUEUED', 'waiting to be sent'), ('SENDING', 'handed to the provider, no answer yet'), ('SENT', 'the provider took it'), ('FAILED', 'the provider refused it, or could not be reached for a day'), ('UNKNOWN', 'the provider may have taken it; not sent again')], default='QUEUED', max_length=8)),
                ('provider', models.CharField(blank=True, max_length=32)),
                ('provider_message_id', models.CharField(blank=True, max_length=80)),
                ('error', tenants.sentences.SentenceField(blank=True, max_length=254)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('due_at', models.DateTimeField()),
                ('created_at', models.DateTimeField()),
                ('sending_at', models.DateTimeField(null=True)),
                ('sent_at', models.DateTimeField(null=True)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('status', 'QUEUED')), fields=['due_at'], name='sms_queued'), models.Index(condition=models.Q(('status', 'SENDING')), fields=['sending_at'], name='sms_sending'), models.Index(fields=['environment', 'id'], name='sms_newest'), models.Index(fields=['phone_number'], name='sms_of_number'), models.Index(condition=models.Q(('status__in', ['FAILED', 'UNKNOWN'])), fields=['environment', 'status', '-id'], name='sms_not_sent')],
                'constraints': [models.UniqueConstraint(fields=('dedup_key',), name='sms_once'), models.CheckConstraint(condition=models.Q(models.Q(('phone_number', ''), _negated=True), models.Q(('body', ''), models.Q(('status', 'QUEUED'), _negated=True)), _connector='OR'), name='sms_forgotten_whole')],
            },
        ),
        migrations.CreateModel(
            name='ChannelRun',
            fields=[
                ('id', audit.ids.UUIDv7Field(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('VERIFY', 'prove the credentials'), ('REGISTER_URLS', 'tell Safaricom where to report payments'), ('DOCTOR', 'examine everything that has to work'), ('PROVE_KEYS', 'prove the consumer key and secret alone'), ('PROVE_PASSKEY', 'prove the passkey alone'), ('PROVE_INITIATOR', 'prove the API operator alone')], max_length=16)),
                ('status', models.CharField(choices=[('PENDING', 'waiting for a worker, or working'), ('DONE', 'every step was taken'), ('FAILED', 'a step did not work; its advice says what to do')], default='PENDING', max_length=8)),
                ('steps', models.JSONField(decoder=tenants.sentences.SentenceDecoder, default=list, encoder=tenants.sentences.SentenceEncoder)),
                ('error_code', models.CharField(blank=True, max_length=48)),
                ('originator_conversation_id', models.CharField(blank=True, max_length=128)),
                ('conversation_id', models.CharField(blank=True, max_length=128)),
                ('details', models.JSONField(default=dict)),
                ('requested_by', models.JSONField(default=dict)),
                ('created_at', models.DateTimeField()),
                ('finished_at', models.DateTimeField(null=True)),
                ('channel', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='runs', to='channels.mpesachannel')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('originator_conversation_id', ''), _negated=True), fields=['originator_conversation_id'], name='channel_run_originator'), models.Index(condition=models.Q(('conversation_id', ''), _negated=True), fields=['conversation_id'], name='channel_run_conversation')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('kind__in', ['VERIFY', 'REGISTER_URLS', 'DOCTOR']), ('status', 'PENDING')), fields=('channel',), name='channel_run_one_at_a_time')],
            },
        ),
        migrations.CreateModel(
            name='Problem',
            fields=[
                ('id', audit.ids.UUIDv7Field(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('environment', models.CharField(choices=[('PRACTICE', 'Practice: our simulator, no real money'), ('SANDBOX', "Safaricom's sandbox, no real money"), ('PRODUCTION', 'Live: real money')], max_length=10)),
                ('kind', models.CharField(choices=[('SILENT', 'no payments, where there usually are some'), ('LOW_FLOAT', 'an M-PESA account is nearly empty'), ('PULL_FAILED', 'M-PESA did not list the payments'), ('BALANCE_FAILED', 'M-PESA did not tell the balances'), ('CONNECTION', 'the connection doctor found something'), ('DIFFERS', 'a day does not reconcile'), ('REVIEW', 'money of which nobody knows whether it moved')], max_length=14)),
                ('subject', models.CharField(blank=True, max_length=80)),
                ('sentence', tenants.sentences.SentenceField(max_length=254)),
                ('do_now', tenants.sentences.SentenceField(max_length=254)),
                ('who', models.CharField(max_length=16)),
                ('opened_at', models.DateTimeField()),
                ('seen_at', models.DateTimeField()),
                ('dismissed_at', models.DateTimeField(null=True)),
                ('dismissed_by', models.CharField(blank=True, max_length=254)),
                ('closed_at', models.DateTimeField(null=True)),
                ('channel', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='problems', to='channels.mpesachannel')),
            ],
            options={
                'indexes': [models.Index(fields=['environment', '-id'], name='problem_newest')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('closed_at', None)), fields=('channel', 'kind', 'subject'), name='problem_open_once')],
            },
        ),
        migrations.CreateModel(
            name='RuleDraft',
            fields=[
                ('id', audit.ids.UUIDv7Field(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('rules', models.JSONField(default=dict)),
                ('based_on', models.JSONField(default=dict)),
                ('begun_by', models.CharField(max_length=254)),
                ('begun_at', models.DateTimeField()),
                ('changed_by', models.CharField(max_length=254)),
                ('changed_at', models.DateTimeField()),
                ('channel', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='rule_draft', to='channels.mpesachannel')),
            ],
        ),
        migrations.CreateModel(
            name='StepLink',
            fields=[
                ('id', audit.ids.UUIDv7Field(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('credential', models.CharField(choices=[('KEYS', 'consumer key and secret'), ('PASSKEY', 'passkey'), ('INITIATOR', 'API operator')], max_length=9)),
                ('token_hash', models.BinaryField(max_length=32, unique=True)),
                ('for_name', models.CharField(blank=True, max_length=80)),
                ('made_by', models.CharField(max_length=254)),
                ('created_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('used_at', models.DateTimeField(null=True)),
                ('withdrawn_at', models.DateTimeField(null=True)),
                ('channel', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='links', to='channels.mpesachannel')),
                ('run', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='links', to='channels.channelrun')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('used_at', None), ('withdrawn_at', None), _connector='OR'), name='step_link_ends_once')],
            },
        ),
    ]
