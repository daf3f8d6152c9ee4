"""Common set-ups: shown first, made by the button alone, and made once."""

import json
import re
import threading

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import public_id
from audit.models import AuditEntry
from audit.services import system_actor
from channels import setting_up
from channels.mapping import AccountMapping, check_rules
from channels.models import MpesaChannel
from channels.presets import PRESETS, make_programs
from channels.services import change_channel
from channels.setting_up import carry_out
from channels.transfer import import_rows
from loyalty.models import Program
from loyalty.services import create_program
from tenants.models import Role
from tests.factories import make_channel
from tests.locks import wait_until_somebody_waits_for_a_lock
from tests.pages.test_loyalty import text_of


@pytest.fixture
def owner(acme, browser, member_of):
    return browser(member_of(acme))


@pytest.fixture
def channel(acme):
    return make_channel(acme, "600100", account_mapping={})


def at(channel, preset):
    return f"/channels/{public_id('ch', channel.pk)}/preset/{preset}/"


def press(client, path, **more):
    """The button of the page as it stands now."""
    return client.post(path, {"seen": setting_up_mark(client, path)}, **more)


def setting_up_mark(client, path):
    found = re.search(r'name="seen" value="(\w{32})"', client.get(path).content.decode())
    return found[1] if found else ""


def rules_of(tenant, channel):
    with tenant_context(tenant):
        return MpesaChannel.objects.get(pk=channel.pk).account_mapping


def programs_of(tenant):
    with tenant_context(tenant):
        rows = Program.objects.select_related("accrual_rule", "stamp_rule").order_by("code")
        return {
            row.code: (
                row.name,
                row.member_key,
                getattr(getattr(row, "accrual_rule", None), "points", 0),
                getattr(getattr(row, "stamp_rule", None), "reward", ""),
            )
            for row in rows
        }


@pytest.mark.parametrize("key", PRESETS)
def test_every_preset_names_its_own_programs_and_can_be_used(key):
    preset = PRESETS[key]
    codes = [program.code for program in preset.programs]

    assert check_rules(dict(preset.rules), codes) == []
    assert set(preset.rules.values()) == set(codes)
    assert all(AccountMapping(preset.rules).program_of(typed) in codes for typed in preset.examples)


def test_what_would_be_made_is_shown_and_nothing_is_made_until_somebody_agrees(acme, owner, channel):
    page = text_of(owner.get(at(channel, "school")))

    assert "Parents type the admission number." in page
    assert "Fees fees What customers type is the member." in page
    assert "1042 Fees BUS 1042 Transport LUNCH-1042 Lunch" in page
    assert "Nothing has been made yet." in page
    assert programs_of(acme) == {}
    assert rules_of(acme, channel) == {}

    answer = press(owner, at(channel, "school"), follow=True)

    assert "Payments from now on go by these rules." in text_of(answer)
    assert programs_of(acme) == {
        "fees": ("Fees", "BY_REFERENCE", 0, ""),
        "lunch": ("Lunch", "BY_REFERENCE", 0, ""),
        "transport": ("Transport", "BY_REFERENCE", 0, ""),
    }
    assert rules_of(acme, channel) == {"BUS*": "transport", "LUNCH*": "lunch", "default": "fees"}
    with tenant_context(acme):
        assert AuditEntry.objects.filter(action="program.created").count() == 3
        assert AuditEntry.objects.filter(action="channel.changed").count() == 1


def test_doing_it_twice_makes_nothing_twice(acme, owner, channel):
    for _press in range(2):
        assert press(owner, at(channel, "sacco")).status_code == 302
    second = make_channel(acme, "600200", account_mapping={})
    press(owner, at(second, "sacco"))

    assert sorted(programs_of(acme)) == ["loans", "savings", "shares"]
    assert rules_of(acme, second) == rules_of(acme, channel)
    with tenant_context(acme):
        assert AuditEntry.objects.filter(action="channel.changed").count() == 2
    assert "All of it is there already." in text_of(owner.get(at(channel, "sacco")))


def test_pressed_twice_it_is_done_once(acme, owner, channel):
    mark = setting_up_mark(owner, at(channel, "school"))

    for _press in range(2):
        assert owner.post(at(channel, "school"), {"seen": mark}).status_code == 302

    with tenant_context(acme):
        assert AuditEntry.objects.filter(action="channel.changed").count() == 1


