"""Money out against the simulator, over HTTP: after every fault that it knows, its books and ours say the same."""

import time
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from payments import drain
from payments.models import DayTotal, Payout, PayoutBatch, PayoutEntry, Reversal, StatusQuery
from payments.money_out import following, sending
from payments.money_out.payouts import reserve_batch
from payments.money_out.reversals import reserve_reversal
from payments.status_queries import ask_status
from tenants.models import InboundCallback
from tests.payments.money_out.conftest import Clock
from tests.payments.money_out.making import make_batch, make_payment, make_reversal

OPEN = ("RESERVED", "SENDING", "ACCEPTED", "UNKNOWN")
# The amounts are faults of the simulator's: see channels/simulator/faults.py.
TAKEN = {
    100: "all is well",
    7002: "the result comes twice",
    7003: "the result is lost",
    7004: "the result's JSON breaks off",
    7005: "the result is an HTML page",
    7006: "a second result follows, one shilling higher",
    7008: "the result comes before the answer",
    7009: "taken, then the answer never comes",
    7010: "taken, then the connection breaks",
    7018: "taken, then HTML as status 200",
    7019: "taken, then half of the JSON",
    7022: "taken, then HTML as status 503",
    7023: "taken, then status 500",
    7025: "carried out, and a time-out notice instead of a result",
    7026: "a time-out notice, then the result",
    7027: "the result, then a time-out notice",
    7029: "the result carries another id",
    7030: "a second result says that something went wrong within M-PESA, which is no verdict",
}
NOT_TAKEN = {
    7011: "the firewall answers",
    7012: "empty 400",
    7016: "maintenance",
    7020: "the token is dead, and so is the next",
    7028: "the queue drops it",
    7031: "the initiator lacks the role",
    7032: "not enough money",
    7034: "the receiver's account is full",
    7040: "the receiver does not exist",
    7041: "no answer, nothing done",
    7042: "a broken connection, nothing done",
    7043: "status 500, nothing done",
}


@pytest.fixture
def paybill(connected, simulator, in_acme):
    channel = connected()
    simulator.control(
        "POST", f"/organisations/{channel.shortcode}/deposits", {"account": "Utility Account", "amount": "900000.00"}
    )
    simulator.control(
        "POST", f"/organisations/{channel.shortcode}/deposits", {"account": "Working Account", "amount": "900000.00"}
    )
    connection.set_tenant(in_acme)
    return channel


@pytest.fixture
def live(paybill, receiver, in_acme):
    """`live(clock)`: send, take in what comes, and ask, until nothing is open any more."""
    taken = 0

    def take_in(clock):
        nonlocal taken
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < 0.5:
            arrivals = receiver.arrivals[taken:]
            for path, body in arrivals:
                _, _, _, kind, about = path.split("/")
                InboundCallback.objects.create(
                    tenant=in_acme,
                    channel_id=paybill.pk,
                    kind=kind.upper(),
                    about=UUID(about),
                    body=body,
                    received_at=clock(),
                    due_at=clock(),
                )
            taken += len(arrivals)
            quiet_since = time.monotonic() if arrivals else quiet_since
            drain.apply_pending(now=clock())
            time.sleep(0.05)

    def go_on(clock, *, rounds=12):
        for _ in range(rounds):
            sending.send_due(channel_id=paybill.pk, clock=clock)
            take_in(clock)
            clock.forward(seconds=40)
            following.follow(channel_id=paybill.pk, clock=clock)
            take_in(clock)
            if not any(model.objects.filter(status__in=OPEN).exists() for model in (Payout, Reversal)):
                return

    return go_on


@pytest.fixture
def clock():
    started = Clock()
    started.now = timezone.now()
    return started


def orders_of(simulator, channel):
    return simulator.control("GET", f"/ledger?shortcode={channel.shortcode}")["orders"]


def test_after_every_fault_the_simulators_books_and_ours_say_the_same(paybill, simulator, live, clock):
    batch = make_batch(paybill, *TAKEN, *NOT_TAKEN, now=clock())
    reserve_batch(batch=batch, now=clock())

    live(clock)

    outcomes = dict(batch.payouts.values_list("amount", "status"))
    assert outcomes == dict.fromkeys(TAKEN, "SUCCEEDED") | dict.fromkeys(NOT_TAKEN, "FAILED")
    moved = {
        order["receipt"]: order["amount"] for order in orders_of(simulator, paybill) if order["state"] == "completed"
    }
    posted = PayoutEntry.objects.filter(kind="POST").select_related("payout")
    assert moved == {entry.payout.receipt: f"{entry.amount}.00" for entry in posted}
    assert PayoutEntry.objects.filter(kind="VOID").count() == len(NOT_TAKEN)
    batch.refresh_from_db()
    assert batch.status == PayoutBatch.Status.FINISHED
    quarantined = InboundCallback.objects.filter(state="QUARANTINED").values_list("reason", flat=True)
    assert sorted(quarantined) == ["AMOUNT_MISMATCH", "UNREADABLE", "UNREADABLE"]


