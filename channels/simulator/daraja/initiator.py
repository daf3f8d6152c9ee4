"""The APIs of an initiator: acknowledged at once, carried out afterwards (sections 10, 16 and 17 of the reference)."""

import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse, Response

from channels.simulator import callbacks, customers, faults, identifiers, organisations, payments
from channels.simulator.deliveries import Body, Delivery
from channels.simulator.faults import Fault, Target
from channels.simulator.gateway import Api, Call, bad_field
from channels.simulator.organisations import Organisation, Product
from channels.simulator.payments import Payment, State

BALANCE = Api(Target.ACCOUNT_BALANCE, Product.ACCOUNT_BALANCE, (401, "401.002.01"), "Initiator", "PartyA")
STATUS = Api(Target.TRANSACTION_STATUS, Product.TRANSACTION_STATUS, (400, "400.003.01"), "Initiator", "PartyA")
_PROCESSED = "The service request is processed successfully."
_FAILURES_UNTIL_LOCKED = 3
_IDENTIFIER_TYPES = {"1", "2", "4"}

Parameters = list[Body] | Body | None


@dataclass(frozen=True)
class Outcome:
    """What a result says; the parameters may be a list or, as Daraja likes it on failures, a lone object."""

    code: str
    description: str
    parameters: Parameters = None


def item(key: str, value: Any = None) -> Body:
    """A Key/Value pair; without a value Daraja leaves the key Value out."""
    return {"Key": key} if value is None else {"Key": key, "Value": value}


def _completed_at() -> Body:
    return item("BOCompletedTime", int(identifiers.compact(time.time())))


async def account_balance(call: Call) -> Response:
    """POST /mpesa/accountbalance/v1/query"""
    _initiator_fields(call, "AccountBalance")
    shortcode = _party(call)
    call.text("Remarks")
    queue_url, result_url = call.url("QueueTimeOutURL"), call.url("ResultURL")

    def carry_out(organisation: Organisation) -> Outcome:
        balance = organisations.balance_string(call.simulator.books, organisation)
        parameters = [item("ActionType", "AccountBalance"), item("AccountBalance", balance), _completed_at()]
        return Outcome("0", _PROCESSED, parameters)

    reference = item(
        "QueueTimeoutURL", "https://internalsandbox.safaricom.co.ke/mpesa/abresults/v1/submit"
    )  # Daraja's own address, not ours
    locked = [item("ActionType", "AccountBalance"), item("ErrorMsg", "API Password is locked. "), _completed_at()]
    return await _acknowledge(call, shortcode, queue_url, result_url, carry_out, reference, locked)


async def transaction_status(call: Call) -> Response:
    """POST /mpesa/transactionstatus/v1/query"""
    _initiator_fields(call, "TransactionStatusQuery")
    receipt = str(call.fields.get("TransactionID") or "").strip()
    conversation = str(call.fields.get("OriginalConversationID") or "").strip()
    if not receipt and not conversation:
        raise bad_field("TransactionID")
    shortcode = _party(call)
    result_url, queue_url = call.url("ResultURL"), call.url("QueueTimeOutURL")
    call.text("Remarks")
    occasion = call.fields.get("Occasion") or None

    def carry_out(organisation: Organisation) -> Outcome:
        books = call.simulator.books
        payment = payments.find(books, organisation.shortcode, receipt=receipt, originator_conversation_id=conversation)
        if payment is None:
            return Outcome("2032", "The transaction receipt number does not exist.", _completed_at())
        return Outcome(
            "0", _PROCESSED, _status(payment, organisation, customers.get(books, payment.msisdn).public_name)
        )

    return await _acknowledge(call, shortcode, queue_url, result_url, carry_out, item("Occasion", occasion), None)


def _status(payment: Payment, organisation: Organisation, payer: str) -> list[Body]:
    moment = int(identifiers.compact(payment.paid_at))
    return [
        item("DebitPartyName", payer),
        item("CreditPartyName", f"{organisation.shortcode} - {organisation.name}"),
        item("OriginatorConversationID", payment.originator_conversation_id),
        item("InitiatedTime", moment),
        item("CreditPartyCharges"),
        item("DebitAccountType", "MMF Account For Customer"),
        item("TransactionReason"),
        item("ReasonType", "Pay Bill Online" if organisation.is_paybill else "Customer Merchant Payment"),
        item("TransactionStatus", "Completed" if payment.state == State.COMPLETED else "Cancelled"),
        item("FinalisedTime", moment),
        item("Amount", payment.cents / 100),
        item("ConversationID", payment.conversation_id),
        item("ReceiptNo", payment.receipt),
    ]


