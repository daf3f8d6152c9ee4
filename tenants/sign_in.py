"""Who somebody is, and which of their places they mean: shared by the pages and the API."""

from datetime import datetime

from axes.utils import reset as forget_failures
from django.conf import settings
from django.contrib.auth import authenticate
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from tenants import limits, people, second_factor
from tenants.actors import client_address, visitor
from tenants.errors import Conflict, DomainError, NotPermitted
from tenants.models import Membership, Tenant, User


class SignInRefused(DomainError):
    code = "sign_in_refused"
    status = 401


class NoPlace(NotPermitted):
    code = "no_business"


class BusinessNotReady(Conflict):
    code = "business_not_ready"


class CodeNeeded(SignInRefused):
    """The password is right, and this person signs in with a second factor too."""

    code = "second_factor_needed"


class ChooseBusiness(Conflict):
    """`errors["business"]` lists the slugs to choose from."""

    code = "choose_business"


def identify(request: HttpRequest, *, email: str, password: str) -> User:
    """The person with this e-mail address and password.

    Unknown address, wrong password and closed account get one answer, in the same time. Failures count per address of
    the caller (`limits`) and per caller and e-mail together (django-axes); who gets in is not counted.

    :raises SignInRefused: if there is no such person.
    :raises TooManyAttempts: after too many failures, also for the right password.
    """
    username, address = email.strip().lower(), client_address(request)
    limits.count_attempt("sign_in", who=address)
    user = authenticate(request, username=username, password=password)
    if getattr(request, "axes_locked_out", False):
        request.axes_locked_out = False  # type: ignore[attr-defined]  # the answer is ours, not axes' middleware's
        wait = int(settings.AXES_COOLOFF_TIME.total_seconds())
        minutes = wait // 60
        sentence = ngettext(
            "Too many wrong passwords. Wait %(minutes)d minute, then try again.",
            "Too many wrong passwords. Wait %(minutes)d minutes, then try again.",
            minutes,
        )
        raise limits.TooManyAttempts(sentence % {"minutes": minutes}, wait=wait)
    if not isinstance(user, User):
        raise SignInRefused(_("The e-mail address or the password is wrong."))
    limits.give_back("sign_in", who=address)
    forget_failures(username=username, ip=address)
    return user


def prove_code(user: User, *, code: str) -> None:
    """Let a person pass who has no second factor, or whose code of it this is.

    :raises CodeNeeded: without a code from somebody who has a second factor.
    :raises WrongCode, TooManyCodes: if it is another code (`tenants.second_factor`).
    """
    if not second_factor.has_second_factor(user):
        return
    if not code:
        sentence = _("Give the code of your authenticator app, or a recovery code.")
        raise CodeNeeded(sentence, errors={"second_factor": [sentence]})
    second_factor.prove(user, code=code)


def places_of(user: User, *, host_tenant: Tenant | None) -> QuerySet[Membership]:
    """The businesses that a person may enter now: on a business's host only that one."""
    places = (
        Membership.objects.filter(user=user, is_active=True)
        .exclude(tenant__status=Tenant.Status.PROVISIONING)
        .select_related("user", "tenant")
        .order_by("tenant__business_name", "pk")
    )
    return places if host_tenant is None else places.filter(tenant=host_tenant)


def choose_place(user: User, *, host_tenant: Tenant | None, slug: str = "") -> Membership:
    """The place that a person means, by the slug of the business, or the only one they have.

    :raises NoPlace: if they have none (of that name) here.
    :raises BusinessNotReady: if theirs is still being made.
    :raises ChooseBusiness: if there are several and none was named.
    """
    places = places_of(user, host_tenant=host_tenant)
    chosen = list(places.filter(tenant__slug=slug) if slug else places)
    if not chosen:
        if user.memberships.filter(is_active=True, tenant__status=Tenant.Status.PROVISIONING).exists():
            raise BusinessNotReady(_("Your business is still being made. Try again in a moment."))
        raise NoPlace(
            _("You have no place in this business.") if slug or host_tenant else _("You belong to no business.")
        )
    if len(chosen) > 1:
        slugs = [place.tenant.slug for place in chosen]
        raise ChooseBusiness(_("You belong to several businesses: say which."), errors={"business": slugs})
    return chosen[0]


def enter(request: HttpRequest, *, email: str, password: str, code: str = "", slug: str = "") -> Membership:
    """The place of whoever proves to be its person: `identify`, `prove_code`, `choose_place` on the request's host."""
    user = identify(request, email=email, password=password)
    prove_code(user, code=code)
    return choose_place(user, host_tenant=request.tenant, slug=slug)  # type: ignore[attr-defined]


def accept_invitation(
    request: HttpRequest, *, token: str, name: str, password: str, code: str = "", now: datetime
) -> Membership:
    """Take up an invitation: as a new person with this name and password, or as the one who has the address already.

    :raises Invalid: if a new person gives no name, or a password that can't be used.
    :raises SignInRefused: if it is not the password of who has the address.
    :raises CodeNeeded, WrongCode, TooManyCodes: if they have a second factor, and this is not its code.
    """
    invitation = people.read_invitation(token, now=now)
    actor = visitor(request, email=invitation.email)
    if people.is_known(invitation):
        user = identify(request, email=invitation.email, password=password)
        prove_code(user, code=code)
        return people.accept_invitation(actor=actor, token=token, user=user, now=now)
    return people.accept_as_new_person(actor=actor, token=token, name=name, password=password, now=now)
