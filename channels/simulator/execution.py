"""Carrying out orders: the rules of M-PESA, the money, and what the result says (sections 11 to 14 and 18).

What moves, moves in one commit with the order's end and its result.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from channels.simulator import (
    accounts,
    customers,
    faults,
    identifiers,
    orders,
    organisations,
    payments,
    results,
    tariff,
)
from channels.simulator.accounts import TAX_AUTHORITY
from channels.simulator.books import Books
from channels.simulator.deliveries import Body, Courier
from channels.simulator.faults import Fault, Plan
from channels.simulator.json_door import money
from channels.simulator.orders import TO_PHONES, Command, Order, State
from channels.simulator.organisations import Organisation
from channels.simulator.results import Address, Items, Outcome, item, queue_item

LEAST_CENTS = 10_00
MOST_CENTS = payments.MOST_SHILLINGS * 100
MOST_CENTS_A_DAY = 500_000_00  # that a phone may receive (section 26)
_TAX_AUTHORITY_NAME = f"{TAX_AUTHORITY} - KENYA REVENUE AUTHORITY"


@dataclass(frozen=True)
class Moved:
    """What the money did: its receipt and the parameters of the result."""

    receipt: str
    parameters: list[Body]


class Declined(Exception):
    """M-PESA does not carry the order out; nothing has moved."""

    def __init__(self, code: str) -> None:
        super().__init__(results.DESCRIPTIONS[code])
        self.code = code


def carry_out_due(books: Books, courier: Courier) -> float | None:
    """Carry out the orders that wait no longer, and say when the next is due."""
    for order in orders.due(books):
        organisation = organisations.find(books, order.shortcode)
        if organisation is None:
            raise LookupError(order.shortcode)
        carry_out(books, courier, order, organisation, delay=organisation.timings.result)
    return orders.next_due_at(books)


def carry_out(books: Books, courier: Courier, order: Order, organisation: Organisation, *, delay: float) -> None:
    """Do what a waiting order asks, or decline it, and schedule the result."""
    with books.writing():
        plan = draw(books, order)
        if Fault.QUEUE_DROPPED in plan:
            orders.finish(books, order, state=State.DROPPED)
            results.send_time_out(courier, _address(order), delay=delay)
            return
        try:
            if asked_code := results.asked_code(plan):
                raise Declined(asked_code)
            moved = _RULES[order.command](books, order, organisation)
        except Declined as declined:
            conclude(books, courier, order, _failure(order, declined.code), plan, delay=delay)
        else:
            outcome = Outcome(results.PROCESSED, moved.parameters, moved.receipt)
            conclude(books, courier, order, outcome, plan, delay=delay)


def draw(books: Books, order: Order) -> Plan:
    """The faults that strike an order and its result."""
    return faults.draw(books, order.result_target, [order.shortcode], asked=order.asked, amount=order.cents // 100)


def conclude(books: Books, courier: Courier, order: Order, outcome: Outcome, plan: Plan, *, delay: float) -> None:
    """Enter how an order ended, and schedule its result."""
    done = outcome.code == results.PROCESSED
    orders.finish(
        books,
        order,
        state=State.COMPLETED if done else State.FAILED,
        code=outcome.code,
        description=outcome.description,
        receipt=outcome.receipt or None,
        charge_cents=_charge_cents(order) if done else 0,
    )
    results.send(courier, _address(order, outcome.code), outcome, plan, delay=delay)


def _charge_cents(order: Order) -> int:
    return tariff.charge_cents(order.terms.tariff, order.cents)


def _address(order: Order, code: str = "") -> Address:
    return Address(
        shortcode=order.shortcode,
        originator_conversation_id=order.originator_conversation_id,
        conversation_id=order.conversation_id,
        result_url=order.result_url,
        queue_url=order.queue_url,
        references=_references(order, code),
    )


def _references(order: Order, code: str) -> Items:
    """ReferenceItem, which is an array or a lone object as the samples have it (sections 11 to 13)."""
    if order.command in TO_PHONES:
        return queue_item("b2cresults")
    if order.command is Command.REVERSAL:
        return queue_item("reversalresults")
    queue = queue_item("b2bresults")
    if code != results.PROCESSED and order.command is not Command.TOP_UP:
        return queue
    return [_bill_reference(order), queue, item("Occassion", order.occasion or None)]


def _bill_reference(order: Order) -> Body:
    reference = order.account_reference
    is_number = reference.isascii() and reference.isdigit() and not reference.startswith("0")
    return item("BillReferenceNumber", int(reference) if is_number else reference or None)


def _failure(order: Order, code: str) -> Outcome:
    if order.command in TO_PHONES:
        return Outcome(code)
    return Outcome(code, _bill_reference(order) if order.command is Command.TOP_UP else results.completed_at())


def _to_phone(books: Books, order: Order, organisation: Organisation) -> Moved:
    """B2C and B2Pochi: out of the Utility Account, which a till does not have (section 2)."""
    if not organisation.is_paybill:
        raise Declined(results.NOT_PERMITTED)
    if order.cents < LEAST_CENTS:
        raise Declined(results.TOO_LITTLE)
    if order.cents > MOST_CENTS:
        raise Declined(results.TOO_MUCH)
    customer = customers.get(books, order.party)
    if not customer.is_registered:
        raise Declined(results.UNREGISTERED)
    now = time.time()
    if orders.received_cents(books, order.party, since=identifiers.midnight(now)) + order.cents > MOST_CENTS_A_DAY:
        raise Declined(results.DAILY_LIMIT)
    if customer.cents + order.cents > customers.MOST_CENTS:
        raise Declined(results.RECEIVER_FULL)
    _debit(books, order, organisation)
    customers.credit(books, order.party, order.cents)
    receipt = payments.new_receipt(books, now)
    balances = organisations.balances(books, organisation)
    return Moved(
        receipt,
        [
            item("TransactionAmount", order.cents // 100),
            item("TransactionReceipt", receipt),
            item("B2CRecipientIsRegisteredCustomer", "Y"),
            item("B2CChargesPaidAccountAvailableFunds", balances[accounts.CHARGES_PAID] / 100),
            item("ReceiverPartyPublicName", receiver_name(books, order)),
            item("TransactionCompletedDateTime", f"{identifiers.east_african(now):%d.%m.%Y %H:%M:%S}"),
            item("B2CUtilityAccountAvailableFunds", balances[accounts.UTILITY] / 100),
            item("B2CWorkingAccountAvailableFunds", balances[accounts.WORKING] / 100),
        ],
    )


def _debit(books: Books, order: Order, organisation: Organisation) -> int:
    """Take an order's money and its charge from the organisation, and return what its account holds then."""
    if accounts.held(books, organisation.shortcode, order.terms.debited) < order.cents:
        raise Declined(results.NO_FUNDS)
    accounts.charge(books, organisation.shortcode, _charge_cents(order))
    return accounts.add(books, organisation.shortcode, order.terms.debited, -order.cents)


