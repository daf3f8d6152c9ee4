import pytest
from django_tenants.utils import tenant_context

from audit.ids import new_id
from audit.models import AuditEntry
from audit.services import system_actor
from loyalty.members import change_member, enrol_member
from loyalty.models import PointsEntry, Reward
from loyalty.points import (
    InsufficientPoints,
    MemberInactive,
    RewardCollected,
    adjust_points,
    collect_reward,
    entries_of,
    redeem_points,
    rewards_of,
)
from tenants.errors import Invalid, NotFound, NotPermitted
from tenants.models import Role
from tests.loyalty.conftest import NOW

STAFF = system_actor("test")


@pytest.fixture
def member(in_acme, loyalty):
    member = enrol_member(actor=STAFF, program_id=loyalty.pk, environment="PRACTICE", code="GOLD1", now=NOW)
    adjust_points(actor=STAFF, member_id=member.pk, points=300, reason="Paper card", now=NOW)
    return member


@pytest.fixture
def reward(in_acme, delivery, member, pay):
    payment = pay("DELIVERY", 10)
    return Reward.objects.create(member=member, description="free delivery", payment=payment, created_at=NOW)


def state(member):
    member.refresh_from_db()
    return member.points_balance, list(member.entries.order_by("id").values_list("kind", "points", "balance_after"))


OPENING = ("ADJUST", 300, 300)


def test_redeeming_takes_points_and_is_written_down(member, actor):
    entry = redeem_points(actor=actor(Role.USER), member_id=member.pk, points=120, note="A mug", now=NOW)

    assert state(member) == (180, [OPENING, ("REDEEM", -120, 180)])
    assert (entry.note, entry.created_at) == ("A mug", NOW)
    audited = AuditEntry.objects.get(action="points.redeemed")
    assert (audited.subject_label, audited.after) == ("GOLD1", {"points": 120, "note": "A mug"})


def test_all_points_can_be_redeemed_and_not_one_more(member, actor):
    with pytest.raises(InsufficientPoints) as refusal:
        redeem_points(actor=actor(), member_id=member.pk, points=301, now=NOW)
    assert refusal.value.detail == "GOLD1 holds 300 points."
    assert state(member) == (300, [OPENING])

    redeem_points(actor=actor(), member_id=member.pk, points=300, now=NOW)
    assert state(member) == (0, [OPENING, ("REDEEM", -300, 0)])


@pytest.mark.parametrize("points", [0, -4, 2_000_000_000])
def test_redeeming_less_than_one_point_is_refused(member, actor, points):
    with pytest.raises(Invalid):
        redeem_points(actor=actor(), member_id=member.pk, points=points, now=NOW)

    assert state(member) == (300, [OPENING])
    assert not AuditEntry.objects.filter(action="points.redeemed").exists()


def test_a_deactivated_member_spends_nothing(member, reward, actor):
    change_member(actor=STAFF, member_id=member.pk, is_active=False, now=NOW)

    with pytest.raises(MemberInactive):
        redeem_points(actor=actor(), member_id=member.pk, points=1, now=NOW)
    with pytest.raises(MemberInactive):
        collect_reward(actor=actor(), reward_id=reward.pk, now=NOW)

    assert state(member) == (300, [OPENING])
    assert Reward.objects.get().status == "READY"


@pytest.mark.parametrize(("points", "balance"), [(25, 325), (-300, 0)])
def test_points_are_corrected_up_and_down_for_a_reason(member, actor, points, balance):
    adjust_points(actor=actor(Role.MANAGER), member_id=member.pk, points=points, reason=" Counted wrong ", now=NOW)

    assert state(member) == (balance, [OPENING, ("ADJUST", points, balance)])
    audited = AuditEntry.objects.filter(action="points.adjusted").latest("sequence")
    assert (audited.after, audited.reason) == ({"points": points}, "Counted wrong")


@pytest.mark.parametrize(
    ("points", "reason", "refusal"),
    [
        (0, "Because", Invalid),
        (5, "", Invalid),
        (5, "  ", Invalid),
        (10**10, "Because", Invalid),
        (-301, "Because", InsufficientPoints),
    ],
)
def test_a_correction_that_makes_no_sense_changes_nothing(member, actor, points, reason, refusal):
    with pytest.raises(refusal):
        adjust_points(actor=actor(), member_id=member.pk, points=points, reason=reason, now=NOW)

    assert state(member) == (300, [OPENING])
    assert AuditEntry.objects.filter(action="points.adjusted").count() == 1


def test_a_user_redeems_but_does_not_correct(member, actor):
    with pytest.raises(NotPermitted):
        adjust_points(actor=actor(Role.USER), member_id=member.pk, points=5, reason="Because", now=NOW)

    assert state(member) == (300, [OPENING])


def test_a_reward_is_collected_once(reward, actor):
    collected = collect_reward(actor=actor(Role.USER), reward_id=reward.pk, now=NOW)
    with pytest.raises(RewardCollected):
        collect_reward(actor=actor(Role.USER), reward_id=reward.pk, now=NOW)

    assert (collected.status, collected.collected_at) == ("COLLECTED", NOW)
    audited = AuditEntry.objects.get(action="reward.collected")
    assert audited.after == {"member": "GOLD1", "description": "free delivery"}


def test_rival_reaches_no_points_and_no_reward(rival, member, reward, actor):
    with tenant_context(rival):
        for attempt in (
            lambda: redeem_points(actor=actor(), member_id=member.pk, points=1, now=NOW),
            lambda: adjust_points(actor=actor(), member_id=member.pk, points=1, reason="Mine", now=NOW),
            lambda: collect_reward(actor=actor(), reward_id=reward.pk, now=NOW),
            lambda: entries_of(actor=actor(), member_id=member.pk),
        ):
            with pytest.raises(NotFound):
                attempt()
        assert not rewards_of(actor=actor()).exists()
        assert not PointsEntry.objects.exists()

    assert state(member) == (300, [OPENING])


def test_a_member_that_is_not_there_has_no_ledger(in_acme, actor):
    with pytest.raises(NotFound):
        entries_of(actor=actor(), member_id=new_id())
