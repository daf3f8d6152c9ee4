"""Our records beside M-PESA's, a day at a time."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import connection
from django_tenants.utils import tenant_context

from audit.ids import first_id_at, public_id
from audit.models import AuditEntry
from channels.models import Problem
from payments import reconciliation
from payments.balance_proof import CHARGES_PAID, Movements, Reading, prove_readings
from payments.models import (
    BalanceQuery,
    Payment,
    PaymentRequest,
    Payout,
    PayoutBatch,
    Pull,
    ReconciliationDay,
    ReconciliationItem,
    Reversal,
    StatementLine,
)
from payments.reconciliation import AlreadySettled, ItemNotFound, NotAPayment, record_item, recount, settle_item
from payments.services import NAIROBI, PaymentReport, record_payments
from payments.statement_lines import Line, keep_lines
from tenants.errors import Invalid, NotPermitted
from tenants.models import DueTask, Role
from tests.factories import make_channel

TODAY = datetime.now(NAIROBI).date()
DAY = TODAY - timedelta(days=1)  # keys of payouts are made by the clock
START = datetime.combine(DAY, time(), tzinfo=NAIROBI)
NOW = datetime.now(UTC)
PULL, STATEMENT = StatementLine.Source.PULL, StatementLine.Source.STATEMENT
Kind = ReconciliationItem.Kind


def at(hour, minute=0):
    return START + timedelta(hours=hour, minutes=minute)


@pytest.fixture
def paybill(acme_paybill, acme):
    with tenant_context(acme):
        yield acme_paybill


@pytest.fixture
def pay(paybill):
    """`pay("SAA1", 100)` → a payment that was confirmed at 10 o'clock."""

    def make(receipt, amount, paid_at=None):
        record_payments(
            reports=[
                PaymentReport(
                    receipt=receipt,
                    channel=paybill,
                    payer="254712345678",
                    payer_name="JANE",
                    amount=Decimal(amount),
                    account_reference="VIP1",
                    routed_to="vip",
                    source=Payment.Source.CONFIRMATION,
                    paid_at=paid_at or at(10),
                    callback_id=None,
                )
            ]
        )
        return Payment.objects.get(receipt=receipt)

    return make


@pytest.fixture
def listed(paybill):
    """`listed(STATEMENT, "SAA1", 100)` → a line of M-PESA's, of 10 o'clock."""

    def make(source, receipt, paid_in=0, withdrawn=0, *, loaded_at=NOW, **columns):
        line = Line(
            receipt=receipt,
            paid_in=Decimal(paid_in),
            withdrawn=Decimal(withdrawn),
            **{"completed_at": at(10)} | columns,
        )
        keep_lines(channel=paybill, source=source, lines=[line], now=loaded_at)

    return make


@pytest.fixture
def pulled(paybill):
    """A Pull read the time from one hour of the day to another."""

    def make(start=0, end=25, status=Pull.Status.DONE):
        Pull.objects.create(
            channel=paybill,
            environment=paybill.environment,
            window_from=at(start),
            window_until=at(end),
            status=status,
            requested_by="test",
            created_at=at(49),
        )

    return make


@pytest.fixture
def count(paybill):
    def do(day=DAY, now=NOW):
        recount(channel_id=paybill.pk, day=day, now=now)
        return ReconciliationDay.objects.get(date=day)

    return do


@pytest.fixture
def paid_out(paybill):
    """`paid_out("SBB1", 300)` → a payout that succeeded at 11 o'clock."""

    def make(receipt, amount, *, reversal_of=None, **columns):
        common = {
            "id": UUID(int=first_id_at(at(10)).int + int(receipt, 36)),  # as old as it is
            "channel": paybill,
            "environment": paybill.environment,
            "amount": amount,
            "receipt": receipt,
            "completed_at": at(11),
            "created_at": at(10),
            "finished_at": at(11),
            "sending_at": at(10),
            "status": "SUCCEEDED",
        } | columns
        if reversal_of:
            return Reversal.objects.create(payment=reversal_of, reason="wrong", expires_at=at(40), **common)
        batch = PayoutBatch.objects.create(
            reference=receipt,
            channel=paybill,
            environment=paybill.environment,
            status="FINISHED",
            payout_count=1,
            total_amount=amount,
            fee_estimate=5,
            expires_at=at(40),
            released_at=at(10),
            created_at=at(9),
        )
        return Payout.objects.create(batch=batch, row=1, receiver="254712345678", fee_estimate=5, **common)

    return make


