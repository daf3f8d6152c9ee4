"""The pages about PayBills and tills: connecting, proving, looking after them."""

import io
import json
import re
from datetime import timedelta

import pytest
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import public_id
from channels import mapping, services
from channels.daraja.errors import DarajaRejected, DarajaTimeout, DarajaUnavailable, Reason
from channels.models import ChannelRun, Environment, MpesaChannel, Problem
from channels.steps import refused
from payments.models import Payment
from tenants.models import Role
from tests.factories import make_channel
from tests.pages.connected_channels import furnish_channels

KEYS = {"consumer_key": "consumer key 4f2a", "consumer_secret": "consumer secret 9c1d"}
PROGRAMS = {"loyalty": "Loyalty", "vip": "VIP guests"}


@pytest.fixture
def person(browser, member_of, acme):
    return lambda role=Role.ORG_ADMIN: browser(member_of(acme, role))


@pytest.fixture
def _programs(monkeypatch):
    monkeypatch.setattr(mapping, "_program_directory", lambda: PROGRAMS)


def at(channel, rest=""):
    return f"/channels/{public_id('ch', channel.pk)}/{rest}"


def fresh(acme, channel):
    with tenant_context(acme):
        return MpesaChannel.objects.get(pk=channel.pk)


def only_channel(acme):
    with tenant_context(acme):
        return MpesaChannel.objects.get()


def text_of(answer):
    return answer.content.decode()


# -- Connecting -------------------------------------------------------------------------------------------------------


def test_a_till_is_connected_question_by_question(acme, person):
    owner = person()

    assert 'href="/channels/new/till/"' in text_of(owner.get("/channels/new/"))
    assert 'href="/channels/new/till/sandbox/"' in text_of(owner.get("/channels/new/till/"))
    given = {"name": "Main shop", "shortcode": "522 522", "store_number": "600-200"}
    answer = owner.post("/channels/new/till/sandbox/", given)
    channel = only_channel(acme)
    assert (channel.kind, channel.environment, channel.status) == ("TILL", "SANDBOX", "DRAFT")
    assert (channel.name, channel.shortcode, channel.store_number) == ("Main shop", "522522", "600200")
    assert answer["Location"] == at(channel, "keys/")

    # Each answer is saved, and its proof begins.
    questions = {
        "keys/": KEYS,
        "passkey/": {"passkey": "the passkey 77b1"},
        "initiator/": {"initiator_name": "apiop", "initiator_credential": "Safaricom999!"},
    }
    for rest, given in questions.items():
        answer = owner.post(at(channel, rest), given)
        with tenant_context(acme):
            run = ChannelRun.objects.latest("pk")
        assert answer["Location"] == at(channel, f"runs/{public_id('run', run.pk)}/")
        assert run.kind == f"PROVE_{rest.strip('/').upper()}"
    channel = fresh(acme, channel)
    assert (channel.consumer_key, channel.consumer_secret) == ("consumerkey4f2a", "consumersecret9c1d")
    assert (channel.passkey, channel.initiator_name) == ("thepasskey77b1", "apiop")
    assert (channel.initiator_credential, channel.status) == ("Safaricom999!", "CONFIGURED")


@pytest.mark.usefixtures("_programs")
def test_payments_of_a_new_channel_count_for_the_program_that_was_chosen(acme, person):
    owner = person()
    assert '<option value="loyalty" selected>Loyalty</option>' in text_of(owner.get("/channels/new/paybill/sandbox/"))

    owner.post("/channels/new/paybill/sandbox/", {"name": "Shop", "shortcode": "600100", "program": "vip"})
    assert only_channel(acme).account_mapping == {"default": "vip"}
    owner.post("/channels/new/paybill/sandbox/", {"name": "Other", "shortcode": "600200", "program": ""})
    with tenant_context(acme):
        assert MpesaChannel.objects.get(shortcode="600200").account_mapping == {}


def test_a_common_set_up_proposes_kind_and_name(person):
    owner = person()

    assert 'href="/channels/new/paybill/?like=school"' in text_of(owner.get("/channels/new/"))
    world = text_of(owner.get("/channels/new/paybill/?like=school"))
    assert 'href="/channels/new/paybill/sandbox/?like=school"' in world
    page = text_of(owner.get("/channels/new/paybill/sandbox/?like=school"))
    assert 'value="School fees"' in page
    assert "Parents type the admission number." in page
    assert owner.get("/channels/new/paybill/?like=nonsense").status_code == 200


def test_what_is_saved_is_shown_and_never_a_secret(acme, person):
    owner = person()
    owner.post("/channels/new/paybill/sandbox/", {"name": "Shop", "shortcode": "600100"})
    channel = only_channel(acme)
    owner.post(at(channel, "keys/"), KEYS)
    owner.post(at(channel, "initiator/"), {"initiator_name": "apiop", "initiator_credential": "Safaricom999!"})

    for rest in ("", "keys/", "initiator/", "settings/", "doctor/"):
        page = text_of(owner.get(at(channel, rest)))
        assert "consumerkey" not in page
        assert "consumersecret" not in page
        assert "Safaricom999!" not in page
    page = text_of(owner.get(at(channel)))
    assert "saved, ends in …4f2a" in page
    assert "saved, ends in …9c1d" in page
    assert "…999!" not in page  # of a password not even the end


