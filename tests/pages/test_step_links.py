"""Sending a step of connecting a channel to somebody else, and answering it without signing in."""

import re
from datetime import timedelta
from urllib.parse import quote

import pytest
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import public_id
from channels.models import ChannelRun, Environment, MpesaChannel, StepLink
from tenants.hosts import forget_hosts
from tenants.models import Role, Tenant
from tests.factories import make_channel

KEYS = {"consumer_key": "consumer key 4f2a", "consumer_secret": "consumer secret 9c1d"}
SAVED = {"saved_at": "2026-11-01T08:00:00+00:00", "proved_at": None}


@pytest.fixture
def person(browser, member_of, acme):
    return lambda role=Role.ORG_ADMIN: browser(member_of(acme, role))


@pytest.fixture
def stranger(browser):
    return browser(host="acme.localhost")


@pytest.fixture
def channel(acme):
    return make_channel(
        acme,
        "600100",
        name="Main till",
        environment=Environment.SANDBOX,
        status=MpesaChannel.Status.CONFIGURED,
        initiator_name="secretop",
        secret_notes={
            "consumer_key": {"ends_in": "1111", **SAVED},
            "consumer_secret": {"ends_in": "2222", **SAVED},
            "passkey": {"ends_in": "3333", **SAVED},
            "initiator_credential": {"ends_in": None, **SAVED},
        },
    )


def at(channel, rest=""):
    return f"/channels/{public_id('ch', channel.pk)}/{rest}"


def text_of(answer):
    return answer.content.decode()


def withdrawal(channel, link):
    return at(channel, f"links/{public_id('link', link.pk)}/withdraw/")


def send(owner, channel, step="keys", **given):
    """The path of a new link, as the page that makes it shows it."""
    page = text_of(owner.post(at(channel, f"send/{step}/"), given))
    return re.search(r'<code id="step-link">http://acme\.localhost(/link/[^<]+/)</code>', page)[1]


def only_link(acme):
    with tenant_context(acme):
        return StepLink.objects.get()


def fresh(acme, channel):
    with tenant_context(acme):
        return MpesaChannel.objects.get(pk=channel.pk)


def nothing_changed(acme, channel):
    with tenant_context(acme):
        same = MpesaChannel.objects.without_secrets().get(pk=channel.pk).secret_notes == channel.secret_notes
        return same and not ChannelRun.objects.exists()


def test_a_step_is_sent_by_a_link_that_is_shown_once(acme, person, channel):
    owner = person()
    assert f'href="{at(channel, "send/passkey/")}">Send this step to someone else' in text_of(
        owner.get(at(channel, "passkey/"))
    )
    assert "Make the link" in text_of(owner.get(at(channel, "send/passkey/")))
    with tenant_context(acme):
        assert not StepLink.objects.exists()

    answer = owner.post(at(channel, "send/passkey/"), {"for_name": "Otieno"})

    page, link = text_of(answer), only_link(acme)
    address = re.search(r'<code id="step-link">([^<]+)</code>', page)[1]
    assert "no-store" in answer["Cache-Control"]
    assert (
        f"https://wa.me/?text={quote('Acme asks you to enter this for Main till (600100): Passkey.', safe='')}" in page
    )
    assert page.count(quote(address, safe="")) == 2  # by WhatsApp and by e-mail
    shown = text_of(owner.get(at(channel)))
    token = address.split("/link/")[1].strip("/")
    assert token not in shown
    assert "for Otieno" in shown
    assert f"Made by {link.made_by}" in shown
    assert f'action="{withdrawal(channel, link)}"' in shown


def test_who_holds_the_link_answers_without_signing_in(acme, rival, person, stranger, simulator, run_due):
    organisation = simulator.open()
    channel = make_channel(
        acme, organisation["shortcode"], environment=Environment.SANDBOX, status="DRAFT", name="Main till"
    )
    owner = person()
    path = send(owner, channel, for_name="Otieno")

    page = text_of(stranger.get(path))
    assert "Acme asks you to answer this, for Main till" in page
    assert organisation["shortcode"] in page
    assert "Where you find it" in page
    answer = stranger.post(path, {name: organisation[name] for name in KEYS})
    assert (answer.status_code, answer["Location"]) == (302, f"{path}progress/")
    page = text_of(stranger.get(f"{path}progress/"))
    assert f'hx-get="{path}progress/" hx-trigger="every 2s"' in page
    assert '<meta http-equiv="refresh" content="5">' in page
    assert stranger.get(path)["Location"] == f"{path}progress/"  # while it is being proved

    run_due()

    page = text_of(stranger.get(f"{path}progress/", headers={"HX-Request": "true"}))
    assert "Safaricom accepts it. Thank you" in page
    assert "hx-get" not in page
    assert "<html" not in page
    assert stranger.get(path).status_code == 404
    assert stranger.post(path, KEYS).status_code == 404
    assert fresh(acme, channel).consumer_key == organisation["consumer_key"]
    shown = text_of(owner.get(at(channel)))
    assert '<span class="badge good">Answered</span>' in shown
    assert "Withdraw" not in shown


def test_a_refused_answer_is_said_and_asked_for_again(acme, person, stranger, simulator, run_due):
    organisation = simulator.open()
    channel = make_channel(acme, organisation["shortcode"], environment=Environment.SANDBOX, status="DRAFT")
    path = send(person(), channel)

    stranger.post(path, KEYS)
    run_due()

    page = text_of(stranger.get(f"{path}progress/"))
    assert "<h2>It did not work</h2>" in page
    assert "Copy both again from your app on the Daraja portal" in page
    assert f'<a class="button" href="{path}">Back to the question</a>' in page
    again = stranger.get(path)
    assert again.status_code == 200
    assert "consumerkey4f2a" not in text_of(again)
    assert only_link(acme).used_at is None


