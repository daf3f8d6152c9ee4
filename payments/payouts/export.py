"""The result file of a batch: every row as it stands, as CSV, XLSX, or PDF to print and sign.

In an XLSX whatever people typed is written as text; in a CSV `tenants.spreadsheets` keeps formulas from running.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import IO

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.ids import public_id, read_public_id
from audit.services import Actor
from payments.models import Payout, PayoutBatch
from payments.money_out.states import outward_state
from payments.payouts.checking import columns
from payments.payouts.explaining import do_now_about, meaning_of
from payments.templatetags.payment_words import payout_state
from tenants import pdf
from tenants.files import LARGE_ROWS, FileKind, MadeFile, Parameters, ask_for, make_now
from tenants.models import PreparedFile
from tenants.permissions import Permission
from tenants.progress import Progress
from tenants.queue import require_current_tenant
from tenants.sentences import told
from tenants.spreadsheets import csv_bytes, write_csv, write_xlsx, xlsx_bytes
from tenants.templatetags.tuzo import kes, phone

_OUTCOME = ("status", "meaning", "do_now", "receipt", "receiver_name", "charge", "completed_at", "warnings")
_ROWS_AT_ONCE = 2_000
_LARGE_ROWS_ON_PAPER = 1_000

Cell = str | int


def download_result(*, actor: Actor, batch: PayoutBatch, ending: str, now: datetime) -> MadeFile | PreparedFile:
    """The result file of a batch that the actor may see, at once or, of a large one, in the background.

    :raises TooManyFiles: as `ask_for`.
    """
    batch_id = public_id("pbat", batch.pk)
    name, parameters = f"{batch_id}.{ending}", {"batch": batch_id, "reference": batch.reference, "type": ending}
    if batch.payout_count > (_LARGE_ROWS_ON_PAPER if ending == "pdf" else LARGE_ROWS):
        return ask_for(actor=actor, kind=RESULT.name, parameters=parameters, name=name, now=now)
    return make_now(actor=actor, kind=RESULT.name, parameters=parameters, name=name)


def as_csv(batch: PayoutBatch) -> bytes:
    """UTF-8, with the mark at its start that Excel needs."""
    return csv_bytes(_lines(batch, _payouts(batch)))


def as_xlsx(batch: PayoutBatch) -> bytes:
    """A workbook of one sheet."""
    return xlsx_bytes(_lines(batch, _payouts(batch)), sheet="Payouts")


def _write(file: IO[bytes], parameters: Parameters, progress: Progress) -> None:
    batch = PayoutBatch.objects.select_related("channel").get(pk=read_public_id("pbat", parameters["batch"]))
    progress.expect(batch.payout_count)
    payouts = progress.each(_payouts(batch))
    match parameters["type"]:
        case "pdf":
            file.write(_printed(batch, payouts, now=timezone.now()))
        case "xlsx":
            write_xlsx(file, _lines(batch, payouts), sheet="Payouts")
        case _:
            write_csv(file, _lines(batch, payouts))


def _payouts(batch: PayoutBatch) -> Iterator[Payout]:
    return batch.payouts.order_by("row").iterator(chunk_size=_ROWS_AT_ONCE)


def _lines(batch: PayoutBatch, payouts: Iterable[Payout]) -> Iterator[tuple[Cell, ...]]:
    names: tuple[str, ...] = ()
    for payout in payouts:  # a batch has at least one, and all are of one kind
        if not names:
            names = columns(payout.kind)
            yield ("row", *names, *_OUTCOME)
        yield _line(payout, names)


def _line(payout: Payout, names: tuple[str, ...]) -> tuple[Cell, ...]:
    given = (payout.receiver if name in {"phone_number", "shortcode"} else getattr(payout, name) for name in names)
    return (
        payout.row,
        *given,
        outward_state(payout),
        told(meaning_of(payout)),
        told(do_now_about(payout)),
        payout.receipt,
        payout.receiver_name,
        "" if payout.charge is None else str(payout.charge),
        _time(payout.completed_at),
        " ".join(told(warning) for warning in payout.warnings),
    )


def _time(at: datetime | None) -> str:
    return timezone.localtime(at).isoformat(timespec="seconds") if at else ""


def _printed(batch: PayoutBatch, payouts: Iterable[Payout], *, now: datetime) -> bytes:
    sheet = pdf.Sheet(
        tenant=require_current_tenant(),
        title=_("Payouts: %(reference)s") % {"reference": batch.reference},
        environment=batch.environment,
        about=[str(batch.channel)],
        made_at=now,
    )
    sheet.facts(
        [
            (_("Total"), kes(batch.total_amount)),
            (_("Payouts"), f"{batch.payout_count:,}"),
            (_("Fee, about"), kes(batch.fee_estimate)),
            (_("Made by"), batch.created_by),
            (_("Approved by"), batch.approved_by or "\N{EN DASH}"),
            (_("Released by"), batch.released_by or "\N{EN DASH}"),
        ]
    )
    sheet.rows(
        [
            pdf.Column(_("Row"), is_number=True),
            pdf.Column(_("To")),
            pdf.Column(_("Name")),
            pdf.Column("KES", is_number=True),
            pdf.Column(_("State")),
            pdf.Column(_("Receipt")),
        ],
        (
            (
                str(payout.row),
                phone(payout.receiver),
                payout.name or payout.receiver_name,
                f"{payout.amount:,}",
                _state_word(payout, batch),
                payout.receipt,
            )
            for payout in payouts
        ),
        totals=("", _("Total"), "", f"{batch.total_amount:,}", "", ""),
    )
    return sheet.content()


def _state_word(payout: Payout, batch: PayoutBatch) -> str:
    """As the page of the batch says it."""
    return str(payout_state(payout, batch)["word"])


def _about(parameters: Parameters) -> str:
    return f"{parameters['reference']} · {parameters['type'].upper()}"


RESULT = FileKind(
    name="payout-batch",
    title=gettext_lazy("Result of a batch of payouts"),
    permission=Permission.PAYOUTS_READ,
    write=_write,
    about=_about,
)
