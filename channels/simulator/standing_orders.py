"""Standing orders: a customer's consent, and the payments that follow from it (section 20 of the reference).

The customer stops an order on the phone; no call that stops one is published.
"""

import calendar
import time
import uuid
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from channels.simulator import collection, faults, identifiers, organisations, payments, prompts
from channels.simulator.books import Books
from channels.simulator.customers import SANDBOX_TEST_MSISDN
from channels.simulator.deliveries import Body, Courier, Delivery
from channels.simulator.faults import Asked, Target
from channels.simulator.organisations import AutoAnswer, Organisation
from channels.simulator.payments import Source, State

PIN = prompts.PIN
AGREED, LOCKED, PUSH_FAILED, CANCELLED, NO_ANSWER = "0", "1001", "1025", "1032", "1037"
SAME_NAME, BAD_REQUEST, WRONG_PIN = "1050", "1051", "2001"
ANSWERS = {
    AutoAnswer.PIN: PIN,
    AutoAnswer.NO_FUNDS: PIN,  # agreeing costs nothing; the payments fail
    AutoAnswer.WRONG_PIN: WRONG_PIN,
    AutoAnswer.CANCEL: CANCELLED,
    AutoAnswer.EXPIRED: CANCELLED,
    AutoAnswer.NO_ANSWER: NO_ANSWER,
    AutoAnswer.PUSH_FAILS: PUSH_FAILED,
}
FREQUENCIES = {
    "1": "once",
    "2": "every day",
    "3": "every week",
    "4": "every month",
    "5": "every two months",
    "6": "every three months",
    "7": "every six months",
    "8": "every year",
}
_DAYS = {"2": 1, "3": 7}
_MONTHS = {"4": 1, "5": 2, "6": 3, "7": 6, "8": 12}


@dataclass(frozen=True)
class StandingOrder:
    """One standing order; the fields are the columns."""

    reference: str
    shortcode: str
    msisdn: str
    name: str
    cents: int
    account_reference: str
    frequency: str
    start_date: str
    end_date: str
    callback_url: str
    asked_faults: str
    created_at: float
    answer: str
    act_at: float
    result_code: str | None = None
    due_count: int = 0
    next_date: str | None = None
    last_outcome: str = ""

    @property
    def state(self) -> str:
        """waiting (for the customer), refused, active, or over: all paid or stopped."""
        if self.result_code is None:
            return "waiting"
        if self.result_code != AGREED:
            return "refused"
        return "active" if self.next_date else "over"

    @property
    def asked(self) -> list[Asked]:
        return faults.load(self.asked_faults)

    def due_date(self, number: int) -> date | None:
        """The order's date of that number, counted from 0; None when the order is over by then."""
        start, end = date.fromisoformat(self.start_date), date.fromisoformat(self.end_date)
        if number == 0:
            return start if start <= end else None
        if self.frequency in _DAYS:
            days = number * _DAYS[self.frequency]
            return start + timedelta(days=days) if days <= (end - start).days else None
        if self.frequency not in _MONTHS:
            return None
        years, month = divmod(start.month - 1 + number * _MONTHS[self.frequency], 12)
        year = start.year + years
        if year > end.year:
            return None
        due = date(year, month + 1, min(start.day, calendar.monthrange(year, month + 1)[1]))
        return due if due <= end else None


@dataclass(frozen=True)
class Due:
    """A payment that an order makes on one of its dates."""

    order: StandingOrder
    date: str


def text(organisation: Organisation, order: StandingOrder) -> str:
    """What the phone asks."""
    account = f" account no. {order.account_reference}" if organisation.is_paybill else ""
    return (
        f"Do you want to pay Ksh.{order.cents // 100:,} to {organisation.name}{account} {FREQUENCIES[order.frequency]} "
        f"from {order.start_date} to {order.end_date} ({order.name})? Enter M-PESA PIN"
    )