@pytest.fixture
def balance(paybill):
    """`balance(at(0), "1000.00")` → what M-PESA answered about the Utility Account."""

    def make(as_at, utility, charges="0.00"):
        accounts = {"Utility Account": utility, CHARGES_PAID: charges}
        BalanceQuery.objects.create(
            channel=paybill,
            environment=paybill.environment,
            status="ANSWERED",
            requested_by="test",
            asked_at=as_at,
            answered_at=as_at,
            as_at=as_at,
            accounts={name: {"currency": "KES", "current": amount} for name, amount in accounts.items()},
        )

    return make


def items():
    return {
        (item.kind, item.subject): (item.ours, item.theirs, item.sentence) for item in ReconciliationItem.objects.all()
    }


# -- Comparing --------------------------------------------------------------------------------------------------------


def test_nothing_of_m_pesas_is_unproved(pay, count):
    pay("SAA1", 100)

    day = count()

    assert day.status == "UNPROVED"
    assert day.sources["callbacks"] == {"count": 1, "amount": "100.00"}
    assert day.sources["unproved"] == {"count": 1, "amount": "100.00"}
    assert items() == {}


def test_everything_that_the_pull_lists_agrees(pay, listed, pulled, count):
    pay("SAA1", 100)
    pay("SAA2", "250.50", at(23, 59))
    listed(PULL, "SAA1", 100)
    listed(PULL, "SAA2", "250.50", completed_at=at(24))  # a second later, by the other clock
    pulled()

    day = count()

    assert (day.status, items()) == ("AGREES", {})
    assert day.sources["callbacks"] == {"count": 2, "amount": "350.50"}
    assert day.sources["unproved"] == {"count": 0, "amount": "0.00"}
    assert not Problem.objects.exists()


def test_a_quiet_day_that_was_read_agrees(pulled, count):
    pulled()

    assert count().status == "AGREES"


def test_half_a_day_proves_half(pay, listed, pulled, count):
    pay("SAA1", 100)
    pay("SAA2", 100, at(20))
    listed(PULL, "SAA1", 100)
    pulled(0, 12)
    pulled(12, 25, status=Pull.Status.FAILED)

    day = count()

    assert (day.status, day.sources["unproved"]) == ("UNPROVED", {"count": 1, "amount": "100.00"})
    assert items() == {}


def test_a_payment_that_m_pesa_does_not_list_where_it_should(pay, listed, pulled, count):
    pay("SAA1", 100)
    pulled()

    assert count().status == "DIFFERS"
    assert items() == {
        ("MISSING_THERE", "SAA1"): (
            Decimal("100.00"),
            None,
            "We have KES 100.00 under SAA1; M-PESA does not list it.",
        )
    }
    problem = Problem.objects.get()
    assert (problem.kind, problem.subject) == ("DIFFERS", DAY.isoformat())
    assert problem.sentence == f"1 thing does not match M-PESA's records of {DAY:%-d %B %Y}."

    listed(PULL, "SAA1", 100)
    assert count().status == "AGREES"
    assert items() == {}
    assert Problem.objects.get().closed_at == NOW


def test_two_files_say_nothing_of_the_time_between_them(pay, listed, count):
    pay("SAA1", 100, at(9))
    pay("SAA2", 100, at(14))
    pay("SAA3", 100, at(20))
    listed(STATEMENT, "SAA1", 100, completed_at=at(9))
    listed(STATEMENT, "SAA3", 100, completed_at=at(20), loaded_at=NOW + timedelta(minutes=1))

    day = count()

    assert (day.status, items()) == ("UNPROVED", {})
    assert day.sources["unproved"] == {"count": 1, "amount": "100.00"}


