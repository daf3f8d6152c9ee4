"""What the connection doctor is told by the payments and the balances."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from django_tenants.utils import tenant_context

from channels import doctor
from channels.models import ChannelRun
from payments.examination import look_at_confirmations, look_at_float
from payments.models import BalanceQuery, Payment

NOW = timezone.now()
RUN = ChannelRun(created_at=NOW)


@pytest.fixture
def pay(acme, acme_paybill):
    def record(receipt, source, days_ago):
        with tenant_context(acme):
            Payment.objects.create(
                receipt=receipt,
                channel=acme_paybill,
                environment=acme_paybill.environment,
                payer="254712345126",
                amount=Decimal(100),
                source=source,
                paid_at=NOW - timedelta(days=days_ago),
                created_at=NOW,
            )

    return record


@pytest.fixture
def confirmations(acme, acme_paybill):
    def look():
        with tenant_context(acme):
            return look_at_confirmations(acme_paybill, RUN)

    return look


@pytest.fixture
def float_of(acme, acme_paybill):
    """`float_of({"Utility Account": 5000})` → the finding, with that as what the accounts should hold."""

    def look(low_float):
        acme_paybill.low_float = low_float
        with tenant_context(acme):
            return look_at_float(acme_paybill, RUN)

    return look


@pytest.fixture
def balance(acme, acme_paybill):
    def answer(available, status="ANSWERED"):
        with tenant_context(acme):
            BalanceQuery.objects.create(
                channel=acme_paybill,
                environment=acme_paybill.environment,
                status=status,
                accounts={"Utility Account": {"currency": "KES", "available": available}},
                requested_by="x",
                asked_at=NOW,
            )

    return answer


def test_the_doctor_looks_at_both():
    assert {"confirmations", "float"} <= doctor.doctors_steps().keys()
    assert list(doctor.doctors_steps())[-1] == "account_balance"


def test_payments_that_are_reported_are_well(pay, confirmations):
    assert confirmations().meaning == "M-PESA reported no payment in the last 30 days."

    pay("A1", "CONFIRMATION", 1)
    for number in range(5):
        pay(f"P{number}", "PULL", 2)

    finding = confirmations()
    assert finding.state == "ok"
    assert finding.meaning.startswith("M-PESA reported its last payment here: of ")


def test_payments_that_only_pull_tells_of_show_that_reports_go_elsewhere(pay, confirmations):
    pay("A1", "CONFIRMATION", 9)
    pay("P1", "PULL", 3)
    pay("P2", "PULL", 2)
    assert confirmations().state == "ok"

    pay("P3", "PULL", 1)

    finding = confirmations()
    assert (finding.state, finding.code, finding.who) == ("failed", "reports_missing", "you")
    assert finding.meaning.startswith("M-PESA lists 3 payments")


def test_the_newest_balance_is_held_against_what_should_be_there(balance, float_of):
    assert float_of({}).state == "skipped"
    assert float_of({"Utility Account": 5000}).meaning == "M-PESA has not told the balances yet."

    balance("120.00")
    low = float_of({"Utility Account": 5000})
    assert (low.state, low.meaning) == ("warning", "Nearly empty: Utility Account.")

    balance("5000.00")
    balance("0.00", status="FAILED")
    assert float_of({"Utility Account": 5000, "Working Account": 1}).state == "ok"


def test_the_rivals_payments_say_nothing_of_acmes_channel(rival, acme_paybill, pay):
    pay("P1", "PULL", 1)
    pay("P2", "PULL", 1)
    pay("P3", "PULL", 1)

    with tenant_context(rival):
        assert look_at_confirmations(acme_paybill, RUN).state == "ok"
