"""The guide from practice to real payments, and what is in the way of going live."""

import re

import pytest
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import public_id
from channels.models import ChannelRun, Environment, MpesaChannel, Problem
from tenants.models import Role
from tests.factories import make_channel

SAVED = {"ends_in": "4f2a", "saved_at": "2026-11-01T08:00:00+00:00", "proved_at": None}
KEYS = {"consumer_key": SAVED, "consumer_secret": SAVED}


@pytest.fixture
def person(browser, member_of, acme):
    return lambda role=Role.ORG_ADMIN: browser(member_of(acme, role))


@pytest.fixture
def _connected(settings):
    """This installation knows where Safaricom's live service is; nobody answers there."""
    settings.DARAJA_URLS = settings.DARAJA_URLS | {"PRODUCTION": "http://127.0.0.1:9"}


def live(acme, **columns):
    return make_channel(
        acme, "600100", **{"environment": Environment.PRODUCTION, "status": "DRAFT", "name": "Shop"} | columns
    )


def badges(page):
    """The state of each task, in order."""
    return [part.partition("</span>")[0].rpartition(">")[2] for part in page.split('<li class="card">')[1:]]


def guide(person):
    return badges(person().get("/setup/").content.decode())


def test_a_new_business_begins_with_a_channel(acme, person):
    make_channel(acme, "600000")  # practice does not count

    assert guide(person) == [
        "Done",
        "Not started",
        "Can't start yet",
        "Can't start yet",
        "Can't start yet",
    ]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({}, ["Done", "Done", "Not started", "Can't start yet", "Can't start yet"]),
        (
            {"secret_notes": KEYS, "status": "CONFIGURED"},
            ["Done", "Done", "In progress", "Can't start yet", "Can't start yet"],
        ),
        (
            {"secret_notes": KEYS, "status": "VERIFIED", "verified_at": timezone.now()},
            ["Done", "Done", "Done", "Not started", "Can't start yet"],
        ),
        (
            {
                "secret_notes": KEYS,
                "status": "VERIFIED",
                "verified_at": timezone.now(),
                "urls_registered_at": timezone.now(),
            },
            ["Done", "Done", "Done", "In progress", "Not started"],
        ),
        (
            {
                "secret_notes": KEYS,
                "status": "ACTIVE",
                "verified_at": timezone.now(),
                "urls_registered_at": timezone.now(),
                "activated_at": timezone.now(),
            },
            ["Done", "Done", "Done", "Done", "Done"],
        ),
    ],
)
def test_tasks_follow_from_facts(acme, person, columns, expected):
    live(acme, **columns)

    assert guide(person) == expected


def test_the_sandbox_alone_is_not_live(acme, person):
    now = timezone.now()
    dates = {"verified_at": now, "urls_registered_at": now, "activated_at": now}
    live(acme, environment=Environment.SANDBOX, status="ACTIVE", secret_notes=KEYS, **dates)

    assert guide(person)[-1] == "In progress"


@pytest.mark.parametrize("kind", ["VERIFY", "PROVE_KEYS", "PROVE_PASSKEY", "PROVE_INITIATOR"])
def test_a_proof_that_failed_is_a_problem_until_the_next_one(acme, person, kind):
    channel = live(acme, secret_notes=KEYS, status="CONFIGURED")
    with tenant_context(acme):
        ChannelRun.objects.create(channel=channel, kind=kind, status="FAILED", created_at=timezone.now())
    assert guide(person)[2] == "There is a problem"

    with tenant_context(acme):
        ChannelRun.objects.create(channel=channel, kind="VERIFY", status="PENDING", created_at=timezone.now())
    assert guide(person)[2] == "In progress"


def test_the_guide_counts_its_tasks_and_leads_to_the_settings(person):
    page = person().get("/setup/").content.decode()

    assert "1 of 5 tasks is done." in page
    assert 'href="/settings/"' in page


def test_the_home_page_tells_how_far_the_guide_is_and_what_comes_next(acme, person):
    make_channel(acme, "600966")
    assert 'hx-get="/setup/progress/"' in person().get("/").content.decode()

    assert told(person()) == "Real payments 1 of 5 tasks is done. Next: Add a channel Setup guide"
    live(acme)
    assert told(person()) == "Real payments 2 of 5 tasks are done. Next: Connect Safaricom Setup guide"
    assert person().get("/setup/progress/")["Location"] == "/setup/"
    assert "/setup/progress/" not in person(Role.MANAGER).get("/").content.decode()


