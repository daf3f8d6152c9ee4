"""Invoices from a spreadsheet: which column means what, and invoices that wait for their maker's last word."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy

from audit.services import Actor
from channels import kept_drafts
from channels.models import KeptDraft
from payments.invoices import MOST_AT_ONCE, NewInvoice, check_invoices, create_invoices
from payments.models import Invoice
from payments.tables import BinaryFile, match_columns, read_table
from tenants.permissions import Permission
from tenants.progress import Progress

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
    found = check_invoices(actor=actor, channel_id=channel_id, invoices=invoices, now=now)
    plain = {"channel_id": channel_id.hex, "invoices": [asdict(invoice) for invoice in invoices]}
    return kept_drafts.keep(KIND, plain, rows=len(found), environment=found[0].environment, now=now)


def check_draft(*, actor: Actor, token: str, now: datetime) -> list[Invoice]:
    """What would be sent now.

    :raises DraftGone: if there is none such in this business, or not any more.
    :raises Invalid, ChannelNotFound, BillManagerNotOn: as `check_invoices`.
    """
    channel_id, invoices = _from_plain(kept_drafts.read(KIND, token, actor=actor, now=now))
    return check_invoices(actor=actor, channel_id=channel_id, invoices=invoices, now=now)


def create_from_draft(*, actor: Actor, token: str, now: datetime) -> KeptDraft:
    """Have them sent, however often it is asked for once: promised at once, or by a worker. `made` says how many.

    :raises DraftGone: as `check_draft`.
    :raises Invalid, ChannelNotFound, BillManagerNotOn: likewise, if they are promised at once.
    :raises RequestInProgress: while that happens.
    """
    return kept_drafts.make(KIND, token, actor=actor, said={}, now=now)


def _create(actor: Actor, plain: dict[str, Any], _said: dict[str, Any], progress: Progress, now: datetime) -> Any:
    channel_id, invoices = _from_plain(plain)
    return len(create_invoices(actor=actor, channel_id=channel_id, invoices=invoices, now=now, progress=progress))


def _from_plain(plain: dict[str, Any]) -> tuple[UUID, list[NewInvoice]]:
    rows: list[dict[str, Any]] = plain["invoices"]
    invoices = [NewInvoice(**row | {"due_date": date.fromisoformat(row["due_date"])}) for row in rows]
    return UUID(plain["channel_id"]), invoices


KIND = kept_drafts.DraftKind(
    name="invoices",
    title=gettext_lazy("The invoices are being made"),
    permission=Permission.PAYMENTS_REQUEST,
    make=_create,
)