def _to_organisation(books: Books, order: Order, organisation: Organisation) -> Moved:
    """B2B: out of the Working Account; a top-up goes into the receiver's Utility Account."""
    receiver = _receiver(books, order)
    if receiver is None:
        raise Declined(results.NO_OPERATOR)
    return _paid(books, order, organisation, receiver.receiving)


def receiver_name(books: Books, order: Order) -> str:
    """Who gets an order's money, as results name a party."""
    if order.command is Command.PAY_TAX:
        return _TAX_AUTHORITY_NAME
    if order.command in TO_PHONES or order.command is Command.REVERSAL:
        return customers.get(books, order.party).public_name
    receiver = _receiver(books, order)
    return receiver.public_name if receiver else order.party


def _receiver(books: Books, order: Order) -> Organisation | None:
    """The organisation that a B2B order pays: a till's for buy goods, else a PayBill's."""
    wants_till = order.command is Command.BUY_GOODS
    known = organisations.under(books, order.party)
    return next((one for one in known if one.is_paybill is not wants_till), None)


def _to_tax_authority(books: Books, order: Order, organisation: Organisation) -> Moved:
    return _paid(books, order, organisation, (TAX_AUTHORITY, accounts.UTILITY))


def _paid(books: Books, order: Order, organisation: Organisation, credited: tuple[str, str]) -> Moved:
    left = _debit(books, order, organisation)
    accounts.add(books, *credited, order.cents)
    charge_cents = _charge_cents(order)
    charges = f"{order.terms.charge}|KES|{money(charge_cents)}" if charge_cents else None
    now = time.time()
    return Moved(
        payments.new_receipt(books, now),
        [
            item(
                "InitiatorAccountCurrentBalance",
                f"{{Amount={{CurrencyCode=KES, MinimumAmount={left}, BasicAmount={money(left)}}}}}",
            ),
            item(
                "DebitAccountBalance",
                f"{{Amount={{BasicAmount={money(left)}, MinimumAmount={left}, CurrencyCode=KES}}}}",
            ),
            item("Amount", order.cents // 100),
            item("DebitPartyAffectedAccountBalance", organisations.affected_account(order.terms.debited, left)),
            item("TransCompletedTime", int(identifiers.compact(now))),
            item("DebitPartyCharges", charges),
            item("ReceiverPartyPublicName", receiver_name(books, order)),
            item("Currency", "KES"),
        ],
    )


def _back_to_payer(books: Books, order: Order, organisation: Organisation) -> Moved:
    """A reversal: the whole of a payment that a customer made to this organisation, once (section 18).

    What M-PESA says to a part of it is not published; 25 is ours.
    """
    payment = payments.find(books, organisation.shortcode, receipt=order.account_reference)
    if payment is None or payment.state == payments.State.CANCELLED:
        raise Declined(results.NOT_REVERSIBLE)
    if payment.state == payments.State.REVERSED:
        raise Declined(results.ALREADY_REVERSED)
    if payment.cents != order.cents:
        raise Declined(results.INVALID_PARAMETERS)
    now = time.time()
    receipt = payments.new_receipt(books, now)
    try:
        payments.reverse(books, payment, receipt)
    except payments.InsufficientFunds:
        raise Declined(results.NO_FUNDS) from None
    left = accounts.held(books, *organisation.receiving)
    return Moved(
        receipt,
        [
            item("DebitAccountBalance", organisations.affected_account(organisation.receiving_account, left)),
            item("Amount", order.cents // 100),
            item("TransCompletedTime", int(identifiers.compact(now))),
            item("OriginalTransactionID", payment.receipt),
            item("Charge", 0),
            item("CreditPartyPublicName", receiver_name(books, order)),
            item("DebitPartyPublicName", organisation.public_name),
        ],
    )


_RULES: dict[Command, Callable[[Books, Order, Organisation], Moved]] = {
    **dict.fromkeys(TO_PHONES, _to_phone),
    Command.PAY_BILL: _to_organisation,
    Command.BUY_GOODS: _to_organisation,
    Command.TOP_UP: _to_organisation,
    Command.PAY_TAX: _to_tax_authority,
    Command.REVERSAL: _back_to_payer,
}