def test_one_file_speaks_of_all_between_its_first_and_its_last_line(pay, listed, count):
    pay("SAA1", 100, at(9))
    pay("SAA2", 100, at(14))
    listed(STATEMENT, "SAA1", 100, completed_at=at(9))
    listed(STATEMENT, "SAA3", 100, completed_at=at(20))

    assert count().status == "DIFFERS"
    assert set(items()) == {("MISSING_HERE", "SAA3"), ("MISSING_THERE", "SAA2")}


def test_a_payment_that_only_the_statement_has(pay, listed, count):
    pay("SAA1", 100)
    listed(STATEMENT, "SAA1", 100)
    listed(STATEMENT, "SAA2", "70.50")

    assert count().status == "DIFFERS"
    assert items() == {
        ("MISSING_HERE", "SAA2"): (
            None,
            Decimal("70.50"),
            "M-PESA lists KES 70.50 that came in under SAA2, and there is no such payment here.",
        )
    }


@pytest.mark.parametrize("source", [PULL, STATEMENT])
def test_another_amount_differs(pay, listed, count, source):
    pay("SAA1", 100)
    listed(source, "SAA1", 101)

    count()

    assert items() == {
        ("DIFFERS", "SAA1"): (
            Decimal("100.00"),
            Decimal("101.00"),
            "M-PESA lists KES 101.00 for SAA1; we have KES 100.00.",
        )
    }


def test_charges_and_transfers_between_own_accounts_are_no_differences(pay, listed, count):
    pay("SAA1", 100)
    listed(STATEMENT, "SAA1", 100)
    listed(STATEMENT, "SAA1", 0, 5, details="Pay merchant Charge")
    listed(STATEMENT, "SAA2", 0, 900, details="Transfer from Utility", account="Utility Account")
    listed(STATEMENT, "SAA2", 900, 0, details="Transfer from Utility", account="Working Account")

    day = count()

    assert (day.status, items()) == ("AGREES", {})
    assert day.sources["charges"] == {"count": 1, "amount": "5.00"}


def test_lines_that_were_not_completed_moved_nothing(pay, listed, count):
    pay("SAA1", 100)
    listed(STATEMENT, "SAA1", 100)
    listed(STATEMENT, "SAA2", 100, status="Cancelled")

    assert (count().status, items()) == ("AGREES", {})


def test_what_was_sent_is_compared_with_the_statement(pay, paid_out, listed, count):
    payment = pay("SAA1", 100)
    paid_out("SBB1", 300)
    paid_out("SBB2", 50, reversal_of=payment)
    paid_out("SBB3", 70)
    listed(STATEMENT, "SAA1", 100)
    listed(STATEMENT, "SBB1", 0, 300, completed_at=at(11), details="Business Payment")
    listed(STATEMENT, "SBB2", 0, 60, completed_at=at(11))
    listed(STATEMENT, "SBB9", 0, 1000, completed_at=at(12), details="Withdrawal to bank")

    day = count()

    assert day.status == "DIFFERS"
    assert items() == {
        ("DIFFERS", "SBB2"): (
            Decimal("-50.00"),
            Decimal("-60.00"),
            "M-PESA lists KES 60.00 sent for SBB2; we have KES 50.00.",
        ),
        ("MISSING_THERE", "SBB3"): (
            Decimal("-70.00"),
            None,
            "We have KES 70.00 sent under SBB3; M-PESA's statement does not list it.",
        ),
        ("MISSING_HERE", "SBB9"): (
            None,
            Decimal("-1000.00"),
            "M-PESA lists KES 1,000.00 that went out under SBB9, and nothing here was sent under it.",
        ),
    }
    assert day.sources["payouts"] == {"count": 2, "amount": "370.00"}
    assert day.sources["reversals"] == {"count": 1, "amount": "50.00"}


def test_the_statement_of_another_account_says_nothing_of_payments(pay, listed, count):
    pay("SAA1", 100)
    listed(STATEMENT, "SXX1", 0, 5, account="Charges Paid Account", details="Charge", completed_at=at(1))
    listed(STATEMENT, "SXX2", 0, 5, account="Charges Paid Account", details="Charge", completed_at=at(23))

    assert (count().status, items()) == ("UNPROVED", {})


