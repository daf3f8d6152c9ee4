"""The pages of signing in, as a browser meets them."""

import re
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.core import signing
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_tenants.utils import tenant_context

from tenants import people, sessions, tokens
from tenants.models import HandOver, Invitation, Membership, Role, Tenant, User
from tenants.pages import sign_in as sign_in_pages
from tenants.people import invitation_token

PASSWORD = "a long pass phrase"
ADDRESSES = iter(range(1, 250))


@pytest.fixture
def browser():
    """`browser("acme.localhost")` → a browser at an address of its own."""

    def make(host="localhost"):
        return Client(SERVER_NAME=host, REMOTE_ADDR=f"10.66.0.{next(ADDRESSES)}")

    return make


def sign_in(client, email, password=PASSWORD, **more):
    return client.post("/sign-in/", {"email": email, "password": password} | more)


def is_signed_in(client):
    return client.get("/").status_code == 200


def move(cookie_from, to):
    to.cookies["tuzo"] = cookie_from.cookies["tuzo"].value
    return to


@pytest.fixture
def inside(acme, browser, person):
    """A browser of a manager of acme, signed in on acme's host."""
    person("one@acme.example", {acme: Role.MANAGER})
    client = browser("acme.localhost")
    sign_in(client, "one@acme.example")
    return client


def signed_in_as(page):
    """Name and role, as the menu of a business's page says them."""
    found = re.search(r"<p><strong>([^<]*)</strong><br><span class=\"hint\">([^<]*)</span></p>", page)
    return f"{found[1]}, {found[2].lower()}"


def test_a_person_of_one_business_goes_from_the_platform_host_into_it(acme, browser, person):
    person("one@acme.example", {acme: Role.MANAGER})
    platform, business = browser(), browser("acme.localhost")

    step = sign_in(platform, "one@acme.example")

    assert step.status_code == 302
    assert step["Location"].startswith("http://acme.localhost:8000/hand-over/")
    assert "tuzo" not in platform.cookies
    arrival = business.get(step["Location"].removeprefix("http://acme.localhost:8000"))
    assert (arrival.status_code, arrival["Location"]) == (302, "/")
    page = business.get("/").content.decode()
    assert "<h1>Acme</h1>" in page
    assert signed_in_as(page) == "one, manager"


def test_a_person_of_several_businesses_chooses_one(acme, rival, browser, person):
    person("two@x.example", {acme: Role.USER, rival: Role.MANAGER})
    platform = browser()

    choice = sign_in(platform, "two@x.example")
    assert choice.status_code == 200
    offered = choice.context["choices"]
    assert [name for _, name in offered] == ["Acme", "Rival"]

    step = platform.post("/sign-in/business/", {"ticket": choice.context["ticket"], "membership": offered[1][0]})
    business = browser("rival.localhost")
    business.get(step["Location"].removeprefix("http://rival.localhost:8000"))
    assert signed_in_as(business.get("/").content.decode()) == "two, manager"


def test_only_a_place_of_ones_own_can_be_chosen(acme, rival, browser, person, member_of):
    user = person("two@x.example", {acme: Role.USER})
    closed = Membership.objects.create(user=user, tenant=rival, role=Role.USER, is_active=False)
    foreign = member_of(rival)
    own = user.memberships.get(tenant=acme)
    ticket = signing.dumps(user.pk.hex, salt=sign_in_pages._TICKET_SALT)
    ids = [sessions_id("mbr", place) for place in (closed, foreign)] + ["", "x"]

    for membership in ids:
        answer = browser().post("/sign-in/business/", {"ticket": ticket, "membership": membership})
        assert (answer.status_code, answer["Location"]) == (302, "/sign-in/")
    for forged in ("", "x", signing.dumps(user.pk.hex, salt="other"), f"{ticket}x"):
        answer = browser().post("/sign-in/business/", {"ticket": forged, "membership": sessions_id("mbr", own)})
        assert answer["Location"] == "/sign-in/"
    assert not HandOver.objects.exists()


def sessions_id(prefix, row):
    from audit.ids import public_id

    return public_id(prefix, row.pk)


