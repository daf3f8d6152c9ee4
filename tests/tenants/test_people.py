from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.models import AuditEntry, AuditRow
from audit.services import Actor
from tenants import limits, people
from tenants.errors import Invalid, NotFound, NotPermitted
from tenants.limits import TooManyAttempts
from tenants.models import DueTask, Invitation, Membership, Role, Tenant, User
from tenants.people import (
    AlreadyInvited,
    AlreadyMember,
    InvitationClosed,
    LastAdministrator,
    change_member,
    invitation_token,
)
from tenants.permissions import BusinessClosed
from tenants.services import EmailTaken

NOW = timezone.now()
NEWCOMER = Actor(kind=AuditRow.ActorKind.PERSON, label="new@acme.example", address="10.9.8.7")


@pytest.fixture
def invited(in_acme, actor):
    """Somebody whom acme's administrator invited as a manager."""
    return people.invite(actor=actor(), email=" New@Acme.example", role=Role.MANAGER, now=NOW)


def last_entry():
    return AuditEntry.objects.order_by("sequence").last()


def test_a_changed_role_is_stored_and_written_down(acme, in_acme, actor, member_of):
    member_of(acme)
    place = member_of(acme, Role.USER)
    acme.activate()

    changed = change_member(actor=actor(), membership_id=place.pk, role=Role.MANAGER)

    assert changed.role == "manager"
    place.refresh_from_db()
    assert (place.role, place.is_active, place.sign_in_epoch) == ("manager", True, 1)
    row = last_entry()
    assert (row.action, row.before, row.after) == (
        "member.changed",
        {"role": "user", "is_active": True},
        {"role": "manager", "is_active": True},
    )


def test_a_change_that_changes_nothing_is_not_written_down(acme, in_acme, actor, member_of):
    place = member_of(acme)
    acme.activate()

    change_member(actor=actor(), membership_id=place.pk, role=Role.ORG_ADMIN, is_active=True)

    assert not AuditEntry.objects.exists()


def test_the_last_administrator_is_neither_removed_nor_demoted(acme, in_acme, actor, member_of):
    last = member_of(acme)
    member_of(acme, Role.MANAGER)
    member_of(acme, is_active=False)
    closed = member_of(acme)
    User.objects.filter(pk=closed.user_id).update(is_active=False)
    acme.activate()

    for change in ({"role": Role.MANAGER}, {"is_active": False}, {"role": Role.USER, "is_active": False}):
        with pytest.raises(LastAdministrator):
            change_member(actor=actor(), membership_id=last.pk, **change)

    last.refresh_from_db()
    assert (last.role, last.is_active, last.sign_in_epoch) == ("org_admin", True, 1)
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("change", [{"role": Role.USER}, {"is_active": False}], ids=str)
def test_two_administrators_who_remove_each_other_at_once_leave_one(committed, in_threads, actor, member_of, change):
    kilimo = committed("kilimo")
    places = [member_of(kilimo), member_of(kilimo)]

    def remove(place):
        with tenant_context(kilimo):
            return change_member(actor=actor(), membership_id=place.pk, **change)

    results = in_threads(*[lambda place=place: remove(place) for place in places])

    assert sorted(type(result).__name__ for result in results) == ["LastAdministrator", "Membership"]
    assert Membership.objects.filter(tenant=kilimo, role=Role.ORG_ADMIN, is_active=True).count() == 1


def test_a_person_of_rival_is_not_here(acme, rival, in_acme, actor, member_of):
    member_of(acme)
    foreign = member_of(rival, Role.USER)
    acme.activate()

    with pytest.raises(NotFound):
        change_member(actor=actor(), membership_id=foreign.pk, role=Role.ORG_ADMIN)

    foreign.refresh_from_db()
    assert foreign.role == "user"
    assert foreign not in people.members(actor=actor())


@pytest.mark.parametrize("role", [Role.MANAGER, Role.USER])
def test_only_administrators_change_the_team(acme, in_acme, invited, actor, member_of, role):
    place = member_of(acme, Role.USER)
    acme.activate()
    somebody = actor(role)

    for change in (
        lambda: change_member(actor=somebody, membership_id=place.pk, role=Role.ORG_ADMIN),
        lambda: people.invite(actor=somebody, email="x@acme.example", role=Role.USER, now=NOW),
        lambda: people.resend_invitation(actor=somebody, invitation_id=invited.pk, now=NOW),
        lambda: people.revoke_invitation(actor=somebody, invitation_id=invited.pk, now=NOW),
    ):
        with pytest.raises(NotPermitted):
            change()

    place.refresh_from_db()
    invited.refresh_from_db()
    assert (place.role, invited.revoked_at, Invitation.objects.count()) == ("user", None, 1)