def test_an_empty_answer_keeps_the_saved_secret(acme, person):
    owner = person()
    owner.post("/channels/new/paybill/sandbox/", {"name": "Shop", "shortcode": "600100"})
    channel = only_channel(acme)
    owner.post(at(channel, "keys/"), KEYS)

    owner.post(at(channel, "keys/"), {"consumer_key": "", "consumer_secret": "another secret 1111"})

    channel = fresh(acme, channel)
    assert (channel.consumer_key, channel.consumer_secret) == ("consumerkey4f2a", "anothersecret1111")


def test_keys_are_asked_for_with_a_sentence_and_not_shown_again(acme, person):
    owner = person()
    owner.post("/channels/new/paybill/sandbox/", {"name": "Shop", "shortcode": "600100"})
    channel = only_channel(acme)

    answer = owner.post(at(channel, "keys/"), {"consumer_key": "consumer key 4f2a", "consumer_secret": ""})

    assert answer.status_code == 422
    assert "Copy it from the portal, whole, and paste it here." in text_of(answer)
    assert "consumer key 4f2a" not in text_of(answer)
    assert fresh(acme, channel).status == "DRAFT"


@pytest.mark.parametrize(
    ("given", "field", "sentence"),
    [
        ({"name": "", "shortcode": "600100"}, "name", "Enter a name, like Main shop."),
        ({"name": "Shop", "shortcode": "12"}, "shortcode", "Enter 5 to 7 digits, like 247247."),
        ({"name": "Shop", "shortcode": ""}, "shortcode", "Enter the number that your customers pay to, like 247247."),
    ],
)
def test_a_wrong_number_is_said_beside_its_field_and_makes_no_channel(acme, person, given, field, sentence):
    answer = person().post("/channels/new/paybill/sandbox/", given)

    assert answer.status_code in {400, 422}
    assert re.search(rf'<a href="#id_{field}">{re.escape(sentence)}</a>', text_of(answer))
    with tenant_context(acme):
        assert not MpesaChannel.objects.exists()


def test_there_are_no_other_kinds_and_worlds(person):
    owner = person()

    assert owner.get("/channels/new/kiosk/").status_code == 404
    assert owner.get("/channels/new/till/moon/").status_code == 404


def test_a_live_number_is_not_offered_where_nothing_leads_to_safaricom(person, settings):
    settings.DARAJA_URLS = settings.DARAJA_URLS | {"PRODUCTION": ""}

    page = text_of(person().get("/channels/new/paybill/"))

    assert "/channels/new/paybill/production/" not in page
    assert "not connected to Safaricom's live service yet" in page


def test_settings_change_and_a_proved_number_is_not_asked_for(acme, person):
    saved = {"ends_in": "4f2a", "saved_at": timezone.now().isoformat(), "proved_at": None}
    keys = {"consumer_key": saved, "consumer_secret": saved}
    channel = make_channel(acme, "600100", first_verified_at=timezone.now(), secret_notes=keys)
    owner = person()
    assert 'name="shortcode"' not in text_of(owner.get(at(channel, "settings/")))

    given = {"name": "Harbour shop", "minimum_amount": "50", "maximum_amount": "", "response_type": "Cancelled"}
    answer = owner.post(
        at(channel, "settings/"), given | {"accepts_unmapped": "on", "nominated_number": "0712 345 678"}
    )

    assert answer["Location"] == at(channel)
    channel = fresh(acme, channel)
    assert (channel.name, channel.minimum_amount, channel.maximum_amount) == ("Harbour shop", 50, None)
    assert (channel.response_type, channel.accepts_unmapped) == ("Cancelled", True)
    assert channel.nominated_number == "254712345678"


# -- Proving and switching --------------------------------------------------------------------------------------------


@pytest.fixture
def configured(acme):
    saved = {"ends_in": "4f2a", "saved_at": timezone.now().isoformat(), "proved_at": None}
    return make_channel(
        acme,
        "600100",
        environment=Environment.SANDBOX,
        status=MpesaChannel.Status.CONFIGURED,
        secret_notes={"consumer_key": saved, "consumer_secret": saved},
    )


def run_at(answer):
    """The path of the run that an answer leads to."""
    assert answer.status_code == 302
    return answer["Location"]


def test_proving_is_watched_step_by_step_and_goes_on_when_the_page_is_closed(acme, person, configured):
    owner = person()

    watched = run_at(owner.post(at(configured, "verify/")))

    page = text_of(owner.get(watched))
    assert f'hx-get="{watched}" hx-trigger="every 2s"' in page
    assert '<meta http-equiv="refresh" content="5">' in page
    assert "<title>Working: Proving the credentials" in page
    assert "Step 0 of 6 is done." in page
    assert watched in text_of(owner.get(at(configured)))  # whoever comes back finds it
    assert run_at(owner.post(at(configured, "verify/"))) == watched  # a second press is the same run
    fragment = text_of(owner.get(watched, headers={"HX-Request": "true"}))
    assert "<html" not in fragment
    with tenant_context(acme):
        ChannelRun.objects.update(created_at=timezone.now() - timedelta(minutes=1))
    assert 'hx-trigger="every 5s"' in text_of(owner.get(watched, headers={"HX-Request": "true"}))


