"""One's own language, clock and colours; a new password; a second factor."""

import re
from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice
from django_tenants.utils import tenant_context

from audit.ids import public_id
from audit.models import AuditEntry, PlatformAuditEntry
from tenants import own_sign_in
from tenants.models import HandOver, Role, User

PASSWORD, OTHER = "a long pass phrase", "another long pass phrase"


@pytest.fixture
def place(acme, member_of):
    return member_of(acme, Role.MANAGER)


@pytest.fixture
def inside(place, browser):
    return browser(place)


def sign_in(client, place, password=PASSWORD):
    return client.post("/sign-in/", {"email": place.user.email, "password": password})


def actions(tenant):
    with tenant_context(tenant):
        return list(AuditEntry.objects.order_by("sequence").values_list("action", flat=True))


def code_of(device, *, drift=0):
    totp = TOTP(device.bin_key)
    totp.time = timezone.now().timestamp() + drift * 30
    return f"{totp.token():06d}"


def set_up(client):
    client.get("/you/second-factor/")
    device = TOTPDevice(key=client.session["authenticator_key"])
    answer = client.post("/you/second-factor/", {"code": code_of(device), "password": PASSWORD})
    return device, re.findall(r"<li><code>(\w+)</code>", answer.content.decode())


# How pages look


def test_what_one_chooses_holds_on_every_page_and_on_every_device(acme, inside, place, browser):
    choice = {"name": "Achieng", "language": "sw", "theme": "dark", "time_zone": "Asia/Dubai"}
    assert inside.post("/you/", choice)["Location"] == "/you/"

    page = browser(place).get("/").content.decode()
    assert '<html lang="sw" data-theme="dark"' in page
    assert re.search(r"<strong>Achieng</strong><br><span class=\"hint\">meneja</span>", page, re.IGNORECASE)
    assert User.objects.get(pk=place.user_id).time_zone == "Asia/Dubai"
    assert actions(acme) == ["person.changed"]


@pytest.mark.parametrize("wrong", [{"name": " "}, {"language": "fr"}, {"theme": "pink"}, {"time_zone": "Mars/Base"}])
def test_what_can_not_be_chosen_changes_nothing(acme, inside, place, wrong):
    choice = {"name": "Achieng", "language": "sw", "theme": "dark", "time_zone": "Asia/Dubai"}

    assert inside.post("/you/", choice | wrong).status_code == 422

    user = User.objects.get(pk=place.user_id)
    assert (user.name, user.language, user.theme, user.time_zone) == ("", "", "", "Africa/Nairobi")
    assert actions(acme) == []


@pytest.mark.parametrize("host", ["localhost", "acme.localhost"])
def test_strangers_choose_a_language_and_colours_for_their_browser(acme, browser, host):
    stranger = browser(host=host)

    answer = stranger.post("/look/", {"language": "sw", "next": "/sign-in/?next=/x/"})
    stranger.post("/look/", {"theme": "dark"})

    assert answer["Location"] == "/sign-in/?next=/x/"
    assert '<html lang="sw" data-theme="dark">' in stranger.get("/sign-in/").content.decode()
    assert stranger.post("/look/", {"language": "xx", "next": "//evil.example"})["Location"] == "/"
    assert '<html lang="sw"' in stranger.get("/sign-in/").content.decode()


@pytest.mark.parametrize(
    ("theme", "is_loaded", "asks"),
    [("", True, ' media="(prefers-color-scheme: dark)"'), ("dark", True, ""), ("light", False, "")],
)
def test_pages_are_dark_for_whoever_chose_it_or_whose_device_is(db, browser, theme, is_loaded, asks):
    stranger = browser(host="localhost")
    stranger.post("/look/", {"theme": theme})

    page = stranger.get("/sign-in/").content.decode()

    assert (f'css/dark.css"{asks}>' in page) is is_loaded
    assert ("css/dark.css" in page) is is_loaded


