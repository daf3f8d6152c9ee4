"""A new business's tables, in one round trip.

Running the migrations for each new business takes a second, nearly all of it Python thinking about state. The SQL is
the same for every business, so it is rendered once per process and replayed; the schema's `django_migrations` is
filled as the migrations would have filled it, so that `migrate_schemas` goes on from there.
"""

import threading
from dataclasses import dataclass

from django.apps import apps
from django.conf import settings
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder

from tenants.models import Tenant


class UnreplayableMigration(Exception):
    """A business's migration can't be written as SQL: keep migrations to the schema, move data in a task."""


@dataclass(frozen=True)
class _Rendered:
    sql: str
    migrations: list[tuple[str, str]]  # (app label, name), in the order in which they would run


_rendering = threading.Lock()
_rendered: _Rendered | None = None


def reserve_schema(tenant: Tenant) -> None:
    """Make the business's empty schema, in the caller's commit."""
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE SCHEMA IF NOT EXISTS "{tenant.schema_name}"')


def build_schema(tenant: Tenant) -> None:
    """Fill the business's empty schema with its tables: all of them or none. Does nothing if they are there.

    :raises UnreplayableMigration: if a migration of a business's application is not plain SQL.
    """
    rendered = _render(tenant)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"schema:{tenant.schema_name}"])
        cursor.execute("SELECT to_regclass(%s)", [f'"{tenant.schema_name}".django_migrations'])
        if cursor.fetchone()[0] is not None:
            return
        cursor.execute("SHOW search_path")
        search_path = cursor.fetchone()[0]
        cursor.execute(f'SET LOCAL search_path = "{tenant.schema_name}"')
        cursor.execute(rendered.sql)
        cursor.execute(
            "INSERT INTO django_migrations (app, name, applied)"
            " SELECT app, name, now() FROM unnest(%s::text[], %s::text[]) AS migration (app, name)",
            [[app for app, _ in rendered.migrations], [name for _, name in rendered.migrations]],
        )
        cursor.execute("SELECT set_config('search_path', %s, true)", [search_path])  # a caller's transaction goes on


def _render(tenant: Tenant) -> _Rendered:
    global _rendered
    with _rendering:
        if _rendered is None:
            before = connection.tenant  # type: ignore[attr-defined]
            connection.set_tenant(tenant)  # type: ignore[attr-defined]  # the router decides by the present schema
            try:
                _rendered = _collect()
            finally:
                connection.set_tenant(before)  # type: ignore[attr-defined]
        return _rendered


def _collect() -> _Rendered:
    labels = {apps.get_app_config(name).label for name in settings.TENANT_APPS}
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes(), clean_start=True)
    for migration, _ in plan:
        if migration.app_label in labels and not all(operation.reduces_to_sql for operation in migration.operations):
            raise UnreplayableMigration(f"{migration} runs Python.")
    with connection.schema_editor(collect_sql=True) as editor:
        editor.create_model(MigrationRecorder(connection).Migration)
    statements = [*editor.collected_sql, *executor.loader.collect_sql(plan)]
    return _Rendered(
        sql="\n".join(statement for statement in statements if not statement.startswith("--")),
        migrations=[(migration.app_label, migration.name) for migration, _ in plan],
    )