def test_a_request_that_was_paid_without_a_payment(paybill, count):
    def ask(status):
        return PaymentRequest.objects.create(
            channel=paybill,
            environment=paybill.environment,
            phone_number="254712345678",
            amount=500,
            account_reference="VIP1",
            transaction_desc="x",
            status=status,
            requested_by="test",
        )

    paid = ask("SUCCEEDED")
    ask("FAILED")

    day = count(TODAY, now=datetime.now(UTC) + timedelta(seconds=1))

    assert day.sources["requests"] == {"count": 1, "amount": "500.00"}
    assert items() == {
        ("REQUEST_UNPROVED", public_id("preq", paid.pk)): (
            Decimal("500.00"),
            None,
            "M-PESA says that a request for KES 500 was paid, and has reported no payment for it.",
        )
    }


def test_rivals_records_and_other_channels_play_no_part(rival_paybill, rival, pay, listed, count, acme):
    pay("SAA1", 100)
    listed(STATEMENT, "SAA1", 100)
    other = make_channel(acme, "600977")
    with tenant_context(rival):
        keep_lines(channel=rival_paybill, source=STATEMENT, lines=[Line(receipt="SRR1", completed_at=at(9))], now=NOW)
    connection.set_tenant(acme)
    keep_lines(
        channel=other,
        source=STATEMENT,
        lines=[Line(receipt="SAA9", paid_in=Decimal(5), completed_at=at(9))],
        now=NOW,
    )

    assert count().status == "AGREES"
    with tenant_context(rival):
        assert not ReconciliationDay.objects.exists()


# -- Balances ---------------------------------------------------------------------------------------------------------


def test_readings_prove_the_day(pay, paid_out, balance, count):
    pay("SAA1", "1000")
    paid_out("SBB1", 300)
    balance(at(-1), "5000.00", "-20.00")
    balance(at(9), "5000.00", "-20.00")
    balance(at(25), "5700.00", "-27.00")

    day = count()

    assert day.status == "AGREES"
    proof = day.balance_proof
    assert (proof["basis"], proof["opening"], proof["money_in"], proof["money_out"], proof["charges"]) == (
        *("balances", "4980.00", "1000.00", "300.00"),
        "7.00",
    )
    assert (proof["expected_closing"], proof["closing"], proof["difference"], proof["holds"]) == (
        *("5673.00", "5673.00", "0.00"),
        True,
    )


def test_money_that_left_without_us_is_an_item(pay, balance, count):
    pay("SAA1", "1000")
    balance(at(-1), "5000.00")
    balance(at(25), "2000.00")

    assert count().status == "DIFFERS"
    assert items() == {
        ("BALANCE", "balances"): (
            Decimal("6000.00"),
            Decimal("2000.00"),
            "The closing balance is KES 4,000.00 less than what moved explains: a withdrawal to the bank, for example, "
            "that is not known here.",
        )
    }


def test_the_lines_of_a_statement_prove_themselves(pay, listed, count):
    pay("SAA1", 100)
    listed(STATEMENT, "SAA1", 100, balance=Decimal(1100), completed_at=at(9))
    listed(STATEMENT, "SAA1", 0, 5, balance=Decimal(1095), completed_at=at(9), details="Pay merchant Charge")

    proof = count().balance_proof

    assert (proof["basis"], proof["opening"], proof["closing"], proof["difference"]) == (
        *("statement", "1000.00", "1095.00"),
        "0.00",
    )


def test_a_gap_in_the_statement_shows(pay, listed, count):
    pay("SAA1", 100)
    pay("SAA2", 100)
    listed(STATEMENT, "SAA1", 100, balance=Decimal(1100), completed_at=at(9))
    listed(STATEMENT, "SAA2", 100, balance=Decimal(1500), completed_at=at(11))

    count()

    assert list(items()) == [("BALANCE", "statement")]
    assert items()["BALANCE", "statement"][2] == (
        "The closing balance is KES 300.00 more than the lines of the statement explain: some of its lines are missing "
        "here."
    )