@pytest.mark.parametrize(
    ("kind", "party", "reference"),
    [
        ("POCHI", "254708374149", ""),
        ("PAYBILL", "600980", "INV-7"),
        ("TAX", "572572", "2026ABCDE"),
        ("BUY_GOODS", "", ""),
    ],
)
def test_every_kind_of_payout_reaches_its_receiver(paybill, simulator, live, clock, kind, party, reference):
    if kind == "PAYBILL":
        party = simulator.open(name="A supplier")["shortcode"]
    if kind == "BUY_GOODS":
        party = simulator.open(name="A shop", kind="till")["shortcode"]
    batch = make_batch(paybill, 300, now=clock(), kind=kind, receiver=party, account_reference=reference)
    reserve_batch(batch=batch, now=clock())

    live(clock)

    payout = batch.payouts.get()
    [order] = orders_of(simulator, paybill)
    assert (payout.status, payout.receipt) == ("SUCCEEDED", order["receipt"])
    assert (order["amount"], order["party"]) == ("300.00", party)


def test_a_reversal_gives_the_payment_back_and_its_day_follows(paybill, simulator, live, clock):
    receipt = simulator.pay(paybill.shortcode, 900)
    payment = make_payment(paybill, receipt, 900, paid_at=clock())
    reversal = make_reversal(payment, now=clock())
    reserve_reversal(reversal=reversal, now=clock())

    live(clock)

    reversal.refresh_from_db()
    payment.refresh_from_db()
    [order] = orders_of(simulator, paybill)
    assert (reversal.status, reversal.receipt) == ("SUCCEEDED", order["receipt"])
    assert payment.reversed_at == reversal.completed_at
    total = DayTotal.objects.get()
    assert (total.reversed_count, total.reversed_amount, total.amount) == (1, 900, 900)


def test_a_reversal_whose_result_is_lost_is_asked_about_by_its_conversation(paybill, simulator, live, clock):
    receipt = simulator.pay(paybill.shortcode, 7003)
    reversal = make_reversal(make_payment(paybill, receipt, 7003, paid_at=clock()), now=clock())
    reserve_reversal(reversal=reversal, now=clock())

    live(clock)

    reversal.refresh_from_db()
    assert reversal.status == "SUCCEEDED"
    assert StatusQuery.objects.get().reversal == reversal


def test_a_reversal_whose_answer_is_lost_is_a_persons_to_decide(paybill, simulator, live, clock):
    """M-PESA knows it by no number of ours, and the payment's own status says nothing of its reversal."""
    receipt = simulator.pay(paybill.shortcode, 900)
    simulator.faults(
        paybill.shortcode,
        {"fault": "taken_then_resets", "on": ["reversal"]},
        {"fault": "callback_lost", "on": ["result"]},
    )
    reversal = make_reversal(make_payment(paybill, receipt, 900, paid_at=clock()), now=clock())
    reserve_reversal(reversal=reversal, now=clock())

    live(clock)

    reversal.refresh_from_db()
    assert reversal.status == "NEEDS_REVIEW"
    assert not StatusQuery.objects.exists()
    assert len(orders_of(simulator, paybill)) == 1


def test_a_persons_question_settles_what_is_open(paybill, simulator, live, clock, actor, run_due, in_acme):
    batch = make_batch(paybill, 7003, now=clock())
    reserve_batch(batch=batch, now=clock())
    sending.send_due(channel_id=paybill.pk, clock=clock)
    payout = batch.payouts.get()
    assert payout.status == "ACCEPTED"

    question = ask_status(actor=actor(), payout_id=payout.pk, now=clock())
    run_due()
    connection.set_tenant(in_acme)
    live(clock, rounds=1)

    payout.refresh_from_db()
    question.refresh_from_db()
    assert (question.status, question.found["TransactionStatus"]) == ("ANSWERED", "Completed")
    assert (payout.status, payout.receipt) == ("SUCCEEDED", question.found["ReceiptNo"])
