"""Invoices from a spreadsheet: which column means what, and invoices that wait for their maker's last word."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Any
from uuid import UUID

from audit.services import Actor
from channels import kept_drafts
from channels.idempotency import environment_of
from payments.invoices import MOST_AT_ONCE, NewInvoice, check_invoices, create_invoices
from payments.models import Invoice
from payments.tables import BinaryFile, match_columns, read_table
from tenants.permissions import Permission, require

MAXIMUM_BYTES = 2_000_000
# By the name of a `NewInvoice`'s field what its column may be called; the first is what we call it.
HEADERS = {
    "external_reference": ("invoice", "invoice_number", "external_reference"),
    "billed_name": ("customer", "billed_name"),
    "phone_number": ("phone", "phone_number", "msisdn"),
    "name": ("what_for", "name"),
    "billed_period": ("period", "billed_period"),
    "due_date": ("due_date", "due"),
    "account_reference": ("account", "account_reference"),
    "amount": ("amount",),
    "items": ("items",),
}
NEEDED = frozenset(HEADERS) - {"items"}
_KIND = "invoices"
_MIDNIGHT = " 00:00:00"  # what a spreadsheet has behind a day


def read_rows(file: BinaryFile) -> list[tuple[int, dict[str, str]]]:
    """The rows of a CSV or XLSX file as they stand there, each with the number that the spreadsheet shows.

    :raises UnreadableTable: if it is no such file, too large, or its columns are not what is needed.
    """
    table = read_table(file, maximum_bytes=MAXIMUM_BYTES, maximum_rows=MOST_AT_ONCE)
    names = match_columns(table, HEADERS, needed=NEEDED)
    rows = [(row.number, dict(zip(names, row.cells, strict=True))) for row in table.rows]
    return [(number, values | {"due_date": values["due_date"].removesuffix(_MIDNIGHT)}) for number, values in rows]


def keep_draft(*, actor: Actor, channel_id: UUID, invoices: Sequence[NewInvoice], now: datetime) -> str:
    """Check them, and keep them for an hour; returns the token that they are read by.

    :raises Invalid, ChannelNotFound, BillManagerNotOn: as `check_invoices`; nothing is then kept.
    """
    check_invoices(actor=actor, channel_id=channel_id, invoices=invoices, now=now)
    rows = [asdict(invoice) for invoice in invoices]
    return kept_drafts.keep(_KIND, {"channel_id": channel_id.hex, "invoices": rows}, now=now)


def check_draft(*, actor: Actor, token: str, now: datetime) -> list[Invoice]:
    """What would be sent now.

    :raises DraftGone: if there is none such in this business, or not any more.
    :raises Invalid, ChannelNotFound, BillManagerNotOn: as `check_invoices`.
    """
    channel_id, invoices = _read(token, actor, now=now)
    return check_invoices(actor=actor, channel_id=channel_id, invoices=invoices, now=now)


def create_from_draft(*, actor: Actor, token: str, now: datetime) -> int:
    """Send them, however often it is asked for once; returns how many they are.

    :raises DraftGone, Invalid, ChannelNotFound, BillManagerNotOn: as `check_draft`.
    :raises RequestInProgress: while they are being made.
    """
    channel_id, invoices = _read(token, actor, now=now)

    def create() -> int:
        return len(create_invoices(actor=actor, channel_id=channel_id, invoices=invoices, now=now))

    made: int = kept_drafts.make_once(token, environment=environment_of(channel_id), make=create, now=now)
    return made


def _read(token: str, actor: Actor, *, now: datetime) -> tuple[UUID, list[NewInvoice]]:
    require(actor, Permission.PAYMENTS_REQUEST)
    plain = kept_drafts.read(_KIND, token, now=now)
    rows: list[dict[str, Any]] = plain["invoices"]
    invoices = [NewInvoice(**row | {"due_date": date.fromisoformat(row["due_date"])}) for row in rows]
    return UUID(plain["channel_id"]), invoices