def test_the_browser_is_asked_when_nobody_chose(db, browser):
    assert '<html lang="sw">' in browser(HTTP_ACCEPT_LANGUAGE="sw,en;q=0.5").get("/").content.decode()
    assert '<html lang="en">' in browser(HTTP_ACCEPT_LANGUAGE="fr").get("/").content.decode()


def test_the_api_speaks_english_to_everybody(inside, place):
    User.objects.filter(pk=place.user_id).update(language="sw")

    refusal = inside.post("/api/v1/auth/token/", {}, content_type="application/json", headers={"Accept-Language": "sw"})

    assert refusal.json()["errors"]["email"] == ["This field is required."]


# The password


def test_a_new_password_ends_what_was_signed_in_elsewhere(acme, inside, place, browser):
    elsewhere = browser(place)

    given = {"present_password": PASSWORD, "password": OTHER}
    assert inside.post("/you/password/", given)["Location"] == "/you/"

    assert inside.get("/").status_code == 200
    assert elsewhere.get("/").status_code == 302
    assert sign_in(browser(host="acme.localhost"), place).status_code == 401
    assert sign_in(browser(host="acme.localhost"), place, OTHER).status_code == 302
    assert actions(acme) == ["person.password_changed"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"present_password": "wrong", "password": OTHER}, "present_password"),
        ({"present_password": PASSWORD, "password": "1234567890"}, "password"),
    ],
)
def test_a_password_that_is_refused_changes_nothing(acme, inside, place, browser, given, field):
    answer = inside.post("/you/password/", given)

    assert answer.status_code == 400
    assert f'<a href="#id_{field}">' in answer.content.decode()
    assert sign_in(browser(host="acme.localhost"), place).status_code == 302
    assert actions(acme) == []


def test_who_forgot_their_password_gets_a_link_that_works_once(place, browser, run_due):
    inside = browser(place)
    browser().post("/password/", {"email": place.user.email.upper()})
    run_due()

    (message,) = mail.outbox
    assert (message.to, message.subject) == ([place.user.email], "A new password for Tuzo")
    path = re.search(r"http://localhost:8000(/password/\S+)", message.body)[1]
    assert browser().post(path, {"password": OTHER})["Location"] == "/sign-in/"
    assert inside.get("/").status_code == 302  # what was signed in has ended
    assert sign_in(browser(host="acme.localhost"), place, OTHER).status_code == 302
    assert sign_in(browser(host="acme.localhost"), place).status_code == 401
    assert browser().get(path).status_code == 404
    assert browser().post(path, {"password": PASSWORD}).status_code == 404
    assert list(PlatformAuditEntry.objects.values_list("action", flat=True)) == [
        "person.password_reset_asked",
        "person.password_reset",
    ]


def test_a_stranger_gets_the_same_answer_and_no_mail(db, browser, run_due):
    known = User.objects.create_user(email="known@x.example", password=PASSWORD)
    answers = []
    for email in (known.email, "nobody@x.example"):
        client = browser()
        client.post("/password/", {"email": email})
        answers.append(client.get("/sign-in/").content.decode().replace(email, "…").count("If … has signed up here"))
    run_due()

    assert answers == [1, 1]
    assert [message.to for message in mail.outbox] == [["known@x.example"]]


def test_a_link_to_a_new_password_is_good_for_an_hour(place, browser, monkeypatch):
    path = f"/password/{own_sign_in.reset_token(place.user)}/"
    assert browser().get(path).status_code == 200

    later = timezone.localtime().replace(tzinfo=None) + timedelta(minutes=61)
    monkeypatch.setattr("django.contrib.auth.tokens.PasswordResetTokenGenerator._now", lambda self: later)
    assert browser().get(path).status_code == 404
    assert browser().get("/password/usr_x-y/").status_code == 404


# The second factor


