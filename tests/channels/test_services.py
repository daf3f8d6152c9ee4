"""The rules of channels that need no Safaricom; `run_due` and the simulator come in test_runs.py."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.models import AuditEntry
from audit.services import HIDDEN
from channels import queries, services, status
from channels.models import ChannelRun, Environment, MpesaChannel
from channels.services import (
    AlreadyActive,
    ChannelNotFound,
    EnvironmentFixed,
    FixedAfterVerification,
    NeedsAPrimary,
    ShortcodeTaken,
)
from channels.status import NotActive, NotConfigured, NotVerified, UrlsNotRegistered
from payments.validation import ValidationRules, answer_validation
from tenants.errors import Invalid, NotPermitted
from tenants.models import CallbackRoute, DueTask, Role, TenantActivity
from tenants.routes import hash_token
from tests.channels.conftest import ADMIN

NOW = datetime(2026, 11, 21, 9, 14, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
KEY, SECRET, PASSKEY = "k" * 44 + "1key", "s" * 60 + "cret", "bfb279f9" * 7 + "aaaa4f2a"
KEYS = {"consumer_key": KEY, "consumer_secret": SECRET}
Status = MpesaChannel.Status


@pytest.fixture
def make(create):
    """`make("600966")` → a PayBill of acme with keys, on the sandbox."""

    def with_defaults(shortcode="600966", **details):
        return create(**{"shortcode": shortcode, "environment": "SANDBOX", "now": NOW, **KEYS} | details)

    return with_defaults


def put_facts(channel, **facts):
    """What runs write: brings a channel to a later status without Safaricom."""
    for name, value in facts.items():
        setattr(channel, name, value)
    with transaction.atomic():
        services.settle(channel)
    return channel


def verified(channel):
    return put_facts(channel, verified_at=NOW, first_verified_at=NOW)


def registered(channel):
    return put_facts(verified(channel), urls_asked_at=NOW, urls_registered_at=NOW)


def active(channel):
    return services.activate_channel(channel_id=registered(channel).pk, actor=ADMIN, now=NOW)


def change(channel, **details):
    return services.change_channel(channel_id=channel.pk, actor=ADMIN, **{"now": LATER} | details)


def route_of(channel):
    return CallbackRoute.objects.get(token_hash=hash_token(channel.callback_token))


def activity(tenant):
    found = TenantActivity.objects.get(tenant=tenant)
    return found.channels_active, found.channel_health


def refuse(error, call, *arguments, **details):
    """The refusal of a call that must change nothing: no channel, no route, no entry in the trail."""
    before = snapshot()
    with pytest.raises(error) as refusal, transaction.atomic():
        call(*arguments, **details)
    assert snapshot() == before
    return refusal.value


def snapshot():
    channels = MpesaChannel.objects.order_by("pk").values("pk", "updated_at", *COLUMNS)
    return list(channels), CallbackRoute.objects.count(), AuditEntry.objects.count(), ChannelRun.objects.count()


COLUMNS = [field.name for field in MpesaChannel._meta.concrete_fields]


# -- Creating -------------------------------------------------------------------------------------


def test_a_new_channel_holds_what_was_given(make):
    channel = make(
        name="  Moi Avenue ",
        shortcode="600 966",
        consumer_key=f" {KEY}\n",
        passkey=f"{PASSKEY[:32]} {PASSKEY[32:]}",
        initiator_name=" testapi ",
        initiator_credential=" Safaricom999!*! ",
        account_mapping={"default": "loyalty", "VIP*": "vip_account", "GOLD001": "gold_tier"},
        minimum_amount=10,
        maximum_amount=250_000,
        notes="Two\nlines",
    )

    channel.refresh_from_db()
    assert channel.name == "Moi Avenue"
    assert channel.shortcode == "600966"
    assert channel.consumer_key == KEY
    assert channel.consumer_secret == SECRET
    assert channel.passkey == PASSKEY
    assert channel.initiator_name == "testapi"
    assert channel.initiator_credential == "Safaricom999!*!"
    assert channel.account_mapping == {"default": "loyalty", "VIP*": "vip_account", "GOLD001": "gold_tier"}
    assert (channel.minimum_amount, channel.maximum_amount, channel.notes) == (10, 250_000, "Two\nlines")
    assert (channel.response_type, channel.register_version, channel.accepts_unmapped) == ("Completed", 2, True)
    assert channel.status == Status.CONFIGURED
    assert status.do_now(channel) == "Verify this channel, so that Safaricom proves what is saved."


def test_a_channel_without_keys_is_a_draft(make):
    channel = make(consumer_secret="")

    assert channel.status == Status.DRAFT
    assert status.do_now(channel) == (
        "Save the consumer key and the consumer secret of your Daraja app on this channel."
    )


def test_creating_is_in_the_trail_without_secrets(make):
    channel = make(passkey=PASSKEY)

    entry = AuditEntry.objects.get()
    assert (entry.action, entry.subject_id, entry.actor_label) == ("channel.created", str(channel.pk), ADMIN.label)
    assert entry.after == {
        "environment": "SANDBOX",
        "is_primary": True,
        "name": "Shop",
        "kind": "PAYBILL",
        "shortcode": "600966",
        "consumer_key": HIDDEN,
        "consumer_secret": HIDDEN,
        "passkey": HIDDEN,
    }


@pytest.mark.parametrize(
    ("details", "field", "sentence"),
    [
        ({"name": "  "}, "name", "Enter a text."),
        ({"name": "x" * 81}, "name", "Use at most 80 characters; this has 81."),
        ({"name": "A\x00B"}, "name", "This contains characters that can't be shown."),
        ({"name": "A\nB"}, "name", "This contains characters that can't be shown."),
        ({"notes": "x" * 2001}, "notes", "Use at most 2000 characters; this has 2001."),
        ({"kind": "SHOP"}, "kind", "Choose paybill, till or buygoods."),
        ({"shortcode": ""}, "shortcode", "Enter the number that your customers pay to, like 247247."),
        ({"shortcode": "1234"}, "shortcode", "Enter 5 to 7 digits, like 247247."),
        ({"shortcode": "12345678"}, "shortcode", "Enter 5 to 7 digits, like 247247."),
        ({"shortcode": "60096a"}, "shortcode", "Enter 5 to 7 digits, like 247247."),
        ({"shortcode": "٦٠٠٩٦٦"}, "shortcode", "Enter 5 to 7 digits, like 247247."),
        ({"consumer_key": "short"}, "consumer_key", "This has 5 characters; it should have 8 to 256."),
        ({"consumer_secret": "x" * 257}, "consumer_secret", "This has 257 characters; it should have 8 to 256."),
        (
            {"passkey": "bfb279f9…2c919"},
            "passkey",
            "This contains characters that none of Safaricom's has. Copy it again, whole.",
        ),
        (
            {"initiator_credential": "pass\x00word"},
            "initiator_credential",
            "This contains characters that none of Safaricom's has. Copy it again, whole.",
        ),
        ({"response_type": "completed"}, "response_type", "Write Completed or Cancelled, exactly so."),
        ({"response_type": "Canceled"}, "response_type", "Write Completed or Cancelled, exactly so."),
        ({"register_version": 3}, "register_version", "Choose version 1 or 2."),
        ({"register_version": True}, "register_version", "Choose version 1 or 2."),
        ({"minimum_amount": 0}, "minimum_amount", "Enter whole shillings from 1 to 250,000, or nothing."),
        ({"maximum_amount": 250_001}, "maximum_amount", "Enter whole shillings from 1 to 250,000, or nothing."),
        (
            {"minimum_amount": 100, "maximum_amount": 99},
            "maximum_amount",
            "The largest amount is less than the smallest one.",
        ),
        ({"account_mapping": {"VIP*": "nobody"}}, "account_mapping", "Rule “VIP*”: there is no program “nobody”."),
        (
            {"kind": "TILL", "accepts_unmapped": False},
            "accepts_unmapped",
            "A till's customer types no account number, so all of them would be refused.",
        ),
        (
            {"environment": "PRODUCTION", "shortcode": "174379"},
            "shortcode",
            "174379 is the sandbox's number. Choose the environment sandbox for it.",
        ),
        ({"environment": "LIVE"}, "environment", "Choose practice, sandbox or production."),
        (
            {"environment": "PRACTICE", "shortcode": ""},
            "shortcode",
            "Enter the number that your customers pay to, like 247247.",
        ),
    ],
)
def test_what_can_not_be_used_is_refused_with_a_sentence(make, settings, details, field, sentence):
    settings.DARAJA_URLS = dict.fromkeys(Environment.values, "https://daraja.example")

    assert refuse(Invalid, make, **details).errors == {field: [sentence]}


@pytest.mark.parametrize(
    ("details", "beginning"),
    [
        ({"kind": "PAYBILL", "store_number": "600967"}, "A PayBill has no store number. The till number is the one"),
        ({"kind": "TILL", "store_number": "600966"}, "This is the till number itself. The till number is the one"),
        ({"kind": "TILL", "store_number": "12"}, "Enter 5 to 7 digits. The till number is the one"),
    ],
)
def test_till_store_and_head_office_numbers_are_explained(make, details, beginning):
    (sentence,) = refuse(Invalid, make, **details).errors["store_number"]

    assert sentence.startswith(beginning)


def test_all_mistakes_are_named_at_once(make):
    refusal = refuse(Invalid, make, shortcode="1", name="", response_type="no", minimum_amount=-1)

    assert set(refusal.errors) == {"shortcode", "name", "response_type", "minimum_amount"}


def test_production_is_refused_where_the_installation_does_not_know_it(make, settings):
    settings.DARAJA_URLS = {**settings.DARAJA_URLS, "PRODUCTION": "not-configured"}

    assert refuse(Invalid, make, environment="PRODUCTION").errors == {
        "environment": ["This installation is not connected to Safaricom's live service. Choose sandbox or practice."]
    }


@pytest.mark.parametrize(
    ("first", "second", "field"),
    [
        ({}, {}, "shortcode"),
        (
            {"kind": "TILL", "shortcode": "555123", "store_number": "444001"},
            {"kind": "TILL", "shortcode": "555456", "store_number": "444001"},
            "store_number",
        ),
        ({"shortcode": "444001"}, {"kind": "TILL", "shortcode": "555456", "store_number": "444001"}, "store_number"),
        ({"kind": "TILL", "shortcode": "555456", "store_number": "444001"}, {"shortcode": "444001"}, "shortcode"),
    ],
)
def test_one_number_belongs_to_one_channel_of_a_business(make, first, second, field):
    make(name="First", **first)

    refusal = refuse(ShortcodeTaken, make, **second)

    assert refusal.errors == {field: ["Your channel “First” has this number already."]}


def test_the_same_number_may_be_used_in_another_environment(make):
    make(environment="SANDBOX")
    make(environment="PRACTICE")

    assert MpesaChannel.objects.filter(shortcode="600966").count() == 2


@pytest.mark.parametrize(
    "columns",
    [
        {"shortcode": "12ab5"},
        {"shortcode": ""},
        {"shortcode": "", "environment": "PRACTICE", "status": "CONFIGURED"},
        {"shortcode": "600966"},
        {"shortcode": "600970", "store_number": "444001"},
        {"shortcode": "600970", "is_primary": True},
    ],
)
def test_the_database_refuses_what_the_code_forgot(make, columns):
    make()
    make("555123", kind="TILL", store_number="444001")

    row = {"name": "x", "kind": "TILL", "environment": "SANDBOX", "callback_token": "t"} | columns
    with pytest.raises(IntegrityError), transaction.atomic():
        MpesaChannel.objects.create(**row)
    assert MpesaChannel.objects.count() == 2


def test_the_database_refuses_a_second_run_of_a_channel(make):
    channel = make()
    ChannelRun.objects.create(channel=channel, kind="VERIFY", created_at=NOW)

    with pytest.raises(IntegrityError), transaction.atomic():
        ChannelRun.objects.create(channel=channel, kind="REGISTER_URLS", created_at=NOW)
    assert ChannelRun.objects.count() == 1


# -- The secret path ------------------------------------------------------------------------------


def test_the_path_of_a_channel_is_known_to_the_hooks_by_its_hash_alone(make, acme):
    channel = make()

    assert len(channel.callback_token) == 29
    assert set(channel.callback_token) <= set("bdfghjkmnprtvwxz2456789")
    route = CallbackRoute.objects.get()
    assert bytes(route.token_hash) == hash_token(channel.callback_token)
    assert (route.tenant_id, route.channel_id, route.expires_at) == (acme.pk, channel.pk, None)


def test_callback_urls_carry_the_path(make, settings):
    settings.TUZO_PUBLIC_URL = "https://pay.tuzo.example"
    channel = make()

    assert services.callback_url(channel, "stk-callback") == (
        f"https://pay.tuzo.example/h/{channel.callback_token}/stk-callback"
    )


def test_the_hooks_are_told_what_validation_has_to_know(make):
    channel = make(
        account_mapping={"default": "loyalty", "VIP*": "vip_account"},
        accepts_unmapped=False,
        minimum_amount=10,
        maximum_amount=5000,
    )

    assert route_of(channel).rules == {
        "shortcodes": ["600966"],
        "is_open": True,
        "minimum": 10,
        "maximum": 5000,
        "mapping": {"default": "loyalty", "VIP*": "vip_account"},
    }
    change(channel, accepts_unmapped=True, minimum_amount=None)
    rules = route_of(channel).rules
    assert (rules["mapping"], rules["minimum"], rules["maximum"]) == (None, None, 5000)


def test_validation_of_a_switched_off_channel_refuses(make):
    channel = active(make())
    body = b"""{"TransID": "SK1", "TransTime": "20261121120000", "TransAmount": "5", "BusinessShortCode": "600966"}"""
    assert answer_validation(ValidationRules.read(route_of(channel).rules), body)[0] == "0"

    services.deactivate_channel(channel_id=channel.pk, actor=ADMIN, now=NOW)

    assert answer_validation(ValidationRules.read(route_of(channel).rules), body)[0] == "C2B00016"


def test_a_tills_payments_may_name_its_store_number(make):
    channel = make("555123", kind="TILL", store_number="444001")

    assert route_of(channel).rules["shortcodes"] == ["444001", "555123"]


def test_a_rotated_path_works_at_once_and_the_old_one_for_seven_days(make):
    channel = active(make())
    old_token = channel.callback_token

    rotation = services.rotate_callback_token(channel_id=channel.pk, actor=ADMIN, now=NOW)

    new = rotation.channel
    assert new.callback_token != old_token
    assert route_of(new).expires_at is None
    assert CallbackRoute.objects.get(token_hash=hash_token(old_token)).expires_at == NOW + timedelta(days=7)
    assert rotation.old_path_ends_at == NOW + timedelta(days=7)
    assert rotation.do_now == (
        "Register this channel's URLs again before the old path ends, or its payments are no longer reported."
    )
    new.refresh_from_db()
    assert new.urls_registered_at is None
    assert new.status == Status.ACTIVE
    entry = AuditEntry.objects.latest("sequence")
    assert entry.action == "channel.callback_token_rotated"
    assert old_token not in str(entry.before | entry.after)
    assert new.callback_token not in str(entry.before | entry.after)


def test_both_paths_follow_a_change_of_the_rules(make):
    channel = make()
    services.rotate_callback_token(channel_id=channel.pk, actor=ADMIN, now=NOW)

    change(channel, minimum_amount=50)

    assert [route.rules["minimum"] for route in CallbackRoute.objects.all()] == [50, 50]


def test_rotating_again_does_not_lengthen_the_life_of_an_old_path_and_drops_dead_ones(make):
    channel = make()
    tokens = [channel.callback_token]
    for days in (0, 3, 9):
        rotation = services.rotate_callback_token(channel_id=channel.pk, actor=ADMIN, now=NOW + timedelta(days=days))
        tokens.append(rotation.channel.callback_token)

    ends = {bytes(route.token_hash): route.expires_at for route in CallbackRoute.objects.all()}
    assert ends == {
        hash_token(tokens[1]): NOW + timedelta(days=10),
        hash_token(tokens[2]): NOW + timedelta(days=16),
        hash_token(tokens[3]): None,
    }


def test_in_production_a_rotation_says_that_the_portal_comes_first(make, settings):
    settings.DARAJA_URLS = dict.fromkeys(Environment.values, "https://daraja.example")
    channel = make(environment="PRODUCTION")

    rotation = services.rotate_callback_token(channel_id=channel.pk, actor=ADMIN, now=NOW)

    assert rotation.do_now == (
        "On the Daraja portal, under Self Services, URL Management, remove the old URLs. "
        "Register this channel's URLs again before the old path ends, or its payments are no longer reported."
    )


# -- The primary channel --------------------------------------------------------------------------


def test_the_first_channel_is_primary_and_the_next_is_not(make):
    assert make("600966").is_primary is True
    assert make("600967").is_primary is False


def test_making_another_channel_primary_moves_it(make):
    first, second = make("600966"), make("600967")

    change(second, is_primary=True)

    assert list(MpesaChannel.objects.filter(is_primary=True)) == [second]
    assert AuditEntry.objects.latest("sequence").after == {"is_primary": True}
    third = make("600968", is_primary=True)
    assert list(MpesaChannel.objects.filter(is_primary=True)) == [third]
    assert refuse(NeedsAPrimary, change, third, is_primary=False).code == "needs_a_primary"
    change(first, is_primary=False)


# -- Changing -------------------------------------------------------------------------------------


def test_changing_keeps_what_is_left_out(make):
    channel = make(passkey=PASSKEY, notes="old")

    change(channel, notes="new")

    channel.refresh_from_db()
    assert (channel.notes, channel.passkey, channel.consumer_key, channel.name) == ("new", PASSKEY, KEY, "Shop")
    entry = AuditEntry.objects.latest("sequence")
    assert (entry.action, entry.before, entry.after) == ("channel.changed", {"notes": "old"}, {"notes": "new"})


def test_changing_nothing_leaves_no_trace(make):
    channel = verified(make())
    before = snapshot()

    change(channel, name="Shop", consumer_key=KEY)

    assert snapshot() == before


@pytest.mark.parametrize(
    "details",
    [
        {"consumer_key": "another-key-1234"},
        {"consumer_secret": "another-secret-1234"},
        {"passkey": "another-passkey-1234"},
        {"initiator_name": "another"},
        {"initiator_credential": "another password"},
    ],
)
def test_another_credential_ends_the_proof_until_it_is_verified_again(make, acme, details):
    channel = active(make(passkey=PASSKEY, initiator_name="testapi", initiator_credential="Safaricom999!*!"))
    assert activity(acme) == (1, "GOOD")

    change(channel, **details)

    channel.refresh_from_db()
    assert channel.status == Status.CONFIGURED
    assert channel.verified_at is None
    assert route_of(channel).rules["is_open"] is True
    assert activity(acme) == (0, "PROBLEM")
    refuse(NotVerified, services.activate_channel, channel_id=channel.pk, actor=ADMIN, now=LATER)

    put_facts(channel, verified_at=LATER)
    assert channel.status == Status.ACTIVE  # nobody has to activate it again
    assert activity(acme) == (1, "GOOD")


def test_other_changes_do_not_touch_the_proof(make):
    channel = active(make())

    change(channel, name="Another", notes="x", account_mapping={"default": "loyalty"}, minimum_amount=1)

    channel.refresh_from_db()
    assert channel.status == Status.ACTIVE


@pytest.mark.parametrize("details", [{"response_type": "Cancelled"}, {"register_version": 1}])
def test_what_safaricom_was_told_has_to_be_told_again_when_it_changes(make, acme, details):
    channel = active(make())

    change(channel, **details)

    channel.refresh_from_db()
    assert channel.urls_registered_at is None
    assert channel.status == Status.ACTIVE
    assert status.do_now(channel).startswith("Register this channel's URLs")
    assert activity(acme) == (1, "PROBLEM")


def test_the_environment_never_changes(make):
    channel = make()

    assert refuse(EnvironmentFixed, change, channel, environment="PRODUCTION").errors == {
        "environment": ["A channel stays in its environment. Create another channel for the other one."]
    }
    change(channel, environment="SANDBOX", notes="the same one is no change")


@pytest.mark.parametrize("details", [{"shortcode": "600999"}, {"kind": "TILL"}, {"store_number": "444001"}])
def test_numbers_and_kind_are_fixed_once_they_were_verified(make, details):
    channel = verified(make("600966", kind="TILL") if "store_number" in details else make("600966"))

    refusal = refuse(FixedAfterVerification, change, channel, **details)

    assert list(refusal.errors) == list(details)
    change(channel, consumer_key="another-key-1234")  # which ends the proof, and frees nothing
    refuse(FixedAfterVerification, change, channel, **details)


def test_before_that_they_may_be_corrected(make):
    channel = make("600966")

    change(channel, shortcode="555123", kind="TILL", store_number="444001")

    channel.refresh_from_db()
    assert (channel.shortcode, channel.kind, channel.business_shortcode) == ("555123", "TILL", "444001")
    assert route_of(channel).rules["shortcodes"] == ["444001", "555123"]


def test_a_number_can_not_be_changed_to_another_channels(make):
    make("600966", name="First")
    second = make("600967")

    refuse(ShortcodeTaken, change, second, shortcode="600966")


def test_optional_secrets_can_be_taken_away_and_keys_only_before_they_were_verified(make):
    channel = make(passkey=PASSKEY)

    change(channel, passkey="", consumer_key="")
    channel.refresh_from_db()
    assert (channel.passkey, channel.status) == ("", Status.DRAFT)
    assert set(channel.secret_notes) == {"consumer_secret"}

    channel = verified(change(channel, consumer_key=KEY))
    assert refuse(Invalid, change, channel, consumer_secret="").errors == {
        "consumer_secret": ["A channel that was verified keeps its keys. Leave this out, or enter a new one."]
    }


# -- What is shown --------------------------------------------------------------------------------


def test_doors_see_of_a_secret_only_that_it_is_saved(make):
    channel = make(passkey=PASSKEY, initiator_name="testapi", initiator_credential="Safaricom999!*!")

    shown = queries.saved_secrets(channel)

    assert shown["passkey"] == queries.SavedSecret(saved=True, ends_in="4f2a", saved_at=NOW, proved_at=None)
    assert shown["consumer_key"].ends_in == "1key"
    assert shown["initiator_credential"] == queries.SavedSecret(saved=True, ends_in=None, saved_at=NOW, proved_at=None)
    change(channel, passkey="", consumer_key="another-key-9876")
    shown = queries.saved_secrets(queries.read_channel(channel_id=channel.pk, actor=ADMIN))
    assert shown["passkey"] == queries.SavedSecret(saved=False, ends_in=None, saved_at=None, proved_at=None)
    assert shown["consumer_key"] == queries.SavedSecret(saved=True, ends_in="9876", saved_at=LATER, proved_at=None)
    assert shown["consumer_secret"].saved_at == NOW


def test_only_who_may_register_urls_sees_them(make, actor):
    channel = make()

    assert queries.shown_callback_urls(channel, actor=actor(Role.ORG_ADMIN)) == {
        "validation": services.callback_url(channel, "c2b-validation"),
        "confirmation": services.callback_url(channel, "c2b-confirmation"),
    }
    assert queries.shown_callback_urls(channel, actor=actor(Role.MANAGER)) is None
    assert queries.shown_callback_urls(channel, actor=actor(Role.USER)) is None


# -- The order of things --------------------------------------------------------------------------


def test_the_public_sandbox_number_is_activated_without_urls_which_nobody_can_register_for_it(make):
    channel = make(shortcode="174379", environment="SANDBOX")
    verified(channel)

    activated = services.activate_channel(channel_id=channel.pk, actor=ADMIN, now=NOW)

    assert (activated.status, activated.urls_registered_at) == (MpesaChannel.Status.ACTIVE, None)


def test_a_channel_is_activated_after_everything_else(make, acme):
    channel = make(consumer_key="")
    assert activity(acme) == (0, "NONE")
    assert refuse(NotConfigured, services.activate_channel, channel_id=channel.pk, actor=ADMIN, now=NOW).detail == (
        "Save the consumer key and the consumer secret of your Daraja app on this channel."
    )
    change(channel, consumer_key=KEY)
    assert refuse(NotVerified, services.activate_channel, channel_id=channel.pk, actor=ADMIN, now=NOW).detail == (
        "Verify this channel, so that Safaricom proves what is saved."
    )
    channel.refresh_from_db()
    verified(channel)
    assert refuse(UrlsNotRegistered, services.activate_channel, channel_id=channel.pk, actor=ADMIN, now=NOW).detail == (
        "Register this channel's URLs, so that Safaricom reports its payments here."
    )
    channel = active(channel)

    assert (channel.status, channel.activated_at) == (Status.ACTIVE, NOW)
    assert status.do_now(channel) == ""
    assert activity(acme) == (1, "GOOD")
    entry = AuditEntry.objects.latest("sequence")
    assert (entry.action, entry.before, entry.after) == (
        "channel.activated",
        {"status": "VERIFIED"},
        {"status": "ACTIVE"},
    )
    refuse(AlreadyActive, services.activate_channel, channel_id=channel.pk, actor=ADMIN, now=NOW)


def test_a_channel_is_switched_off_and_on_again(make, acme):
    channel = make()
    refuse(NotActive, services.deactivate_channel, channel_id=channel.pk, actor=ADMIN, now=NOW)
    active(channel)

    off = services.deactivate_channel(channel_id=channel.pk, actor=ADMIN, now=LATER, reason="stocktaking")

    assert (off.status, off.suspended_at) == (Status.SUSPENDED, LATER)
    assert route_of(off).rules["is_open"] is False
    assert activity(acme) == (0, "NONE")
    entry = AuditEntry.objects.latest("sequence")
    assert (entry.action, entry.reason) == ("channel.deactivated", "stocktaking")
    refuse(NotActive, services.deactivate_channel, channel_id=channel.pk, actor=ADMIN, now=LATER)

    on = services.activate_channel(channel_id=channel.pk, actor=ADMIN, now=LATER)

    assert (on.status, on.suspended_at, on.activated_at) == (Status.ACTIVE, None, LATER)
    assert route_of(on).rules["is_open"] is True


def test_a_switched_off_channel_stays_off_whatever_is_changed(make):
    channel = active(make())
    services.deactivate_channel(channel_id=channel.pk, actor=ADMIN, now=NOW)

    change(channel, consumer_key="another-key-1234")

    channel.refresh_from_db()
    assert channel.status == Status.SUSPENDED
    assert route_of(channel).rules["is_open"] is False
    refuse(NotVerified, services.activate_channel, channel_id=channel.pk, actor=ADMIN, now=NOW)


# -- Who may --------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [Role.MANAGER, Role.USER])
def test_only_administrators_change_channels(make, actor, role):
    channel = active(make())
    somebody = {"actor": actor(role), "now": NOW}

    refuse(NotPermitted, make, "600967", actor=somebody["actor"])
    refuse(NotPermitted, services.change_channel, channel_id=channel.pk, notes="x", **somebody)
    refuse(NotPermitted, services.activate_channel, channel_id=channel.pk, **somebody)
    refuse(NotPermitted, services.deactivate_channel, channel_id=channel.pk, **somebody)
    refuse(NotPermitted, services.rotate_callback_token, channel_id=channel.pk, **somebody)
    assert queries.read_channel(channel_id=channel.pk, actor=somebody["actor"]) == channel


def test_rival_finds_no_channel_of_acme(make, rival):
    channel = active(make())
    before = snapshot()

    with tenant_context(rival):
        assert not queries.channels_of(actor=ADMIN).exists()
        for call in (services.change_channel, services.activate_channel, services.deactivate_channel):
            with pytest.raises(ChannelNotFound):
                call(channel_id=channel.pk, actor=ADMIN, now=NOW)
        with pytest.raises(ChannelNotFound):
            services.rotate_callback_token(channel_id=channel.pk, actor=ADMIN, now=NOW)
        with pytest.raises(ChannelNotFound):
            queries.try_mapping(channel_id=channel.pk, account_reference="x", actor=ADMIN)
    assert snapshot() == before


# -- Mapping --------------------------------------------------------------------------------------


def test_trying_a_reference_tells_the_winner_and_the_others(make):
    channel = make(account_mapping={"default": "loyalty", "VIP*": "vip_account", "GOLD001": "gold_tier"})

    trial = queries.try_mapping(channel_id=channel.pk, account_reference="vip 7", actor=ADMIN)

    assert (trial.winner.program, trial.winner.rule) == ("vip_account", "VIP*")
    assert [(match.rule, fits) for match, fits in trial.considered] == [
        ("GOLD001", False),
        ("VIP*", True),
        ("default", True),
    ]


def test_a_draft_of_rules_can_be_tried_and_is_not_saved(make):
    channel = make(account_mapping={"default": "loyalty"})

    trial = queries.try_mapping(channel_id=channel.pk, account_reference="VIP7", rules={"V*": "gold_tier"}, actor=ADMIN)

    assert trial.winner.program == "gold_tier"
    channel.refresh_from_db()
    assert channel.account_mapping == {"default": "loyalty"}
    with pytest.raises(Invalid) as refusal:
        queries.try_mapping(channel_id=channel.pk, account_reference="x", rules={"V*": "none"}, actor=ADMIN)
    assert refusal.value.errors == {"account_mapping": ["Rule “V*”: there is no program “none”."]}


# -- Races ----------------------------------------------------------------------------------------


def test_two_first_channels_at_once_make_one_primary(committed, in_threads):
    kilimo = committed("kilimo")

    def create(shortcode):
        def run():
            with tenant_context(kilimo):
                return services.create_channel(
                    name="Shop",
                    kind="PAYBILL",
                    environment="SANDBOX",
                    shortcode=shortcode,
                    actor=ADMIN,
                    now=timezone.now(),
                ).is_primary

        return run

    outcomes = in_threads(*[create(f"60096{number}") for number in range(4)])

    assert sorted(outcomes) == [False, False, False, True]


def test_the_same_number_twice_at_once_is_one_channel(committed, in_threads):
    kilimo = committed("kilimo")

    def run():
        with tenant_context(kilimo):
            services.create_channel(
                name="Shop",
                kind="PAYBILL",
                environment="SANDBOX",
                shortcode="600966",
                actor=ADMIN,
                now=timezone.now(),
            )

    outcomes = in_threads(run, run, run)

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType", "ShortcodeTaken", "ShortcodeTaken"]
    with tenant_context(kilimo):
        assert MpesaChannel.objects.count() == 1
        assert CallbackRoute.objects.count() == 1
        assert connection.schema_name == kilimo.schema_name
    assert not DueTask.objects.exists()
