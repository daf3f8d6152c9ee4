"""The people of a business: who they are, how they come, what they become, how they go."""

from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import quote
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.core.mail import send_mail
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext as _
from django_tenants.utils import tenant_context

import audit.services
from audit.services import Actor
from tenants import limits
from tenants.demo import require_not_demo
from tenants.errors import Conflict, Invalid, NotFound
from tenants.models import Invitation, Membership, Role, Tenant, User
from tenants.permissions import Permission, require, require_open
from tenants.queue import enqueue, require_current_tenant
from tenants.services import EmailTaken, check_password, one_line
from tenants.tasks import send_invitation as send_invitation_task
from tenants.tokens import end_sign_ins

INVITATION_LASTS = timedelta(days=7)
_INVITATION_SALT = "tenants.invitation"


class LastAdministrator(Conflict):
    code = "last_administrator"


class AlreadyMember(Conflict):
    code = "already_member"


class AlreadyInvited(Conflict):
    code = "already_invited"


class InvitationClosed(Conflict):
    """It was taken, revoked, or has expired."""

    code = "invitation_closed"


def members(*, actor: Actor) -> QuerySet[Membership]:
    """The people of the present business, active or not."""
    require(actor, Permission.TEAM_READ)
    return Membership.objects.filter(tenant=require_current_tenant()).select_related("user")


def open_invitations(*, actor: Actor) -> QuerySet[Invitation]:
    """The present business's invitations that nobody took or revoked; some may have expired."""
    require(actor, Permission.TEAM_READ)
    return Invitation.objects.filter(tenant=require_current_tenant(), accepted_at=None, revoked_at=None)


@transaction.atomic
def change_member(
    *, actor: Actor, membership_id: UUID, role: Role | None = None, is_active: bool | None = None
) -> Membership:
    """Give a person of the present business another role, or close or reopen their place; None leaves it as it is.

    Closing a place ends its tokens and sessions at once, and reopening does not revive them.

    :raises NotFound: if there is no such person here.
    :raises LastAdministrator: if nobody would be left to administrate.
    """
    require(actor, Permission.TEAM_CHANGE)
    tenant = Tenant.objects.select_for_update(no_key=True).get(pk=require_current_tenant().pk)  # one change at a time
    place = members(actor=actor).filter(pk=membership_id).first()
    if place is None:
        raise NotFound(_("There is no such person in this business."))
    before = {"role": place.role, "is_active": place.is_active}
    place.role = place.role if role is None else role
    place.is_active = place.is_active if is_active is None else is_active
    after = {"role": place.role, "is_active": place.is_active}
    if after == before:
        return place
    place.save(update_fields=["role", "is_active"])
    if not place.is_active:
        end_sign_ins(place)
    administrators = Membership.objects.filter(tenant=tenant, role=Role.ORG_ADMIN, is_active=True)
    if not administrators.filter(user__is_active=True).exists():
        raise LastAdministrator(_("A business needs at least one active administrator. Name another one first."))
    audit.services.record(actor=actor, action="member.changed", subject=place, before=before, after=after)
    return place


def invite(*, actor: Actor, email: str, role: Role, now: datetime) -> Invitation:
    """Offer somebody a place in the present business, by e-mail.

    :raises AlreadyMember: if they have one, open or closed.
    :raises AlreadyInvited: if they were invited and can still accept.
    :raises TooManyAttempts: if the business sends too many.
    :raises NotInDemo: in the demo.
    """
    require(actor, Permission.TEAM_CHANGE)
    require_not_demo(_("A demo invites nobody: visitors come without an invitation."))
    tenant = require_current_tenant()
    limits.count_attempt("invitation", who=str(tenant.pk))
    email = email.strip().lower()
    with transaction.atomic():
        if Membership.objects.filter(tenant=tenant, user__email=email).exists():
            raise AlreadyMember(_("This person has a place in your business. If it is closed, open it again."))
        expired = Invitation.objects.filter(tenant=tenant, email=email, accepted_at=None, expires_at__lte=now)
        expired.filter(revoked_at=None).update(revoked_at=now)
        try:
            with transaction.atomic():
                invitation = Invitation.objects.create(
                    tenant=tenant, email=email, role=role, invited_by=actor.label, expires_at=now + INVITATION_LASTS
                )
        except IntegrityError:
            raise AlreadyInvited(_("This person is invited already. Send the invitation again instead.")) from None
        enqueue(send_invitation_task, invitation_id=str(invitation.pk))
        audit.services.record(
            actor=actor, action="invitation.sent", subject=invitation, after={"email": email, "role": role}
        )
    return invitation


def resend_invitation(*, actor: Actor, invitation_id: UUID, now: datetime) -> Invitation:
    """Mail an open invitation once more, with its full time ahead of it again.

    :raises NotFound: if there is no such open invitation here.
    :raises TooManyAttempts: if the business sends too many.
    """
    require(actor, Permission.TEAM_CHANGE)
    limits.count_attempt("invitation", who=str(require_current_tenant().pk))
    with transaction.atomic():
        invitation = _hold_open(actor, invitation_id)
        invitation.expires_at = now + INVITATION_LASTS
        invitation.save(update_fields=["expires_at"])
        enqueue(send_invitation_task, invitation_id=str(invitation.pk))
        audit.services.record(actor=actor, action="invitation.resent", subject=invitation)
    return invitation