def test_a_run_that_ended_says_why_and_asks_no_more(acme, person):
    connected = furnish_channels(acme)

    page = text_of(person().get(at(connected.channel, f"runs/{public_id('run', connected.failed.pk)}/")))

    assert "hx-get" not in page
    assert "http-equiv" not in page
    assert "<title>Did not work: Proving the credentials" in page
    assert "Safaricom refuses the keys." in page
    assert re.search(r"<strong>You: Copy them\.</strong>", page)
    assert "Safaricom said: Invalid" in page
    assert f'action="{at(connected.channel, "verify/")}"' in page


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (DarajaRejected("Bad Request", code="400.002.02", http_status=400), "Safaricom said: Bad Request"),
        (DarajaTimeout("No answer in time.", reason=Reason.SLOW), "No answer in time."),
        (DarajaUnavailable("no lifetime", reason=Reason.NONSENSE_ANSWER, http_status=200), "no lifetime"),
    ],
)
def test_only_safaricoms_own_words_are_said_to_be_its(acme, person, error, shown):
    connected = furnish_channels(acme)
    with tenant_context(acme):
        run = connected.failed
        run.steps[1]["said"] = refused(error).said
        run.save(update_fields=["steps"])

    page = text_of(person().get(at(connected.channel, f"runs/{public_id('run', run.pk)}/")))

    assert f'<span class="hint">{shown}</span>' in page


def test_what_is_not_saved_is_entered_and_what_is_saved_is_replaced(acme, person):
    channel = make_channel(acme, "600100", status=MpesaChannel.Status.DRAFT)
    owner = person()

    page = text_of(owner.get(at(channel)))
    assert "Enter the keys</a></li>" in page
    assert "Enter the passkey</a></li>" in page
    assert "Enter the API operator</a></li>" in page

    owner.post(at(channel, "keys/"), KEYS)
    owner.post(at(channel, "passkey/"), {"passkey": "the passkey 77b1"})
    page = text_of(owner.get(at(channel)))
    assert "Enter other keys</a></li>" in page
    assert "Enter another passkey</a></li>" in page
    assert "Enter the API operator</a></li>" in page


def test_a_draft_can_not_be_proved(acme, person):
    channel = make_channel(acme, "600100", status=MpesaChannel.Status.DRAFT)

    answer = person().post(at(channel, "verify/"))

    assert answer.status_code == 409
    assert "Save the consumer key and the consumer secret" in text_of(answer)
    with tenant_context(acme):
        assert not ChannelRun.objects.exists()


def test_the_next_step_is_the_one_button(acme, person, configured):
    owner = person()
    assert f'action="{at(configured, "verify/")}"' in text_of(owner.get(at(configured)))

    with tenant_context(acme):
        MpesaChannel.objects.update(verified_at=timezone.now(), status="VERIFIED")
    assert "Safaricom knows where to report payments" in text_of(owner.get(at(configured)))
    assert "<button>Register the addresses</button>" in text_of(owner.get(at(configured)))

    with tenant_context(acme):
        MpesaChannel.objects.update(urls_registered_at=timezone.now())
    assert "<button>Switch it on</button>" in text_of(owner.get(at(configured)))
    assert owner.post(at(configured, "activate/"))["Location"] == at(configured)
    assert fresh(acme, configured).status == "ACTIVE"
    page = text_of(owner.get(at(configured)))
    assert "PayBill 600100 (600100) receives payments now." in page
    assert "Until it receives payments" not in page


def test_switching_off_asks_first(acme, person, configured):
    with tenant_context(acme):
        now = timezone.now()
        MpesaChannel.objects.update(verified_at=now, urls_registered_at=now, activated_at=now, status="ACTIVE")
    owner = person()

    assert owner.get(at(configured, "switch-off/")).status_code == 200
    assert fresh(acme, configured).status == "ACTIVE"
    owner.post(at(configured, "switch-off/"), {"reason": "Stocktaking"})
    assert fresh(acme, configured).status == "SUSPENDED"


def test_a_new_address_needs_a_promise(acme, person, configured):
    owner = person()
    before = configured.callback_token

    answer = owner.post(at(configured, "new-path/"), {})
    assert answer.status_code == 422
    assert fresh(acme, configured).callback_token == before
    owner.post(at(configured, "new-path/"), {"understood": "on"})
    assert fresh(acme, configured).callback_token != before


