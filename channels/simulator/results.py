"""What M-PESA tells an initiator afterwards: a result, or that its queue timed out, as the faults of a plan have it.

Section 10 of the reference.
"""

import time
from dataclasses import dataclass, replace
from typing import Any

from channels.simulator import callbacks, identifiers
from channels.simulator.deliveries import Body, Courier, Delivery
from channels.simulator.faults import Fault, Plan, Target

PROCESSED, INVALID_INITIATOR, INITIATOR_REFUSED, LOCKED = "0", "2001", "21", "8006"
NO_FUNDS, TOO_LITTLE, TOO_MUCH, DAILY_LIMIT, RECEIVER_FULL, INACTIVE = "1", "2", "3", "4", "8", "11"
INTERNAL_FAILURE, INVALID_PARAMETERS, ACCOUNT_RULE, NOT_PERMITTED, NO_RECEIPT = "17", "25", "2006", "2028", "2032"
UNREGISTERED, NO_OPERATOR, ALREADY_REVERSED, NOT_REVERSIBLE = "2040", "SFC_IC0003", "R000001", "R000002"
DESCRIPTIONS = {
    PROCESSED: "The service request is processed successfully.",
    NO_FUNDS: "The balance is insufficient for the transaction.",
    TOO_LITTLE: "Declined due to limit rule: less than the minimum transaction amount.",
    TOO_MUCH: "Declined due to limit rule: greater than the maximum transaction amount.",
    DAILY_LIMIT: "Declined due to limit rule: would exceed the daily transfer limit.",
    RECEIVER_FULL: "Declined due to limit rule: would exceed the maximum balance.",
    INACTIVE: "The DebitParty is in an invalid state.",
    INTERNAL_FAILURE: "Internal failure.",
    INITIATOR_REFUSED: "The initiator is not allowed to initiate this request",
    INVALID_PARAMETERS: "Invalid request parameters.",
    INVALID_INITIATOR: "The initiator information is invalid.",
    ACCOUNT_RULE: "Declined due to account rule: The account status does not allow this transaction.",
    NOT_PERMITTED: "The request is not permitted according to product assignment.",
    NO_RECEIPT: "The transaction receipt number does not exist.",
    UNREGISTERED: "Credit Party customer type (Unregistered or Registered Customer) can't be supported by the service.",
    LOCKED: "The security credential is locked.",
    NO_OPERATOR: "The operator does not exist.",
    ALREADY_REVERSED: "The transaction has already been reversed.",
    NOT_REVERSIBLE: "The OriginalTransactionID is invalid.",
}
NEVER_BEGUN = frozenset({INVALID_INITIATOR, INITIATOR_REFUSED, LOCKED})  # M-PESA's core never saw such an order
_ASKED_CODES = {
    Fault.INSUFFICIENT_FUNDS: NO_FUNDS,
    Fault.DAILY_LIMIT: DAILY_LIMIT,
    Fault.RECEIVER_FULL: RECEIVER_FULL,
    Fault.ORGANISATION_INACTIVE: INACTIVE,
    Fault.INTERNAL_FAILURE: INTERNAL_FAILURE,
    Fault.ACCOUNT_RULE: ACCOUNT_RULE,
    Fault.PRODUCT_REFUSED: NOT_PERMITTED,
    Fault.RECEIVER_UNREGISTERED: UNREGISTERED,
    Fault.RECEIVER_UNKNOWN: NO_OPERATOR,
}
_AMOUNTS = frozenset({"Amount", "TransactionAmount"})

Items = list[Body] | Body | None


@dataclass(frozen=True)
class Outcome:
    """What a result says; the parameters may be a list or, as Daraja likes it on failures, a lone object."""

    code: str
    parameters: Items = None
    receipt: str = ""  # empty for a placeholder

    @property
    def description(self) -> str:
        return DESCRIPTIONS[self.code]


@dataclass(frozen=True)
class Address:
    """Where what is told goes, and which request it answers.

    :param references: ReferenceItem, a list or a lone object
    """

    shortcode: str
    originator_conversation_id: str
    conversation_id: str
    result_url: str
    queue_url: str
    references: Items


def item(key: str, value: Any = None) -> Body:
    """A Key/Value pair; without a value Daraja leaves the key Value out."""
    return {"Key": key} if value is None else {"Key": key, "Value": value}


def completed_at() -> Body:
    """The moment as BOCompletedTime, a number."""
    return item("BOCompletedTime", int(identifiers.compact(time.time())))


def queue_item(family: str) -> Body:
    """QueueTimeoutURL as results carry it: an address of Daraja's own, not the one that was sent."""
    return item("QueueTimeoutURL", f"https://internalsandbox.safaricom.co.ke/mpesa/{family}/v1/submit")


def asked_code(plan: Plan) -> str | None:
    """The failure that a fault of the plan asks for."""
    return next((code for fault, code in _ASKED_CODES.items() if fault in plan), None)


def send(courier: Courier, address: Address, outcome: Outcome, plan: Plan, *, delay: float) -> None:
    """Schedule a result; the plan may put a queue time-out before, behind or in the place of it."""
    if Fault.RESULT_RENAMED in plan:
        address = replace(address, originator_conversation_id=identifiers.request_id())
    before = plan.get(Fault.QUEUE_TIMEOUT) or plan.get(Fault.QUEUE_TIMEOUT_THEN_RESULT)
    if before:
        send_time_out(courier, address, delay=delay)
        delay += before.seconds_or(1)
    if Fault.QUEUE_TIMEOUT not in plan:
        altered = _body(address, replace(outcome, parameters=_one_shilling_more(outcome.parameters)))
        result = _delivery(Target.RESULT, address, address.result_url, _body(address, outcome))
        courier.schedule(replace(result, altered=altered), delay=delay, plan=plan)
    contradicted = plan.get(Fault.RESULT_CONTRADICTED)
    if contradicted and outcome.code == PROCESSED:
        body = _body(address, Outcome(INTERNAL_FAILURE, completed_at()))
        result = _delivery(Target.RESULT, address, address.result_url, body)
        courier.schedule(result, delay=delay + contradicted.seconds_or(1), plan={})
    if after := plan.get(Fault.RESULT_THEN_QUEUE_TIMEOUT):
        send_time_out(courier, address, delay=delay + after.seconds_or(1))


def send_time_out(courier: Courier, address: Address, *, delay: float) -> None:
    """Schedule a message to QueueTimeOutURL.

    No reliable sample exists in public; some libraries claim this envelope with a code that is not 0.
    """
    body = _body(address, Outcome(PROCESSED))
    body["Result"].update(ResultCode=1, ResultDesc="The request timed out in the queue.")
    courier.schedule(_delivery("timeout", address, address.queue_url, body), delay=delay, plan={})


def _body(address: Address, outcome: Outcome) -> Body:
    return callbacks.result(
        code=outcome.code,
        description=outcome.description,
        originator_conversation_id=address.originator_conversation_id,
        conversation_id=address.conversation_id,
        receipt=outcome.receipt,
        parameters=outcome.parameters,
        reference_items=address.references,
    )


def _delivery(kind: str, address: Address, url: str, body: Body) -> Delivery:
    return Delivery(kind, address.shortcode, address.conversation_id, url, body)


def _one_shilling_more(parameters: Items) -> Items:
    if not isinstance(parameters, list):
        return parameters
    return [{**one, "Value": one["Value"] + 1} if one["Key"] in _AMOUNTS else one for one in parameters]
