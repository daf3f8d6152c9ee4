"""What the APIs of an initiator share: their fields, who the initiator is, and the acknowledgement (section 10)."""

import hmac
import time
from dataclasses import dataclass

from starlette.responses import JSONResponse, Response

from channels.simulator import execution, faults, identifiers, orders, organisations, payments, results
from channels.simulator.faults import Fault
from channels.simulator.gateway import Call, DarajaError, bad_field
from channels.simulator.orders import Command, Order
from channels.simulator.organisations import Organisation, Timings
from channels.simulator.results import Items, Outcome

_FAILURES_UNTIL_LOCKED = 3
_LONGEST_TEXT = 100  # characters, of Remarks and Occasion


@dataclass(frozen=True)
class Wanted:
    """What an order is about, as its API read it.

    :param originator_conversation_id: what the caller chose; empty where the gateway chooses
    """

    command: Command
    shortcode: str
    party: str
    shillings: int
    result_url: str
    queue_url: str
    account_reference: str = ""
    occasion: str = ""
    originator_conversation_id: str = ""
    initiator_field: str = "Initiator"


def digits(call: Call, name: str) -> str:
    """A shortcode or till number."""
    text = call.text(name)
    if not (text.isascii() and text.isdigit()):
        raise bad_field(name)
    return text


def remarks(call: Call, *, least: int = 1) -> None:
    """Remarks, which are required and go nowhere."""
    if not least <= len(call.text("Remarks")) <= _LONGEST_TEXT:
        raise bad_field("Remarks")


def occasion(call: Call, name: str) -> str:
    """The optional Occasion, under the name that the API has for it (section 2)."""
    text = str(call.fields.get(name) or "")
    if len(text) > _LONGEST_TEXT:
        raise bad_field(name)
    return text


def command(call: Call, allowed: frozenset[str], *, initiator_field: str = "Initiator") -> str:
    """CommandID, after the initiator and the credential have been seen to be there."""
    call.text(initiator_field)
    call.text("SecurityCredential")
    text = call.text("CommandID")
    if text not in allowed:
        raise bad_field("CommandID")
    return text


def speaking_for(call: Call, shortcode: str) -> Organisation | None:
    """The organisation behind a PartyA, which may be a till's store number."""
    found = organisations.under(call.simulator.books, shortcode)
    return found[0] if found else None


def refusal(
    call: Call,
    organisation: Organisation | None,
    *,
    initiator_field: str = "Initiator",
    locked_parameters: Items = None,
) -> Outcome | None:
    """None if the initiator may act for the organisation, or the outcome that says why not."""
    books = call.simulator.books
    refused = Outcome(results.INVALID_INITIATOR)
    if organisation is None or call.text(initiator_field) != organisation.initiator_name:
        return refused
    locked = Outcome(results.LOCKED, locked_parameters)
    if organisation.initiator_failures >= _FAILURES_UNTIL_LOCKED:
        return locked
    password = call.simulator.key.decrypt(call.text("SecurityCredential")) or ""
    if not hmac.compare_digest(password.encode(), organisation.initiator_password.encode()):
        failures = organisation.initiator_failures + 1
        organisations.change(books, organisation, initiator_failures=failures)
        return locked if failures >= _FAILURES_UNTIL_LOCKED else refused
    if organisation.initiator_failures:
        organisations.change(books, organisation, initiator_failures=0)
    return Outcome(results.INITIATOR_REFUSED) if Fault.INITIATOR_REFUSED in call.plan else None


def result_delay(call: Call, organisation: Organisation | None, conversation_id: str) -> float:
    """Seconds until a result; none if it is to come before the acknowledgement, which then waits for it."""
    if Fault.CALLBACK_BEFORE_ACK in call.plan:
        call.awaited.append(conversation_id)
        return 0.0
    return (organisation.timings if organisation else Timings()).result


def acknowledged(originator_conversation_id: str, conversation_id: str) -> Response:
    """Daraja heard it; whether the credential is right shows only in the result."""
    return JSONResponse(
        {
            "OriginatorConversationID": originator_conversation_id,
            "ConversationID": conversation_id,
            "ResponseCode": "0",
            "ResponseDescription": "Accept the service request successfully.",
        }
    )


def order(call: Call, wanted: Wanted) -> Response:
    """Enter an order and carry it out, at once or, with the fault, later; order, money and result are one commit."""
    books, courier, now = call.simulator.books, call.simulator.courier, time.time()
    organisation = speaking_for(call, wanted.shortcode)
    late = call.plan.get(Fault.CARRIED_OUT_LATE)
    placed = Order(
        originator_conversation_id=wanted.originator_conversation_id or identifiers.request_id(),
        conversation_id=identifiers.conversation_id(now),
        command=wanted.command,
        shortcode=organisation.shortcode if organisation else wanted.shortcode,
        party=wanted.party,
        cents=wanted.shillings * 100,
        account_reference=wanted.account_reference,
        occasion=wanted.occasion,
        result_url=wanted.result_url,
        queue_url=wanted.queue_url,
        asked_faults=faults.dump(call.asked),
        created_at=now,
        act_at=now + (late.seconds_or(10) if late else 0),
    )
    with books.writing():
        if not orders.enter(books, placed):
            raise DarajaError(500, "500.002.1001", "Duplicate OriginatorConversationID.")
        refused = refusal(call, organisation, initiator_field=wanted.initiator_field)
        delay = result_delay(call, organisation, placed.conversation_id)
        if organisation is None or refused:
            outcome = refused or Outcome(results.INVALID_INITIATOR)
            execution.conclude(books, courier, placed, outcome, execution.draw(books, placed), delay=delay)
        elif not late:
            execution.carry_out(books, courier, placed, organisation, delay=delay)
    call.simulator.order_alarm.ring()
    return acknowledged(placed.originator_conversation_id, placed.conversation_id)


def shillings(call: Call) -> int:
    """Amount in whole shillings; whether it is within M-PESA's limits shows only in the result (section 11)."""
    return call.shillings("Amount", payments.MOST_SHILLINGS * 1000)