def test_a_choice_is_open_for_five_minutes(acme, browser, person, monkeypatch):
    user = person("two@x.example", {acme: Role.USER})
    ticket = signing.dumps(user.pk.hex, salt=sign_in_pages._TICKET_SALT)
    now = signing.time.time()
    choice = {"ticket": ticket, "membership": sessions_id("mbr", user.memberships.get())}

    monkeypatch.setattr(signing.time, "time", lambda: now + 301)
    assert browser().post("/sign-in/business/", choice)["Location"] == "/sign-in/"
    monkeypatch.setattr(signing.time, "time", lambda: now + 290)
    assert "/hand-over/" in browser().post("/sign-in/business/", choice)["Location"]


def test_a_form_on_the_platform_host_may_lead_to_businesses_and_nowhere_else(db, browser):
    for path in ("/sign-in/",):
        policy = browser().get(path)["Content-Security-Policy"]
        directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
        assert directives["form-action"] == "'self' http://*.localhost:8000"
        assert directives["default-src"] == "'none'"


def test_pages_of_signing_in_are_not_kept_by_browsers(inside, browser):
    for response in (browser().get("/sign-in/"), inside.get("/")):
        assert "no-store" in response["Cache-Control"]


@pytest.mark.parametrize("host", ["localhost", "acme.localhost"])
def test_a_wrong_password_is_told_on_the_page(acme, browser, person, host):
    person("one@acme.example", {acme: Role.USER})

    answer = sign_in(browser(host), "one@acme.example", "wrong")

    assert answer.status_code == 401
    assert "The e-mail address or the password is wrong." in answer.content.decode()
    assert "wrong&quot;" not in answer.content.decode()
    assert not Session.objects.exists()


def test_a_locked_page_says_how_long(acme, browser, person):
    person("one@acme.example", {acme: Role.USER})
    client = browser("acme.localhost")
    for _ in range(7):
        assert sign_in(client, "one@acme.example", "wrong").status_code == 401

    assert sign_in(client, "one@acme.example", "wrong").status_code == 429
    answer = sign_in(client, "one@acme.example")
    assert answer.status_code == 429
    assert "Wait 15 minutes" in answer.content.decode()
    assert not is_signed_in(client)


def test_on_a_business_host_only_its_own_people_come_in(acme, rival, browser, person):
    person("one@acme.example", {acme: Role.USER})
    client = browser("rival.localhost")

    answer = sign_in(client, "one@acme.example")

    assert answer.status_code == 403
    assert "You have no place in this business." in answer.content.decode()
    assert not is_signed_in(client)


def test_after_signing_in_one_is_where_one_wanted_to_be(acme, browser, person):
    person("one@acme.example", {acme: Role.USER})
    client = browser("acme.localhost")
    assert client.get("/")["Location"] == "/sign-in/?next=/"
    assert 'value="/somewhere/"' in client.get("/sign-in/?next=/somewhere/").content.decode()

    assert sign_in(client, "one@acme.example", next="/somewhere/")["Location"] == "/somewhere/"


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "\\\\evil.example"]
)
def test_signing_in_leads_nowhere_else(acme, browser, person, target):
    person("one@acme.example", {acme: Role.USER})

    assert sign_in(browser("acme.localhost"), "one@acme.example", next=target)["Location"] == "/"


def test_forms_need_their_csrf_token(acme, person):
    person("one@acme.example", {acme: Role.USER})
    client = Client(enforce_csrf_checks=True, SERVER_NAME="acme.localhost")

    assert sign_in(client, "one@acme.example").status_code == 403
    assert not Session.objects.exists()


def test_signing_in_begins_a_session_under_a_new_key(acme, browser, person, inside):
    before = inside.cookies["tuzo"].value

    sign_in(inside, "one@acme.example")

    assert inside.cookies["tuzo"].value != before
    assert not Session.objects.filter(session_key=before).exists()


def test_signing_out_ends_the_session(inside, browser):
    copy = move(inside, browser("acme.localhost"))

    assert inside.get("/sign-out/").status_code == 405
    assert inside.post("/sign-out/")["Location"] == "/sign-in/"

    assert not is_signed_in(inside)
    assert not is_signed_in(copy)


# A session is good on one host


