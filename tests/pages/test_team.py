"""The team and the audit trail, as people of the business see and change them."""

from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import public_id
from audit.models import AuditEntry
from tenants.models import Invitation, Membership, Role, User


def address(place: Membership) -> str:
    return f"/team/{public_id('mbr', place.pk)}/"


def actions(tenant) -> list[str]:
    with tenant_context(tenant):
        return list(AuditEntry.objects.order_by("sequence").values_list("action", flat=True))


@pytest.fixture
def boss(acme, member_of):
    return member_of(acme)


def test_the_team_shows_who_is_here_and_who_is_invited(acme, rival, boss, browser, member_of):
    clerk, stranger = member_of(acme, Role.USER), member_of(rival)
    Invitation.objects.create(
        tenant=acme,
        email="late@acme.example",
        role=Role.MANAGER,
        invited_by=boss.user.email,
        expires_at=timezone.now() - timedelta(minutes=1),
    )
    page = browser(boss).get("/team/").content.decode()

    assert clerk.user.email in page
    assert f'href="{address(clerk)}"' in page
    assert "late@acme.example" in page
    assert "Expired" in page
    assert stranger.user.email not in page


def test_an_invitation_goes_out_again_and_is_withdrawn(acme, boss, browser, run_due):
    client = browser(boss)
    assert client.post("/team/invite/", {"email": "New@acme.example", "role": "manager"})["Location"] == "/team/"
    run_due()
    invitation = Invitation.objects.get()
    assert (invitation.email, invitation.role, [message.to for message in mail.outbox]) == (
        "new@acme.example",
        "manager",
        [["new@acme.example"]],
    )

    path = f"/team/invitations/{public_id('inv', invitation.pk)}"
    assert client.post(f"{path}/resend/")["Location"] == "/team/"
    run_due()
    assert len(mail.outbox) == 2

    assert client.post(f"{path}/withdraw/")["Location"] == "/team/"
    assert "new@acme.example</th>" not in client.get("/team/").content.decode()
    assert client.post(f"{path}/resend/").status_code == 404
    assert actions(acme) == ["invitation.sent", "invitation.resent", "invitation.revoked"]


@pytest.mark.parametrize(
    ("given", "status", "sentence"),
    [
        ({"email": "", "role": "user"}, 422, "Enter the e-mail address of the person."),
        ({"email": "new", "role": "user"}, 422, "Enter an e-mail address like name@example.com."),
        ({"email": "new@acme.example"}, 422, "Choose a role."),
        ({"email": "new@acme.example", "role": "super_admin"}, 422, "Choose a role."),
        ({"email": "here@acme.example", "role": "user"}, 409, "This person has a place in your business."),
    ],
)
def test_an_invitation_that_can_not_go_out_says_what_to_do(acme, boss, browser, given, status, sentence):
    here = User.objects.create_user(email="here@acme.example", password=None)
    Membership.objects.create(user=here, tenant=acme, role=Role.USER)
    answer = browser(boss).post("/team/invite/", given)

    page = answer.content.decode()
    assert answer.status_code == status
    assert sentence in page
    assert f'value="{given["email"]}"' in page or not given["email"]
    assert not Invitation.objects.exists()


def test_an_administrator_changes_a_role_and_closes_and_reopens_a_place(acme, boss, browser, member_of):
    clerk = member_of(acme, Role.USER)
    client, theirs = browser(boss), browser(clerk)

    assert client.post(address(clerk), {"role": "manager"})["Location"] == "/team/"
    clerk.refresh_from_db()
    assert clerk.role == Role.MANAGER

    assert client.post(f"{address(clerk)}close/")["Location"] == "/team/"
    assert theirs.get("/you/").status_code == 302  # signed out
    assert "Open this place again" in client.get(address(clerk)).content.decode()

    assert client.post(f"{address(clerk)}reopen/")["Location"] == "/team/"
    clerk.refresh_from_db()
    assert clerk.is_active
    assert actions(acme) == ["member.changed"] * 3


def test_the_last_administrator_can_not_go(acme, boss, browser, member_of):
    member_of(acme, Role.ORG_ADMIN, is_active=False)
    client = browser(boss)

    page = client.get(address(boss)).content.decode()
    assert "This is the only administrator." in page
    assert 'name="role"' not in page
    answer = client.post(address(boss), {"role": "user"})
    assert answer.status_code == 409
    assert "Name another one first." in answer.content.decode()
    assert client.post(f"{address(boss)}close/").status_code == 409
    boss.refresh_from_db()
    assert (boss.role, boss.is_active) == (Role.ORG_ADMIN, True)


