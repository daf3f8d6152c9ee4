"""Requests to a till: another business asks, who answers for the till decides (section 15 of the reference)."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from channels.simulator import accounts, faults, identifiers, organisations, payments, prompts
from channels.simulator.books import Books
from channels.simulator.deliveries import Body, Courier, Delivery
from channels.simulator.faults import Asked, Target
from channels.simulator.organisations import AutoAnswer, Organisation

PIN = prompts.PIN
PAID, NO_FUNDS, CANCELLED = "0", "1", "4001"
KYC_FAILS, NO_NOMINATED_NUMBER, NETWORK_ERROR, EXCEPTION = "4102", "4104", "4201", "4203"
DESCRIPTIONS = {
    PAID: "The service request is processed successfully.",
    NO_FUNDS: "The balance is insufficient for the transaction.",
    CANCELLED: "User cancelled transaction",
    KYC_FAILS: "Merchant KYC Fail",
    NO_NOMINATED_NUMBER: "Missing Nominated Number",
    NETWORK_ERROR: "USSD Network Error",
    EXCEPTION: "USSD Exception Error",
}
ANSWERS = {
    AutoAnswer.PIN: PIN,
    AutoAnswer.WRONG_PIN: EXCEPTION,
    AutoAnswer.CANCEL: CANCELLED,
    AutoAnswer.NO_ANSWER: EXCEPTION,
    AutoAnswer.NO_FUNDS: NO_FUNDS,
    AutoAnswer.EXPIRED: EXCEPTION,
    AutoAnswer.PUSH_FAILS: NETWORK_ERROR,
}


@dataclass(frozen=True)
class TillRequest:
    """One request; the fields are the columns."""

    id: int
    request_id: str
    payer: str
    payee: str
    msisdn: str
    cents: int
    payment_reference: str
    partner_name: str
    callback_url: str
    asked_faults: str
    created_at: float
    answer: str
    act_at: float
    result_code: str | None
    conversation_id: str
    receipt: str | None

    @property
    def asked(self) -> list[Asked]:
        return faults.load(self.asked_faults)


def text(payer: Organisation, request: TillRequest) -> str:
    """What the phone of who answers for the till asks."""
    return (
        f"Do you want to pay Ksh.{request.cents // 100:,} from {payer.name} ({payer.shortcode}) to "
        f"{request.partner_name} ({request.payee}) for {request.payment_reference}? Enter operator ID and M-PESA PIN"
    )


def create(
    books: Books,
    payee: Organisation,
    *,
    payer: str,
    request_id: str,
    shillings: int,
    payment_reference: str,
    partner_name: str,
    callback_url: str,
    asked: Sequence[Asked],
    auto_answer: AutoAnswer,
) -> TillRequest:
    """Push a request to the till's phone; a till that is none, or has no phone, fails afterwards.

    :param auto_answer: how the simulator answers by itself, `NONE` for not at all
    """
    now = time.time()
    till = organisations.find(books, payer)
    auto_answer = faults.AMOUNT_ANSWERS.get(shillings, auto_answer)
    answer, act_at = EXCEPTION, now + payee.timings.prompt
    if till is None or till.is_paybill:
        answer, act_at = KYC_FAILS, now
    elif not till.nominated_number:
        answer, act_at = NO_NOMINATED_NUMBER, now
    elif auto_answer is not AutoAnswer.NONE:
        answer, act_at = ANSWERS[auto_answer], now
    row = books.one(
        "INSERT INTO till_requests (request_id, payer, payee, msisdn, cents, payment_reference, partner_name, "
        "callback_url, asked_faults, created_at, answer, act_at, conversation_id) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING *",
        request_id,
        payer,
        payee.shortcode,
        till.nominated_number if till else "",
        shillings * 100,
        payment_reference,
        partner_name,
        callback_url,
        faults.dump(asked),
        now,
        answer,
        act_at,
        identifiers.conversation_id(now),
    )
    if row is None:
        raise LookupError(request_id)
    return TillRequest(**row)


def find(books: Books, request_id: int) -> TillRequest | None:
    """The request with this number of ours."""
    row = books.one("SELECT * FROM till_requests WHERE id = ?", request_id)
    return TillRequest(**row) if row else None


def waiting(books: Books, msisdn: str) -> list[TillRequest]:
    """The requests that a phone shows now."""
    rows = books.all("SELECT * FROM till_requests WHERE msisdn = ? AND result_code IS NULL ORDER BY id", msisdn)
    return [TillRequest(**row) for row in rows]


def of_organisation(books: Books, shortcode: str | None) -> list[TillRequest]:
    """The requests that an organisation made or got, or with None everybody's, oldest first."""
    rows = books.all("SELECT * FROM till_requests WHERE ?1 IS NULL OR ?1 IN (payer, payee) ORDER BY id", shortcode)
    return [TillRequest(**row) for row in rows]


def settle_due(books: Books, courier: Courier) -> float | None:
    """Settle what nobody answered in time and what answers itself; say when the next is due."""
    for row in books.all("SELECT * FROM till_requests WHERE result_code IS NULL AND act_at <= ?", time.time()):
        request = TillRequest(**row)
        settle(books, courier, request, request.answer)
    waiting_next = books.one("SELECT min(act_at) AS next_at FROM till_requests WHERE result_code IS NULL")
    return waiting_next["next_at"] if waiting_next else None


def settle(books: Books, courier: Courier, request: TillRequest, answer: str, *, at_once: bool = False) -> TillRequest:
    """Give a waiting request its answer: move the money if it was agreed to, and schedule the callback."""
    payee = organisations.find(books, request.payee)
    if payee is None:
        raise LookupError(request.payee)
    with books.writing():
        code, receipt = answer, None
        if answer == PIN:
            code, receipt = _move(books, request, payee)
        settled = replace(request, result_code=code, receipt=receipt)
        books.run("UPDATE till_requests SET result_code = ?, receipt = ? WHERE id = ?", code, receipt, request.id)
        plan = faults.draw(
            books, Target.B2B_EXPRESS_CALLBACK, [request.payee], asked=request.asked, amount=request.cents // 100
        )
        delivery = Delivery(
            Target.B2B_EXPRESS_CALLBACK, request.payee, request.request_id, request.callback_url, _callback(settled)
        )
        courier.schedule(delivery, delay=0.0 if at_once else payee.timings.callback, plan=plan)
    return settled


def _move(books: Books, request: TillRequest, payee: Organisation) -> tuple[str, str | None]:
    """Result code and receipt; what customers paid into the till pays, and lands where the payee's customers pay."""
    payer = organisations.find(books, request.payer)
    if payer is None or accounts.held(books, *payer.receiving) < request.cents:
        return NO_FUNDS, None
    organisations.credit(books, payer, -request.cents)
    organisations.credit(books, payee, request.cents)
    return PAID, payments.new_receipt(books, time.time())


def _callback(request: TillRequest) -> Body:
    """A flat object in which everything is text; only a cancelled one names the payment's reference."""
    code = request.result_code or ""
    amount = str(request.cents / 100)
    if code == PAID:
        return {
            "resultCode": code,
            "resultDesc": DESCRIPTIONS[code],
            "amount": amount,
            "requestId": request.request_id,
            "resultType": "0",
            "conversationID": request.conversation_id,
            "transactionId": request.receipt,
            "status": "SUCCESS",
        }
    refused = {
        "resultCode": code,
        "resultDesc": DESCRIPTIONS[code],
        "requestId": request.request_id,
        "amount": amount,
    }
    return {**refused, "paymentReference": request.payment_reference} if code == CANCELLED else refused
