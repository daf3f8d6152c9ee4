"""One draft of a channel's rules for everybody: continued, published or dropped by whoever has seen it as it is."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from django_tenants.utils import tenant_context

from audit.ids import new_id
from audit.models import AuditEntry
from channels import mapping, rule_drafts, services
from channels.models import MpesaChannel, RuleDraft
from channels.rule_drafts import NoDraft, RulesChanged
from channels.rule_history import earlier_rules
from channels.services import ChannelNotFound
from tenants.errors import Invalid, NotFound, NotPermitted
from tenants.models import Role
from tests.channels.conftest import ADMIN

NOW = datetime(2026, 11, 21, 9, 14, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
AT_FIRST = {"default": "loyalty"}
EVERYTHING = [
    (rule_drafts.set_rule, {"rule": "A", "program": "loyalty"}),
    (rule_drafts.remove_rule, {"rule": "VIP*"}),
    (rule_drafts.replace_rules, {"rules": {}}),
    (rule_drafts.restore_rules, {"key": new_id()}),
    (rule_drafts.take_over_changes, {}),
    (rule_drafts.publish_draft, {}),
    (rule_drafts.drop_draft, {}),
]


@pytest.fixture
def channel(create):
    return create(shortcode="600966", account_mapping=AT_FIRST)


@pytest.fixture
def other(actor):
    return actor()


def editing(channel, actor=ADMIN):
    return rule_drafts.editing_of(channel_id=channel.pk, actor=actor)


def press(change, channel, *, seen=None, actor=ADMIN, now=NOW, **given):
    seen = editing(channel).mark if seen is None else seen
    clock = {} if change is rule_drafts.drop_draft else {"now": now}
    return change(channel_id=channel.pk, seen=seen, actor=actor, **clock, **given)


def put(channel, rule, program, **more):
    press(rule_drafts.set_rule, channel, rule=rule, program=program, **more)


def put_in_force(channel, rules, actor=ADMIN):
    services.change_channel(channel_id=channel.pk, account_mapping=rules, actor=actor, now=NOW)


def in_force(channel):
    return MpesaChannel.objects.get(pk=channel.pk).account_mapping


def changes_of(actor):
    return AuditEntry.objects.filter(action="channel.changed", actor_label=actor.label).count()


# -- One draft, of everybody ------------------------------------------------------------------------------------------


def test_a_draft_is_begun_by_one_person_continued_by_another_and_published_by_either(channel, other):
    put(channel, "VIP*", "vip_account")
    put(channel, "GOLD001", "gold_tier", actor=other, now=LATER)

    found = editing(channel, other)
    assert found.rules == {**AT_FIRST, "VIP*": "vip_account", "GOLD001": "gold_tier"}
    assert (found.draft.begun_by, found.draft.begun_at) == (ADMIN.label, NOW)
    assert (found.draft.changed_by, found.draft.changed_at) == (other.label, LATER)
    assert in_force(channel) == AT_FIRST
    assert AuditEntry.objects.filter(action="channel.changed").count() == 0  # a draft decides nothing

    press(rule_drafts.publish_draft, channel, actor=other)

    assert in_force(channel) == found.rules
    assert editing(channel).draft is None
    assert changes_of(other) == 1
    assert earlier_rules(channel_id=channel.pk, actor=ADMIN)[0].rules == AT_FIRST


def test_who_may_not_change_the_channel_sees_what_is_in_force_and_touches_nothing(channel, actor):
    put(channel, "VIP*", "vip_account")
    clerk, mark = actor(Role.USER), editing(channel).mark

    assert editing(channel, clerk).rules == AT_FIRST
    assert editing(channel, clerk).draft is None
    for change, given in EVERYTHING:
        with pytest.raises(NotPermitted):
            press(change, channel, seen=mark, actor=clerk, **given)
    assert editing(channel).mark == mark


def test_another_business_finds_neither_the_channel_nor_its_draft(channel, rival):
    put(channel, "VIP*", "vip_account")
    mark = editing(channel).mark

    with tenant_context(rival):
        assert not RuleDraft.objects.exists()
        for ask in (
            partial(rule_drafts.editing_of, channel_id=channel.pk, actor=ADMIN),
            partial(press, rule_drafts.publish_draft, channel, seen=mark),
            partial(press, rule_drafts.drop_draft, channel, seen=mark),
        ):
            with pytest.raises(ChannelNotFound):
                ask()
    assert editing(channel).mark == mark


def test_what_is_in_force_already_is_no_draft(channel):
    put(channel, "VIP*", "vip_account")
    press(rule_drafts.remove_rule, channel, rule="VIP*")

    assert not RuleDraft.objects.exists()


def test_a_channel_that_is_switched_off_keeps_its_draft_and_one_that_is_gone_has_none(channel):
    MpesaChannel.objects.filter(pk=channel.pk).update(activated_at=NOW, status="ACTIVE")
    put(channel, "VIP*", "vip_account")
    services.deactivate_channel(channel_id=channel.pk, actor=ADMIN, now=NOW)
    put(channel, "GOLD001", "gold_tier")
    assert editing(channel).rules == {**AT_FIRST, "VIP*": "vip_account", "GOLD001": "gold_tier"}

    channel.delete()

    assert not RuleDraft.objects.exists()


def test_rules_that_can_not_be_used_are_no_draft(channel):
    for change, given, sentence in [
        (rule_drafts.set_rule, {"rule": "A", "program": "none"}, "Rule “A”: there is no program “none”."),
        (rule_drafts.replace_rules, {"rules": ["A"]}, "Give the rules as an object"),
    ]:
        with pytest.raises(Invalid) as refusal:
            press(change, channel, **given)
        assert refusal.value.errors["account_mapping"][0].startswith(sentence)
    with pytest.raises(NotFound):
        press(rule_drafts.restore_rules, channel, key=channel.pk)
    assert not RuleDraft.objects.exists()


def test_a_draft_whose_program_is_gone_is_kept_mended_and_only_then_published(channel, monkeypatch):
    put(channel, "VIP*", "vip_account")
    put(channel, "GOLD001", "gold_tier")
    monkeypatch.setattr(mapping, "_program_directory", lambda: {"loyalty"})
    assert editing(channel).problems == [
        "Rule “VIP*”: there is no program “vip_account”.",
        "Rule “GOLD001”: there is no program “gold_tier”.",
    ]

    with pytest.raises(Invalid):
        press(rule_drafts.publish_draft, channel)
    assert in_force(channel) == AT_FIRST
    press(rule_drafts.remove_rule, channel, rule="VIP*")
    put(channel, "GOLD001", "loyalty")
    press(rule_drafts.publish_draft, channel)

    assert in_force(channel) == {**AT_FIRST, "GOLD001": "loyalty"}


# -- Nothing is undone unseen -----------------------------------------------------------------------------------------


def test_nobody_changes_publishes_or_drops_a_draft_that_they_have_not_seen(channel):
    put(channel, "VIP*", "vip_account")
    seen = editing(channel).mark
    put(channel, "GOLD001", "gold_tier")
    now = editing(channel).mark

    for change, given in EVERYTHING:
        with pytest.raises(RulesChanged):
            press(change, channel, seen=seen, **given)
    assert editing(channel).mark == now
    assert in_force(channel) == AT_FIRST


def test_a_draft_that_is_gone_is_neither_published_nor_dropped(channel):
    put(channel, "VIP*", "vip_account")
    seen = editing(channel).mark
    press(rule_drafts.publish_draft, channel)

    for change in (rule_drafts.publish_draft, rule_drafts.drop_draft, rule_drafts.take_over_changes):
        with pytest.raises(NoDraft):
            press(change, channel, seen=seen)
    assert in_force(channel) == {**AT_FIRST, "VIP*": "vip_account"}


def test_rules_that_came_into_force_meanwhile_are_told_and_only_knowingly_overwritten(channel, other):
    put(channel, "VIP*", "vip_account")
    seen = editing(channel).mark
    put_in_force(channel, {"default": "gold_tier", "STAFF*": "gold_tier"}, actor=other)

    with pytest.raises(RulesChanged):
        press(rule_drafts.publish_draft, channel, seen=seen)
    found = editing(channel)
    beneath = [(each.rule, each.before, each.after) for each in found.changes_beneath]
    assert beneath == [("STAFF*", "", "gold_tier"), ("default", "loyalty", "gold_tier")]
    undone = [(each.rule, each.before, each.after) for each in found.changes]
    assert undone == [("STAFF*", "gold_tier", ""), ("VIP*", "", "vip_account"), ("default", "gold_tier", "loyalty")]

    press(rule_drafts.publish_draft, channel)  # having seen it

    assert in_force(channel) == {**AT_FIRST, "VIP*": "vip_account"}


def test_what_came_into_force_meanwhile_is_taken_over_but_for_what_the_draft_changes_itself(channel):
    put_in_force(channel, {**AT_FIRST, "A*": "loyalty", "B*": "loyalty", "C*": "loyalty"})
    put(channel, "A*", "vip_account")
    press(rule_drafts.remove_rule, channel, rule="B*")
    put_in_force(channel, {"default": "gold_tier", "A*": "gold_tier", "B*": "gold_tier", "D*": "loyalty"})

    press(rule_drafts.take_over_changes, channel)

    found = editing(channel)
    assert found.rules == {"default": "gold_tier", "A*": "vip_account", "D*": "loyalty"}
    assert found.changes_beneath == []
    press(rule_drafts.publish_draft, channel)
    assert in_force(channel) == found.rules


def test_rules_written_otherwise_are_not_taken_over_twice(channel):
    put(channel, "VIP*", "vip_account")
    put_in_force(channel, {**AT_FIRST, "vip *": "gold_tier"})

    press(rule_drafts.take_over_changes, channel)

    assert editing(channel).rules == {**AT_FIRST, "VIP*": "vip_account"}


# -- At one moment ----------------------------------------------------------------------------------------------------


@pytest.fixture
def kilimos(committed):
    kilimo = committed("kilimo")
    with tenant_context(kilimo):
        details = {"name": "Shop", "kind": "PAYBILL", "environment": "PRACTICE", "shortcode": "600966"}
        channel = services.create_channel(account_mapping=AT_FIRST, actor=ADMIN, now=NOW, **details)

    def there(call, *given, **more):
        def run():
            with tenant_context(kilimo):
                return call(*given, **more)

        return run

    return channel, there


def test_of_two_first_rules_at_one_moment_one_is_the_draft_and_the_other_is_told(kilimos, in_threads):
    channel, there = kilimos
    seen = there(editing, channel)().mark

    results = in_threads(
        there(put, channel, "VIP*", "vip_account", seen=seen), there(put, channel, "GOLD001", "gold_tier", seen=seen)
    )

    assert {type(result) for result in results} == {type(None), RulesChanged}
    assert len(there(editing, channel)().rules) == 2


def test_who_publishes_while_another_changes_or_drops_wins_or_loses_whole(kilimos, in_threads):
    channel, there = kilimos
    for change, given in [
        (rule_drafts.set_rule, {"rule": "GOLD001", "program": "gold_tier"}),
        (rule_drafts.drop_draft, {}),
        (rule_drafts.publish_draft, {}),
    ]:
        there(put_in_force, channel, AT_FIRST)()
        if there(editing, channel)().draft:
            there(press, rule_drafts.drop_draft, channel)()
        there(put, channel, "VIP*", "vip_account")()
        seen = there(editing, channel)().mark

        published, changed = in_threads(
            there(press, rule_drafts.publish_draft, channel, seen=seen),
            there(press, change, channel, seen=seen, **given),
        )

        assert [published, changed].count(None) == 1
        assert isinstance(published or changed, RulesChanged | NoDraft)
        is_published = published is None or change is rule_drafts.publish_draft
        assert there(in_force, channel)() == ({**AT_FIRST, "VIP*": "vip_account"} if is_published else AT_FIRST)


def test_a_draft_is_published_while_others_change_the_channel_and_none_waits_for_ever(kilimos, in_threads):
    channel, there = kilimos
    there(put, channel, "VIP*", "vip_account")()
    seen = there(editing, channel)().mark
    rename = [
        there(services.change_channel, channel_id=channel.pk, name=f"Shop {number}", actor=ADMIN, now=NOW)
        for number in range(4)
    ]

    published, *renamed = in_threads(there(press, rule_drafts.publish_draft, channel, seen=seen), *rename)

    assert published is None
    assert {type(result) for result in renamed} == {MpesaChannel}
    assert there(in_force, channel)() == {**AT_FIRST, "VIP*": "vip_account"}