def test_an_invitation_is_mailed_with_a_link_that_opens_it(acme, invited, run_due, mailoutbox):
    assert (invited.email, invited.role, invited.expires_at) == ("new@acme.example", "manager", NOW + timedelta(days=7))

    run_due()

    mail = mailoutbox[0]
    assert (mail.to, mail.subject, len(mailoutbox)) == (["new@acme.example"], "Join Acme on Tuzo", 1)
    token = mail.body.partition("http://localhost:8000/invitations/")[2].partition("/")[0]
    assert people.read_invitation(token.replace("%3A", ":"), now=NOW).pk == invited.pk
    assert "somebody@acme.example invites you to Acme as manager." in mail.body


def test_the_link_stands_in_no_table_and_no_task(acme, invited):
    token = invitation_token(invited)

    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(t)::text FROM tenants_invitation t")
        stored = str(cursor.fetchall())
        cursor.execute("SELECT row_to_json(t)::text FROM tenants_duetask t")
        queued = str(cursor.fetchall())
    assert DueTask.objects.get().arguments == {"invitation_id": str(invited.pk)}
    assert token not in stored + queued
    assert token.rpartition(":")[2] not in stored + queued


def test_a_dead_mail_server_does_not_lose_an_invitation(acme, in_acme, actor, settings, run_due, mailoutbox):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_PORT = 1
    people.invite(actor=actor(), email="new@acme.example", role=Role.USER, now=NOW)

    with pytest.raises(OSError, match="refused"):
        run_due()

    row = DueTask.objects.get()
    assert (row.attempts, row.leased_until) == (1, None)
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    DueTask.objects.update(due_at=NOW)
    assert run_due() == 1
    assert len(mailoutbox) == 1


def test_an_invitation_that_was_withdrawn_before_it_was_mailed_is_not_mailed(acme, invited, actor, run_due, mailoutbox):
    people.revoke_invitation(actor=actor(), invitation_id=invited.pk, now=NOW)

    assert run_due() == 1
    assert mailoutbox == []


def test_the_words_of_a_mail_are_the_business_own(acme, actor, run_due, mailoutbox):
    Tenant.objects.filter(pk=acme.pk).update(business_name="Njoki & Sons <Ltd>")
    acme.refresh_from_db()
    with tenant_context(acme):
        people.invite(actor=actor(), email="new@acme.example", role=Role.USER, now=NOW)

    run_due()

    assert mailoutbox[0].subject == "Join Njoki & Sons <Ltd> on Tuzo"


def test_nobody_is_invited_twice_while_the_first_invitation_is_open(acme, invited, actor):
    with pytest.raises(AlreadyInvited):
        people.invite(actor=actor(), email="new@acme.example", role=Role.USER, now=NOW)

    assert Invitation.objects.get().role == "manager"


def test_who_let_an_invitation_expire_can_be_invited_again(acme, invited, actor):
    later = NOW + timedelta(days=7)

    again = people.invite(actor=actor(), email="new@acme.example", role=Role.USER, now=later)

    invited.refresh_from_db()
    assert invited.revoked_at == later
    assert list(people.open_invitations(actor=actor())) == [again]


@pytest.mark.parametrize("is_active", [True, False])
def test_who_has_a_place_is_not_invited(acme, in_acme, actor, member_of, is_active):
    place = member_of(acme, Role.USER, is_active=is_active)
    acme.activate()

    with pytest.raises(AlreadyMember):
        people.invite(actor=actor(), email=place.user.email.upper(), role=Role.USER, now=NOW)

    assert not Invitation.objects.exists()
    assert not DueTask.objects.exists()


def test_a_business_sends_a_limited_number_of_invitations(acme, in_acme, actor, monkeypatch):
    monkeypatch.setattr(limits, "INVITATIONS_PER_HOUR", 2)
    first = people.invite(actor=actor(), email="1@x.example", role=Role.USER, now=NOW)
    people.resend_invitation(actor=actor(), invitation_id=first.pk, now=NOW)

    with pytest.raises(TooManyAttempts):
        people.resend_invitation(actor=actor(), invitation_id=first.pk, now=NOW)
    with pytest.raises(TooManyAttempts):
        people.invite(actor=actor(), email="2@x.example", role=Role.USER, now=NOW)
    assert Invitation.objects.count() == 1


def test_sending_again_gives_the_invitation_its_time_again(acme, invited, actor, run_due, mailoutbox):
    run_due()
    later = NOW + timedelta(days=6)

    with tenant_context(acme):
        people.resend_invitation(actor=actor(), invitation_id=invited.pk, now=later)
    run_due()

    invited.refresh_from_db()
    assert invited.expires_at == later + timedelta(days=7)
    assert len(mailoutbox) == 2
    with tenant_context(acme):
        assert last_entry().action == "invitation.resent"


def test_an_invitation_of_rival_is_not_here(acme, rival, actor):
    with tenant_context(rival):
        foreign = people.invite(actor=actor(), email="new@rival.example", role=Role.USER, now=NOW)

    with tenant_context(acme):
        assert not people.open_invitations(actor=actor()).exists()
        for change in (people.resend_invitation, people.revoke_invitation):
            with pytest.raises(NotFound):
                change(actor=actor(), invitation_id=foreign.pk, now=NOW)
    foreign.refresh_from_db()
    assert foreign.revoked_at is None