def test_each_credential_is_proved_as_it_is_entered(acme, person, simulator, run_due):
    organisation = simulator.open()
    owner = person()
    owner.post("/channels/new/paybill/sandbox/", {"name": "Shop", "shortcode": organisation["shortcode"]})
    channel = only_channel(acme)

    watched = run_at(owner.post(at(channel, "keys/"), {name: organisation[name] for name in KEYS}))
    assert "<title>Working: Proving the keys" in text_of(owner.get(watched))
    run_due()
    page = text_of(owner.get(watched))
    assert "<h2>Safaricom accepts the keys</h2>" in page
    assert f'<a class="button" href="{at(channel, "passkey/")}">Next: the passkey</a>' in page

    watched = run_at(owner.post(at(channel, "passkey/"), {"passkey": "not the passkey of this number"}))
    run_due()
    page = text_of(owner.get(watched))
    assert "<h2>It did not work</h2>" in page
    assert f'<a class="button" href="{at(channel, "passkey/")}">Back to the question</a>' in page
    assert f'action="{at(channel, "prove/passkey/")}"' in page
    for address in (at(channel), "/setup/"):
        assert text_of(owner.get(address)).count("M-PESA refused this") == (2 if address != "/setup/" else 1)
    question = text_of(owner.get(at(channel, "passkey/")))
    assert "M-PESA refused this" in question
    assert "Leave this empty to keep it" not in question
    assert owner.post(at(channel, "passkey/"), {"passkey": ""}).status_code == 422

    watched = run_at(owner.post(at(channel, "passkey/"), {"passkey": organisation["passkey"]}))
    run_due()
    page = text_of(owner.get(watched))
    assert "<h2>Safaricom accepts the passkey</h2>" in page
    assert "Next: the API operator" in page
    assert f'href="{at(channel)}">Not now</a>' in text_of(owner.get(at(channel, "initiator/")))
    page = text_of(owner.get(at(channel)))
    assert "M-PESA refused this" not in page
    assert page.count("proved <time") == 3
    assert f'action="{at(channel, "verify/")}"' in page  # the gate is still to come
    assert fresh(acme, channel).status == "CONFIGURED"


def test_an_operator_that_gets_no_answer_is_saved_and_not_called_proved(acme, person, simulator, receiver, run_due):
    organisation = simulator.open()
    owner = person()
    owner.post("/channels/new/paybill/sandbox/", {"name": "Shop", "shortcode": organisation["shortcode"]})
    channel = only_channel(acme)
    owner.post(at(channel, "keys/"), {name: organisation[name] for name in KEYS})
    simulator.faults(channel.shortcode, {"fault": "maintenance", "on": ["account_balance"]})
    given = {"initiator_name": "apiop", "initiator_credential": "Safaricom999!"}

    watched = run_at(owner.post(at(channel, "initiator/"), given))
    run_due()

    page = text_of(owner.get(watched))
    assert "<h2>It is saved, and could not be proved now</h2>" in page
    assert "Safaricom accepts the API operator" not in page
    assert 'value="apiop"' in text_of(owner.get(at(channel, "initiator/")))
    assert run_at(owner.post(at(channel, "prove/initiator/"))) != watched


def test_a_credential_that_is_none_is_not_proved(acme, person, configured):
    assert person().post(at(configured, "prove/shoe-size/")).status_code == 404
    assert person().post(at(configured, "prove/passkey/")).status_code == 409
    with tenant_context(acme):
        assert not ChannelRun.objects.exists()


def test_a_number_is_proved_registered_and_switched_on_by_its_buttons(acme, person, simulator, run_due):
    organisation = simulator.open()
    owner = person()
    owner.post("/channels/new/paybill/sandbox/", {"name": "Shop", "shortcode": organisation["shortcode"]})
    channel = only_channel(acme)
    keys = {name: organisation[name] for name in KEYS}
    owner.post(at(channel, "keys/"), keys)
    owner.post(at(channel, "passkey/"), {"passkey": organisation["passkey"]})

    watched = run_at(owner.post(at(channel, "verify/")))
    run_due()
    page = text_of(owner.get(watched))
    assert "Safaricom accepts what is saved" in page
    assert "Safaricom says that" in page
    assert f'action="{at(channel, "register-urls/")}"' in page
    watched = run_at(owner.post(at(channel, "register-urls/")))
    run_due()
    assert f'action="{at(channel, "activate/")}"' in text_of(owner.get(watched))
    owner.post(at(channel, "activate/"))

    channel = fresh(acme, channel)
    assert (channel.status, channel.organisation_name) == ("ACTIVE", "Acme Electronics")
    assert "proved" in text_of(owner.get(at(channel)))


def test_wrong_keys_end_with_what_to_do(acme, person, simulator, run_due):
    organisation = simulator.open()
    owner = person()
    owner.post("/channels/new/paybill/sandbox/", {"name": "Shop", "shortcode": organisation["shortcode"]})
    channel = only_channel(acme)
    owner.post(at(channel, "keys/"), KEYS)

    watched = run_at(owner.post(at(channel, "verify/")))
    run_due()

    page = text_of(owner.get(watched))
    assert "<h2>It did not work</h2>" in page
    assert "<strong>You: </strong>" in page
    assert "Try again" in page
    assert fresh(acme, channel).status == "CONFIGURED"

    # The passkey's proof, too, leads to what is at fault.
    watched = run_at(owner.post(at(channel, "passkey/"), {"passkey": organisation["passkey"]}))
    run_due()
    page = text_of(owner.get(watched))
    assert f'<a class="button" href="{at(channel, "keys/")}">Back to the question</a>' in page
    assert f'action="{at(channel, "prove/passkey/")}"' in page


