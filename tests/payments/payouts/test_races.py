"""Many at once, on connections of their own, with real commits: one effect."""

import pytest
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import new_id
from audit.models import AuditEntry, AuditRow
from audit.services import Actor
from payments.models import Payout, PayoutBatch, PayoutEntry, PayoutPolicy
from payments.payouts.batches import WrongState, approve_batch, cancel_batch, release_batch
from payments.payouts.checking import GivenRow
from payments.payouts.creating import NothingToRetry, OverDailyMaximum, ReferenceTaken, create_batch, retry_failed
from tenants.models import DueTask, Role
from tenants.reauthentication import Proof
from tests.factories import make_channel
from tests.payments.payouts.conftest import SENDS_MONEY


@pytest.fixture
def kilimo(committed):
    tenant = committed("kilimo")
    make_channel(tenant, "600966", **SENDS_MONEY)
    return tenant


def person():
    identifier = new_id()
    return Actor(
        kind=AuditRow.ActorKind.PERSON, id=identifier, label=f"{identifier.hex}@kilimo.example", role=Role.MANAGER
    )


def inside(tenant, function, **arguments):
    def run():
        with tenant_context(tenant):
            return function(**arguments)

    return run


def releasing(tenant, batch, by):
    now = timezone.now()
    return inside(tenant, release_batch, actor=by, batch_id=batch.pk, proof=Proof(by.id, now), now=now)


def make(tenant, by, *amounts, threshold=0, **more):
    with tenant_context(tenant):
        PayoutPolicy.objects.update_or_create(pk="PRACTICE", defaults={"approval_threshold": threshold})
        rows = [GivenRow(n, {"phone_number": f"0712{n:06}", "amount": amount}) for n, amount in enumerate(amounts, 1)]
        return create_batch(actor=by, rows=rows, now=timezone.now(), **more)


def done(results):
    return [result for result in results if not isinstance(result, Exception)]


def kinds_of(results):
    return {type(result) for result in results if isinstance(result, Exception)}


def test_of_64_releases_at_once_one_has_its_effect(kilimo, in_threads):
    maker, second = person(), person()
    batch = make(kilimo, maker, 500, 600, 700)
    with tenant_context(kilimo):
        approve_batch(actor=second, batch_id=batch.pk, now=timezone.now())

    results = in_threads(*[releasing(kilimo, batch, second)] * 64)

    assert (len(done(results)), kinds_of(results)) == (1, {WrongState})
    with tenant_context(kilimo):
        assert PayoutEntry.objects.filter(kind="RESERVE").count() == PayoutEntry.objects.count() == 3
        assert Payout.objects.filter(status="RESERVED").count() == 3
        assert AuditEntry.objects.filter(action="payout_batch.released").count() == 1
    assert DueTask.objects.filter(task__endswith="send_money_out").count() == 1


def test_of_two_people_who_approve_at_once_one_does(kilimo, in_threads):
    batch = make(kilimo, person(), 500)
    approvals = [inside(kilimo, approve_batch, actor=person(), batch_id=batch.pk, now=timezone.now()) for _ in range(8)]

    results = in_threads(*approvals)

    assert (len(done(results)), kinds_of(results)) == (1, {WrongState})
    with tenant_context(kilimo):
        assert AuditEntry.objects.filter(action="payout_batch.approved").count() == 1
        assert PayoutBatch.objects.get().approved_by == done(results)[0].approved_by


def test_a_batch_is_released_or_withdrawn_and_never_both(kilimo, in_threads):
    maker = person()
    for _ in range(5):
        batch = make(kilimo, maker, 500, threshold=1_000)
        cancelling = inside(kilimo, cancel_batch, actor=maker, batch_id=batch.pk, reason="", now=timezone.now())

        results = in_threads(*[releasing(kilimo, batch, maker), cancelling] * 4)

        assert (len(done(results)), kinds_of(results)) == (1, {WrongState})
        with tenant_context(kilimo):
            batch.refresh_from_db()
            expected = {"RELEASED": ["RESERVED"], "CANCELLED": ["CANCELLED"]}[batch.status]
            assert list(batch.payouts.values_list("status", flat=True)) == expected
            assert PayoutEntry.objects.filter(payout__batch=batch).count() == (batch.status == "RELEASED")


def test_releases_of_many_batches_at_once_stay_within_the_day(kilimo, in_threads):
    maker = person()
    batches = [make(kilimo, maker, 300, threshold=1_000) for _ in range(10)]
    with tenant_context(kilimo):
        PayoutPolicy.objects.update(maximum_per_day=1_000)

    results = in_threads(*[releasing(kilimo, batch, maker) for batch in batches])

    assert (len(done(results)), kinds_of(results)) == (3, {OverDailyMaximum})
    with tenant_context(kilimo):
        assert PayoutEntry.objects.count() == 3


def test_of_many_retries_at_once_one_is_made(kilimo, in_threads):
    maker = person()
    batch = make(kilimo, maker, 300, 400, threshold=1_000)
    releasing(kilimo, batch, maker)()
    with tenant_context(kilimo):
        Payout.objects.update(status="FAILED", finished_at=timezone.now())

    results = in_threads(*[inside(kilimo, retry_failed, actor=maker, batch_id=batch.pk, now=timezone.now())] * 16)

    assert (len(done(results)), kinds_of(results)) == (1, {NothingToRetry})
    with tenant_context(kilimo):
        assert Payout.objects.count() == 4


def test_of_many_batches_of_one_name_at_once_one_is_made(kilimo, in_threads):
    maker = person()

    results = in_threads(*[lambda: make(kilimo, maker, 300, reference="March")] * 12)

    assert (len(done(results)), kinds_of(results)) == (1, {ReferenceTaken})
    with tenant_context(kilimo):
        assert Payout.objects.count() == 1