def create(
    books: Books,
    organisation: Organisation,
    *,
    msisdn: str,
    name: str,
    shillings: int,
    account_reference: str,
    frequency: str,
    start: date,
    end: date,
    callback_url: str,
    asked: Sequence[Asked],
    auto_answer: AutoAnswer,
    refused_with: str | None,
) -> StandingOrder:
    """Ask a customer to agree.

    :param auto_answer: how the simulator answers by itself, `NONE` for not at all
    :param refused_with: the result code, when M-PESA will not even ask the customer
    """
    now = time.time()
    if start < identifiers.east_african(now).date() or end < start:
        refused_with = refused_with or BAD_REQUEST
    elif _has(books, msisdn, name):
        refused_with = refused_with or SAME_NAME
    elif waiting(books, msisdn) or prompts.waiting(books, msisdn):
        refused_with = refused_with or LOCKED
    auto_answer = faults.AMOUNT_ANSWERS.get(shillings, auto_answer)
    answer, act_at = NO_ANSWER, now + organisation.timings.prompt
    if refused_with:
        answer, act_at = refused_with, now
    elif auto_answer is not AutoAnswer.NONE and msisdn != SANDBOX_TEST_MSISDN:
        answer, act_at = ANSWERS[auto_answer], now
    order = StandingOrder(
        reference=str(uuid.uuid4()),
        shortcode=organisation.shortcode,
        msisdn=msisdn,
        name=name,
        cents=shillings * 100,
        account_reference=account_reference,
        frequency=frequency,
        start_date=start.isoformat(),
        end_date=end.isoformat(),
        callback_url=callback_url,
        asked_faults=faults.dump(asked),
        created_at=now,
        answer=answer,
        act_at=act_at,
    )
    values = vars(order)
    books.run(
        f"INSERT INTO standing_orders ({', '.join(values)}) VALUES ({', '.join('?' for _ in values)})",  # noqa: S608
        *values.values(),
    )
    return order


def _has(books: Books, msisdn: str, name: str) -> bool:
    """Whether the customer has an order with that name, agreed to or asked for."""
    found = (
        "SELECT 1 FROM standing_orders WHERE msisdn = ? AND name = ? AND (result_code IS NULL OR next_date NOT NULL)"
    )
    return books.one(found, msisdn, name) is not None


def find(books: Books, reference: str) -> StandingOrder | None:
    """The order with this reference."""
    row = books.one("SELECT * FROM standing_orders WHERE reference = ?", reference)
    return StandingOrder(**row) if row else None


def of_customer(books: Books, msisdn: str) -> list[StandingOrder]:
    """A customer's last orders, newest first."""
    rows = books.all("SELECT * FROM standing_orders WHERE msisdn = ? ORDER BY created_at DESC LIMIT 20", msisdn)
    return [StandingOrder(**row) for row in rows]


def waiting(books: Books, msisdn: str) -> list[StandingOrder]:
    """The orders that a phone is asking about now."""
    rows = books.all(
        "SELECT * FROM standing_orders WHERE msisdn = ? AND result_code IS NULL ORDER BY created_at", msisdn
    )
    return [StandingOrder(**row) for row in rows]


def of_organisation(books: Books, shortcode: str | None) -> list[StandingOrder]:
    """An organisation's orders, or with None everybody's, oldest first."""
    rows = books.all(
        "SELECT * FROM standing_orders WHERE ?1 IS NULL OR shortcode = ?1 ORDER BY created_at, reference", shortcode
    )
    return [StandingOrder(**row) for row in rows]


def settle(
    books: Books, courier: Courier, order: StandingOrder, answer: str, *, at_once: bool = False
) -> StandingOrder:
    """Give a waiting order its answer, and schedule the callback."""
    organisation = organisations.find(books, order.shortcode)
    if organisation is None:
        raise LookupError(order.shortcode)
    agreed = answer == PIN
    settled = replace(order, result_code=AGREED if agreed else answer, next_date=order.start_date if agreed else None)
    with books.writing():
        _save(books, settled)
        plan = faults.draw(
            books, Target.STANDING_ORDER_CALLBACK, [order.shortcode], asked=order.asked, amount=order.cents // 100
        )
        delivery = Delivery(
            Target.STANDING_ORDER_CALLBACK, order.shortcode, order.reference, order.callback_url, _callback(settled)
        )
        courier.schedule(delivery, delay=0.0 if at_once else organisation.timings.callback, plan=plan)
    return settled


def _save(books: Books, order: StandingOrder) -> None:
    books.run(
        "UPDATE standing_orders SET result_code = ?, due_count = ?, next_date = ?, last_outcome = ? "
        "WHERE reference = ?",
        order.result_code,
        order.due_count,
        order.next_date,
        order.last_outcome,
        order.reference,
    )