def reading(hour, **accounts):
    return Reading(at(hour), {name: Decimal(amount) for name, amount in accounts.items()})


def test_what_moved_near_a_reading_may_be_in_it_or_not():
    moved = Movements(money_in=Decimal(500), uncertain=Decimal(500))

    assert prove_readings(reading(0, a=100), reading(24, a=600), moved).holds
    assert prove_readings(reading(0, a=100), reading(24, a=100), moved).holds
    assert not prove_readings(reading(0, a=100), reading(24, a=99), moved).holds


def test_charges_that_m_pesa_has_not_told_are_allowed_for():
    moved = Movements(money_out=Decimal(500), untold_charges=Decimal(9))

    assert prove_readings(reading(0, a=1000), reading(24, a=491), moved).holds
    assert not prove_readings(reading(0, a=1000), reading(24, a=490), moved).holds
    assert not prove_readings(reading(0, a=1000), reading(24, a=501), moved).holds


def test_readings_of_other_accounts_prove_nothing():
    assert prove_readings(reading(0, a=1000), reading(24, a=1000, b=5), Movements()) is None
    assert prove_readings(reading(0, a=1000), reading(0, a=1000), Movements()) is None


# -- Settling ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def missing(pay, listed, count):
    """The item of a payment that only the statement has."""
    pay("SAA1", 100)
    listed(STATEMENT, "SAA1", 100)
    listed(STATEMENT, "SAA2", "70.50", details="Pay Bill", party="2547****126 - JANE DOE", account_reference="vip 9")
    count()
    return ReconciliationItem.objects.get()


def test_a_person_settles_an_item_and_it_stays_settled(missing, count, actor):
    settled = settle_item(actor=actor(), item_id=missing.pk, note=" A test of the bank's. ", now=NOW)

    assert (settled.settled_by, settled.note) == ("somebody@acme.example", "A test of the bank's.")
    assert ReconciliationDay.objects.get().status == "SETTLED"
    assert Problem.objects.get().closed_at == NOW
    assert count().status == "SETTLED"
    assert ReconciliationItem.objects.get().settled_at == NOW
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.reason, entry.after["subject"]) == (
        *("reconciliation_item.settled", "A test of the bank's."),
        "SAA2",
    )


def test_settling_needs_a_note_a_role_and_an_open_item(missing, actor, rival):
    with pytest.raises(Invalid):
        settle_item(actor=actor(), item_id=missing.pk, note="  ", now=NOW)
    with pytest.raises(NotPermitted):
        settle_item(actor=actor(Role.USER), item_id=missing.pk, note="x", now=NOW)
    with tenant_context(rival), pytest.raises(ItemNotFound):
        settle_item(actor=actor(), item_id=missing.pk, note="x", now=NOW)
    missing.refresh_from_db()
    assert missing.settled_at is None
    assert not AuditEntry.objects.exists()

    settle_item(actor=actor(), item_id=missing.pk, note="x", now=NOW)
    with pytest.raises(AlreadySettled):
        settle_item(actor=actor(), item_id=missing.pk, note="y", now=NOW)


def test_what_was_missing_here_is_recorded_as_a_payment(missing, count, actor):
    record_item(actor=actor(), item_id=missing.pk, now=NOW)

    payment = Payment.objects.get(receipt="SAA2")
    assert (payment.amount, payment.source, payment.paid_at) == (Decimal("70.50"), "STATEMENT", at(10))
    assert (payment.payer, payment.payer_name, payment.account_reference, payment.routed_to) == (
        *("2547****126", "JANE DOE", "vip 9"),
        "vip",
    )
    assert ReconciliationItem.objects.get().note == "Recorded as a payment."
    assert DueTask.objects.filter(task="payments.tasks.recount_day").exists()
    assert count().status == "SETTLED"
    assert AuditEntry.objects.get().action == "payment.recorded_from_statement"
    with pytest.raises(AlreadySettled):
        record_item(actor=actor(), item_id=missing.pk, now=NOW)
    assert Payment.objects.filter(receipt="SAA2").count() == 1