def test_a_session_copied_to_another_host_signs_nobody_in_and_is_over(acme, rival, inside, browser, person):
    user = User.objects.get(email="one@acme.example")
    Membership.objects.create(user=user, tenant=rival, role=Role.ORG_ADMIN)
    thief = move(inside, browser("rival.localhost"))

    assert thief.get("/").status_code == 302
    assert thief.get("/api/v1/me/").status_code == 401
    assert not is_signed_in(inside)


def test_a_session_copied_to_the_platform_host_is_nobodys_there(inside, browser):
    thief = move(inside, browser())

    assert thief.get("/api/v1/me/").status_code == 401
    assert thief.get("/sign-in/").status_code == 200
    assert not Session.objects.exists()


def test_an_operators_session_of_the_platform_host_opens_no_business(acme, browser):
    operator = User.objects.create_superuser(email="op@tuzo.example", password=PASSWORD)
    Membership.objects.create(user=operator, tenant=acme, role=Role.ORG_ADMIN)
    platform = browser()
    platform.force_login(operator, backend="django.contrib.auth.backends.ModelBackend")
    assert platform.get("/sign-in/").status_code == 200
    assert Session.objects.count() == 1

    intruder = move(platform, browser("acme.localhost"))

    assert intruder.get("/").status_code == 302
    assert intruder.get("/api/v1/me/").status_code == 401


def test_a_session_that_names_the_business_but_no_place_opens_nothing(acme, browser, member_of):
    client = browser("acme.localhost")
    client.force_login(member_of(acme).user, backend="django.contrib.auth.backends.ModelBackend")

    assert not is_signed_in(client)


END = {
    "the place is closed": lambda place: Membership.objects.filter(pk=place.pk).update(is_active=False),
    "the place is gone": lambda place: place.delete(),
    "the person is closed": lambda place: User.objects.filter(pk=place.user_id).update(is_active=False),
    "the person is gone": lambda place: place.user.delete(),
    "everything was ended": tokens.end_sign_ins,
    "another password was set": lambda place: place.user.set_password("other") or place.user.save(),
}


@pytest.mark.parametrize("end", END.values(), ids=END)
def test_what_ends_a_place_ends_its_sessions_at_once(inside, end):
    assert is_signed_in(inside)

    end(Membership.objects.get(user__email="one@acme.example"))

    assert not is_signed_in(inside)
    assert inside.get("/api/v1/me/").status_code == 401
    assert not Session.objects.exists()


def test_reopening_a_place_does_not_revive_its_sessions(acme, inside, actor, member_of):
    member_of(acme)
    place = Membership.objects.get(user__email="one@acme.example")
    with tenant_context(acme):
        people.change_member(actor=actor(), membership_id=place.pk, is_active=False)
        people.change_member(actor=actor(), membership_id=place.pk, is_active=True)

    assert not is_signed_in(inside)


def test_a_changed_role_counts_on_the_next_page(inside):
    Membership.objects.update(role=Role.USER)

    assert signed_in_as(inside.get("/").content.decode()) == "one, user"


def test_a_signed_in_page_asks_who_it_is_and_which_environment_to_show(inside):
    inside.get("/you/")

    with CaptureQueriesContext(connection) as queries:
        inside.get("/you/")
    tables = [query["sql"].partition('FROM "')[2].partition('"')[0] for query in queries]
    assert [table for table in tables if table][:3] == [
        "django_session", "tenants_user", "tenants_membership",
    ]  # fmt: skip


def test_a_suspended_business_lets_its_people_in_and_says_why(acme, inside):
    from tenants.hosts import forget_hosts

    Tenant.objects.filter(pk=acme.pk).update(status="SUSPENDED", status_reason="Unpaid since June.")
    forget_hosts()

    page = inside.get("/")
    assert page.status_code == 200
    assert "This business is suspended: its people can read and export" in page.content.decode()
    assert "Unpaid since June." in page.content.decode()


# The step between hosts


@pytest.fixture
def step(acme, member_of):
    """`step(now)` → the path of a step into acme, made then."""
    place = member_of(acme)

    def make(made_at=None):
        return f"/hand-over/{sessions.hand_over(place, now=made_at or timezone.now())}/"

    make.place = place
    return make