def test_the_doctor_is_asked_by_a_manager_and_its_last_words_stay(acme, person):
    connected = furnish_channels(acme)
    with tenant_context(acme):
        ChannelRun.objects.filter(status="PENDING").delete()
    manager = person(Role.MANAGER)

    page = text_of(manager.get(at(connected.channel, "doctor/")))
    assert "Safaricom refuses the keys." in page
    watched = run_at(manager.post(at(connected.channel, "doctor/")))
    with tenant_context(acme):
        run = ChannelRun.objects.get(status="PENDING")
    assert (watched, run.kind) == (at(connected.channel, f"runs/{public_id('run', run.pk)}/"), "DOCTOR")


# -- Who may what -----------------------------------------------------------------------------------------------------


def test_a_clerk_looks_and_changes_nothing(acme, person, configured):
    clerk = person(Role.USER)

    page = text_of(clerk.get(at(configured)))
    assert "An administrator of your business does this." in page
    assert "consumer" not in page.replace("Consumer", "")
    assert configured.callback_token not in page
    assert "Show the addresses" not in page
    assert "/channels/new/" not in text_of(clerk.get("/channels/"))
    for rest in ("verify/", "prove/keys/", "register-urls/", "activate/", "doctor/", "rules/save/"):
        assert clerk.post(at(configured, rest)).status_code == 403
    for rest in ("keys/", "passkey/", "initiator/", "settings/", "switch-off/", "new-path/"):
        assert clerk.get(at(configured, rest)).status_code == 403
    with tenant_context(acme):
        assert not ChannelRun.objects.exists()


def test_the_rival_finds_nothing(acme, rival, browser, member_of):
    connected = furnish_channels(acme)
    rivals = browser(member_of(rival))

    assert "Main shop" not in text_of(rivals.get("/channels/"))
    assert "Safaricom refuses the keys." not in text_of(rivals.get("/problems/?environment=sandbox"))
    run = f"runs/{public_id('run', connected.failed.pk)}/"
    for rest in ("", "keys/", "settings/", "doctor/", "rules/", "rules.json", "qr/", run):
        assert rivals.get(at(connected.channel, rest)).status_code == 404
    for rest in ("verify/", "prove/keys/", "register-urls/", "activate/", "rules/save/"):
        assert rivals.post(at(connected.channel, rest)).status_code == 404
    dismiss = f"/problems/{public_id('prob', connected.problem.pk)}/dismiss/"
    assert rivals.post(dismiss).status_code == 404
    with tenant_context(acme):
        assert Problem.objects.get().dismissed_at is None


# -- Health and problems ----------------------------------------------------------------------------------------------


def test_the_list_shows_each_channels_state_and_problems(acme, person):
    furnish_channels(acme)
    make_channel(acme, "600100")

    page = text_of(person(Role.USER).get("/channels/"))

    rows = {row.split("</a>")[0].rpartition(">")[2]: row for row in page.split("<tr>")[2:]}
    assert "Not proved yet" in rows["Main shop"]
    assert '<a href="/problems/?environment=sandbox">1</a>' in rows["Main shop"]
    assert "Receives payments" in rows["PayBill 600100"]
    assert "None" in rows["PayBill 600100"]
    assert ("Sandbox" in rows["Main shop"], "Practice" in rows["PayBill 600100"]) == (True, True)


def test_an_active_channel_with_a_problem_needs_somebody(acme, person):
    connected = furnish_channels(acme)
    with tenant_context(acme):
        MpesaChannel.objects.filter(pk=connected.channel.pk).update(status="ACTIVE")

    assert "Needs you" in text_of(person(Role.USER).get("/channels/"))


def test_without_channels_there_is_one_thing_to_do(acme, person):
    assert '<a class="button" href="/channels/new/">Add a channel</a>' in text_of(person().get("/channels/"))
    assert "/channels/new/" not in text_of(person(Role.USER).get("/channels/"))


def test_a_problem_is_put_out_of_sight(acme, person):
    connected = furnish_channels(acme)
    dismiss = f"/problems/{public_id('prob', connected.problem.pk)}/dismiss/"
    clerk, manager = person(Role.USER), person(Role.MANAGER)
    assert "I know" not in text_of(clerk.get("/problems/?environment=sandbox"))
    assert clerk.post(dismiss).status_code == 403

    page = text_of(manager.get("/problems/?environment=sandbox"))
    assert "Safaricom refuses the keys." in page
    assert "Copy them from the Daraja portal again." in page
    manager.post(dismiss)

    assert "Safaricom refuses the keys." not in text_of(manager.get("/problems/"))
    assert "Safaricom refuses the keys." in text_of(manager.get("/problems/?state=dismissed"))
    assert manager.post(dismiss).status_code == 409


