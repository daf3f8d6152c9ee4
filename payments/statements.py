"""Statement files of the M-PESA portal, as CSV or XLSX: read whole or not at all, kept line by line as evidence.

The portal's export has a block above the table (short code, account, period), then the columns Receipt No., Completion
Time, Details, Transaction Status, Paid In, Withdrawn, Balance, Reason Type, Other Party Info, A/C No. and others. Only
the first of these and the amounts are needed; spaces, capitals and punctuation in their names don't count.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TypeVar
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

import audit.services
from audit.services import Actor
from channels.models import MpesaChannel
from channels.services import ChannelNotFound
from payments.models import StatementLine
from payments.services import NAIROBI
from payments.statement_lines import COMPLETED, Line, keep_lines
from payments.tables import BinaryFile, Table, read_table
from payments.tasks import recount_day
from tenants.errors import Invalid
from tenants.permissions import Permission, require
from tenants.progress import Progress, untold
from tenants.queue import enqueue

Value = TypeVar("Value")

MAXIMUM_BYTES = 30_000_000
MAXIMUM_ROWS = 250_000
_MOST_BAD_ROWS = 100  # that are named
NEEDED_COLUMNS = ("Receipt No.", "Completion Time", "Paid In", "Withdrawn")
_NOTHING = Decimal("0.00")

_RECEIPT = re.compile(r"[0-9A-Z]{5,20}")
_AMOUNT = re.compile(r"(?:[0-9]{1,12}|[0-9]{1,3}(?:,[0-9]{3}){1,3})(?:\.[0-9]{1,2})?")
_CURRENCY = re.compile(r"^(?:KES|KSHS?)\.?\s*", re.IGNORECASE)
_SHORT_CODE = re.compile(r"short\s*code", re.IGNORECASE)
_ACCOUNT = re.compile(r"account(?:\s+(?:name|type))?\s*:?", re.IGNORECASE)
_DAY_FIRST = re.compile(r"([0-9]{1,2})[-/.]([0-9]{1,2})[-/.]([0-9]{4})(.*)")
_OTHER_TIMES = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %I:%M:%S %p", "%Y-%m-%d %I:%M %p")


class UnusableStatement(Invalid):
    """Nothing of the file was kept; `errors` has a sentence for each cell that can't be used: `rows[7].paid_in`."""

    code = "unusable_statement"


@dataclass(frozen=True, slots=True)
class LoadedStatement:
    """What a file brought: its lines, how many of them are new here, and the time between the first and the last."""

    line_count: int
    new_count: int
    first_at: datetime
    last_at: datetime


class _Wrong(Exception):
    """The sentence for one cell."""


def load_statement(
    *, actor: Actor, channel_id: UUID, file: BinaryFile, now: datetime, progress: Progress | None = None
) -> LoadedStatement:
    """Keep what a statement file says of a channel, and have its days counted again. A file that was loaded before
    changes nothing.

    :raises ChannelNotFound: if the business has none such.
    :raises UnreadableTable: if the file is no table with the columns of a statement.
    :raises UnusableStatement: if it is of another short code, has no lines, or any of its rows can't be used.
    """
    require(actor, Permission.PAYMENTS_SETTLE)
    channel = MpesaChannel.objects.without_secrets().filter(pk=channel_id).first()
    if channel is None:
        raise ChannelNotFound
    table = read_table(file, maximum_bytes=MAXIMUM_BYTES, maximum_rows=MAXIMUM_ROWS, header_has=NEEDED_COLUMNS)
    _refuse_anothers(table, channel)
    lines = _lines(table, now=now, progress=progress or untold())
    first, last = min(line.completed_at for line in lines), max(line.completed_at for line in lines)
    if lines[0].completed_at > lines[-1].completed_at:
        lines.reverse()  # the newest stands first
    with transaction.atomic():
        new_count = keep_lines(channel=channel, source=StatementLine.Source.STATEMENT, lines=lines, now=now)
        if new_count:
            for day in sorted({line.completed_at.astimezone(NAIROBI).date() for line in lines}):
                enqueue(recount_day, channel_id=str(channel.pk), date=day.isoformat())
            audit.services.record(
                actor=actor,
                action="statement.loaded",
                subject=channel,
                after={"lines": len(lines), "new": new_count, "first_at": first, "last_at": last},
            )
    return LoadedStatement(len(lines), new_count, first, last)


def _refuse_anothers(table: Table, channel: MpesaChannel) -> None:
    """A file that names its short code has to name this channel's."""
    for line in table.above:
        if _SHORT_CODE.search(line[0]):
            numbers = re.findall(r"\b[0-9]{5,7}\b", " ".join(line))
            if numbers and not channel.shortcodes.intersection(numbers):
                sentence = _("This is the statement of %(other)s, not of %(own)s.") % {
                    "other": numbers[0],
                    "own": channel.shortcode,
                }
                raise UnusableStatement(sentence, errors={"file": [sentence]})