def test_a_step_is_taken_once(step, browser):
    path = step()
    assert browser("acme.localhost").get(path)["Location"] == "/"

    second = browser("acme.localhost")
    answer = second.get(path)
    assert answer.status_code == 410
    assert "taken already" in answer.content.decode()
    assert not is_signed_in(second)


def test_a_step_is_open_for_a_minute(step, browser):
    late, in_time = browser("acme.localhost"), browser("acme.localhost")

    assert late.get(step(timezone.now() - timedelta(seconds=61))).status_code == 410
    assert not is_signed_in(late)
    assert in_time.get(step(timezone.now() - timedelta(seconds=50))).status_code == 302
    assert is_signed_in(in_time)


def test_a_step_into_acme_leads_nowhere_else(step, rival, browser):
    path = step()

    assert browser("rival.localhost").get(path).status_code == 410
    assert browser().get(path).status_code == 404
    assert browser("acme.localhost").get("/hand-over/guess/").status_code == 410
    assert not Session.objects.exists()
    assert browser("acme.localhost").get(path).status_code == 302


@pytest.mark.parametrize(
    "end",
    [
        lambda place: Membership.objects.filter(pk=place.pk).update(is_active=False),
        lambda place: User.objects.filter(pk=place.user_id).update(is_active=False),
    ],
)
def test_a_step_for_a_place_that_ended_opens_nothing(step, browser, end):
    path = step()
    end(step.place)

    assert browser("acme.localhost").get(path).status_code == 410
    assert not Session.objects.exists()


def test_a_step_is_not_stored_in_clear(step):
    token = step().split("/")[2]

    assert len(token) == 43
    assert bytes(HandOver.objects.get().token_hash) == sessions._hash(token)
    assert token not in str(vars(HandOver.objects.get()))


def test_of_two_who_take_a_step_at_once_one_gets_in(committed, in_threads, member_of):
    kilimo = committed("kilimo")
    token = sessions.hand_over(member_of(kilimo), now=timezone.now())

    results = in_threads(*[lambda: sessions.take_over(token, tenant=kilimo, now=timezone.now())] * 4)

    assert sorted(type(result).__name__ for result in results) == ["HandOverSpent"] * 3 + ["Membership"]


# Invitations


@pytest.fixture
def link(acme, actor):
    with tenant_context(acme):
        invitation = people.invite(actor=actor(), email="new@acme.example", role=Role.USER, now=timezone.now())
    return f"/invitations/{invitation_token(invitation)}/"


def test_a_newcomer_follows_the_link_and_is_in(acme, link, browser):
    platform, business = browser(), browser("acme.localhost")
    page = platform.get(link).content.decode()
    assert "<h1>Join Acme</h1>" in page
    assert 'name="name"' in page

    step = platform.post(link, {"name": "New Comer", "password": PASSWORD})

    business.get(step["Location"].removeprefix("http://acme.localhost:8000"))
    assert signed_in_as(business.get("/").content.decode()) == "New Comer, user"
    assert platform.get(link).status_code == 409


def test_who_is_known_is_asked_for_their_password_only(acme, link, browser, person):
    user = person("new@acme.example")
    platform = browser()
    assert 'name="name"' not in platform.get(link).content.decode()

    wrong = platform.post(link, {"password": "wrong"})
    assert wrong.status_code == 401
    assert not user.memberships.exists()

    assert platform.post(link, {"password": PASSWORD}).status_code == 302
    assert user.memberships.get().tenant == acme


def test_a_weak_password_is_told_beside_its_field(acme, link, browser):
    answer = browser().post(link, {"name": "New", "password": "1234567890"})

    assert answer.status_code == 400
    assert answer.context["form"].errors["password"]
    assert Invitation.objects.get().accepted_at is None
    assert not User.objects.exists()


def test_a_link_that_opens_nothing_says_so(acme, link, browser):
    assert browser().get("/invitations/nonsense/").status_code == 404
    assert browser("acme.localhost").get(link).status_code == 404
    Invitation.objects.update(revoked_at=timezone.now())

    answer = browser().get(link)
    assert answer.status_code == 409
    assert "Ask for a new one." in answer.content.decode()
