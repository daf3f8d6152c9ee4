"""Which schema has which table."""

from typing import Any

from django.db import connections
from django_tenants.routers import TenantSyncRouter

# `audit` lives in both kinds of schema, with another table in each: no table name exists in both.
_PUBLIC_ONLY = {("audit", "platformauditentry")}


class SchemaRouter(TenantSyncRouter):  # type: ignore[misc]
    """django-tenants decides by application; here the two audit trails are told apart by model as well.

    `RunSQL` operations in `audit` name the model they are about in their hints, so that they are decided here too.
    """

    def allow_migrate(self, db: str, app_label: str, model_name: str | None = None, **hints: Any) -> bool | None:
        allowed: bool | None = super().allow_migrate(db, app_label, model_name, **hints)
        if allowed is False or app_label != "audit" or model_name is None:
            return allowed
        in_public: bool = connections[db].schema_name == "public"  # type: ignore[attr-defined]
        return in_public == ((app_label, model_name.lower()) in _PUBLIC_ONLY)