# -- Rules ------------------------------------------------------------------------------------------------------------


def pay(acme, channel, *references):
    with tenant_context(acme):
        for number, reference in enumerate(references):
            Payment.objects.create(
                receipt=f"R{number}",
                channel=channel,
                environment=channel.environment,
                payer="2547 ***** 126",
                amount=100,
                account_reference=reference,
                source="CONFIRMATION",
                paid_at=timezone.now(),
                created_at=timezone.now(),
            )


def seen_by(client, channel):
    return re.search(r'name="seen" value="(\w+)"', text_of(client.get(at(channel, "rules/"))))[1]


def press(client, channel, button, given=()):
    """What somebody does who has the page before them as it is now."""
    return client.post(at(channel, f"rules/{button}/"), dict(given) | {"seen": seen_by(client, channel)})


@pytest.mark.usefixtures("_programs")
def test_trying_a_reference_names_the_rule_that_wins(acme, person):
    channel = make_channel(acme, "600100", account_mapping={"default": "loyalty", "VIP*": "vip"})
    clerk = person(Role.USER)

    page = text_of(clerk.get(at(channel, "rules/?try=vip-007")))
    assert "“vip-007” goes to VIP guests, because it begins with VIP." in page
    page = text_of(clerk.get(at(channel, "rules/?try=")))
    assert "“” goes to Loyalty, because it is anything else." in page
    assert "Into the draft" not in page


@pytest.mark.usefixtures("_programs")
def test_a_rule_is_a_draft_with_its_effect_until_it_is_saved(acme, person):
    channel = make_channel(acme, "600100", account_mapping={"default": "loyalty"})
    pay(acme, channel, "GOLD1", "gold-2", "TABLE 7", "")
    owner = person()

    press(owner, channel, "set", {"how": "begins", "rule": "gold", "program": "vip"})
    page = text_of(owner.get(at(channel, "rules/")))
    assert "These rules are a draft" in page
    assert "Of the last 4 payments 2 would go elsewhere:" in page
    assert "2: Loyalty → VIP guests (gold-2, GOLD1…)" in page
    assert fresh(acme, channel).account_mapping == {"default": "loyalty"}
    assert "These rules are a draft" in text_of(person().get(at(channel, "rules/")))  # another phone, another person
    assert "These rules are a draft" not in text_of(person(Role.USER).get(at(channel, "rules/")))
    assert "A draft waits" in text_of(person().get(at(channel)))
    assert "A draft waits" not in text_of(person(Role.USER).get(at(channel)))

    press(owner, channel, "save")
    assert fresh(acme, channel).account_mapping == {"default": "loyalty", "gold*": "vip"}
    assert "A draft waits" not in text_of(owner.get(at(channel)))
    assert "These rules are a draft" not in text_of(owner.get(at(channel, "rules/")))


@pytest.mark.usefixtures("_programs")
@pytest.mark.parametrize(
    ("how", "rule", "written"),
    [
        ("is", "A1", "A1"),
        ("ends", "A1", "*A1"),
        ("contains", "A1", "*A1*"),
        ("fits", "A?1", "A?1"),
        ("other", "", "default"),
    ],
)
def test_rules_are_said_in_words(acme, person, how, rule, written):
    channel = make_channel(acme, "600100")
    owner = person()

    press(owner, channel, "set", {"how": how, "rule": rule, "program": "vip"})
    press(owner, channel, "save")

    assert fresh(acme, channel).account_mapping == {written: "vip"}


@pytest.mark.usefixtures("_programs")
def test_a_rule_is_changed_and_removed_and_changes_are_dropped(acme, person):
    channel = make_channel(acme, "600100", account_mapping={"default": "loyalty", "VIP*": "vip"})
    owner = person()
    assert 'value="VIP*"' in text_of(owner.get(at(channel, "rules/?change=VIP*")))

    given = {"how": "fits", "rule": "VIP?", "program": "vip", "replaces": "VIP*"}
    press(owner, channel, "set", given)
    assert "fits VIP?" in text_of(owner.get(at(channel, "rules/")))
    press(owner, channel, "discard")
    assert "begins with VIP" in text_of(owner.get(at(channel, "rules/")))
    for rule in ("VIP*", "default"):
        press(owner, channel, "remove", {"rule": rule})
    press(owner, channel, "save")

    assert fresh(acme, channel).account_mapping == {}


@pytest.mark.usefixtures("_programs")
def test_a_rule_that_can_not_be_used_is_said_beside_its_field(acme, person):
    channel = make_channel(acme, "600100", account_mapping={"VIP*": "vip"})
    owner = person()

    empty = press(owner, channel, "set", {"how": "is", "rule": "", "program": "vip"})
    same = press(owner, channel, "set", {"how": "begins", "rule": "v i p", "program": "loyalty"})

    assert "Enter what the account number is compared with, like VIP." in text_of(empty)
    assert "are the same rule" in text_of(same)
    assert (empty.status_code, same.status_code) == (422, 400)
    assert "These rules are a draft" not in text_of(owner.get(at(channel, "rules/")))


