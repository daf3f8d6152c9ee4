"""What an initiator may ask: account balance and transaction status (sections 16 and 17 of the reference)."""

import time

from starlette.responses import Response

from channels.simulator import customers, execution, faults, identifiers, orders, organisations, payments, results
from channels.simulator.books import Books
from channels.simulator.daraja import initiator
from channels.simulator.deliveries import Body
from channels.simulator.faults import Fault, Plan, Target
from channels.simulator.gateway import Api, Call, bad_field
from channels.simulator.json_door import money
from channels.simulator.orders import Order
from channels.simulator.organisations import Organisation, Product
from channels.simulator.payments import Payment
from channels.simulator.results import Address, Items, Outcome, completed_at, item, queue_item

BALANCE = Api(Target.ACCOUNT_BALANCE, Product.ACCOUNT_BALANCE, (401, "401.002.01"), "Initiator", "PartyA")
STATUS = Api(Target.TRANSACTION_STATUS, Product.TRANSACTION_STATUS, (400, "400.003.01"), "Initiator", "PartyA")
_IDENTIFIER_TYPES = {"1", "2", "4"}
_COMPLETED, _CANCELLED, _DECLINED, _INITIATED = "Completed", "Cancelled", "Declined", "Initiated"


async def account_balance(call: Call) -> Response:
    """POST /mpesa/accountbalance/v1/query"""
    initiator.command(call, frozenset({"AccountBalance"}))
    shortcode = _party(call)
    initiator.remarks(call)
    queue_url, result_url = call.url("QueueTimeOutURL"), call.url("ResultURL")

    organisation = initiator.speaking_for(call, shortcode)
    action = item("ActionType", "AccountBalance")
    locked: Items = [action, item("ErrorMsg", "API Password is locked. "), completed_at()]
    outcome = initiator.refusal(call, organisation, locked_parameters=locked)
    if outcome is None and organisation:
        balance = organisations.balance_string(call.simulator.books, organisation)
        outcome = Outcome(results.PROCESSED, [action, item("AccountBalance", balance), completed_at()])
    address = _address(shortcode, organisation, result_url, queue_url, queue_item("abresults"))
    plan = _draw(call, Target.BALANCE_RESULT, address)
    return _answer(call, organisation, address, outcome, plan)


async def transaction_status(call: Call) -> Response:
    """POST /mpesa/transactionstatus/v1/query: of a payment in or out, by its receipt or by the conversation that made
    it. ResultCode 0 means that the question was answered.
    """
    initiator.command(call, frozenset({"TransactionStatusQuery"}))
    receipt = str(call.fields.get("TransactionID") or "").strip()
    conversation = str(call.fields.get("OriginalConversationID") or "").strip()
    if not receipt and not conversation:
        raise bad_field("TransactionID")
    shortcode = _party(call)
    result_url, queue_url = call.url("ResultURL"), call.url("QueueTimeOutURL")
    initiator.remarks(call)
    occasion = item("Occasion", initiator.occasion(call, "Occasion") or None)

    organisation = initiator.speaking_for(call, shortcode)
    address = _address(shortcode, organisation, result_url, queue_url, occasion)
    plan = _draw(call, Target.STATUS_RESULT, address)
    outcome = initiator.refusal(call, organisation)
    if outcome is None and organisation:
        outcome = _status(call.simulator.books, organisation, receipt, conversation, plan)
    return _answer(call, organisation, address, outcome, plan)


def _answer(
    call: Call, organisation: Organisation | None, address: Address, outcome: Outcome | None, plan: Plan
) -> Response:
    delay = initiator.result_delay(call, organisation, address.conversation_id)
    results.send(call.simulator.courier, address, outcome or Outcome(results.INVALID_INITIATOR), plan, delay=delay)
    return initiator.acknowledged(address.originator_conversation_id, address.conversation_id)