@pytest.mark.parametrize("step", ["keys", "passkey", "initiator"])
def test_a_link_shows_nothing_that_is_saved(person, stranger, channel, step):
    path = send(person(), channel, step)

    answer = stranger.get(path)
    page = text_of(answer)

    assert answer.status_code == 200
    for hidden in ("1111", "2222", "3333", "secretop", "saved, ends in", "/channels/", "ch_", "@acme.example"):
        assert hidden not in page
    assert 'href="/payments/"' not in page
    assert "no-store" in answer["Cache-Control"]
    assert answer["X-Robots-Tag"] == "noindex"
    assert answer["Referrer-Policy"] == "same-origin"
    assert "default-src 'none'" in answer["Content-Security-Policy"]


def test_what_is_missing_is_asked_for_even_where_something_is_saved(acme, person, stranger, channel):
    path = send(person(), channel)

    answer = stranger.post(path, {"consumer_key": "", "consumer_secret": "consumer secret 9c1d"})

    assert answer.status_code == 422
    assert "consumer secret 9c1d" not in text_of(answer)
    assert nothing_changed(acme, channel)


def test_other_fields_in_the_form_change_nothing(acme, person, stranger, channel):
    path = send(person(), channel)

    stranger.post(path, KEYS | {"passkey": "a thief's passkey", "name": "Thief", "shortcode": "600999"})

    after = fresh(acme, channel)
    assert (after.name, after.shortcode, after.secret_notes["passkey"]["ends_in"]) == ("Main till", "600100", "3333")
    assert after.consumer_key == "consumerkey4f2a"


def test_the_link_opens_no_other_page(person, stranger, channel):
    path = send(person(), channel)
    stranger.get(path)

    for address in (at(channel), at(channel, "keys/"), "/channels/", "/payments/", "/setup/"):
        answer = stranger.get(address)
        assert (answer.status_code, answer["Location"]) == (302, f"/sign-in/?next={address}")
    for rest in ("passkey/", "initiator/", "progress/passkey/"):
        assert stranger.get(f"{path}{rest}").status_code == 404


def test_every_link_that_opens_nothing_gets_the_same_page_without_a_name(
    acme, rival, browser, person, stranger, channel
):
    owner, now = person(), timezone.now()
    expired, withdrawn, used, good = (send(owner, channel) for _ in range(4))
    with tenant_context(acme):
        rows = list(StepLink.objects.order_by("pk"))
        StepLink.objects.filter(pk=rows[0].pk).update(expires_at=now)
        StepLink.objects.filter(pk=rows[2].pk).update(used_at=now - timedelta(hours=2))
    answer = owner.post(withdrawal(channel, rows[1]))
    assert answer["Location"] == at(channel)
    rivals = browser(host="rival.localhost")

    pages = set()
    for visitor, path in (
        (stranger, expired),
        (stranger, withdrawn),
        (stranger, used),
        (stranger, f"/link/{'x' * 43}/"),
        (rivals, good),
    ):
        for closed in (visitor.get(path), visitor.get(f"{path}progress/"), visitor.post(path, KEYS)):
            assert closed.status_code == 404
            page = text_of(closed).replace(path, "")
            assert "This link does not work" in page
            assert "Main till" not in page
            assert "Acme" not in page
            assert "Rival" not in page
            pages.add(re.sub(r'name="(csrfmiddlewaretoken|next)" value="[^"]*"', "", page))
    assert len(pages) == 1
    assert stranger.get(good).status_code == 200
    assert nothing_changed(acme, channel)


def test_while_the_business_is_suspended_its_links_open_nothing(acme, person, stranger, channel):
    path = send(person(), channel)
    Tenant.objects.filter(pk=acme.pk).update(status=Tenant.Status.SUSPENDED)
    forget_hosts()

    assert stranger.get(path).status_code == 404
    assert stranger.post(path, KEYS).status_code == 404
    assert nothing_changed(acme, channel)


def test_links_are_made_and_withdrawn_by_administrators_of_that_business_alone(
    acme, rival, browser, member_of, person, channel
):
    path = send(person(), channel)
    withdraw = withdrawal(channel, only_link(acme))

    for role in (Role.MANAGER, Role.USER):
        assert person(role).get(at(channel, "send/keys/")).status_code == 403
        assert person(role).post(at(channel, "send/keys/")).status_code == 403
        assert person(role).post(withdraw).status_code == 403
        assert "Steps sent to others" not in text_of(person(role).get(at(channel)))
    rivals = browser(member_of(rival))
    assert rivals.get(at(channel, "send/keys/")).status_code == 404
    assert rivals.post(at(channel, "send/keys/")).status_code == 404
    assert rivals.post(withdraw).status_code == 404
    assert person().get(at(channel, "send/shoe-size/")).status_code == 404
    assert person().get(path).status_code == 200


def test_the_passkey_is_not_sent_before_the_keys(acme, person):
    channel = make_channel(acme, "600100", environment=Environment.SANDBOX, status="DRAFT")

    answer = person().post(at(channel, "send/passkey/"), {"for_name": "Otieno"})

    assert answer.status_code == 409
    assert "Save the consumer key and the consumer secret" in text_of(answer)
    assert 'value="Otieno"' in text_of(answer)