@pytest.mark.usefixtures("_programs")
def test_rules_travel_as_a_file(acme, person):
    channel = make_channel(acme, "600100", account_mapping={"default": "loyalty", "VIP*": "vip"})
    other = make_channel(acme, "600200")
    owner = person()

    exported = owner.get(at(channel, "rules.json"))
    assert json.loads(exported.content) == {"default": "loyalty", "VIP*": "vip"}
    assert exported["Content-Disposition"] == 'attachment; filename="rules-paybill-600100.json"'
    press(owner, other, "import", {"file": io.BytesIO(exported.content)})
    press(owner, other, "save")

    assert fresh(acme, other).account_mapping == {"default": "loyalty", "VIP*": "vip"}


@pytest.mark.usefixtures("_programs")
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{", "This is no JSON file."),
        (b"[1]", "Give the rules as an object"),
        (b'{"A": "nowhere"}', "there is no program “nowhere”."),
    ],
)
def test_a_file_that_can_not_be_used_changes_nothing(acme, person, content, sentence):
    channel = make_channel(acme, "600100", account_mapping={"default": "loyalty"})
    owner = person()

    answer = press(owner, channel, "import", {"file": io.BytesIO(content)})

    assert answer.status_code in {400, 422}
    assert sentence in text_of(answer)
    press(owner, channel, "save")
    assert fresh(acme, channel).account_mapping == {"default": "loyalty"}


@pytest.mark.usefixtures("_programs")
def test_a_page_that_is_out_of_date_changes_nothing_and_keeps_what_was_entered(acme, person):
    channel = make_channel(acme, "600100")
    first, second = person(), person()
    seen = seen_by(first, channel)
    press(second, channel, "set", {"how": "begins", "rule": "B", "program": "vip"})

    given = {"how": "begins", "rule": "A", "program": "vip"}
    answer = first.post(at(channel, "rules/set/"), given | {"seen": seen})
    assert answer.status_code == 409
    assert "The rules or their draft were changed meanwhile, so nothing was done." in text_of(answer)
    assert "New: begins with B → VIP guests" in text_of(answer)
    assert 'value="A"' in text_of(answer)
    answer = first.post(at(channel, "rules/save/"), {"seen": seen}, follow=True)
    assert "were changed meanwhile, so nothing was done." in text_of(answer)
    assert fresh(acme, channel).account_mapping == {}

    press(first, channel, "set", given)  # having seen it
    press(first, channel, "save")
    assert fresh(acme, channel).account_mapping == {"A*": "vip", "B*": "vip"}
    answer = second.post(at(channel, "rules/discard/"), {"seen": seen}, follow=True)
    assert "There is no draft any more: it was put in force or dropped." in text_of(answer)


@pytest.mark.usefixtures("_programs")
def test_rules_that_came_into_force_beneath_a_draft_are_shown_and_taken_over(acme, person, actor):
    channel = make_channel(acme, "600100", account_mapping={"default": "loyalty"})
    owner, colleague = person(), actor()
    press(owner, channel, "set", {"how": "begins", "rule": "A", "program": "vip"})
    with tenant_context(acme):
        rules = {"default": "vip", "B*": "loyalty"}
        services.change_channel(channel_id=channel.pk, account_mapping=rules, actor=colleague, now=timezone.now())

    page = text_of(owner.get(at(channel, "rules/")))
    assert "Other rules were put in force after this draft was begun" in page
    assert f"{colleague.label} did so last:" in page
    assert "<li>is anything else: Loyalty → VIP guests</li>" in page  # what they changed
    assert "<li>Gone: begins with B → Loyalty</li>" in page  # what the draft would undo
    assert "Put the draft in force as it is" in page
    press(owner, channel, "take-over")
    page = text_of(owner.get(at(channel, "rules/")))
    assert "Other rules were put in force" not in page
    press(owner, channel, "save")

    assert fresh(acme, channel).account_mapping == {"default": "vip", "A*": "vip", "B*": "loyalty"}


@pytest.mark.usefixtures("_programs")
def test_earlier_rules_are_shown_and_taken_back(acme, rival, person, browser, member_of):
    channel = make_channel(acme, "600100", account_mapping={"default": "loyalty"})
    owner = person()
    press(owner, channel, "set", {"how": "other", "rule": "", "program": "vip"})
    press(owner, channel, "save")

    page = text_of(owner.get(at(channel, "rules/")))
    assert "<li>is anything else → Loyalty</li>" in page
    entry = re.search(r'name="entry" value="(aud_\w+)"', page)[1]
    assert "Earlier rules" not in text_of(person(Role.USER).get(at(channel, "rules/")))
    assert browser(member_of(rival)).post(at(channel, "rules/restore/"), {"entry": entry}).status_code == 404
    press(owner, channel, "restore", {"entry": entry})
    assert fresh(acme, channel).account_mapping == {"default": "vip"}
    press(owner, channel, "save")

    assert fresh(acme, channel).account_mapping == {"default": "loyalty"}
    assert press(owner, channel, "restore", {"entry": "aud_nonsense"}).status_code == 404