def _party(call: Call) -> str:
    shortcode = initiator.digits(call, "PartyA")
    if call.text("IdentifierType") not in _IDENTIFIER_TYPES:
        raise bad_field("IdentifierType")
    return shortcode


def _address(
    shortcode: str, organisation: Organisation | None, result_url: str, queue_url: str, references: Items
) -> Address:
    return Address(
        shortcode=organisation.shortcode if organisation else shortcode,
        originator_conversation_id=identifiers.request_id(),
        conversation_id=identifiers.conversation_id(time.time()),
        result_url=result_url,
        queue_url=queue_url,
        references=references,
    )


def _draw(call: Call, target: Target, address: Address) -> Plan:
    return faults.draw(call.simulator.books, target, [address.shortcode], asked=call.asked)


def _status(books: Books, organisation: Organisation, receipt: str, conversation: str, plan: Plan) -> Outcome:
    """What is known. An order that waits, was dropped by the queue or had its initiator refused does not exist."""
    unknown = Outcome(results.NO_RECEIPT, completed_at())
    if Fault.STATUS_FAILS in plan:
        return Outcome(results.INTERNAL_FAILURE, completed_at())
    if Fault.STATUS_UNKNOWN in plan:
        return unknown
    sought = {"receipt": receipt, "originator_conversation_id": "" if receipt else conversation}
    payment = payments.find(books, organisation.shortcode, **sought)
    if payment:
        return Outcome(results.PROCESSED, _of_payment(books, payment, organisation, plan))
    order = orders.find(books, organisation.shortcode, **sought)
    if order is None or not order.code or order.code in results.NEVER_BEGUN:
        return unknown
    return Outcome(results.PROCESSED, _of_order(books, order, plan))


def _of_payment(books: Books, payment: Payment, organisation: Organisation, plan: Plan) -> list[Body]:
    """A payment that was reversed has been completed all the same; its reversal has a receipt of its own."""
    cancelled = payment.state == payments.State.CANCELLED
    return [
        item("DebitPartyName", customers.get(books, payment.msisdn).public_name),
        item("CreditPartyName", organisation.public_name),
        item("OriginatorConversationID", payment.originator_conversation_id),
        item("InitiatedTime", int(identifiers.compact(payment.paid_at))),
        item("CreditPartyCharges"),
        item("DebitAccountType", "MMF Account For Customer"),
        item("TransactionReason"),
        item("ReasonType", "Pay Bill Online" if organisation.is_paybill else "Customer Merchant Payment"),
        *_ending(_CANCELLED if cancelled else _COMPLETED, payment.paid_at, plan),
        item("Amount", payment.cents / 100),
        item("ConversationID", payment.conversation_id),
        item("ReceiptNo", payment.receipt),
    ]


def _of_order(books: Books, order: Order, plan: Plan) -> list[Body]:
    charges = f"{order.terms.charge}|KES|{money(order.charge_cents)}" if order.charge_cents else None
    giver = organisations.find(books, order.shortcode)
    account = order.terms.debited or (giver.receiving_account if giver else "")
    return [
        item("DebitPartyName", giver.public_name if giver else order.shortcode),
        item("CreditPartyName", execution.receiver_name(books, order)),
        item("OriginatorConversationID", order.originator_conversation_id),
        item("InitiatedTime", int(identifiers.compact(order.created_at))),
        item("DebitPartyCharges", charges),
        item("DebitAccountType", account),
        item("TransactionReason"),
        item("ReasonType", order.terms.reason),
        *_ending(_COMPLETED if order.receipt else _DECLINED, order.finished_at or order.created_at, plan),
        item("Amount", order.cents / 100),
        item("ConversationID", order.conversation_id),
        item("ReceiptNo", order.receipt),
    ]


def _ending(status: str, finished_at: float, plan: Plan) -> list[Body]:
    if Fault.STATUS_PENDING in plan:
        return [item("TransactionStatus", _INITIATED)]
    return [item("TransactionStatus", status), item("FinalisedTime", int(identifiers.compact(finished_at)))]
