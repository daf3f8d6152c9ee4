"""Who may do what to a batch, and when; and that what is refused leaves nothing behind."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django_tenants.utils import tenant_context

from audit.ids import public_id
from audit.models import AuditEntry
from channels.models import MpesaChannel
from payments.models import AllowedReceiver, Payout, PayoutBatch, PayoutEntry, PayoutPolicy
from payments.payouts import batches
from payments.payouts.batches import (
    AlreadyPaid,
    BatchExpired,
    OverMaximum,
    OwnBatch,
    ReceiverNotAllowed,
    WrongState,
    approve_batch,
    cancel_batch,
    expire_batch,
    progress_of,
    release_batch,
)
from payments.payouts.checking import GivenRow, UnpayableRows
from payments.payouts.creating import (
    NothingToRetry,
    OverDailyMaximum,
    ReferenceTaken,
    check_batch,
    create_batch,
    create_payout,
    retry_failed,
)
from payments.payouts.policy import change_payout_policy
from payments.requests import NoUsableChannel
from tenants.clock import NAIROBI
from tenants.errors import NotFound, NotPermitted
from tenants.models import DueTask, Role
from tenants.reauthentication import ProofNeeded
from tests.payments.payouts.conftest import NOW

HOUR = timedelta(hours=1)
Status = PayoutBatch.Status


def policy(**limits):
    PayoutPolicy.objects.update_or_create(pk="PRACTICE", defaults=limits)


def settle(batch, status, *rows):
    """As the machine would, when M-PESA has spoken."""
    chosen = batch.payouts.filter(row__in=rows) if rows else batch.payouts.all()
    chosen.update(status=status, finished_at=NOW)


def books():
    return PayoutEntry.objects.count(), DueTask.objects.filter(task__contains="send_money_out").count()


# -- Making -----------------------------------------------------------------------------------------------------------


def test_a_batch_waits_for_a_second_person_and_is_kept_whole(make_batch, acme_paybill, maker):
    batch = make_batch(500, 1_600, reference="  March wages ")

    batch.refresh_from_db()
    assert (batch.reference, batch.status, batch.payout_count, batch.total_amount) == (
        "March wages",
        "AWAITING_APPROVAL",
        2,
        2_100,
    )
    assert (batch.fee_estimate, batch.flagged_count, batch.expires_at) == (Decimal(14), 0, NOW + 24 * HOUR)
    assert (batch.created_by, batch.created_by_id) == (maker.label, maker.id)
    assert list(batch.payouts.order_by("row").values_list("row", "receiver", "amount", "status", "kind")) == [
        (1, "254712345678", 500, "AWAITING_APPROVAL", "PHONE"),
        (2, "254712345679", 1_600, "AWAITING_APPROVAL", "PHONE"),
    ]
    assert AuditEntry.objects.latest("sequence").action == "payout_batch.created"
    assert books() == (0, 0)


def test_at_or_below_the_threshold_no_second_person_is_needed(make_batch):
    policy(approval_threshold=1_000)

    assert make_batch(400, 600).status == "APPROVED"
    assert make_batch(400, 601).status == "AWAITING_APPROVAL"


def test_one_bad_row_keeps_nothing(make_batch, in_acme):
    with pytest.raises(UnpayableRows):
        make_batch(500, 9, 500)

    assert not PayoutBatch.objects.exists()
    assert not Payout.objects.exists()
    assert not DueTask.objects.exists()


def test_a_dry_run_says_what_it_would_come_to_and_keeps_nothing(acme_paybill, in_acme, maker):
    rows = [GivenRow(number, {"phone_number": "0712345678", "amount": 500}) for number in (1, 2)]

    found = check_batch(actor=maker, rows=rows, now=NOW)

    assert (found.payout_count, found.total_amount, found.fee_estimate) == (2, 1_000, Decimal(10))
    assert (found.flagged_count, found.needs_approval) == (1, True)
    assert [(row.number, row.warnings) for row in found.flagged] == [
        (2, ["Row 1 pays the same amount to the same receiver."])
    ]
    assert not PayoutBatch.objects.exists()


def test_a_reference_is_used_once_and_made_up_of_the_moment_where_none_is_given(make_batch):
    make_batch(500, reference="March")

    with pytest.raises(ReferenceTaken):
        make_batch(500, reference="March")

    assert PayoutBatch.objects.count() == 1
    unnamed, another = make_batch(500), make_batch(700)
    assert re.fullmatch(rf"{NOW.astimezone(NAIROBI):%Y-%m-%d %H:%M} [0-9a-z]{{6}}", unnamed.reference)
    assert public_id("pbat", unnamed.pk).endswith(unnamed.reference[-6:])
    assert unnamed.reference != another.reference


def test_one_payout_is_a_batch_of_one(acme_paybill, in_acme, maker):
    payout = create_payout(actor=maker, values={"phone_number": "0712345678", "amount": 500}, now=NOW)

    assert (payout.batch.payout_count, payout.batch.total_amount, payout.row) == (1, 500, 1)


def test_a_batch_of_more_than_a_day_allows_is_refused(make_batch, in_acme):
    policy(maximum_per_day=999)

    with pytest.raises(OverDailyMaximum):
        make_batch(500, 500)

    assert not PayoutBatch.objects.exists()


@pytest.mark.parametrize(
    "columns", [{"status": "SUSPENDED"}, {"initiator_name": ""}, {"secret_notes": {}}, {"is_primary": False}]
)
def test_a_channel_that_can_not_send_money_is_refused(make_batch, acme_paybill, in_acme, columns):
    MpesaChannel.objects.filter(pk=acme_paybill.pk).update(**columns)

    with pytest.raises(NoUsableChannel):
        make_batch(500)

    assert not PayoutBatch.objects.exists()


def test_repeats_and_what_was_paid_lately_are_flagged_but_not_refused(make_batch, in_acme, maker):
    earlier = make_batch(500, 750, 900)
    settle(earlier, "FAILED", 2)
    Payout.objects.filter(batch=earlier, row=3).update(created_at=NOW - 8 * 24 * HOUR)

    batch = make_batch(500, 750, 900)

    assert batch.flagged_count == 1
    assert list(batch.payouts.order_by("row").values_list("warnings", flat=True)) == [
        ["The same amount was meant for the same receiver on 21 November."],
        [],
        [],
    ]


def test_a_name_that_does_not_fit_is_flagged(acme_paybill, make_batch, in_acme, maker):
    settle(make_batch(500), "SUCCEEDED")
    Payout.objects.update(receiver_name="AMINA WANJIKU OTIENO", created_at=NOW - 30 * 24 * HOUR)

    def warnings(name):
        row = GivenRow(1, {"phone_number": "0712345678", "amount": 60, "name": name})
        return check_batch(actor=maker, rows=[row], now=NOW).rows[0].warnings

    assert warnings("Otieno Amina") == warnings("") == []
    assert warnings("Brian Kamau") == ["M-PESA knows this receiver as AMINA WANJIKU OTIENO."]
    assert warnings("Amina 2") == ["The name has digits in it."]


# -- Approving --------------------------------------------------------------------------------------------------------


def test_a_second_person_approves_and_the_time_begins_anew(make_batch, second):
    batch = make_batch(500)

    approve_batch(actor=second, batch_id=batch.pk, now=NOW + 5 * HOUR)

    batch.refresh_from_db()
    assert (batch.status, batch.approved_by_id, batch.expires_at) == ("APPROVED", second.id, NOW + 29 * HOUR)
    assert AuditEntry.objects.latest("sequence").action == "payout_batch.approved"


def test_nobody_approves_their_own(make_batch, maker):
    batch = make_batch(500)

    with pytest.raises(OwnBatch):
        approve_batch(actor=maker, batch_id=batch.pk, now=NOW)

    batch.refresh_from_db()
    assert (batch.status, batch.approved_at) == ("AWAITING_APPROVAL", None)


def test_a_batch_is_approved_once_and_in_time(make_batch, second):
    batch, late = make_batch(500), make_batch(500)
    approve_batch(actor=second, batch_id=batch.pk, now=NOW)

    with pytest.raises(WrongState):
        approve_batch(actor=second, batch_id=batch.pk, now=NOW)
    with pytest.raises(BatchExpired):
        approve_batch(actor=second, batch_id=late.pk, now=NOW + 24 * HOUR)


def test_a_user_may_do_nothing_with_payouts(make_batch, actor, proof):
    batch, user = make_batch(500), actor(Role.USER)

    for refused in (
        lambda: create_batch(actor=user, rows=[], now=NOW),
        lambda: approve_batch(actor=user, batch_id=batch.pk, now=NOW),
        lambda: release_batch(actor=user, batch_id=batch.pk, proof=proof(user), now=NOW),
        lambda: cancel_batch(actor=user, batch_id=batch.pk, reason="", now=NOW),
        lambda: retry_failed(actor=user, batch_id=batch.pk, now=NOW),
        lambda: batches.payouts(actor=user),
        lambda: batches.payout_batches(actor=user),
        lambda: change_payout_policy(
            actor=user, environment="PRACTICE", limits={"approval_threshold": 1}, proof=proof(user), now=NOW
        ),
    ):
        with pytest.raises(NotPermitted):
            refused()

    batch.refresh_from_db()
    assert batch.status == "AWAITING_APPROVAL"


# -- Releasing --------------------------------------------------------------------------------------------------------


def test_a_release_reserves_every_payout_and_has_them_sent(make_batch, second, release):
    batch = make_batch(500, 750)
    approve_batch(actor=second, batch_id=batch.pk, now=NOW)

    release(batch, second)

    batch.refresh_from_db()
    assert (batch.status, batch.released_by_id, batch.released_at) == ("RELEASED", second.id, NOW)
    assert list(PayoutEntry.objects.order_by("amount").values_list("kind", "amount")) == [
        ("RESERVE", 500),
        ("RESERVE", 750),
    ]
    assert set(batch.payouts.values_list("status", flat=True)) == {"RESERVED"}
    assert books() == (2, 1)
    assert AuditEntry.objects.latest("sequence").action == "payout_batch.released"


def test_nobody_releases_their_own_above_the_threshold(make_batch, maker, second, release):
    batch = make_batch(500)
    approve_batch(actor=second, batch_id=batch.pk, now=NOW)

    with pytest.raises(OwnBatch):
        release(batch, maker)

    assert books() == (0, 0)


def test_at_or_below_the_threshold_the_maker_may_release(make_batch, maker, release):
    policy(approval_threshold=500)

    assert release(make_batch(500), maker).status == "RELEASED"


def test_nothing_is_released_before_it_is_approved_or_twice_or_too_late(make_batch, second, release):
    waiting, done, late = make_batch(500), make_batch(500), make_batch(500)
    for batch in (done, late):
        approve_batch(actor=second, batch_id=batch.pk, now=NOW)
    release(done, second)

    for batch, refusal, at in (
        (waiting, WrongState, NOW),
        (done, WrongState, NOW),
        (late, BatchExpired, NOW + 24 * HOUR),
    ):
        with pytest.raises(refusal):
            release(batch, second, at)

    assert books() == (1, 1)


@pytest.mark.parametrize("when", [-1, 301])
def test_a_release_needs_a_fresh_proof_of_the_same_person(make_batch, maker, second, proof, release, when):
    policy(approval_threshold=500)
    batch = make_batch(500)

    for given in (proof(second), proof(maker, NOW - timedelta(seconds=when))):
        with pytest.raises(ProofNeeded):
            release_batch(actor=maker, batch_id=batch.pk, proof=given, now=NOW)

    assert books() == (0, 0)


@pytest.fixture
def change(proof):
    """`change(actor, 799)` → the threshold as this person sets it now."""

    def do(who, threshold, **more):
        limits = {"approval_threshold": threshold}
        given = {"proof": proof(who), "now": NOW} | more
        return change_payout_policy(actor=who, environment="PRACTICE", limits=limits, **given)

    return do


def test_a_raised_threshold_leaves_what_waits_for_a_second_person_waiting(make_batch, actor, maker, change, release):
    batch = make_batch(800)
    administrator = actor()

    change(administrator, 250_000)

    batch.refresh_from_db()
    assert batch.status == "AWAITING_APPROVAL"
    for who in (maker, administrator):
        with pytest.raises(WrongState):
            release(batch, who)
    assert books() == (0, 0)


def test_who_changes_the_threshold_proves_again_who_they_are(actor, maker, change, proof, in_acme):
    administrator = actor()

    for given in (proof(maker), proof(administrator, NOW - timedelta(seconds=301))):
        with pytest.raises(ProofNeeded):
            change(administrator, 250_000, proof=given)

    assert not PayoutPolicy.objects.filter(approval_threshold__gt=0).exists()
    assert not AuditEntry.objects.exists()


def test_a_lowered_threshold_asks_for_a_second_person_again(make_batch, actor, maker, second, change, release):
    policy(approval_threshold=1_000)
    mine, approved = make_batch(800), make_batch(1_800)
    approve_batch(actor=second, batch_id=approved.pk, now=NOW)

    change(actor(), 799)

    with pytest.raises(WrongState):
        release(mine, maker)
    approved.refresh_from_db()
    assert approved.status == "APPROVED"


def test_what_the_policy_says_at_the_release_counts(make_batch, maker, acme_paybill, release):
    policy(approval_threshold=5_000)
    batch = make_batch(800, 900)

    policy(maximum_per_payout=899)
    with pytest.raises(OverMaximum):
        release(batch, maker)
    policy(maximum_per_payout=5_000, allowed_receivers_only=True)
    AllowedReceiver.objects.create(environment="PRACTICE", receiver="254712345678", added_by="x")
    with pytest.raises(ReceiverNotAllowed, match="Row 2 "):
        release(batch, maker)
    policy(allowed_receivers_only=False)
    MpesaChannel.objects.update(status="SUSPENDED")
    with pytest.raises(NoUsableChannel):
        release(batch, maker)

    assert books() == (0, 0)


def test_the_day_has_a_maximum_of_what_did_not_fail(make_batch, maker, release):
    policy(approval_threshold=5_000, maximum_per_day=2_000)
    first, second, third = make_batch(1_000), make_batch(900), make_batch(1_100)
    release(first, maker)
    release(second, maker)

    with pytest.raises(OverDailyMaximum):
        release(third, maker)
    settle(first, "FAILED")
    release(third, maker)

    assert books()[0] == 3


def test_a_new_day_begins_at_midnight_in_nairobi(make_batch, maker, release):
    policy(approval_threshold=5_000, maximum_per_day=1_500)
    first, second = make_batch(1_000), make_batch(1_000)
    release(first, maker, NOW)  # noon in Nairobi

    with pytest.raises(OverDailyMaximum):
        release(second, maker, NOW + timedelta(hours=11, minutes=59))
    release(second, maker, NOW + timedelta(hours=12))

    assert books()[0] == 2


def test_each_person_has_a_maximum(make_batch, maker, actor, release):
    policy(approval_threshold=5_000, maximum_per_actor=1_500)
    first, second = make_batch(1_000), make_batch(1_000)
    release(first, maker)

    with pytest.raises(OverDailyMaximum, match="You released KES 1,000"):
        release(second, maker)
    release(second, actor(Role.MANAGER))

    assert books()[0] == 2


# -- Withdrawing ------------------------------------------------------------------------------------------------------


def test_a_batch_is_withdrawn_before_it_is_released_and_never_after(make_batch, maker, release):
    policy(approval_threshold=5_000)
    batch, sent = make_batch(500), make_batch(500)
    release(sent, maker)

    cancel_batch(actor=maker, batch_id=batch.pk, reason="a wrong file", now=NOW)
    with pytest.raises(WrongState):
        cancel_batch(actor=maker, batch_id=sent.pk, reason="", now=NOW)
    with pytest.raises(WrongState):
        release(batch, maker)

    batch.refresh_from_db()
    assert (batch.status, batch.reason, batch.cancelled_at) == ("CANCELLED", "a wrong file", NOW)
    assert list(batch.payouts.values_list("status", flat=True)) == ["CANCELLED"]
    assert list(sent.payouts.values_list("status", flat=True)) == ["RESERVED"]


def test_a_batch_expires_by_itself_and_its_payouts_with_it(make_batch, second, maker):
    batch, approved = make_batch(500), make_batch(500)
    approve_batch(actor=second, batch_id=approved.pk, now=NOW + HOUR)

    for each in (batch, approved):
        expire_batch(batch_id=each.pk, now=NOW + 24 * HOUR)

    batch.refresh_from_db()
    approved.refresh_from_db()
    assert (batch.status, approved.status) == ("EXPIRED", "APPROVED")
    assert list(batch.payouts.values_list("status", flat=True)) == ["CANCELLED"]
    assert list(approved.payouts.values_list("status", flat=True)) == ["AWAITING_APPROVAL"]


def test_the_end_of_a_batch_is_promised_when_it_is_made(make_batch, run_due):
    batch = make_batch(500, now=NOW)

    assert DueTask.objects.get().due_at == batch.expires_at


# -- Trying again -----------------------------------------------------------------------------------------------------


@pytest.fixture
def half_failed(make_batch, maker, release):
    policy(approval_threshold=5_000)
    batch = make_batch(500, 600, 700, 800)
    release(batch, maker)
    settle(batch, "SUCCEEDED", 1)
    settle(batch, "FAILED", 2, 3)
    settle(batch, "UNKNOWN", 4)
    return batch


def test_only_what_definitely_failed_is_tried_again_under_its_row_numbers(half_failed, maker):
    again = retry_failed(actor=maker, batch_id=half_failed.pk, now=NOW)

    assert (again.retry_of_id, again.payout_count, again.total_amount) == (half_failed.pk, 2, 1_300)
    assert list(again.payouts.order_by("row").values_list("row", "receiver", "amount", "status")) == [
        (2, "254712345679", 600, "AWAITING_APPROVAL"),
        (3, "254712345680", 700, "AWAITING_APPROVAL"),
    ]


def test_each_row_is_tried_again_once(half_failed, maker, release):
    again = retry_failed(actor=maker, batch_id=half_failed.pk, now=NOW)

    with pytest.raises(NothingToRetry):
        retry_failed(actor=maker, batch_id=half_failed.pk, now=NOW)

    settle(half_failed, "FAILED", 4)
    third = retry_failed(actor=maker, batch_id=half_failed.pk, now=NOW)
    assert list(third.payouts.values_list("row", flat=True)) == [4]
    release(again, maker)
    settle(again, "FAILED", 3)
    assert list(retry_failed(actor=maker, batch_id=again.pk, now=NOW).payouts.values_list("row", flat=True)) == [3]


def test_what_was_withdrawn_may_be_tried_again(half_failed, maker):
    again = retry_failed(actor=maker, batch_id=half_failed.pk, now=NOW)
    cancel_batch(actor=maker, batch_id=again.pk, reason="", now=NOW)

    assert retry_failed(actor=maker, batch_id=half_failed.pk, now=NOW).payout_count == 2


def test_what_did_not_fail_after_all_is_not_paid_again(half_failed, maker, release):
    again = retry_failed(actor=maker, batch_id=half_failed.pk, now=NOW)
    before = books()
    settle(half_failed, "NEEDS_REVIEW", 3)

    with pytest.raises(AlreadyPaid, match="Row 3 "):
        release(again, maker)

    assert books() == before


def test_a_batch_without_failures_has_nothing_to_retry(make_batch, maker):
    with pytest.raises(NothingToRetry):
        retry_failed(actor=maker, batch_id=make_batch(500).pk, now=NOW)

    assert PayoutBatch.objects.count() == 1


def test_progress_is_told_by_state(half_failed):
    progress = {word: (share.count, share.amount) for word, share in progress_of(half_failed).items()}

    assert progress == {
        "awaiting_approval": (0, 0),
        "pending": (0, 0),
        "unknown": (1, 800),
        "succeeded": (1, 500),
        "failed": (2, 1_300),
    }


def test_a_batch_of_acmes_is_nowhere_in_rivals_place(make_batch, rival, second, maker):
    batch = make_batch(500)

    with tenant_context(rival):
        assert not batches.payouts(actor=second).exists()
        assert not batches.payout_batches(actor=second).exists()
        for refused in (
            lambda: approve_batch(actor=second, batch_id=batch.pk, now=NOW),
            lambda: cancel_batch(actor=second, batch_id=batch.pk, reason="", now=NOW),
            lambda: retry_failed(actor=second, batch_id=batch.pk, now=NOW),
            lambda: batches.payout_batch(actor=second, batch_id=batch.pk),
        ):
            with pytest.raises(NotFound):
                refused()

    batch.refresh_from_db()
    assert batch.status == "AWAITING_APPROVAL"
