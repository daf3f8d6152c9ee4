import audit.ids
from django.db import migrations, models


def append_only(table):
    """The database itself refuses to change a row, whatever code or person asks."""
    return f"""
    CREATE FUNCTION {table}_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END $$;
    CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table}
        FOR EACH ROW EXECUTE FUNCTION {table}_refuse_change();
    CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON {table}
        FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse_change();
    """


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
                ('actor_kind', models.CharField(choices=[('PERSON', 'a person of the business'), ('OPERATOR', 'an operator of the platform'), ('KEY', 'an API key'), ('SYSTEM', 'the platform itself')], max_length=8)),
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
                ('actor_kind', models.CharField(choices=[('PERSON', 'a person of the business'), ('OPERATOR', 'an operator of the platform'), ('KEY', 'an API key'), ('SYSTEM', 'the platform itself')], max_length=8)),
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
        migrations.RunSQL(
            append_only('audit_auditentry'),
            'DROP FUNCTION audit_auditentry_refuse_change() CASCADE',
            hints={'model_name': 'auditentry'},
        ),
        migrations.RunSQL(
            append_only('audit_platformauditentry'),
            'DROP FUNCTION audit_platformauditentry_refuse_change() CASCADE',
            hints={'model_name': 'platformauditentry'},
        ),
    ]
