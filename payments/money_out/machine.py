"""The states of money out, and what may follow what. Works on rows in memory; whoever calls has locked them and saves.

    AWAITING_APPROVAL → RESERVED → SENDING → ACCEPTED | UNKNOWN → SUCCEEDED | FAILED | NEEDS_REVIEW

SENDING is committed before the call, so M-PESA is called at most once unless it said for certain that it took nothing.
`finished_at` says that the outcome is final and in the books. Later words never change it; that money moved after all
is put before a person (NEEDS_REVIEW again), and the books stay until that person has decided.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum, auto

from channels.daraja.outcomes import NotSent, Refused, Unknown
from channels.daraja.verdicts import Verdict
from payments.models import MoneyOut, Payout, Reversal
from payments.money_out.timing import ask_after, lost_after, not_found_is_final_after, retry_at
from tenants.sentences import fitting, say, say_many

Status = MoneyOut.Status

FINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})
_NOT_FOUND_ENOUGH = 3  # times in a row
NOT_SENT_IN_TIME = say("It could not be sent in time. Nothing was sent.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """M-PESA's word about a payout or reversal: a result, or the answer to a status query."""

    verdict: Verdict
    code: str = ""
    desc: str = ""
    receipt: str = ""
    amount: Decimal | None = None  # KES; None: not said
    charge: Decimal | None = None
    completed_at: datetime | None = None
    receiver_name: str = ""


class Heard(Enum):
    """What a report was to us."""

    TAKEN = auto()  # applied, or known already
    NEVER_SENT = auto()
    OTHER_AMOUNT = auto()
    CONTRADICTS = auto()  # an outcome that is final


# -- Handing over -----------------------------------------------------------------------------------------------------


def begin_sending(row: MoneyOut, *, now: datetime) -> None:
    _move(row, Status.SENDING, due_at=now + lost_after())
    row.sending_at = now
    row.result_code = row.result_desc = ""


def expire(row: MoneyOut, *, now: datetime) -> None:
    """A promise that was not kept in time."""
    _finish(row, Status.FAILED, desc=NOT_SENT_IN_TIME, now=now)


def note_accepted(row: Payout | Reversal, *, conversation_id: str, now: datetime) -> None:
    """M-PESA heard us. Its result may have been quicker than this answer, or its queue's time-out."""
    row.conversation_id = row.conversation_id or conversation_id
    row.accepted_at = row.accepted_at or now
    if row.status == Status.SENDING:
        _move(row, Status.ACCEPTED, due_at=_next_ask(row, now))


def note_not_accepted(
    row: Payout | Reversal,
    outcome: Refused | NotSent | Unknown,
    *,
    released_at: datetime,
    expires_at: datetime,
    now: datetime,
) -> None:
    if row.status != Status.SENDING:  # somebody knows more already
        return
    if isinstance(outcome, Refused):
        _finish(row, Status.FAILED, code=outcome.code or outcome.reason.value, desc=outcome.said, now=now)
    elif isinstance(outcome, Unknown):
        _become_unknown(row, code=outcome.code or outcome.reason.value, desc=outcome.said, now=now)
    elif now >= expires_at:
        expire(row, now=now)
    else:
        _note_words(row, outcome.code or outcome.reason.value, outcome.said)
        _move(row, Status.RESERVED, due_at=min(retry_at(released_at=released_at, now=now), expires_at))


def lose(row: Payout | Reversal, *, now: datetime) -> None:
    """Whoever was sending it is gone, and did not say how far they came."""
    _become_unknown(row, desc=say("We stopped while handing it over; M-PESA may have it."), now=now)


# -- What M-PESA says -------------------------------------------------------------------------------------------------


def take_report(row: Payout | Reversal, report: Report, *, now: datetime, may_reopen: bool = True) -> Heard:
    """Take in what M-PESA says of the row.

    `may_reopen`: if it says that money moved although the row has failed, may a person look at it again?
    """
    if row.sending_at is None:
        return Heard.NEVER_SENT
    if report.amount is not None and report.amount != row.amount:
        return Heard.OTHER_AMOUNT
    if row.finished_at:
        return _compare(row, report, may_reopen=may_reopen)
    row.not_found = 0
    if report.verdict is Verdict.UNKNOWN:
        _become_unknown(row, code=report.code, desc=report.desc, now=now)
        return Heard.TAKEN
    moved = report.verdict is Verdict.SUCCEEDED
    _finish(row, Status.SUCCEEDED if moved else Status.FAILED, code=report.code, desc=report.desc, now=now)
    row.charge = report.charge if report.charge is not None else row.charge
    if moved:
        row.receipt = report.receipt
        row.completed_at = report.completed_at or now
        if isinstance(row, Payout):
            row.receiver_name = report.receiver_name[:120]
    return Heard.TAKEN