def test_its_rule_for_anything_else_is_put_in_the_place_of_the_one_that_is_there(acme, owner):
    with tenant_context(acme):
        create_program(actor=system_actor("test"), code="loyalty", name="Loyalty")
    channel = make_channel(acme, "600100", account_mapping={"Default": "loyalty", "STAFF*": "loyalty"})

    page = text_of(owner.get(at(channel, "school")))
    assert "What fits no other rule goes to “Loyalty” today. It will go to “Fees”." in page
    assert "is anything else Loyalty → Fees Replaced" in page
    assert "begins with STAFF Loyalty stays" in page
    assert "1042 Fees" in page

    press(owner, at(channel, "school"))

    rules = {"STAFF*": "loyalty", "BUS*": "transport", "LUNCH*": "lunch", "default": "fees"}
    assert rules_of(acme, channel) == rules
    assert "What fits no other rule" not in text_of(owner.get(at(channel, "school")))
    history = owner.get(f"/channels/{public_id('ch', channel.pk)}/rules/").content.decode()
    entry, seen = (re.search(rf'name="{name}" value="(\w+)"', history)[1] for name in ("entry", "seen"))
    steps = f"/channels/{public_id('ch', channel.pk)}/rules/"
    owner.post(f"{steps}restore/", {"entry": entry, "seen": seen})
    owner.post(f"{steps}save/", {"seen": re.search(r'name="seen" value="(\w+)"', owner.get(steps).content.decode())[1]})
    assert rules_of(acme, channel) == {"Default": "loyalty", "STAFF*": "loyalty"}


def test_what_was_not_seen_is_not_replaced(acme, owner, channel):
    mark = setting_up_mark(owner, at(channel, "school"))
    with tenant_context(acme):
        create_program(actor=system_actor("test"), code="vip", name="VIP")
        change_channel(
            channel_id=channel.pk, account_mapping={"default": "vip"}, actor=system_actor("test"), now=timezone.now()
        )

    for seen in (mark, ""):
        refused = owner.post(at(channel, "school"), {"seen": seen})
        assert refused.status_code == 409
        assert "The rules were changed meanwhile, so nothing was done." in text_of(refused)
        assert "It will go to “Fees”." in text_of(refused)
    assert rules_of(acme, channel) == {"default": "vip"}
    assert "fees" not in programs_of(acme)

    press(owner, at(channel, "school"))
    assert rules_of(acme, channel)["default"] == "fees"


def test_rules_that_a_file_gives_itself_win_over_its_preset(acme, actor):
    with tenant_context(acme):
        create_program(actor=system_actor("test"), code="vip", name="VIP")
        row = {"name": "Shop", "channel_type": "paybill", "environment": "sandbox", "shortcode": "600500"}
        row |= {"preset": "school", "account_mapping": {"default": "vip"}}
        for _time in range(2):
            import_rows([row], actor=actor(), now=timezone.now())

    with tenant_context(acme):
        rules = MpesaChannel.objects.get(shortcode="600500").account_mapping
    assert rules == {"default": "vip", "BUS*": "transport", "LUNCH*": "lunch"}


def test_what_is_there_stays(acme, owner):
    with tenant_context(acme):
        create_program(actor=system_actor("test"), code="delivery", name="Our riders")
        create_program(actor=system_actor("test"), code="vip", name="VIP")
    channel = make_channel(acme, "600100", account_mapping={"default": "vip", "del *": "vip"})

    page = text_of(owner.get(at(channel, "restaurant")))
    assert "Guests guests 1 point for each KES 100." in page
    assert "Our riders delivery" not in page
    press(owner, at(channel, "restaurant"))

    assert rules_of(acme, channel) == {"del *": "vip", "TABLE*": "guests", "default": "guests"}
    assert programs_of(acme) == {
        "delivery": ("Our riders", "BY_PAYER", 0, ""),
        "guests": ("Guests", "BY_PAYER", 1, ""),
        "vip": ("VIP", "BY_PAYER", 0, ""),
    }


def test_a_restaurants_deliveries_fill_a_card_in_the_language_of_who_asked(acme, owner, channel):
    owner.cookies["tuzo-language"] = "en"
    press(owner, at(channel, "restaurant"))

    assert programs_of(acme)["delivery"] == ("Delivery", "BY_PAYER", 0, "free delivery")
    with tenant_context(acme):
        program = Program.objects.select_related("stamp_rule").get(code="delivery")
        assert (program.language, str(program.stamp_rule)) == ("en", "after 5 orders: free delivery")
        assert program.stamp_rule.thanks == "Thanks for ordering!"