def _account(table: Table) -> str:
    """Of which account the file is, where it says so."""
    for line in table.above:
        name, *values = (cell for cell in line if cell)
        if values and _ACCOUNT.fullmatch(name):
            return values[0][:40]
    return ""


def _lines(table: Table, *, now: datetime, progress: Progress) -> list[Line]:
    account = _account(table)
    lines: list[Line] = []
    errors: dict[str, list[str]] = {}
    bad_rows = 0
    progress.expect(len(table.rows))
    for number, cells in progress.each(table.records()):
        if not cells["completion_time"] and not _RECEIPT.fullmatch(cells["receipt_no"]):
            continue  # totals and remarks under the table
        row = _Row(cells)
        line = _line(row, account, now=now)
        if not row.wrong:
            lines.append(line)
            continue
        bad_rows += 1
        if bad_rows <= _MOST_BAD_ROWS:
            errors |= {f"rows[{number}].{column}": [sentence] for column, sentence in row.wrong.items()}
    if errors:
        sentence = ngettext(
            "%(count)s row can't be used, so nothing was loaded.",
            "%(count)s rows can't be used, so nothing was loaded.",
            bad_rows,
        )
        raise UnusableStatement(sentence % {"count": f"{bad_rows:,}"}, errors=errors)
    if not lines:
        sentence = _("The statement has no lines.")
        raise UnusableStatement(sentence, errors={"file": [sentence]})
    return lines


class _Row:
    """The cells of a row, and a sentence for each of them that can't be used."""

    def __init__(self, cells: Mapping[str, str]) -> None:
        self._cells = cells
        self.wrong: dict[str, str] = {}

    def read(self, column: str, reader: Callable[[str], Value], otherwise: Value) -> Value:
        try:
            return reader(self._cells.get(column, ""))
        except _Wrong as wrong:
            self.wrong[column] = str(wrong)
            return otherwise

    def text(self, *columns: str, longest: int) -> str:
        """What stands under the first of these columns that the file has."""
        return next((self._cells[column] for column in columns if column in self._cells), "")[:longest]


def _line(row: _Row, account: str, *, now: datetime) -> Line:
    return Line(
        receipt=row.read("receipt_no", _receipt, ""),
        completed_at=row.read("completion_time", partial(_moment, now=now), now),
        paid_in=row.read("paid_in", _paid_in, _NOTHING),
        withdrawn=abs(row.read("withdrawn", _amount, _NOTHING)),  # some exports give it with a minus
        balance=row.read("balance", _balance, None),
        account=account,
        details=row.text("details", longest=254),
        party=row.text("other_party_info", longest=160),
        account_reference=row.text("a_c_no", "account_no", longest=64),
        status=row.text("transaction_status", "status", longest=40) or COMPLETED,
    )


def _receipt(text: str) -> str:
    receipt = text.upper()
    if not _RECEIPT.fullmatch(receipt):
        raise _Wrong(_("This is not an M-PESA receipt, like SG632NMUAB."))
    return receipt


def _moment(text: str, *, now: datetime) -> datetime:
    """Kenya's clock: the day before the month, or the year first."""
    if found := _DAY_FIRST.fullmatch(text):
        day, month, year, rest = found.groups()
        text = f"{year}-{month:0>2}-{day:0>2}{rest}"
    moment = _by_the_clock(text.replace("/", "-"))
    if moment > now + timedelta(days=1):
        raise _Wrong(_("This time lies in the future. Are day and month the wrong way round?"))
    return moment


def _by_the_clock(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        pass
    else:
        return moment if moment.tzinfo else moment.replace(tzinfo=NAIROBI)
    for form in _OTHER_TIMES:
        try:
            return datetime.strptime(text.upper(), form).replace(tzinfo=NAIROBI)
        except ValueError:
            continue
    raise _Wrong(_("This is not a time, like 31-08-2026 14:05:00."))


def _paid_in(text: str) -> Decimal:
    amount = _amount(text)
    if amount < 0:
        raise _Wrong(_("What was paid in is not less than nought."))
    return amount


def _balance(text: str) -> Decimal | None:
    return _amount(text) if text else None


def _amount(text: str) -> Decimal:
    """Shillings, however they are written: `1,250.00`, `-1250`, `(1,250.00)`, `KES 1250`; nothing is nought."""
    if not text:
        return _NOTHING
    bare = _CURRENCY.sub("", text)
    is_negative = bare.startswith("-") or (bare.startswith("(") and bare.endswith(")"))
    bare = bare.strip("-() ")
    if not bare:
        return _NOTHING
    if not _AMOUNT.fullmatch(bare):
        raise _Wrong(_("This is not an amount in shillings, like 1,250.00."))
    amount = Decimal(bare.replace(",", "")).quantize(_NOTHING)
    return -amount if is_negative else amount
