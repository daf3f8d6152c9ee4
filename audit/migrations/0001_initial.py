import audit.ids
from audit.append_only import append_only
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', audit.ids.UUIDv7Field(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('sequence', models.BigIntegerField(unique=True)),
                ('occurred_at', models.DateTimeField()),
                ('action', models.CharField(max_length=64)),
                ('actor_kind', models.CharField(choices=[('PERSON', 'a person of the business'), ('OPERATOR', 'an operator of the platform'), ('KEY', 'an API key'), ('LINK', 'somebody with a link that is for one thing'), ('SYSTEM', 'the platform itself')], max_length=8)),
                ('actor_id', models.UUIDField(null=True)),
                ('actor_label', models.CharField(max_length=254)),
                ('actor_role', models.CharField(blank=True, max_length=32)),
                ('address', models.CharField(blank=True, max_length=45)),
                ('user_agent', models.CharField(blank=True, max_length=256)),
                ('subject_kind', models.CharField(max_length=64)),
                ('subject_id', models.CharField(max_length=64)),
                ('subject_label', models.CharField(blank=True, max_length=254)),
                ('before', models.JSONField(default=dict)),
                ('after', models.JSONField(default=dict)),
                ('reason', models.TextField(blank=True)),
                ('previous_hash', models.CharField(max_length=64)),
                ('entry_hash', models.CharField(max_length=64)),
            ],
            options={
                'verbose_name_plural': 'audit entries',
                'indexes': [models.Index(fields=['subject_kind', 'subject_id'], name='audit_entry_subject')],
            },
        ),
        migrations.CreateModel(
            name='PlatformAuditEntry',
            fields=[
                ('id', audit.ids.UUIDv7Field(default=audit.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('sequence', models.BigIntegerField(unique=True)),
                ('occurred_at', models.DateTimeField()),
                ('action', models.CharField(max_length=64)),
                ('actor_kind', models.CharField(choices=[('PERSON', 'a person of the business'), ('OPERATOR', 'an operator of the platform'), ('KEY', 'an API key'), ('LINK', 'somebody with a link that is for one thing'), ('SYSTEM', 'the platform itself')], max_length=8)),
                ('actor_id', models.UUIDField(null=True)),
                ('actor_label', models.CharField(max_length=254)),
                ('actor_role', models.CharField(blank=True, max_length=32)),
                ('address', models.CharField(blank=True, max_length=45)),
                ('user_agent', models.CharField(blank=True, max_length=256)),
                ('subject_kind', models.CharField(max_length=64)),
                ('subject_id', models.CharField(max_length=64)),
                ('subject_label', models.CharField(blank=True, max_length=254)),
                ('before', models.JSONField(default=dict)),
                ('after', models.JSONField(default=dict)),
                ('reason', models.TextField(blank=True)),
                ('previous_hash', models.CharField(max_length=64)),
                ('entry_hash', models.CharField(max_length=64)),
            ],
            options={
                'verbose_name_plural': 'platform audit entries',
                'indexes': [models.Index(fields=['subject_kind', 'subject_id'], name='audit_platform_subject')],
            },
        ),
        append_only('audit.AuditEntry'),
        append_only('audit.PlatformAuditEntry'),
    ]
