"""Lists that people take along: the payments or payouts that their search finds.

Up to `LARGE_ROWS` they have it at once; more is made in the background (`tenants.files`).
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import IO, Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.ids import public_id
from audit.services import Actor, system_actor
from payments.models import Payout
from payments.money_out.states import outward_state
from payments.payouts.looking import payouts_like
from payments.searching import find_payments, search_payments
from payments.services import NAIROBI
from tenants.files import LARGE_ROWS, FileKind, MadeFile, Parameters, ask_for, make_now
from tenants.models import PreparedFile
from tenants.permissions import Permission
from tenants.progress import Progress
from tenants.spreadsheets import Cell, write_csv, write_xlsx
from tenants.templatetags.tuzo import environment as environment_words

_ROWS_AT_ONCE = 2_000
_WORKER = system_actor("a file that somebody asked for")  # whoever asked was let pass, and whoever takes it is

_PAYMENT_COLUMNS = (
    "receipt", "paid_at", "amount", "payer", "payer_name", "account_reference", "channel__name", "channel__shortcode",
    "routed_to", "charge", "reversed_at", "pk",
)  # fmt: skip


def download_payments(
    *,
    actor: Actor,
    environment: str,
    ending: str,
    now: datetime,
    text: str = "",
    since: date | None = None,
    until: date | None = None,
    channel_id: UUID | None = None,
) -> MadeFile | PreparedFile:
    """The payments that `search_payments` finds, newest first. `ending` is csv or xlsx.

    :raises TooManyFiles: as `ask_for`.
    """
    found = find_payments(
        actor=actor, environment=environment, text=text, since=since, until=until, channel_id=channel_id
    )
    is_large = found.looked_back_to is not None or _is_large(found.rows)
    parameters = {
        "environment": environment,
        "text": text,
        "since": since.isoformat() if since else "",
        "until": until.isoformat() if until else "",
        "channel": channel_id.hex if channel_id else "",
        "type": ending,
    }
    return _one_of(is_large=is_large, actor=actor, kind=PAYMENTS, parameters=parameters, now=now)


def download_payouts(
    *, actor: Actor, environment: str, ending: str, now: datetime, words: str = "", state: str = ""
) -> MadeFile | PreparedFile:
    """The payouts that `payouts_like` finds, newest first. `ending` is csv or xlsx.

    :raises TooManyFiles: as `ask_for`.
    """
    rows = payouts_like(actor=actor, environment=environment, words=words, state=state)
    parameters = {"environment": environment, "text": words, "state": state, "type": ending}
    return _one_of(is_large=_is_large(rows), actor=actor, kind=PAYOUTS, parameters=parameters, now=now)


def _is_large(rows: QuerySet[Any]) -> bool:
    return rows.order_by()[: LARGE_ROWS + 1].count() > LARGE_ROWS


def _one_of(
    *, is_large: bool, actor: Actor, kind: FileKind, parameters: Parameters, now: datetime
) -> MadeFile | PreparedFile:
    days = [parameters[name] for name in ("since", "until") if parameters.get(name)]
    days = days or [now.astimezone(NAIROBI).date().isoformat()]
    name = "-".join([kind.name, parameters["environment"].lower(), *days]) + f".{parameters['type']}"
    if is_large:
        return ask_for(actor=actor, kind=kind.name, parameters=parameters, name=name, now=now)
    return make_now(actor=actor, kind=kind.name, parameters=parameters, name=name)


def _write_payments(file: IO[bytes], parameters: Parameters, progress: Progress) -> None:
    rows = search_payments(
        actor=_WORKER,
        environment=parameters["environment"],
        text=parameters["text"],
        since=_day(parameters["since"]),
        until=_day(parameters["until"]),
        channel_id=UUID(parameters["channel"]) if parameters["channel"] else None,
    )
    progress.expect(rows.order_by().count())
    found = rows.order_by("-paid_at", "-pk").values_list(*_PAYMENT_COLUMNS).iterator(chunk_size=_ROWS_AT_ONCE)
    headings = (
        _("Receipt"),
        _("Paid (Nairobi)"),
        _("Amount (KES)"),
        _("Paid by"),
        _("Name"),
        _("Account number"),
        _("Channel"),
        _("PayBill or till"),
        _("Program"),
        _("M-PESA charge (KES)"),
        _("Given back (Nairobi)"),
        _("Payment"),
    )
    lines = ((*row[:-1], public_id("pay", row[-1])) for row in progress.each(found))
    _write(file, parameters["type"], _("Payments"), headings, lines)


def _write_payouts(file: IO[bytes], parameters: Parameters, progress: Progress) -> None:
    rows = payouts_like(
        actor=_WORKER,
        environment=parameters["environment"],
        words=parameters["text"],
        state=parameters["state"],
    )
    progress.expect(rows.order_by().count())
    found = rows.select_related("batch").order_by("-pk").iterator(chunk_size=_ROWS_AT_ONCE)
    headings = (
        _("Made (Nairobi)"),
        _("Paid to"),
        _("Name"),
        _("Amount (KES)"),
        _("State"),
        _("Receipt"),
        _("Name at M-PESA"),
        _("M-PESA charge (KES)"),
        _("Completed (Nairobi)"),
        _("Batch"),
        _("Payout"),
    )
    lines = (_payout_line(payout) for payout in progress.each(found))
    _write(file, parameters["type"], _("Payouts"), headings, lines)


def _payout_line(payout: Payout) -> Sequence[Cell]:
    return (
        payout.created_at,
        payout.receiver,
        payout.name,
        payout.amount,
        outward_state(payout),
        payout.receipt,
        payout.receiver_name,
        payout.charge,
        payout.completed_at,
        payout.batch.reference,
        public_id("pout", payout.pk),
    )


def _write(file: IO[bytes], ending: str, title: str, headings: Sequence[str], lines: Iterator[Sequence[Cell]]) -> None:
    def everything() -> Iterator[Sequence[Cell]]:
        yield headings
        yield from lines

    if ending == "xlsx":
        write_xlsx(file, everything(), sheet=title)
    else:
        write_csv(file, everything())


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None


def _about(parameters: Parameters) -> str:
    """`Practice · from 1 Nov 2026 · until 30 Nov 2026 · “Wanjiku” · XLSX`"""
    since, until = (_day(parameters.get(name, "")) for name in ("since", "until"))
    parts = [str(environment_words(parameters["environment"])["word"])]
    if since:
        parts.append(_("from %(day)s") % {"day": date_format(since, "j M Y")})
    if until:
        parts.append(_("until %(day)s") % {"day": date_format(until, "j M Y")})
    if parameters.get("channel"):
        parts.append(_("one channel"))
    if parameters["text"]:
        parts.append(f"“{parameters['text']}”")
    return " · ".join([*parts, parameters["type"].upper()])


PAYMENTS = FileKind(
    name="payments",
    title=gettext_lazy("Payments"),
    permission=Permission.PAYMENTS_READ,
    write=_write_payments,
    about=_about,
)
PAYOUTS = FileKind(
    name="payouts",
    title=gettext_lazy("Payouts"),
    permission=Permission.PAYOUTS_READ,
    write=_write_payouts,
    about=_about,
)