def test_with_a_second_factor_the_password_alone_opens_nothing(acme, inside, place, browser):
    _, codes = set_up(inside)
    assert len(codes) == 10
    assert actions(acme) == ["person.second_factor_set_up"]

    stranger = browser(host="acme.localhost")
    asked = sign_in(stranger, place)
    assert asked.status_code == 200
    assert "Type the code that your authenticator app shows now" in asked.content.decode()
    assert stranger.get("/").status_code == 302
    ticket = asked.context["ticket"]
    wrong = stranger.post("/sign-in/code/", {"ticket": ticket, "code": "wrong"})
    assert wrong.status_code == 400
    assert "This code is wrong, or was used before." in wrong.content.decode()
    assert stranger.post("/sign-in/code/", {"ticket": "forged", "code": codes[0]})["Location"] == "/sign-in/"
    assert stranger.get("/").status_code == 302


def test_the_code_of_the_app_or_a_recovery_code_opens_the_business(inside, place, browser):
    device, codes = set_up(inside)
    for code in (code_of(device, drift=1), f" {codes[0].upper()} "):
        stranger = browser(host="acme.localhost")
        ticket = sign_in(stranger, place).context["ticket"]
        answer = stranger.post("/sign-in/code/", {"ticket": ticket, "code": code, "next": "/you/"})
        assert (answer.status_code, answer["Location"]) == (302, "/you/")
        assert stranger.get("/").status_code == 200

    again = browser(host="acme.localhost")
    ticket = sign_in(again, place).context["ticket"]
    assert again.post("/sign-in/code/", {"ticket": ticket, "code": codes[0]}).status_code == 400


def test_the_note_of_a_right_password_is_no_choice_of_a_business(inside, place, browser):
    set_up(inside)
    platform = browser()
    ticket = sign_in(platform, place).context["ticket"]

    skipped = platform.post("/sign-in/business/", {"ticket": ticket, "membership": public_id("mbr", place.pk)})

    assert skipped["Location"] == "/sign-in/"
    assert HandOver.objects.filter(used_at=None).count() == 0


def test_the_api_asks_for_the_second_factor_too(inside, place, browser):
    _, codes = set_up(inside)
    given = {"email": place.user.email, "password": PASSWORD}

    refused = browser().post("/api/v1/auth/token/", given, content_type="application/json")
    let_in = browser().post("/api/v1/auth/token/", given | {"second_factor": codes[1]}, content_type="application/json")
    wrong = browser().post("/api/v1/auth/token/", given | {"second_factor": "x"}, content_type="application/json")

    assert (refused.status_code, refused.json()["code"]) == (401, "second_factor_needed")
    assert (wrong.status_code, wrong.json()["code"]) == (400, "wrong_code")
    assert let_in.status_code == 200


@pytest.mark.parametrize("given", [{"code": "000000", "password": PASSWORD}, {"code": "right", "password": "wrong"}])
def test_a_second_factor_is_set_up_only_by_its_code_and_the_password(acme, inside, given):
    inside.get("/you/second-factor/")
    if given["code"] == "right":
        given = given | {"code": code_of(TOTPDevice(key=inside.session["authenticator_key"]))}

    assert inside.post("/you/second-factor/", given).status_code in {400, 422}

    assert not TOTPDevice.objects.exists()
    assert not StaticToken.objects.exists()
    assert actions(acme) == []


def test_the_second_factor_goes_and_its_codes_are_renewed_only_with_the_password(acme, inside, place, browser):
    _, codes = set_up(inside)
    for path in ("/you/second-factor/recovery-codes/", "/you/second-factor/remove/"):
        assert inside.post(path, {"password": "wrong"}).status_code == 400
    assert set(StaticToken.objects.values_list("token", flat=True)) == set(codes)

    inside.post("/you/second-factor/recovery-codes/", {"password": PASSWORD})
    assert StaticToken.objects.count() == 10
    assert not set(StaticToken.objects.values_list("token", flat=True)) & set(codes)
    assert inside.post("/you/second-factor/remove/", {"password": PASSWORD})["Location"] == "/you/"
    assert sign_in(browser(host="acme.localhost"), place).status_code == 302
    assert actions(acme)[1:] == ["person.recovery_codes_renewed", "person.second_factor_removed"]