def _compare(row: Payout | Reversal, report: Report, *, may_reopen: bool) -> Heard:
    """A word about what is final."""
    if report.verdict is Verdict.UNKNOWN:
        return Heard.TAKEN
    if row.status == Status.SUCCEEDED:
        is_same = report.verdict is Verdict.SUCCEEDED and report.receipt in {"", row.receipt}
        return Heard.TAKEN if is_same else Heard.CONTRADICTS
    if report.verdict is Verdict.FAILED:
        return Heard.TAKEN
    if row.status == Status.FAILED and may_reopen:
        _await_person(
            row,
            say("It had failed, and M-PESA then said that the money moved, under %(receipt)s.", receipt=report.receipt),
        )
    return Heard.CONTRADICTS


def take_timeout(row: Payout | Reversal, *, code: str, desc: str, now: datetime) -> Heard:
    """M-PESA's queue gave up on it: the outcome is open (docs/daraja.md section 10)."""
    return take_report(row, Report(verdict=Verdict.UNKNOWN, code=code, desc=desc), now=now)


def note_found(row: Payout | Reversal) -> None:
    """M-PESA, asked about it, knows of it, and has not finished it."""
    row.not_found = 0


def take_not_found(row: Payout | Reversal, *, desc: str, now: datetime) -> None:
    """M-PESA, asked about it, knows of none. Final when it says so again and again, long after the call."""
    if row.status not in {Status.ACCEPTED, Status.UNKNOWN} or row.sending_at is None:
        return
    row.not_found += 1
    is_late = now - row.sending_at >= not_found_is_final_after(row.environment)
    if row.not_found >= _NOT_FOUND_ENOUGH and is_late:
        _finish(row, Status.FAILED, code="not_found", desc=desc, now=now)


# -- Asking, and a person's word --------------------------------------------------------------------------------------


def begin_asking(row: Payout | Reversal, *, is_askable: bool, now: datetime) -> bool:
    """Its news is overdue. Returns whether to ask M-PESA; otherwise a person has to look."""
    wait = ask_after(row.environment, row.checks + 1)
    if not is_askable:
        _await_person(
            row, say("M-PESA has not said what became of it, and can't be asked without a number of its own.")
        )
        return False
    if wait is None:
        _await_person(
            row,
            say_many(
                "M-PESA was asked %(count)s time and could not say whether the money moved.",
                "M-PESA was asked %(count)s times and could not say whether the money moved.",
                count=row.checks,
            ),
        )
        return False
    row.checks += 1
    row.due_at = now + wait
    return True


def decide(
    row: Payout | Reversal, verdict: Verdict, *, receipt: str, decided_by: str, note: str, now: datetime
) -> None:
    """A person has looked (NEEDS_REVIEW) and knows."""
    moved = verdict is Verdict.SUCCEEDED
    _finish(row, Status.SUCCEEDED if moved else Status.FAILED, code=row.result_code, desc=row.result_desc, now=now)
    row.decided_by, row.note, row.receipt = decided_by, note, receipt
    if moved:
        row.completed_at = row.completed_at or now


# -- Inside -----------------------------------------------------------------------------------------------------------


def _move(row: MoneyOut, status: Status, *, due_at: datetime | None) -> None:
    row.status, row.due_at = status, due_at


def _finish(row: MoneyOut, status: Status, *, now: datetime, code: str = "", desc: str = "") -> None:
    _move(row, status, due_at=None)
    _note_words(row, code, desc)
    row.review, row.finished_at = "", now


def _become_unknown(row: Payout | Reversal, *, now: datetime, code: str = "", desc: str = "") -> None:
    _note_words(row, code, desc)
    if row.status == Status.NEEDS_REVIEW:
        return
    soon = _next_ask(row, now)
    is_sooner = row.status != Status.UNKNOWN or row.due_at is None or soon < row.due_at
    _move(row, Status.UNKNOWN, due_at=soon if is_sooner else row.due_at)


def _next_ask(row: Payout | Reversal, now: datetime) -> datetime:
    return now + (ask_after(row.environment, row.checks) or timedelta())


def _await_person(row: MoneyOut, why: str) -> None:
    _move(row, Status.NEEDS_REVIEW, due_at=None)
    row.review = why


def _note_words(row: MoneyOut, code: str, desc: str) -> None:
    row.result_code, row.result_desc = code[:20], fitting(desc, 1024)