def test_what_one_may_not_do_is_not_shown_and_not_done(acme, boss, browser, member_of):
    manager, clerk = member_of(acme, Role.MANAGER), member_of(acme, Role.USER)
    client = browser(manager)

    team, person = client.get("/team/").content.decode(), client.get(address(clerk)).content.decode()
    assert "Invite somebody" not in team
    assert 'name="role"' not in person
    assert "Close this place" not in person
    assert client.get("/team/invite/").status_code == 403
    assert client.post(address(clerk), {"role": "org_admin"}).status_code == 403
    assert client.post(f"{address(clerk)}close/").status_code == 403
    assert browser(clerk).get("/team/").status_code == 403
    clerk.refresh_from_db()
    assert (clerk.role, clerk.is_active) == (Role.USER, True)


def test_nobody_reaches_into_another_business(acme, rival, boss, browser, member_of):
    theirs = browser(member_of(rival))
    assert theirs.get(address(boss)).status_code == 404
    assert theirs.post(f"{address(boss)}close/").status_code == 404
    assert theirs.get("/team/mbr_nothing/").status_code == 404
    boss.refresh_from_db()
    assert boss.is_active


def test_the_trail_says_who_what_and_when_in_words(acme, boss, browser, member_of):
    clerk = member_of(acme, Role.USER)
    client = browser(boss)
    client.post(address(clerk), {"role": "manager"})
    client.post("/team/invite/", {"email": "new@acme.example", "role": "user"})

    page = client.get("/audit/").content.decode()
    assert page.index("Invited somebody") < page.index("Changed somebody&#x27;s place in the team")  # newest first
    assert boss.user.email in page
    assert "user → manager" in page
    assert browser(member_of(acme, Role.MANAGER)).get("/audit/").status_code == 403


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        ("who=ORG_ADMIN", True),
        ("who=nobody", False),
        ("what=people", True),
        ("what=money_out", False),
        ("from_date={today}&to_date={today}", True),
        ("to_date={yesterday}", False),
        ("from_date={tomorrow}", False),
    ],
)
def test_the_trail_is_searched_by_who_what_and_when(acme, boss, browser, query, is_found):
    client = browser(boss)
    client.post("/team/invite/", {"email": "new@acme.example", "role": "user"})
    today = timezone.localdate()
    days = {"today": today, "yesterday": today - timedelta(days=1), "tomorrow": today + timedelta(days=1)}
    page = client.get(f"/audit/?{query.format(**days)}").content.decode()

    assert ("Invited somebody" in page) is is_found
    assert ("Nobody decided anything like this in that time." in page) is not is_found


def test_the_trail_refuses_days_that_are_none(acme, boss, browser):
    answer = browser(boss).get("/audit/?from_date=2026-11-22&to_date=2026-11-21")
    assert answer.status_code == 422
    assert "Enter a day that is not before the first one." in answer.content.decode()
    assert browser(boss).get("/audit/?from_date=9999-12-31").status_code == 422


def test_the_trail_is_read_page_by_page(acme, boss, browser):
    with tenant_context(acme):
        import audit.services

        for _number in range(27):
            with_actor = audit.services.system_actor("a job")
            audit.services.record(actor=with_actor, action="program.changed", subject=boss)
    client = browser(boss)
    first = client.get("/audit/?what=loyalty").content.decode()
    assert first.count("Changed a program") == 25
    older = first.split('rel="next"')[0].rsplit('href="', 1)[1].split('"')[0].replace("&amp;", "&")
    assert older.startswith("?what=loyalty&older=")
    assert client.get(f"/audit/{older}").content.decode().count("Changed a program") == 2


def test_a_rivals_trail_is_not_shown(acme, rival, boss, browser, member_of):
    browser(boss).post("/team/invite/", {"email": "new@acme.example", "role": "user"})
    assert "Nothing was decided yet" in browser(member_of(rival)).get("/audit/").content.decode()


def test_a_persons_page_says_what_the_role_may_do(acme, boss, browser, member_of):
    page = browser(boss).get(address(member_of(acme, Role.MANAGER))).content.decode()

    assert "<li>approve payouts</li>" in page
    assert "<li>read the audit trail</li>" not in page
