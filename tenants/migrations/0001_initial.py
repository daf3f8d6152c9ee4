import audit.ids
import django.db.models.deletion
import django.db.models.functions.text
import django_tenants.postgresql_backend.base
import tenants.sentences
from django.conf import settings
from django.db import migrations, models


# Every web process keeps hosts and callback routes in memory; whoever changes them, by whatever door, is heard.
ANNOUNCE_CHANGES = """
CREATE FUNCTION tenants_announce_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tenants_changed', TG_TABLE_NAME);
    RETURN NULL;
END $$;
CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tenants_tenant
    FOR EACH STATEMENT EXECUTE FUNCTION tenants_announce_change();
CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tenants_domain
    FOR EACH STATEMENT EXECUTE FUNCTION tenants_announce_change();
CREATE TRIGGER announce AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tenants_callbackroute
    FOR EACH STATEMENT EXECUTE FUNCTION tenants_announce_change();
"""
FORGET_ANNOUNCING = "DROP FUNCTION tenants_announce_change() CASCADE"


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
    ]

    operations = [
        migrations.CreateModel(
            name='AttemptCount',
            fields=[
                ('id', audit.ids.UUIDv7Field(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('door', models.CharField(max_length=16)),
                ('who', models.CharField(max_length=45)),
                ('hour', models.DateTimeField()),
                ('count', models.PositiveIntegerField()),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('door', 'who', 'hour'), name='attempt_count_once')],
            },
        ),
        migrations.CreateModel(
            name='CallbackRoute',
            fields=[
                ('token_hash', models.BinaryField(max_length=32, primary_key=True, serialize=False)),
                ('channel_id', models.UUIDField()),
                ('expires_at', models.DateTimeField(null=True)),
                ('rules', models.JSONField(default=dict)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.CreateModel(
            name='Domain',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('domain', models.CharField(db_index=True, max_length=253, unique=True)),
                ('is_primary', models.BooleanField(db_index=True, default=True)),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='DueTask',
            fields=[
                ('id', audit.ids.UUIDv7Field(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('task', models.CharField(max_length=120)),
                ('arguments', models.JSONField(default=dict)),
                ('fingerprint', models.BinaryField(max_length=32, unique=True)),
                ('due_at', models.DateTimeField()),
                ('generation', models.PositiveIntegerField(default=1)),
                ('leased_until', models.DateTimeField(null=True)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('last_error', models.TextField(blank=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.CreateModel(
            name='InboundCallback',
            fields=[
                ('id', audit.ids.UUIDv7Field(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('channel_id', models.UUIDField(null=True)),
                ('kind', models.CharField(choices=[('C2B_VALIDATION', 'M-PESA asked whether to take a payment'), ('C2B_CONFIRMATION', 'M-PESA reported a payment'), ('STK_CALLBACK', "the outcome of a prompt on a customer's phone"), ('RESULT', 'the outcome of a request of ours'), ('TIMEOUT', "M-PESA's queue gave up on a request of ours"), ('STANDING_ORDER', "a customer's answer to a standing order"), ('INVOICE_PAYMENT', 'Bill Manager reported what was paid on an invoice')], max_length=16)),
                ('about', models.UUIDField(null=True)),
                ('body', models.BinaryField()),
                ('headers', models.JSONField(default=dict)),
                ('address', models.CharField(blank=True, max_length=45)),
                ('address_is_listed', models.BooleanField(default=False)),
                ('received_at', models.DateTimeField()),
                ('state', models.CharField(choices=[('PENDING', 'not applied yet'), ('APPLIED', 'applied, or known already'), ('QUARANTINED', 'does not fit: kept, shown, without effect until a person decides')], default='PENDING', max_length=11)),
                ('reason', models.CharField(blank=True, choices=[('UNKNOWN_TOKEN', 'The address it came to belongs to no channel.'), ('UNREADABLE', 'The body is not what Daraja sends.'), ('TOO_LARGE', 'The body is larger than 64 kB; its beginning is kept.'), ('FOREIGN_SHORTCODE', "It names a shortcode that is not this channel's."), ('CONFLICTING_BODY', 'The same M-PESA number came before with another content.'), ('UNMATCHED_REQUEST', 'It answers a request that we did not make.'), ('AMOUNT_MISMATCH', 'Its amount is not the one that was asked for.'), ('CONTRADICTION', 'It contradicts an outcome that is final already.'), ('UNLISTED_ADDRESS', "It came from an address that is not Safaricom's."), ('FAILED', 'Applying it failed again and again.')], max_length=20)),
                ('error', tenants.sentences.SentenceField(blank=True)),
                ('dedup_key', models.CharField(blank=True, max_length=80)),
                ('body_hash', models.BinaryField(max_length=32, null=True)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('due_at', models.DateTimeField()),
                ('applied_at', models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name='ProductionShortcode',
            fields=[
                ('shortcode', models.CharField(max_length=10, primary_key=True, serialize=False)),
                ('channel_id', models.UUIDField()),
                ('verified_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='Tenant',
            fields=[
                ('schema_name', models.CharField(db_index=True, max_length=63, unique=True, validators=[django_tenants.postgresql_backend.base._check_schema_name])),
                ('id', audit.ids.UUIDv7Field(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('slug', models.SlugField(max_length=40, unique=True)),
                ('business_name', models.CharField(max_length=120)),
                ('business_type', models.CharField(choices=[('SHOP', 'Shop'), ('RESTAURANT', 'Restaurant'), ('SCHOOL', 'School'), ('SACCO', 'SACCO'), ('SERVICES', 'Services'), ('OTHER', 'Other')], default='OTHER', max_length=16)),
                ('email', models.EmailField(max_length=254)),
                ('phone', models.CharField(max_length=15)),
                ('status', models.CharField(choices=[('PROVISIONING', 'being made'), ('TRIAL', 'trying it out'), ('ACTIVE', 'in service'), ('SUSPENDED', 'suspended: its people can read and export, and its money is still recorded'), ('CLOSED', 'closed: its people can read and export')], default='PROVISIONING', max_length=16)),
                ('status_before', models.CharField(blank=True, max_length=16)),
                ('status_reason', models.TextField(blank=True)),
                ('plan', models.CharField(default='trial', max_length=32)),
                ('is_demo', models.BooleanField(default=False)),
                ('provisioning_steps', models.JSONField(default=list)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.CreateModel(
            name='User',
            fields=[
                ('password', models.CharField(max_length=128, verbose_name='password')),
                ('last_login', models.DateTimeField(blank=True, null=True, verbose_name='last login')),
                ('is_superuser', models.BooleanField(default=False, help_text='Designates that this user has all permissions without explicitly assigning them.', verbose_name='superuser status')),
                ('id', audit.ids.UUIDv7Field(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('email', models.EmailField(max_length=254, unique=True)),
                ('name', models.CharField(blank=True, max_length=120)),
                ('phone', models.CharField(blank=True, max_length=15)),
                ('language', models.CharField(blank=True, max_length=5)),
                ('theme', models.CharField(blank=True, choices=[('light', 'Light'), ('dark', 'Dark')], max_length=5)),
                ('time_zone', models.CharField(default='Africa/Nairobi', max_length=40)),
                ('is_active', models.BooleanField(default=True)),
                ('is_staff', models.BooleanField(default=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('groups', models.ManyToManyField(blank=True, help_text='The groups this user belongs to. A user will get all permissions granted to each of their groups.', related_name='user_set', related_query_name='user', to='auth.group', verbose_name='groups')),
                ('user_permissions', models.ManyToManyField(blank=True, help_text='Specific permissions for this user.', related_name='user_set', related_query_name='user', to='auth.permission', verbose_name='user permissions')),
            ],
        ),
        migrations.CreateModel(
            name='Invitation',
            fields=[
                ('id', audit.ids.UUIDv7Field(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('email', models.EmailField(max_length=254)),
                ('role', models.CharField(choices=[('org_admin', 'Administrator'), ('manager', 'Manager'), ('user', 'User')], max_length=16)),
                ('expires_at', models.DateTimeField()),
                ('accepted_at', models.DateTimeField(null=True)),
                ('revoked_at', models.DateTimeField(null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('invited_by', models.CharField(max_length=254)),
            ],
        ),
        migrations.CreateModel(
            name='Membership',
            fields=[
                ('id', audit.ids.UUIDv7Field(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('role', models.CharField(choices=[('org_admin', 'Administrator'), ('manager', 'Manager'), ('user', 'User')], max_length=16)),
                ('is_active', models.BooleanField(default=True)),
                ('sign_in_epoch', models.PositiveIntegerField(default=1)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='HandOver',
            fields=[
                ('id', audit.ids.UUIDv7Field(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('token_hash', models.BinaryField(max_length=32, unique=True)),
                ('expires_at', models.DateTimeField()),
                ('used_at', models.DateTimeField(null=True)),
                ('membership', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='tenants.membership')),
            ],
        ),
        migrations.CreateModel(
            name='TenantActivity',
            fields=[
                ('tenant', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='activity', serialize=False, to='tenants.tenant')),
                ('last_payment_at', models.DateTimeField(null=True)),
                ('channels_active', models.PositiveIntegerField(default=0)),
                ('channel_health', models.CharField(choices=[('NONE', 'no channel is active'), ('GOOD', 'every active channel works'), ('PROBLEM', 'a channel needs somebody')], default='NONE', max_length=8)),
            ],
        ),
        migrations.CreateModel(
            name='Branding',
            fields=[
                ('tenant', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='branding', serialize=False, to='tenants.tenant')),
                ('colour', models.CharField(blank=True, max_length=7)),
                ('logo', models.BinaryField(null=True)),
                ('logo_digest', models.CharField(blank=True, max_length=16)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('colour', ''), ('colour__regex', '^#[0-9a-f]{6}$'), _connector='OR'), name='branding_colour')],
            },
        ),
        migrations.CreateModel(
            name='PreparedFile',
            fields=[
                ('id', audit.ids.UUIDv7Field(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(max_length=40)),
                ('parameters', models.JSONField(default=dict)),
                ('language', models.CharField(max_length=5)),
                ('fingerprint', models.BinaryField(max_length=32)),
                ('name', models.CharField(max_length=160)),
                ('requested_by', models.CharField(max_length=254)),
                ('status', models.CharField(choices=[('WAITING', 'To come'), ('RUNNING', 'Working'), ('FAILED', 'Not yet; it is tried again'), ('READY', 'Ready')], default='WAITING', max_length=7)),
                ('attempt', models.PositiveIntegerField(default=0)),
                ('rows', models.PositiveBigIntegerField(null=True)),
                ('rows_done', models.PositiveBigIntegerField(default=0)),
                ('size', models.PositiveBigIntegerField(default=0)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('expires_at', models.DateTimeField()),
                ('tenant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='tenants.tenant')),
            ],
            options={
                'constraints': [models.UniqueConstraint(condition=models.Q(('status', 'READY'), _negated=True), fields=('tenant', 'fingerprint'), name='prepared_file_once_at_a_time')],
            },
        ),
        migrations.CreateModel(
            name='PreparedFilePart',
            fields=[
                ('id', audit.ids.UUIDv7Field(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('attempt', models.PositiveIntegerField()),
                ('number', models.PositiveIntegerField()),
                ('content', models.BinaryField()),
                ('file', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='parts', to='tenants.preparedfile')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('file', 'attempt', 'number'), name='prepared_file_part_once')],
            },
        ),
        migrations.AddConstraint(
            model_name='tenant',
            constraint=models.CheckConstraint(condition=models.Q(('schema_name__regex', '^t_[0-9a-f]{32}$')), name='tenant_schema_is_ours'),
        ),
        migrations.AddConstraint(
            model_name='tenant',
            constraint=models.UniqueConstraint(condition=models.Q(('is_demo', True)), fields=('is_demo',), name='tenant_one_demo'),
        ),
        migrations.AddField(
            model_name='productionshortcode',
            name='tenant',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='tenants.tenant'),
        ),
        migrations.AddField(
            model_name='membership',
            name='tenant',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to='tenants.tenant'),
        ),
        migrations.AddField(
            model_name='invitation',
            name='tenant',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='invitations', to='tenants.tenant'),
        ),
        migrations.AddField(
            model_name='inboundcallback',
            name='tenant',
            field=models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.PROTECT, to='tenants.tenant'),
        ),
        migrations.AddField(
            model_name='duetask',
            name='tenant',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, to='tenants.tenant'),
        ),
        migrations.AddField(
            model_name='domain',
            name='tenant',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='domains', to='tenants.tenant'),
        ),
        migrations.AddField(
            model_name='callbackroute',
            name='tenant',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='tenants.tenant'),
        ),
        migrations.AddConstraint(
            model_name='user',
            constraint=models.CheckConstraint(condition=models.Q(('email', django.db.models.functions.text.Lower('email'))), name='user_email_lower_case'),
        ),
        migrations.AddConstraint(
            model_name='membership',
            constraint=models.UniqueConstraint(fields=('user', 'tenant'), name='membership_once'),
        ),
        migrations.AddConstraint(
            model_name='invitation',
            constraint=models.UniqueConstraint(condition=models.Q(('accepted_at', None), ('revoked_at', None)), fields=('tenant', 'email'), name='invitation_open_once'),
        ),
        migrations.AddIndex(
            model_name='inboundcallback',
            index=models.Index(condition=models.Q(('state', 'PENDING')), fields=['tenant', 'due_at'], name='inbound_pending'),
        ),
        migrations.AddIndex(
            model_name='inboundcallback',
            index=models.Index(condition=models.Q(('dedup_key', ''), _negated=True), fields=['tenant', 'kind', 'dedup_key'], name='inbound_dedup'),
        ),
        migrations.AddIndex(
            model_name='inboundcallback',
            index=models.Index(condition=models.Q(('state', 'QUARANTINED')), fields=['received_at'], name='inbound_quarantined'),
        ),
        migrations.AddIndex(
            model_name='duetask',
            index=models.Index(fields=['due_at'], name='due_task_due'),
        ),
        migrations.AddIndex(
            model_name='callbackroute',
            index=models.Index(fields=['tenant', 'channel_id'], name='callback_route_channel'),
        ),
        migrations.AddIndex(
            model_name='inboundcallback',
            index=models.Index(condition=models.Q(('kind', 'C2B_VALIDATION')), fields=['channel_id', 'received_at'], name='inbound_validation'),
        ),
        migrations.RunSQL(ANNOUNCE_CHANGES, FORGET_ANNOUNCING),
    ]