def _callback(order: StandingOrder) -> Body:
    """The case of its keys differs between agreement and refusal, as in the samples."""
    code = order.result_code or ""
    if code == AGREED:
        masked = f"{order.msisdn[:3]}******{order.msisdn[-3:]}"
        values = {
            "TransactionID": identifiers.receipt(time.time()),
            "responseCode": code,
            "Status": "OKAY",
            "Msisdn": masked,
        }
        return {
            "responseHeader": {
                "responseRefID": order.reference,
                "requestRefID": order.reference,
                "responseCode": code,
                "responseDescription": "The service request is processed successfully",
            },
            "responseBody": {"responseData": [{"name": name, "value": value} for name, value in values.items()]},
        }
    values = {
        "TransactionID": "0000000000",
        "responseCode": code,
        "Status": "ERROR",
        "Msisdn": f"*********{order.msisdn[-3:]}",
    }
    return {
        "ResponseHeader": {
            "responseRefID": order.reference,
            "requestRefID": order.reference,
            "responseCode": code,
            "responseDescription": "Error",
        },
        "ResponseBody": {"ResponseData": [{"Name": name, "Value": value} for name, value in values.items()]},
    }


def stop(books: Books, order: StandingOrder) -> None:
    """Let an order make no more payments; the business is not told."""
    _save(books, replace(order, next_date=None))


def take_due(books: Books, day: date, shortcode: str | None = None) -> list[Due]:
    """Take the payments that are due up to and on a day out of the schedule, each once, in the order of their dates.

    :param shortcode: of the only organisation whose orders are meant
    """
    due: list[Due] = []
    with books.writing():
        rows = books.all(
            "SELECT * FROM standing_orders WHERE next_date <= ?1 AND (?2 IS NULL OR shortcode = ?2)",
            day.isoformat(),
            shortcode,
        )
        for row in rows:
            order = StandingOrder(**row)
            while order.next_date and order.next_date <= day.isoformat():
                due.append(Due(order, order.next_date))
                following = order.due_date(order.due_count + 1)
                order = replace(
                    order,
                    due_count=order.due_count + 1,
                    next_date=following.isoformat() if following else None,
                )
            _save(books, order)
    return sorted(due, key=lambda one: (one.date, one.order.created_at))


async def pay(books: Books, courier: Courier, due: Sequence[Due]) -> list[Body]:
    """Make payments that were taken from the schedule, as any customer pays, and say what became of each.

    Whatever the day, they are made now: the books have one clock. What fails is not tried again.
    """
    return [await _pay(books, courier, one) for one in due]


async def _pay(books: Books, courier: Courier, due: Due) -> Body:
    order = due.order
    organisation = organisations.find(books, order.shortcode)
    if organisation is None:
        raise LookupError(order.shortcode)
    payment = payments.begin(
        books, organisation, order.msisdn, order.cents, order.account_reference, Source.STANDING_ORDER
    )
    try:
        payment = await collection.pay(books, courier, payment, organisation)
        reason = "" if payment.state == State.COMPLETED else collection.REASONS.get(payment.reason, payment.reason)
    except payments.InsufficientFunds:
        reason = "There is not enough money in the M-PESA account"
    receipt = None if reason else payment.receipt
    outcome = f"{due.date}: {receipt or reason}"
    books.run("UPDATE standing_orders SET last_outcome = ? WHERE reference = ?", outcome, order.reference)
    return {"reference": order.reference, "date": due.date, "receipt": receipt, "reason": reason}


def tend(books: Books, courier: Courier, in_background: Callable[[Coroutine[Any, Any, Any]], None]) -> float | None:
    """Settle what nobody answered in time and what answers itself, pay what is due today; say when the next is due."""
    now = time.time()
    for row in books.all("SELECT * FROM standing_orders WHERE result_code IS NULL AND act_at <= ?", now):
        order = StandingOrder(**row)
        settle(books, courier, order, order.answer)
    due = take_due(books, identifiers.east_african(now).date())
    if due:
        in_background(pay(books, courier, due))
    following = books.one(
        "SELECT (SELECT min(act_at) FROM standing_orders WHERE result_code IS NULL) AS act_at, "
        "(SELECT min(next_date) FROM standing_orders WHERE next_date NOT NULL) AS next_date"
    )
    if following is None:
        return None
    moments = [following["act_at"]] if following["act_at"] else []
    if following["next_date"]:
        moments.append(datetime.fromisoformat(following["next_date"]).replace(tzinfo=identifiers.EAT).timestamp())
    return min(moments, default=None)