# -- Codes and files --------------------------------------------------------------------------------------------------


def test_a_code_is_shown_and_downloaded(acme, person, simulator):
    organisation = simulator.open()
    owner = person()
    owner.post("/channels/new/paybill/practice/", {"name": "Shop"})
    channel = only_channel(acme)
    with tenant_context(acme):
        saved = {"ends_in": None, "saved_at": timezone.now().isoformat(), "proved_at": None}
        channel.shortcode = organisation["shortcode"]
        channel.consumer_key = organisation["consumer_key"]
        channel.consumer_secret = organisation["consumer_secret"]
        channel.secret_notes = {"consumer_key": saved, "consumer_secret": saved}
        channel.save()
    clerk = person(Role.USER)

    page = text_of(clerk.get(at(channel, "qr/?account_reference=TABLE+7&amount=150")))

    assert '<img class="qr" src="data:image/png;base64,' in page
    for file, start in [("code.png", b"\x89PNG"), ("code.svg", b"<svg"), ("poster-a4.pdf", b"%PDF")]:
        assert f'href="{at(channel, f"qr/{file}")}?account_reference=TABLE+7&amp;amount=150"' in page
        answer = clerk.get(at(channel, f"qr/{file}?account_reference=TABLE+7&amount=150"))
        assert answer.content.startswith(start)
        assert answer["Content-Disposition"].startswith("attachment")
    assert clerk.get(at(channel, "qr/other.exe?account_reference=A&amount=1")).status_code == 404


def test_a_code_without_amount_is_not_made(acme, person, configured):
    answer = person().get(at(configured, "qr/?account_reference=TABLE+7&amount="))

    assert answer.status_code == 422
    assert "Enter the amount, like 150." in text_of(answer)


@pytest.mark.usefixtures("_programs")
def test_channels_go_into_a_file_without_secrets_and_come_back(acme, rival, person, browser, member_of):
    make_channel(acme, "600100", account_mapping={"VIP*": "vip"}, notes="=1+1", maximum_amount=70000)
    owner, rivals = person(), browser(member_of(rival))

    for name in ("json", "csv"):
        exported = owner.get(f"/channels/export.{name}").content
        assert b"a passkey" not in exported
        assert b"600100" in exported
        assert b"600100" not in rivals.get(f"/channels/export.{name}").content
    assert b",'=1+1" in exported  # no formula to a spreadsheet
    with tenant_context(acme):
        MpesaChannel.objects.update(name="Changed", maximum_amount=None, notes="")
    rivals.post("/channels/import/", {"file": io.BytesIO(exported)})
    answer = owner.post("/channels/import/", {"file": io.BytesIO(exported)})

    assert owner.get(answer["Location"])["Location"] == "/channels/"
    channel = only_channel(acme)
    assert (channel.name, channel.maximum_amount, channel.notes) == ("PayBill 600100", 70000, "=1+1")
    theirs = only_channel(rival)
    assert (theirs.shortcode, theirs.status, theirs.account_mapping) == ("600100", "DRAFT", {"VIP*": "vip"})


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"shortcode": ""}, "Channel 2: shortcode is missing, or no text."),
        ({"passkey": "secret"}, "Channel 2: secrets don&#x27;t belong into files: take passkey out"),
        ({"colour": "red"}, "Channel 2: there is no column colour."),
        ({"shortcode": "1"}, "Channel 2: shortcode: Enter 5 to 7 digits, like 247247."),
        ({"shortcode": "600100"}, "Channel 2: shortcode: Your channel “One” has this number already."),
    ],
)
def test_an_import_is_all_or_nothing(acme, person, row, sentence):
    one = {"name": "One", "channel_type": "paybill", "environment": "sandbox", "shortcode": "600100"}
    rows = [one, one | {"name": "Two", "shortcode": "600200"} | row]

    answer = person().post("/channels/import/", {"file": io.BytesIO(json.dumps(rows).encode())})

    assert answer.status_code == 400
    assert sentence in text_of(answer)
    with tenant_context(acme):
        assert not MpesaChannel.objects.exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\xff\xfe", "This is no text."),
        (b"name,shortcode\n\0,600100", "This is no text."),
        (b"[", "This is no JSON."),
        (
            b'[{"name": "\\u0000\\ud800", "channel_type": "till", "environment": "sandbox", "shortcode": "5"}]',
            "Channel 1",
        ),
        (b"[NaN]", "not a list of channels"),
        (b'[{"name": NaN}]', "Channel 1: name is missing, or no text."),
        (b"name\n" * 300, "A file has 1 to 200 channels; this has 299."),
    ],
)
def test_nonsense_instead_of_channels_is_refused_in_words(acme, person, content, sentence):
    answer = person().post("/channels/import/", {"file": io.BytesIO(content)})

    assert answer.status_code in {400, 422}
    assert sentence in text_of(answer)
    with tenant_context(acme):
        assert not MpesaChannel.objects.exists()