def test_money_that_went_out_is_not_recorded_as_a_payment(pay, listed, count, actor):
    pay("SAA1", 100)
    listed(STATEMENT, "SAA1", 100)
    listed(STATEMENT, "SBB9", 0, 1000)
    count()

    with pytest.raises(NotAPayment):
        record_item(actor=actor(), item_id=ReconciliationItem.objects.get().pk, now=NOW)

    assert Payment.objects.count() == 1
    assert ReconciliationItem.objects.get().settled_at is None


# -- Promises and the API ---------------------------------------------------------------------------------------------


def test_each_night_the_last_days_and_open_ones_are_counted(paybill):
    paybill.activated_at = NOW - timedelta(days=2)

    def day(ago, status):
        ReconciliationDay.objects.create(
            channel=paybill,
            environment=paybill.environment,
            date=TODAY - timedelta(days=ago),
            status=status,
            counted_at=NOW,
        )

    for ago, status in ((0, "UNPROVED"), (10, "DIFFERS"), (11, "AGREES"), (12, "UNPROVED"), (61, "DIFFERS")):
        day(ago, status)

    reconciliation.promise_recounts(channel=paybill, now=NOW)

    due = {row.arguments["date"] for row in DueTask.objects.filter(task="payments.tasks.recount_day")}
    assert due == {(TODAY - timedelta(days=ago)).isoformat() for ago in (1, 2, 10, 12)}


def test_the_api_lists_settles_and_records(missing, paybill, acme, rival, api, run_due):
    connection.set_schema_to_public()
    client, channel = api(acme), public_id("ch", paybill.pk)

    day = client.get("/api/v1/reconciliation-days/?status=differs").json()["results"][0]
    assert (day["date"], day["status"], day["not_settled"], day["channel_id"]) == (
        *(DAY.isoformat(), "differs", 1),
        channel,
    )
    assert day["sources"]["statement"] == {"count": 2, "amount": "170.50"}
    assert client.get(f"/api/v1/reconciliation-days/{day['id']}/").json() == day
    (item,) = client.get(f"/api/v1/reconciliation-items/?day={day['id']}&is_settled=false").json()["results"]
    assert (item["kind"], item["subject"], item["ours"], item["theirs"], item["date"]) == (
        *("missing_here", "SAA2", None, "70.50"),
        DAY.isoformat(),
    )
    connection.set_schema_to_public()
    other = api(rival)
    assert other.get("/api/v1/reconciliation-days/").json()["results"] == []
    assert other.get(f"/api/v1/reconciliation-days/{day['id']}/").status_code == 404
    assert other.post(f"/api/v1/reconciliation-items/{item['id']}/record/").status_code == 404
    assert (
        other.post(f"/api/v1/reconciliation-items/{item['id']}/settle/", {"note": "x"}, format="json").status_code
        == 404
    )

    assert client.post(f"/api/v1/reconciliation-items/{item['id']}/settle/", {}, format="json").status_code == 400
    recorded = client.post(f"/api/v1/reconciliation-items/{item['id']}/record/")

    assert (recorded.status_code, recorded.json()["note"]) == (200, "Recorded as a payment.")
    assert client.get("/api/v1/payments/?receipt=SAA2").json()["results"][0]["source"] == "statement"
    assert client.get("/api/v1/reconciliation-items/?is_settled=false").json()["results"] == []
    asked = client.post("/api/v1/reconciliation-days/", {"channel": channel, "date": DAY.isoformat()}, format="json")
    assert asked.status_code == 202
    run_due()
    assert client.get(f"/api/v1/reconciliation-days/{day['id']}/").json()["status"] == "settled"
    future = client.post(
        "/api/v1/reconciliation-days/", {"channel": channel, "date": date(2099, 1, 1).isoformat()}, format="json"
    )
    assert (future.status_code, future.json()["errors"]) == (400, {"date": ["This day has not begun."]})


def test_only_managers_see_balances(missing, acme, api):
    connection.set_schema_to_public()

    assert api(acme, Role.USER).get("/api/v1/reconciliation-days/").status_code == 403
    assert api(acme, Role.USER).get("/api/v1/reconciliation-items/").status_code == 403