def test_a_newcomer_takes_up_an_invitation_with_a_name_and_a_password(acme, invited):
    connection.set_schema_to_public()

    place = people.accept_as_new_person(
        actor=NEWCOMER, token=invitation_token(invited), name="New  Comer", password="a long pass phrase", now=NOW
    )

    place = Membership.objects.get(pk=place.pk)
    assert (place.tenant, place.role, place.is_active) == (acme, "manager", True)
    assert (place.user.email, place.user.name) == ("new@acme.example", "New Comer")
    assert place.user.check_password("a long pass phrase")
    with tenant_context(acme):
        row = last_entry()
    assert (row.action, row.actor_label, row.actor_id, row.address) == (
        "invitation.accepted",
        "new@acme.example",
        place.user_id,
        "10.9.8.7",
    )


def test_a_person_who_is_known_takes_up_an_invitation(acme, rival, invited, person):
    user = person("new@acme.example", {rival: Role.USER})

    place = people.accept_invitation(actor=NEWCOMER, token=invitation_token(invited), user=user, now=NOW)

    assert (place.user, place.tenant, place.role) == (user, acme, "manager")
    assert user.memberships.count() == 2


@pytest.mark.parametrize(
    ("name", "password"), [("", "a long pass phrase"), ("  ", "a long pass phrase"), ("N", "short")]
)
def test_a_newcomer_without_a_name_or_a_good_password_is_refused(acme, invited, name, password):
    with pytest.raises(Invalid):
        people.accept_as_new_person(
            actor=NEWCOMER, token=invitation_token(invited), name=name, password=password, now=NOW
        )

    assert not User.objects.filter(email="new@acme.example").exists()


def test_nobody_becomes_new_at_an_address_that_is_somebodys(acme, invited, person):
    user = person("new@acme.example")

    with pytest.raises(EmailTaken):
        people.accept_as_new_person(
            actor=NEWCOMER, token=invitation_token(invited), name="Thief", password="another pass phrase", now=NOW
        )

    user.refresh_from_db()
    assert user.check_password("a long pass phrase")
    assert not user.memberships.exists()


def test_an_invitation_is_for_its_own_address_only(acme, invited, person):
    with pytest.raises(NotFound):
        people.accept_invitation(
            actor=NEWCOMER, token=invitation_token(invited), user=person("other@x.example"), now=NOW
        )

    assert not Membership.objects.filter(user__email="other@x.example").exists()


CLOSED = {
    "withdrawn": lambda i: Invitation.objects.filter(pk=i.pk).update(revoked_at=NOW),
    "taken": lambda i: Invitation.objects.filter(pk=i.pk).update(accepted_at=NOW),
    "too old": lambda i: Invitation.objects.filter(pk=i.pk).update(expires_at=NOW),
    "gone": lambda i: Invitation.objects.filter(pk=i.pk).delete(),
}


@pytest.mark.parametrize("close", CLOSED.values(), ids=CLOSED)
def test_an_invitation_that_is_closed_opens_nothing(acme, invited, person, close):
    token = invitation_token(invited)
    close(invited)

    with pytest.raises(InvitationClosed):
        people.read_invitation(token, now=NOW)
    with pytest.raises(InvitationClosed):
        people.accept_invitation(actor=NEWCOMER, token=token, user=person("new@acme.example"), now=NOW)
    assert not Membership.objects.filter(user__email="new@acme.example").exists()


def test_a_link_that_we_did_not_make_opens_nothing(acme, invited):
    token = invitation_token(invited)

    for forged in (token[:-1], f"{token}x", "", invited.pk.hex, f"{invited.pk.hex}:{token.rpartition(':')[2]}"):
        with pytest.raises(NotFound):
            people.read_invitation(forged, now=NOW)


@pytest.mark.parametrize("status", ["SUSPENDED", "CLOSED"])
def test_nobody_joins_a_business_that_takes_no_changes(acme, invited, person, status):
    Tenant.objects.filter(pk=acme.pk).update(status=status)

    with pytest.raises(BusinessClosed):
        people.accept_invitation(
            actor=NEWCOMER, token=invitation_token(invited), user=person("new@acme.example"), now=NOW
        )

    assert not Membership.objects.filter(user__email="new@acme.example").exists()


def test_an_invitation_taken_twice_at_once_makes_one_person_with_one_place(committed, in_threads, actor):
    kilimo = committed("kilimo")
    with tenant_context(kilimo):
        token = invitation_token(people.invite(actor=actor(), email="new@x.example", role=Role.USER, now=NOW))

    def accept():
        return people.accept_as_new_person(
            actor=NEWCOMER, token=token, name="New", password="a long pass phrase", now=NOW
        )

    results = in_threads(accept, accept)

    assert sum(isinstance(result, Membership) for result in results) == 1
    assert sum(isinstance(result, EmailTaken | InvitationClosed) for result in results) == 1
    assert User.objects.count() == Membership.objects.count() == 1