def _initiator_fields(call: Call, command: str) -> None:
    call.text("Initiator")
    call.text("SecurityCredential")
    if call.text("CommandID") != command:
        raise bad_field("CommandID")


def _party(call: Call) -> str:
    shortcode = call.text("PartyA")
    if not shortcode.isdigit():
        raise bad_field("PartyA")
    if call.text("IdentifierType") not in _IDENTIFIER_TYPES:
        raise bad_field("IdentifierType")
    return shortcode


async def _acknowledge(
    call: Call,
    shortcode: str,
    queue_url: str,
    result_url: str,
    carry_out: Callable[[Organisation], Outcome],
    reference_items: Any,
    locked_parameters: Parameters,
) -> Response:
    """Acknowledge, whatever the credential is worth, and let the result or a queue time-out follow."""
    originator_conversation_id = identifiers.request_id()
    conversation_id = identifiers.conversation_id(time.time())
    found = organisations.under(call.simulator.books, shortcode)
    organisation = found[0] if found else None
    outcome = _identify(call, organisation, locked_parameters)
    if outcome is None and organisation:
        outcome = carry_out(organisation)
    if outcome:
        body = callbacks.result(
            code=outcome.code,
            description=outcome.description,
            originator_conversation_id=originator_conversation_id,
            conversation_id=conversation_id,
            parameters=outcome.parameters,
            reference_items=reference_items,
        )
        _schedule(call, shortcode, organisation, conversation_id, result_url, queue_url, body)
    return JSONResponse(
        {
            "OriginatorConversationID": originator_conversation_id,
            "ConversationID": conversation_id,
            "ResponseCode": "0",
            "ResponseDescription": "Accept the service request successfully.",
        }
    )


def _identify(call: Call, organisation: Organisation | None, locked_parameters: Parameters) -> Outcome | None:
    """None if the initiator may act for the organisation, or the outcome that says why not."""
    books = call.simulator.books
    refused = Outcome("2001", "The initiator information is invalid.")
    if organisation is None or call.text("Initiator") != organisation.initiator_name:
        return refused
    locked = Outcome("8006", "The security credential is locked.", locked_parameters)
    if organisation.initiator_failures >= _FAILURES_UNTIL_LOCKED:
        return locked
    password = call.simulator.key.decrypt(call.text("SecurityCredential")) or ""
    if not hmac.compare_digest(password.encode(), organisation.initiator_password.encode()):
        failures = organisation.initiator_failures + 1
        organisations.change(books, organisation, initiator_failures=failures)
        return locked if failures >= _FAILURES_UNTIL_LOCKED else refused
    if organisation.initiator_failures:
        organisations.change(books, organisation, initiator_failures=0)
    if Fault.INITIATOR_REFUSED in call.plan:
        return Outcome("21", "The initiator is not allowed to initiate this request")
    return None


def _schedule(
    call: Call,
    shortcode: str,
    organisation: Organisation | None,
    conversation_id: str,
    result_url: str,
    queue_url: str,
    body: Body,
) -> None:
    early = Fault.CALLBACK_BEFORE_ACK in call.plan
    timings = organisation.timings if organisation else organisations.Timings()
    delay = 0.0 if early else timings.result
    own = organisation.shortcode if organisation else shortcode
    plan = faults.draw(call.simulator.books, Target.RESULT, [own], asked=call.asked)
    result = Delivery(Target.RESULT, own, conversation_id, result_url, body)
    timeout = plan.get(Fault.QUEUE_TIMEOUT) or plan.get(Fault.QUEUE_TIMEOUT_THEN_RESULT)
    if timeout:
        # No reliable sample exists in public; some libraries claim this envelope with a code that is not 0.
        failure = {**body["Result"], "ResultCode": 1, "ResultDesc": "The request timed out in the queue."}
        failure.pop("ResultParameters", None)
        notice = Delivery("timeout", own, conversation_id, queue_url, {"Result": failure})
        call.simulator.courier.schedule(notice, delay=delay, plan={})
        delay += timeout.seconds_or(1)
    if Fault.QUEUE_TIMEOUT not in plan:
        call.simulator.courier.schedule(result, delay=delay, plan=plan)
    if early:
        call.awaited.append(conversation_id)
