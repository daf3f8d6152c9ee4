"""Payments that a person recorded from a file: what M-PESA itself says of them afterwards."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from django_tenants.utils import tenant_context

from channels.models import Problem
from payments.from_statements import Word, recording_of
from payments.models import Payment, ReconciliationDay, ReconciliationItem, StatementLine, StatusQuery
from payments.reconciliation import record_item
from payments.services import NAIROBI
from payments.statement_lines import Line, keep_lines
from tenants.models import DueTask

ASKING = "payments.tasks.put_question"


def list_line(channel, receipt, amount, source=StatementLine.Source.STATEMENT):
    line = Line(
        receipt=receipt,
        completed_at=timezone.now() - timedelta(hours=3),
        paid_in=Decimal(amount),
        party="254708374149 - JANE DOE",
    )
    keep_lines(channel=channel, source=source, lines=[line], now=timezone.now() - timedelta(minutes=5))


@pytest.fixture
def recorded(acme, actor):
    """`recorded(channel, "SGE1AB23CD", 750)` → the payment that somebody recorded from a statement."""

    def record(channel, receipt, amount):
        with tenant_context(acme):
            list_line(channel, receipt, amount)
            day = ReconciliationDay.objects.create(
                channel=channel,
                environment=channel.environment,
                date=timezone.now().astimezone(NAIROBI).date(),
                status="DIFFERS",
                counted_at=timezone.now(),
            )
            item = ReconciliationItem.objects.create(
                day=day,
                kind="MISSING_HERE",
                subject=receipt,
                theirs=Decimal(amount),
                sentence="Missing.",
                found_at=timezone.now(),
            )
            record_item(actor=actor(), item_id=item.pk, now=timezone.now())
            return Payment.objects.get(receipt=receipt)

    return record


def word(acme, payment):
    with tenant_context(acme):
        return recording_of(payment).word


def open_problems(acme):
    with tenant_context(acme):
        return [
            (problem.kind, problem.subject, str(problem.sentence)) for problem in Problem.objects.filter(closed_at=None)
        ]


def test_m_pesa_is_asked_in_the_same_commit_and_its_yes_confirms_the_payment(
    acme, connected, recorded, simulator, run_due, hear
):
    channel = connected()
    payment = recorded(channel, simulator.pay(channel.shortcode, 500), 500)

    assert word(acme, payment) == Word.NONE
    with tenant_context(acme):
        question = StatusQuery.objects.get()
        assert (question.payment_id, question.requested_by) == (payment.pk, "by itself")
    run_due()
    hear(channel)

    assert word(acme, payment) == Word.CONFIRMED
    assert open_problems(acme) == []


def test_a_receipt_that_m_pesa_does_not_know_is_a_problem(acme, connected, recorded, run_due, hear):
    channel = connected()
    payment = recorded(channel, "SGE1AB23CD", 750)
    run_due()
    hear(channel)

    assert word(acme, payment) == Word.NOT_KNOWN
    assert open_problems(acme) == [
        ("DIFFERS", "SGE1AB23CD", "M-PESA knows nothing of SGE1AB23CD, which was recorded from a statement.")
    ]


def test_another_amount_at_m_pesa_is_a_problem(acme, connected, recorded, simulator, run_due, hear):
    channel = connected()
    receipt = simulator.pay(channel.shortcode, 500)
    payment = recorded(channel, receipt, 5000)
    run_due()
    hear(channel)

    assert word(acme, payment) == Word.OTHERWISE
    assert open_problems(acme) == [
        ("DIFFERS", receipt, f"M-PESA knows {receipt} otherwise than it was recorded from a statement.")
    ]


def test_without_an_operator_nobody_is_asked_and_m_pesas_own_list_confirms(acme, acme_paybill, recorded):
    payment = recorded(acme_paybill, "SGE1AB23CD", 750)

    assert not DueTask.objects.filter(task=ASKING).exists()
    assert word(acme, payment) == Word.NONE
    with tenant_context(acme):
        list_line(acme_paybill, "SGE1AB23CD", 751, StatementLine.Source.PULL)
    assert word(acme, payment) == Word.NONE
    with tenant_context(acme):
        list_line(acme_paybill, "SGE1AB23CD", 750, StatementLine.Source.PULL)
    assert word(acme, payment) == Word.CONFIRMED