@transaction.atomic
def revoke_invitation(*, actor: Actor, invitation_id: UUID, now: datetime) -> Invitation:
    """Take back an open invitation: its link opens nothing any more.

    :raises NotFound: if there is no such open invitation here.
    """
    require(actor, Permission.TEAM_CHANGE)
    invitation = _hold_open(actor, invitation_id)
    invitation.revoked_at = now
    invitation.save(update_fields=["revoked_at"])
    audit.services.record(actor=actor, action="invitation.revoked", subject=invitation)
    return invitation


def _hold_open(actor: Actor, invitation_id: UUID) -> Invitation:
    invitation = open_invitations(actor=actor).select_for_update().filter(pk=invitation_id).first()
    if invitation is None:
        raise NotFound(_("There is no such open invitation in this business."))
    return invitation


def invitation_token(invitation: Invitation) -> str:
    """What the invited person holds: the row's identifier, signed, so that nothing secret is stored or queued."""
    return signing.dumps(invitation.pk.hex, salt=_INVITATION_SALT)


def read_invitation(token: str, *, now: datetime) -> Invitation:
    """The open invitation that a link is for, with its business.

    :raises NotFound: if the link is not ours.
    :raises InvitationClosed: if it was taken, revoked, or has expired.
    """
    return _read_invitation(Invitation.objects.select_related("tenant"), token, now=now)


def _read_invitation(invitations: QuerySet[Invitation], token: str, *, now: datetime) -> Invitation:
    try:
        key = UUID(signing.loads(token, salt=_INVITATION_SALT))
    except signing.BadSignature:
        raise NotFound(_("There is no such invitation. Copy the whole link from the e-mail.")) from None
    invitation = invitations.filter(pk=key).first()
    if invitation is None or invitation.accepted_at or invitation.revoked_at or invitation.expires_at <= now:
        raise InvitationClosed(_("This invitation was used, withdrawn, or is too old. Ask for a new one."))
    return invitation


def is_known(invitation: Invitation) -> bool:
    """Does a person have the invited address already? They accept with their own password."""
    return User.objects.filter(email=invitation.email).exists()


def accept_as_new_person(*, actor: Actor, token: str, name: str, password: str, now: datetime) -> Membership:
    """Make a person of whoever holds the link, with the place that it offers.

    :raises NotFound: if the link is not ours.
    :raises InvitationClosed: if it opens nothing any more.
    :raises Invalid: if the name is missing, or the password can't be used.
    :raises EmailTaken: if the address has a person already.
    """
    user = User(email=read_invitation(token, now=now).email, name=one_line(name))
    if not user.name:
        raise Invalid(_("Say who you are."), errors={"name": [_("Enter your name.")]})
    check_password(password, user)
    user.set_password(password)
    with transaction.atomic():
        try:
            with transaction.atomic():
                user.save()
        except IntegrityError:
            raise EmailTaken(
                _("Somebody has signed up with this e-mail address. Accept with their password.")
            ) from None
        return accept_invitation(actor=actor, token=token, user=user, now=now)


@transaction.atomic
def accept_invitation(*, actor: Actor, token: str, user: User, now: datetime) -> Membership:
    """Take up the place that a link offers, once. The door has made sure who `user` is.

    :raises NotFound: if the link is not ours, or was sent to somebody else.
    :raises InvitationClosed: if it opens nothing any more.
    :raises BusinessClosed: if the business takes no changes.
    :raises AlreadyMember: if they have a place there.
    """
    invitation = _read_invitation(
        Invitation.objects.select_related("tenant").select_for_update(of=("self",)), token, now=now
    )
    if invitation.email != user.email:
        raise NotFound(_("This invitation was sent to another e-mail address."))
    require_open(invitation.tenant)
    try:
        with transaction.atomic():
            place = Membership.objects.create(user=user, tenant=invitation.tenant, role=invitation.role)
    except IntegrityError:
        raise AlreadyMember(_("You have a place in this business already.")) from None
    invitation.accepted_at = now
    invitation.save(update_fields=["accepted_at"])
    with tenant_context(invitation.tenant):
        audit.services.record(
            actor=replace(actor, id=user.pk, label=user.email, role=place.role),
            action="invitation.accepted",
            subject=invitation,
            after={"role": place.role},
        )
    return place


def send_invitation(*, invitation_id: str, now: datetime) -> None:
    """Mail the link to an invitation of the present business, if it is open, in the language that they have chosen."""
    tenant = require_current_tenant()
    invitation = Invitation.objects.filter(pk=invitation_id, tenant=tenant).first()
    if invitation is None or invitation.accepted_at or invitation.revoked_at or invitation.expires_at <= now:
        return
    known = User.objects.filter(email=invitation.email).first()
    with translation.override((known and known.language) or settings.LANGUAGE_CODE):
        text = render_to_string(
            "tenants/invitation_mail.txt",
            {
                "business": tenant.business_name,
                "inviter": invitation.invited_by,
                "role": invitation.get_role_display().lower(),
                "link": f"{settings.TUZO_PUBLIC_URL}/invitations/{quote(invitation_token(invitation))}/",
                "days": INVITATION_LASTS.days,
            },
        )
    subject, _blank, body = text.partition("\n\n")
    send_mail(subject, body, from_email=None, recipient_list=[invitation.email])
