"""STK prompts: a question on a phone, its answer, and what Daraja says about it (sections 5 and 6)."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from channels.simulator import bills, callbacks, collection, faults, identifiers, organisations, payments
from channels.simulator.books import Books
from channels.simulator.collection import draw
from channels.simulator.customers import SANDBOX_TEST_MSISDN
from channels.simulator.deliveries import Courier, Delivery
from channels.simulator.faults import Asked, Fault, Target
from channels.simulator.organisations import AutoAnswer, Organisation
from channels.simulator.payments import Payment, Source

PIN = "pin"  # an answer: the customer enters the right PIN; every other answer is a result code
PAID, NO_FUNDS, EXPIRED, PUSH_FAILED, CANCELLED, NO_ANSWER = "0", "1", "1019", "1025", "1032", "1037"
WRONG_PIN, NOT_PERMITTED, NO_SUCH_OPERATOR = "2001", "2028", "SFC_IC0003"
DESCRIPTIONS = {
    PAID: "The service request is processed successfully.",
    NO_FUNDS: "The balance is insufficient for the transaction.",
    EXPIRED: "Transaction has expired.",
    PUSH_FAILED: "An error occurred while sending a push request",
    CANCELLED: "Request cancelled by user",
    NO_ANSWER: "DS timeout user cannot be reached.",
    WRONG_PIN: "The initiator information is invalid.",
    NOT_PERMITTED: "Request not permitted according to product assignment",
    NO_SUCH_OPERATOR: "The operator does not exist.",
}
ANSWERS = {
    AutoAnswer.PIN: PIN,
    AutoAnswer.WRONG_PIN: WRONG_PIN,
    AutoAnswer.CANCEL: CANCELLED,
    AutoAnswer.NO_ANSWER: NO_ANSWER,
    AutoAnswer.NO_FUNDS: NO_FUNDS,
    AutoAnswer.EXPIRED: EXPIRED,
    AutoAnswer.PUSH_FAILS: PUSH_FAILED,
}
_LONGEST_TEXT = 182  # characters; a longer prompt cannot be pushed


@dataclass(frozen=True)
class Prompt:
    """One prompt; the fields are the columns."""

    checkout_request_id: str
    merchant_request_id: str
    shortcode: str
    business_shortcode: str
    msisdn: str
    cents: int
    account_reference: str
    callback_url: str
    asked_faults: str
    created_at: float
    answer: str
    act_at: float
    result_code: str | None = None
    result_desc: str | None = None
    receipt: str | None = None

    @property
    def asked(self) -> list[Asked]:
        return faults.load(self.asked_faults)


def text(organisation: Organisation, shillings: int, account_reference: str) -> str:
    """What the phone shows."""
    account = f" Account no. {account_reference}" if organisation.is_paybill else ""
    return f"Do you want to pay Ksh.{shillings:,} to {organisation.name}{account}? Enter M-PESA PIN"


def open_prompt(
    books: Books,
    organisation: Organisation,
    *,
    business_shortcode: str,
    msisdn: str,
    shillings: int,
    account_reference: str,
    callback_url: str,
    asked: Sequence[Asked],
    auto_answer: AutoAnswer,
    refused_with: str | None,
) -> Prompt:
    """Put a prompt on a phone.

    :param auto_answer: how the simulator answers by itself, `NONE` for not at all
    :param refused_with: the result code, when M-PESA will not even ask the customer
    """
    now = time.time()
    auto_answer = faults.AMOUNT_ANSWERS.get(shillings, auto_answer)
    answer, act_at = NO_ANSWER, now + organisation.timings.prompt
    if len(text(organisation, shillings, account_reference)) > _LONGEST_TEXT:
        refused_with = refused_with or PUSH_FAILED
    if refused_with:
        answer, act_at = refused_with, now
    elif auto_answer is not AutoAnswer.NONE and msisdn != SANDBOX_TEST_MSISDN:
        answer, act_at = ANSWERS[auto_answer], now
    prompt = Prompt(
        checkout_request_id=identifiers.checkout_request_id(now, msisdn),
        merchant_request_id=identifiers.request_id(),
        shortcode=organisation.shortcode,
        business_shortcode=business_shortcode,
        msisdn=msisdn,
        cents=shillings * 100,
        account_reference=account_reference if organisation.is_paybill else "",
        callback_url=callback_url,
        asked_faults=faults.dump(asked),
        created_at=now,
        answer=answer,
        act_at=act_at,
    )
    values = vars(prompt)
    books.run(
        f"INSERT INTO prompts ({', '.join(values)}) VALUES ({', '.join('?' for _ in values)})",  # noqa: S608
        *values.values(),
    )
    return prompt


def find(books: Books, checkout_request_id: str) -> Prompt | None:
    """The prompt with this id."""
    row = books.one("SELECT * FROM prompts WHERE checkout_request_id = ?", checkout_request_id)
    return Prompt(**row) if row else None


def waiting(books: Books, msisdn: str) -> list[Prompt]:
    """The prompts that a phone shows now; Daraja sees to it that there is one at most."""
    rows = books.all("SELECT * FROM prompts WHERE msisdn = ? AND result_code IS NULL ORDER BY created_at DESC", msisdn)
    return [Prompt(**row) for row in rows]


def settle_due(books: Books, courier: Courier) -> float | None:
    """Settle what nobody answered in time and what answers itself; say when the next is due."""
    for row in books.all("SELECT * FROM prompts WHERE result_code IS NULL AND act_at <= ?", time.time()):
        prompt = Prompt(**row)
        settle(books, courier, prompt, prompt.answer)
    waiting_next = books.one("SELECT min(act_at) AS next_at FROM prompts WHERE result_code IS NULL")
    return waiting_next["next_at"] if waiting_next else None


def settle(books: Books, courier: Courier, prompt: Prompt, answer: str, *, at_once: bool = False) -> Prompt:
    """Give a waiting prompt its answer: move the money on the right PIN, and schedule callback and confirmation."""
    organisation = organisations.find(books, prompt.shortcode)
    if organisation is None:
        raise LookupError(prompt.shortcode)
    payment: Payment | None = None
    code = answer
    with books.writing():
        if answer == PIN:
            try:
                payment = payments.complete(books, _payment(books, prompt, organisation), organisation)
                code = PAID
            except payments.InsufficientFunds:
                code = NO_FUNDS
        receipt = payment.receipt if payment else None
        settled = replace(prompt, result_code=code, result_desc=DESCRIPTIONS[code], receipt=receipt)
        books.run(
            "UPDATE prompts SET result_code = ?, result_desc = ?, receipt = ? WHERE checkout_request_id = ?",
            settled.result_code,
            settled.result_desc,
            settled.receipt,
            settled.checkout_request_id,
        )
        delay = 0.0 if at_once else organisation.timings.callback
        _send(books, courier, settled, organisation, payment, delay=delay)
        if payment:
            bills.note_payment(books, courier, payment, organisation, asked=prompt.asked, delay=delay)
    return settled


def _payment(books: Books, prompt: Prompt, organisation: Organisation) -> Payment:
    return payments.begin(
        books,
        organisation,
        prompt.msisdn,
        prompt.cents,
        prompt.account_reference,
        Source.STK,
        originator_conversation_id=prompt.merchant_request_id,
    )


def _send(
    books: Books,
    courier: Courier,
    prompt: Prompt,
    organisation: Organisation,
    payment: Payment | None,
    *,
    delay: float,
) -> None:
    callback_delay = delay
    if payment and organisation.stk_confirmation and organisation.confirmation_url:
        plan = draw(books, Target.C2B_CONFIRMATION, payment, prompt.asked)
        out_of_order = plan.get(Fault.CALLBACK_OUT_OF_ORDER)
        if out_of_order:
            callback_delay += out_of_order.seconds_or(1)
        collection.send_confirmation(
            books, courier, payment, organisation, plan, delay=delay + (0 if out_of_order else 0.1)
        )
    code, description = prompt.result_code or "", prompt.result_desc or ""
    ids = prompt.merchant_request_id, prompt.checkout_request_id
    delivery = Delivery(
        kind=Target.STK_CALLBACK,
        shortcode=prompt.shortcode,
        reference=prompt.checkout_request_id,
        url=prompt.callback_url,
        body=callbacks.stk(*ids, code, description, payment),
        altered=callbacks.stk(*ids, code, description, callbacks.altered(payment)) if payment else None,
    )
    plan = faults.draw(books, Target.STK_CALLBACK, [prompt.shortcode], asked=prompt.asked, amount=prompt.cents // 100)
    courier.schedule(delivery, delay=callback_delay, plan=plan)
