"""Tables whose rows nobody changes or removes: the database itself refuses, whatever code or person asks."""

from django.db import migrations


def append_only(model_label: str) -> migrations.RunSQL:
    """A migration's operation that closes a table to everything but INSERT: `append_only("payments.PayoutEntry")`."""
    app, model = model_label.lower().split(".")
    table = f"{app}_{model}"
    return migrations.RunSQL(
        f"""
        CREATE FUNCTION {table}_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
        END $$;
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION {table}_refuse_change();
        CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse_change();
        """,
        f"DROP FUNCTION {table}_refuse_change() CASCADE",
        hints={"model_name": model},
    )
