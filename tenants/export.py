"""All data of a business as a ZIP of CSV files, one of the files that `tenants.files` makes in the background.

Every table of the business's schema is in it, and of the public tables what is the business's own: its people,
invitations and deliveries from M-PESA. Secrets are not.
"""

import csv
import io
import json
import zipfile
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any
from uuid import UUID

from django.apps import apps
from django.conf import settings
from django.db import connection, models
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy
from django_cryptography.fields import EncryptedMixin

from audit.ids import public_id
from audit.redaction import is_secret, without_secrets
from audit.services import Actor
from tenants.files import FileKind, Parameters, ask_for
from tenants.models import InboundCallback, Invitation, Membership, PreparedFile, Tenant
from tenants.permissions import Permission
from tenants.progress import Progress
from tenants.queue import require_current_tenant
from tenants.spreadsheets import harmless

_ROWS_AT_ONCE = 2_000

# Of the public tables: nothing that opens a door, and nothing that is the platform's.
_MEMBERSHIP = ("id", "user_id", "user__email", "user__name", "role", "is_active", "created_at")
_INVITATION = ("id", "email", "role", "invited_by", "created_at", "expires_at", "accepted_at", "revoked_at")
_DELIVERY = ("id", "channel_id", "kind", "state", "reason", "received_at", "applied_at", "dedup_key", "body")
_BUSINESS = ("id", "slug", "business_name", "business_type", "email", "phone", "status", "plan", "created_at")
# Identifiers of what is in another schema, which are no foreign keys.
_REFERENCES = {"channel_id": "ch", "callback_id": "cb", "actor_id": "usr"}


@dataclass(frozen=True)
class Table:
    """A file of the ZIP: its name, the columns, and the rows with a value for each column."""

    name: str
    columns: tuple[str, ...]
    rows: QuerySet[Any]


def request_export(*, actor: Actor, now: datetime) -> PreparedFile:
    """Have all data of the present business put together; if that is being done already, it is that file.

    :raises TooManyFiles: as `ask_for`.
    """
    slug = require_current_tenant().slug
    name = f"{slug}-{timezone.localdate(now):%Y-%m-%d}.zip"
    return ask_for(actor=actor, kind=ALL_DATA.name, parameters={}, name=name, now=now)


def _write(file: IO[bytes], _parameters: Parameters, progress: Progress) -> None:
    tenant, now = require_current_tenant(), timezone.now()
    found = tables(tenant)
    progress.expect(sum(table.rows.order_by().count() for table in found))
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("READ-ME.txt", _read_me(tenant, now))
        for table in found:
            member = zipfile.ZipInfo(f"{table.name}.csv", timezone.localtime(now).timetuple()[:6])
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=True) as binary:
                _write_table(table, binary, progress)


def _write_table(table: Table, binary: IO[bytes], progress: Progress) -> None:
    text = io.TextIOWrapper(binary, encoding="utf-8-sig", newline="", write_through=False)
    writer = csv.writer(text)
    writer.writerow(column.replace("__", "_") for column in table.columns)
    prefixes = [_prefix_of(table.rows.model, column) for column in table.columns]
    for row in progress.each(table.rows.values_list(*table.columns).iterator(chunk_size=_ROWS_AT_ONCE)):
        writer.writerow(_cell(value, prefix) for value, prefix in zip(row, prefixes, strict=True))
    text.flush()
    text.detach()


def tables(tenant: Tenant) -> list[Table]:
    """What is exported, in the order of the files' names.

    A model of a business's application may have its table in the public schema: those are the platform's own.
    """
    in_schema = _tables_of_schema(tenant)
    own = [
        Table(
            model._meta.label_lower.replace(".", "_"),
            tuple(field.attname for field in model._meta.concrete_fields if not _is_secret(field)),
            model._default_manager.order_by("pk"),
        )
        for label in settings.TENANT_APPS
        for model in apps.get_app_config(label).get_models()
        if model._meta.db_table in in_schema
    ]
    public = [
        Table("business", _BUSINESS, Tenant.objects.filter(pk=tenant.pk)),
        Table("business_people", _MEMBERSHIP, Membership.objects.filter(tenant=tenant).order_by("pk")),
        Table("business_invitations", _INVITATION, Invitation.objects.filter(tenant=tenant).order_by("pk")),
        Table("mpesa_deliveries", _DELIVERY, InboundCallback.objects.filter(tenant=tenant).order_by("pk")),
    ]
    return sorted([*own, *public], key=lambda table: table.name)


def _tables_of_schema(tenant: Tenant) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [tenant.schema_name])
        return {name for (name,) in cursor.fetchall()}


def _is_secret(field: "models.Field[Any, Any]") -> bool:
    return isinstance(field, EncryptedMixin) or is_secret(field.name)


def _prefix_of(model: type[models.Model], column: str) -> str:
    """How identifiers in this column begin outside: `pay`, `ch`; empty where it holds none."""
    for field in model._meta.concrete_fields:
        if column in {field.name, field.attname}:
            target = field.related_model._meta.pk if field.is_relation and field.related_model else field
            return str(getattr(target, "prefix", "")) or _REFERENCES.get(column, "")
    return ""


def _cell(value: Any, prefix: str) -> str:
    """As the API writes it; what could run as a formula in a spreadsheet begins with an apostrophe."""
    if value is None:
        return ""
    if isinstance(value, UUID):
        return public_id(prefix, value) if prefix else str(value)
    if isinstance(value, datetime):
        return timezone.localtime(value).isoformat(timespec="seconds")
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, bytes | memoryview):
        return harmless(_text_or_hex(bytes(value)))
    if isinstance(value, str):
        return harmless(without_secrets(value) if "://" in value else value)  # links in SMS are their readers' keys
    return str(value)


def _text_or_hex(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.hex()


def _read_me(tenant: Tenant, now: datetime) -> str:
    return (
        f"All data of {tenant.business_name} on Tuzo, as of {timezone.localtime(now):%d %b %Y, %H:%M} (EAT).\n\n"
        "Each file is a table: CSV in UTF-8 with a header. Times are those of Kenya, money is in KES. Identifiers are\n"
        "those of the API. Tables are read one after the other, so what happened meanwhile may be in one of them and\n"
        "not in another. Credentials are not in here: they can't be read back by anybody.\n"
    )


ALL_DATA = FileKind(
    name="all-data",
    title=gettext_lazy("All data of the business"),
    permission=Permission.DATA_READ,
    write=_write,
    about=lambda _parameters: "",
)