def test_a_new_channel_is_led_to_its_set_up_and_on_to_its_keys(acme, owner):
    page = owner.get("/channels/new/paybill/sandbox/?like=school").content.decode()
    assert 'name="program"' not in page

    answer = owner.post("/channels/new/paybill/sandbox/?like=school", {"name": "Fees", "shortcode": "600300"})

    with tenant_context(acme):
        channel = MpesaChannel.objects.get(shortcode="600300")
    assert answer["Location"] == at(channel, "school")
    assert rules_of(acme, channel) == {}
    identifier = public_id("ch", channel.pk)
    assert f'href="/channels/{identifier}/keys/"' in owner.get(at(channel, "school")).content.decode()
    assert press(owner, at(channel, "school"))["Location"] == f"/channels/{identifier}/keys/"
    assert "Common set-ups" in text_of(owner.get(f"/channels/{identifier}/rules/"))


def test_what_was_set_up_goes_through_a_file_and_back(acme, rival, owner, browser, member_of, channel):
    press(owner, at(channel, "school"))
    file = owner.get("/channels/export.json").content

    same = owner.post("/channels/import/", {"file": SimpleUploadedFile("channels.json", file)}, follow=True)
    assert "0 channels are new. 1 was known." in text_of(same)

    make_channel(rival, "600900")
    there = browser(member_of(rival))
    refused = there.post("/channels/import/", {"file": SimpleUploadedFile("channels.json", file)})
    assert "there is no program “fees”" in text_of(refused)
    assert programs_of(rival) == {}

    rows = [{**row, "account_mapping": {}, "preset": "school"} for row in json.loads(file)]
    for _time in range(2):
        named = SimpleUploadedFile("channels.json", json.dumps(rows).encode())
        assert there.post("/channels/import/", {"file": named}).status_code == 302
    assert sorted(programs_of(rival)) == ["fees", "lunch", "transport"]
    with tenant_context(rival):
        imported = MpesaChannel.objects.get(shortcode="600100")
    assert imported.account_mapping == rules_of(acme, channel)


@pytest.mark.parametrize("preset", ["bakery", ["school"], 7])
def test_a_file_with_an_unknown_preset_is_refused_whole(acme, actor, preset):
    row = {"name": "Shop", "channel_type": "paybill", "environment": "sandbox", "shortcode": "600500", "preset": preset}
    with tenant_context(acme), pytest.raises(Exception, match="Nothing was imported") as refusal:
        import_rows([row], actor=actor(), now=None)

    assert refusal.value.errors == {"file": ["Channel 1: preset is one of shop, school, restaurant, sacco."]}


def test_only_who_may_change_channels_sets_them_up(acme, rival, browser, member_of, channel):
    make_channel(rival, "600900")
    for role in (Role.USER, Role.MANAGER):
        assert browser(member_of(acme, role)).post(at(channel, "school")).status_code == 403
    thief = browser(member_of(rival))
    assert thief.get(at(channel, "school")).status_code == 404
    assert thief.post(at(channel, "school")).status_code == 404
    assert browser(member_of(acme)).get(at(channel, "bakery")).status_code == 404
    assert programs_of(acme) == programs_of(rival) == {}
    assert rules_of(acme, channel) == {}


def test_a_set_up_and_another_change_of_the_channel_do_not_wait_for_each_other_for_ever(
    committed, in_threads, actor, monkeypatch
):
    kilimo, is_locked = committed("kilimo"), threading.Event()
    channel = make_channel(kilimo, "600100")

    def make_programs_slowly(**given):
        is_locked.set()
        wait_until_somebody_waits_for_a_lock()
        make_programs(**given)

    def set_up():
        with tenant_context(kilimo):
            return carry_out(channel_id=channel.pk, preset="school", actor=actor(), now=timezone.now())

    def rename():
        is_locked.wait(10)
        with tenant_context(kilimo):
            return change_channel(channel_id=channel.pk, name="Fees", actor=actor(), now=timezone.now())

    monkeypatch.setattr(setting_up, "make_programs", make_programs_slowly)
    plan, renamed = in_threads(set_up, rename)

    assert isinstance(plan, setting_up.Plan)
    assert (renamed.name, renamed.account_mapping) == ("Fees", dict(plan.rules))