def told(client):
    piece = client.get("/setup/progress/", headers={"HX-Request": "true"}).content.decode()
    return " ".join(re.sub(r"<[^>]+>", " ", piece).split())


def test_a_refused_credential_is_named_in_the_guide_and_in_the_way(acme, person):
    refused = SAVED | {"refused_at": "2026-11-01T08:01:00+00:00"}
    channel = live(acme, secret_notes=KEYS | {"passkey": refused}, status="CONFIGURED")

    page = person().get("/setup/").content.decode()

    assert badges(page)[2] == "There is a problem"
    assert 'Passkey: <span class="badge bad">M-PESA refused this</span>' in page
    assert page.count("M-PESA refused this") == 1
    blockers = person().get("/go-live/").content.decode()
    assert "M-PESA refused a credential that is saved." in blockers
    assert f'action="/channels/{public_id("ch", channel.pk)}/verify/"' not in blockers


def test_the_guide_is_for_who_can_do_it(person):
    assert person(Role.MANAGER).get("/setup/").status_code == 403
    assert 'href="/setup/"' not in person(Role.USER).get("/channels/").content.decode()


def test_without_anything_the_page_says_what_is_in_the_way(person, settings):
    settings.DARAJA_URLS = settings.DARAJA_URLS | {"PRODUCTION": ""}

    page = person().get("/go-live/").content.decode()

    assert "2 things are in the way" in page
    assert "This installation is not connected to Safaricom's live service" in page
    assert "There is no live channel" in page
    assert "<button disabled>Switch on</button>" in page


@pytest.mark.usefixtures("_connected")
@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({}, "The consumer key and secret are not saved."),
        ({"secret_notes": KEYS}, "Safaricom has not proved what is saved."),
        (
            {"secret_notes": KEYS, "verified_at": timezone.now()},
            "Safaricom does not know yet where to report payments.",
        ),
    ],
)
def test_each_step_that_is_missing_is_a_blocker_with_its_action(acme, person, columns, sentence):
    channel = live(acme, **columns)

    page = person().get("/go-live/").content.decode()

    assert "1 thing is in the way" in page
    assert sentence in page
    assert f"/channels/{public_id('ch', channel.pk)}/" in page
    assert "<button disabled>" in page
    clerks = person(Role.USER).get("/go-live/").content.decode()
    assert sentence in clerks
    assert f'action="/channels/{public_id("ch", channel.pk)}/verify/"' not in clerks


@pytest.mark.usefixtures("_connected")
def test_a_channel_that_is_ready_is_switched_on_from_here(acme, person):
    now = timezone.now()
    channel = live(acme, secret_notes=KEYS, status="VERIFIED", verified_at=now, urls_registered_at=now)
    owner, path = person(), f"/channels/{public_id('ch', channel.pk)}/activate/"

    page = owner.get("/go-live/").content.decode()
    assert "in the way</h2>" not in page
    assert f'<form method="post" action="{path}">' in page
    assert path not in person(Role.USER).get("/go-live/").content.decode()

    owner.post(path)
    assert "Shop (600100) is live." in owner.get("/go-live/").content.decode()
    with tenant_context(acme):
        assert MpesaChannel.objects.get().status == "ACTIVE"


@pytest.mark.usefixtures("_connected")
def test_a_problem_is_said_and_stops_nothing(acme, person):
    now = timezone.now()
    channel = live(acme, secret_notes=KEYS, status="VERIFIED", verified_at=now, urls_registered_at=now)
    with tenant_context(acme):
        Problem.objects.create(
            channel=channel,
            environment=channel.environment,
            kind=Problem.Kind.CONNECTION,
            sentence="Pull is not on.",
            do_now="Ask Safaricom.",
            who="you",
            opened_at=now,
            seen_at=now,
        )

    page = person().get("/go-live/").content.decode()

    assert "Pull is not on. Ask Safaricom." in page
    assert "<button disabled>" not in page


@pytest.mark.usefixtures("_connected")
def test_the_rivals_channels_are_not_ours(acme, rival, browser, member_of):
    live(acme)

    page = browser(member_of(rival)).get("/go-live/").content.decode()

    assert "Shop" not in page
    assert "There is no live channel" in page
