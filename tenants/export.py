"""All data of a business as a ZIP of CSV files, made in the background and kept for a week.

Every table of the business's schema is in it, and of the public tables what is the business's own: its people,
invitations and deliveries from M-PESA. Secrets are not. The ZIP lies in the database, in pieces, because workers and
web processes need not share a disk.
"""

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import IO, Any
from uuid import UUID

from django.apps import apps
from django.conf import settings
from django.db import IntegrityError, connection, models, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django_cryptography.fields import EncryptedMixin

import audit.services
from audit.ids import public_id
from audit.redaction import is_secret
from audit.services import Actor
from tenants.errors import Conflict, NotFound
from tenants.models import DataExport, DataExportPart, InboundCallback, Invitation, Membership, Tenant
from tenants.permissions import Permission, require
from tenants.queue import enqueue, require_current_tenant
from tenants.spreadsheets import harmless
from tenants.tasks import make_export as make_export_task

LASTS = timedelta(days=7)
_PART_BYTES = 1_000_000
_ROWS_AT_ONCE = 2_000
_ROWS_BETWEEN_NOTES = 20_000  # so that people see it move

# Of the public tables: nothing that opens a door, and nothing that is the platform's.
_MEMBERSHIP = ("id", "user_id", "user__email", "user__name", "role", "is_active", "created_at")
_INVITATION = ("id", "email", "role", "invited_by", "created_at", "expires_at", "accepted_at", "revoked_at")
_DELIVERY = ("id", "channel_id", "kind", "state", "reason", "received_at", "applied_at", "dedup_key", "body")
_BUSINESS = ("id", "slug", "business_name", "business_type", "email", "phone", "status", "plan", "created_at")
# Identifiers of what is in another schema, which are no foreign keys.
_REFERENCES = {"channel_id": "ch", "callback_id": "cb", "actor_id": "usr"}


class ExportRunning(Conflict):
    """One is being made already."""

    code = "export_running"


class NoSuchExport(NotFound):
    code = "no_such_export"


@dataclass(frozen=True)
class Table:
    """A file of the ZIP: its name, the columns, and the rows with a value for each column."""

    name: str
    columns: tuple[str, ...]
    rows: QuerySet[Any]


def exports(*, actor: Actor) -> QuerySet[DataExport]:
    """The exports of the present business that there are."""
    require(actor, Permission.DATA_READ)
    return DataExport.objects.filter(tenant=require_current_tenant())


def request_export(*, actor: Actor, now: datetime) -> DataExport:
    """Have all data of the present business put together.

    :raises ExportRunning: if that is being done already.
    """
    require(actor, Permission.DATA_READ)
    with transaction.atomic():
        try:
            with transaction.atomic():
                export = DataExport.objects.create(
                    tenant=require_current_tenant(),
                    requested_by=actor.label,
                    tables=len(tables(require_current_tenant())),
                    expires_at=now + LASTS,
                )
        except IntegrityError:
            raise ExportRunning(_("All data is being put together already. Wait until it is ready.")) from None
        enqueue(make_export_task, export_id=str(export.pk))
        audit.services.record(actor=actor, action="data.export_requested", subject=export)
    return export


def open_export(*, actor: Actor, export_id: UUID) -> tuple[DataExport, Iterator[bytes]]:
    """An export that is ready, and its content piece by piece; the trail says who took it.

    :raises NoSuchExport: if there is none such here, or it is not ready.
    """
    with transaction.atomic():
        export = exports(actor=actor).filter(pk=export_id, status=DataExport.Status.READY).first()
        if export is None:
            raise NoSuchExport(_("This export is gone, or not ready. Ask for a new one."))
        audit.services.record(actor=actor, action="data.downloaded", subject=export)
    parts = export.parts.order_by("number").values_list("content", flat=True)
    return export, (bytes(part) for part in parts.iterator(chunk_size=1))


def make_export(*, export_id: str, now: datetime) -> None:
    """Put together what was asked for. What a worker left half done begins anew."""
    tenant = require_current_tenant()
    export = DataExport.objects.filter(pk=export_id, tenant=tenant).exclude(status=DataExport.Status.READY).first()
    if export is None:
        return
    export.parts.all().delete()
    _note(export, status=DataExport.Status.RUNNING, tables_done=0, rows_done=0)
    try:
        size = _write(export, tables(tenant), now=now)
    except Exception:
        _note(export, status=DataExport.Status.FAILED)
        raise
    _note(
        export,
        status=DataExport.Status.READY,
        size=size,
        finished_at=timezone.now(),
        expires_at=timezone.now() + LASTS,
    )


def _note(export: DataExport, **columns: Any) -> None:
    DataExport.objects.filter(pk=export.pk).update(**columns)


def _write(export: DataExport, found: list[Table], *, now: datetime) -> int:
    """The ZIP's size in bytes."""
    parts = _Parts(export)
    rows_done = 0

    def count(rows: int) -> None:
        nonlocal rows_done
        rows_done += rows
        _note(export, rows_done=rows_done)

    with zipfile.ZipFile(parts, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("READ-ME.txt", _read_me(export.tenant, now))
        for number, table in enumerate(found, start=1):
            member = zipfile.ZipInfo(f"{table.name}.csv", timezone.localtime(now).timetuple()[:6])
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=True) as binary:
                _write_table(table, binary, count)
            _note(export, tables_done=number)
    parts.close()
    return parts.size


def _write_table(table: Table, binary: IO[bytes], count: Callable[[int], None]) -> None:
    text = io.TextIOWrapper(binary, encoding="utf-8-sig", newline="", write_through=False)
    writer = csv.writer(text)
    writer.writerow(column.replace("__", "_") for column in table.columns)
    prefixes = [_prefix_of(table.rows.model, column) for column in table.columns]
    since = 0
    for row in table.rows.values_list(*table.columns).iterator(chunk_size=_ROWS_AT_ONCE):
        writer.writerow(_cell(value, prefix) for value, prefix in zip(row, prefixes, strict=True))
        since += 1
        if since == _ROWS_BETWEEN_NOTES:
            count(since)
            since = 0
    text.flush()
    text.detach()
    count(since)


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
        return _text_or_hex(bytes(value))
    return harmless(value) if isinstance(value, str) else str(value)


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


class _Parts:
    """A file that can only be written, kept as rows of at most a megabyte."""

    def __init__(self, export: DataExport) -> None:
        self._export = export
        self._waiting = bytearray()
        self._count = 0
        self.size = 0  # bytes

    def write(self, content: bytes) -> int:
        self._waiting += content
        self.size += len(content)
        while len(self._waiting) >= _PART_BYTES:
            self._keep(_PART_BYTES)
        return len(content)

    def flush(self) -> None:
        """Pieces are kept when they are full."""

    def close(self) -> None:
        if self._waiting:
            self._keep(len(self._waiting))

    def _keep(self, length: int) -> None:
        DataExportPart.objects.create(export=self._export, number=self._count, content=bytes(self._waiting[:length]))
        del self._waiting[:length]
        self._count += 1
