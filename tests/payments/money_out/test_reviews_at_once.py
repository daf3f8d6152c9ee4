"""The problem that says how many payouts need a person, when several change at once."""

import threading

import pytest
from django.db import transaction
from django.utils import timezone
from django_tenants.utils import tenant_context

from channels.daraja.verdicts import Verdict
from channels.models import Problem
from payments.models import Payout
from payments.money_out import machine
from payments.money_out.payouts import PAYOUTS, reserve_batch
from tests.factories import make_channel
from tests.locks import wait_until_somebody_waits_for_a_lock
from tests.payments.money_out.making import make_batch


@pytest.fixture
def payouts(committed):
    """A business, and two payouts of different batches."""
    kilimo = committed("kilimo")
    channel, now = make_channel(kilimo, "600966"), timezone.now()
    with tenant_context(kilimo), transaction.atomic():
        batches = [make_batch(channel, 100, now=now) for _ in range(2)]
        for batch in batches:
            reserve_batch(batch=batch, now=now)
        return kilimo, [batch.payouts.get().pk for batch in batches]


def send_unheard(pk):
    change(pk, lambda payout, now: machine.begin_sending(payout, now=now))
    change(pk, lambda payout, now: machine.lose(payout, now=now))


def to_a_person(pk):
    change(pk, lambda payout, now: machine.begin_asking(payout, is_askable=False, now=now))


def decide(pk):
    change(
        pk,
        lambda payout, now: machine.decide(
            payout, Verdict.FAILED, receipt="", decided_by="Asha", note="Not on the portal", now=now
        ),
    )


def change(pk, how):
    now = timezone.now()
    with transaction.atomic():
        locked = PAYOUTS.lock([pk])
        for payout in locked:
            how(payout, now)
        locked.save(now=now)


@pytest.mark.parametrize(
    ("first", "second", "left"), [(decide, decide, 0), (to_a_person, decide, 1), (decide, to_a_person, 1)]
)
def test_the_problem_says_what_both_left(payouts, in_threads, first, second, left):
    kilimo, (one, other) = payouts
    with tenant_context(kilimo):
        for pk, what in ((one, first), (other, second)):
            send_unheard(pk)
            if what is decide:
                to_a_person(pk)
    is_done = threading.Event()

    def begin():
        with tenant_context(kilimo), transaction.atomic():
            first(one)
            is_done.set()
            wait_until_somebody_waits_for_a_lock()

    def follow():
        assert is_done.wait(10)
        with tenant_context(kilimo):
            second(other)

    assert in_threads(begin, follow) == [None, None]
    with tenant_context(kilimo):
        assert Payout.objects.filter(status="NEEDS_REVIEW").count() == left
        assert Problem.objects.filter(kind=Problem.Kind.REVIEW, closed_at=None).count() == left
