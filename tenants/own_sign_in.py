"""What people change about themselves: how they look at pages, their password, their second factor.

Whatever lowers one's guard takes a proof of who one is (`tenants.reauthentication`).
"""

from dataclasses import replace
from datetime import datetime

from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.core.mail import send_mail
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext as _
from django_otp.models import Device

import audit.services
from audit.ids import UnreadableId, public_id, read_public_id
from audit.services import Actor
from tenants import limits, second_factor
from tenants.errors import Invalid, NotFound
from tenants.models import User
from tenants.queue import enqueue
from tenants.reauthentication import Proof, require_proof
from tenants.services import check_password, one_line
from tenants.tasks import send_password_reset as send_password_reset_task
from tenants.tokens import end_sign_ins


class LinkSpent(NotFound):
    """The link in the mail is not ours, was used, or is too old."""

    code = "link_spent"


@transaction.atomic
def change_profile(*, actor: Actor, user: User, name: str, language: str, theme: str, time_zone: str) -> None:
    """Change a person's own name, and how pages look to them; an empty language or theme leaves it to the browser.

    :raises Invalid: without a name.
    """
    after = {"name": one_line(name), "language": language, "theme": theme, "time_zone": time_zone}
    if not after["name"]:
        raise Invalid(_("Say who you are."), errors={"name": [_("Enter your name.")]})
    held = User.objects.select_for_update().get(pk=user.pk)
    before = {column: getattr(held, column) for column in after}
    if after == before:
        return
    User.objects.filter(pk=user.pk).update(**after)
    audit.services.record(actor=actor, action="person.changed", subject=held, before=before, after=after)


@transaction.atomic
def change_password(*, actor: Actor, user: User, password: str, proof: Proof, now: datetime) -> None:
    """Give a person another password. Every token and session of theirs ends, in every business.

    :raises ProofNeeded: if they did not prove just now who they are.
    :raises Invalid: if the password can't be used.
    """
    require_proof(proof, actor=actor, now=now)
    _set_password(user, password)
    audit.services.record(actor=actor, action="person.password_changed", subject=user)


def request_password_reset(*, actor: Actor, email: str) -> None:
    """Mail a person the link to a new password. Strangers get the same answer and no mail: nobody learns who is here.

    :raises TooManyAttempts: if the caller asks too often.
    """
    limits.count_attempt("password_reset", who=actor.address)
    user = User.objects.filter(email=email.strip().lower(), is_active=True).first()
    if user is None or not user.has_usable_password():  # invented people of the demo have none, and read no mail
        return
    try:
        limits.count_attempt("password_mail", who=str(user.pk))
    except limits.TooManyAttempts:
        return  # to be told so would tell that the address is known
    with transaction.atomic():
        enqueue(send_password_reset_task, user_id=str(user.pk), language=translation.get_language() or "")
        audit.services.record(actor=actor, action="person.password_reset_asked", subject=user)


def send_password_reset(*, user_id: str, language: str) -> None:
    """Mail the link; the token in it is made here, so that it stands in no table and no queue."""
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None:
        return
    with translation.override(user.language or language or settings.LANGUAGE_CODE):
        text = render_to_string(
            "tenants/password_mail.txt",
            {
                "name": user.get_short_name(),
                "link": f"{settings.TUZO_PUBLIC_URL}/password/{reset_token(user)}/",
                "minutes": settings.PASSWORD_RESET_TIMEOUT // 60,
            },
        )
    subject, _blank, body = text.partition("\n\n")
    send_mail(subject, body, from_email=None, recipient_list=[user.email])


def reset_token(user: User) -> str:
    """Opens a new password once: it is signed over the present one, and over the last sign-in."""
    return f"{public_id('usr', user.pk)}-{default_token_generator.make_token(user)}"


def person_of_reset(token: str) -> User:
    """:raises LinkSpent: if the link opens nothing any more."""
    spent = LinkSpent(_("This link was used, or is too old. Ask for a new one."))
    identifier, _hyphen, signed = token.partition("-")
    try:
        user = User.objects.filter(pk=read_public_id("usr", identifier), is_active=True).first()
    except UnreadableId:
        raise spent from None
    if user is None or not default_token_generator.check_token(user, signed):
        raise spent
    return user


@transaction.atomic
def reset_password(*, actor: Actor, token: str, password: str) -> User:
    """Give whoever holds the link a new password. Every token and session ends; a second factor stays.

    :raises LinkSpent: if the link opens nothing any more.
    :raises Invalid: if the password can't be used.
    """
    User.objects.select_for_update().get(pk=person_of_reset(token).pk)
    user = person_of_reset(token)  # as it is now, when nobody else can spend the link
    _set_password(user, password)
    audit.services.record(
        actor=replace(actor, id=user.pk, label=user.email), action="person.password_reset", subject=user
    )
    return user


def _set_password(user: User, password: str) -> None:
    check_password(password, user)
    user.set_password(password)
    user.save(update_fields=["password"])
    for place in user.memberships.all():
        end_sign_ins(place)


@transaction.atomic
def set_up_second_factor(
    *, actor: Actor, user: User, key: str, code: str, proof: Proof, now: datetime
) -> tuple[Device, list[str]]:
    """Make `key` the person's authenticator, if `code` shows that they hold it; with recovery codes, shown this once.

    :raises ProofNeeded: if they did not prove just now who they are.
    :raises WrongCode: if the code is not the authenticator's.
    """
    require_proof(proof, actor=actor, now=now)
    User.objects.select_for_update().get(pk=user.pk)
    made = second_factor.replace(user, key=key, code=code)
    audit.services.record(actor=actor, action="person.second_factor_set_up", subject=user)
    return made


@transaction.atomic
def renew_recovery_codes(*, actor: Actor, user: User, proof: Proof, now: datetime) -> list[str]:
    """Ten new recovery codes, shown this once; those from before open nothing any more.

    :raises ProofNeeded: if the person did not prove just now who they are.
    """
    require_proof(proof, actor=actor, now=now)
    User.objects.select_for_update().get(pk=user.pk)
    codes = second_factor.renew_recovery_codes(user)
    audit.services.record(actor=actor, action="person.recovery_codes_renewed", subject=user)
    return codes


@transaction.atomic
def remove_second_factor(*, actor: Actor, user: User, proof: Proof, now: datetime) -> None:
    """Sign in with the password alone from now on.

    :raises ProofNeeded: if the person did not prove just now who they are.
    """
    require_proof(proof, actor=actor, now=now)
    User.objects.select_for_update().get(pk=user.pk)
    second_factor.remove(user)
    audit.services.record(actor=actor, action="person.second_factor_removed", subject=user)
