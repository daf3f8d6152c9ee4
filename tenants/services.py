"""The life of a business: how it begins, and who may stop it."""

import re
from collections.abc import Iterator
from dataclasses import replace

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django_tenants.utils import schema_context, tenant_context

import audit.services
from audit.ids import new_id
from audit.models import AuditRow
from audit.services import Actor
from tenants.errors import Conflict, Invalid
from tenants.models import Domain, Membership, Role, Tenant, TenantActivity, User
from tenants.permissions import require_operator
from tenants.provisioning import planned_steps
from tenants.queue import enqueue
from tenants.schema import reserve_schema
from tenants.tasks import provision_tenant

_SLUG = re.compile(r"(?=.{3,40}\Z)[a-z0-9]+(-[a-z0-9]+)*")
# Host names that are the platform's own, or that could be used to speak in somebody else's name.
# fmt: off
RESERVED_SLUGS = frozenset({
    "about", "abuse", "account", "accounts", "admin", "administrator", "api", "app", "apps", "assets", "auth",
    "autoconfig", "autodiscover", "billing", "blog", "business", "cdn", "console", "daraja", "dashboard", "demo",
    "dev", "docs", "email", "ftp", "health", "help", "hooks", "host", "hostmaster", "imap", "info", "internal",
    "invitations", "localhost", "login", "logout", "m-pesa", "mail", "mcp", "media", "mpesa", "mx", "ns", "ns1",
    "ns2", "operator", "operators", "ops", "pay", "payments", "pop", "pop3", "portal", "postmaster", "practice",
    "production", "public", "root", "safaricom", "sandbox", "schema", "secure", "security", "sign-in", "sign-up",
    "signin", "signup", "simulator", "smtp", "ssl", "staff", "staging", "static", "status", "support", "system",
    "test", "tuzo", "web", "webmail", "webmaster", "www",
})
# fmt: on
DEMO_SLUG = "demo"
# A business is reached at a mobile number or a landline: 0712 345 678, +254 20 234 5678.
_CONTACT_NUMBER = re.compile(r"(?:(?:\+|00)?254|0)?([1-9][0-9]{6,8})")
_SEPARATORS = re.compile(r"[\s\-.()/]")


class EmailTaken(Conflict):
    code = "email_taken"


class SlugTaken(Conflict):
    code = "slug_taken"


class WrongStep(Conflict):
    """The business can't go from its present state to the one that was asked for."""

    code = "business_state"


@transaction.atomic
def open_tenant(
    *,
    actor: Actor,
    business_name: str,
    owner_name: str,
    email: str,
    phone: str,
    business_type: str,
    password: str,
    slug: str = "",
) -> Tenant:
    """Take in a new business with its owner; what it needs is then made in the background (`tenants.provisioning`).

    Two sign-ups with one e-mail address or slug: the database lets one through, and the other leaves nothing behind.
    Call it in the public schema.

    :raises Invalid: if a value can't be used; `errors` says which.
    :raises EmailTaken: if somebody has this address already.
    :raises SlugTaken: if `slug` was asked for and is another business's, or the platform's own.
    """
    owner = read_owner(owner_name=owner_name, email=email, phone=phone, password=password)
    owner.set_password(password)
    name = one_line(business_name)
    return _take_in(actor, owner, business_name=name, business_type=business_type, slugs=_slugs(slug, name))


def read_owner(*, owner_name: str, email: str, phone: str, password: str) -> User:
    """The person that somebody who signs up would become, without a password yet; nothing is kept.

    :raises Invalid: with everything that can't be used in `errors`.
    """
    owner = User(email=email.strip().lower(), name=one_line(owner_name))
    errors: dict[str, list[str]] = {}
    try:
        owner.phone = read_contact_number(phone)
    except Invalid as problem:
        errors |= problem.errors
    try:
        check_password(password, owner)
    except Invalid as problem:
        errors |= problem.errors
    if errors:
        raise Invalid(_("Some of this can't be used."), errors=errors)
    return owner


@transaction.atomic
def open_demo(
    *, actor: Actor, business_name: str, owner_name: str, email: str, phone: str, business_type: str
) -> Tenant:
    """Take in the business that becomes the demo (`tenants.demo`), under the platform's own name for it.

    Nobody can sign in as its owner until an operator gives them a password (`manage.py changepassword`).

    :raises SlugTaken: if it is there.
    """
    require_operator(actor)
    owner = User(email=email, name=owner_name, phone=read_contact_number(phone))
    owner.set_unusable_password()
    return _take_in(actor, owner, business_name=business_name, business_type=business_type, slugs=iter([DEMO_SLUG]))


def _take_in(actor: Actor, owner: User, *, business_name: str, business_type: str, slugs: Iterator[str]) -> Tenant:
    try:
        with transaction.atomic():
            owner.save()
    except IntegrityError:
        raise EmailTaken(
            _("Somebody has signed up with this e-mail address already. Sign in instead."),
            errors={"email": [_("This e-mail address is in use. Sign in instead.")]},
        ) from None
    tenant = _name_tenant(slugs=slugs, business_name=business_name, business_type=business_type, owner=owner)
    TenantActivity.objects.create(tenant=tenant)
    Membership.objects.create(user=owner, tenant=tenant, role=Role.ORG_ADMIN)
    reserve_schema(tenant)
    with tenant_context(tenant):
        enqueue(provision_tenant)
    audit.services.record(
        actor=replace(actor, id=owner.pk, role=Role.ORG_ADMIN) if actor.kind == AuditRow.ActorKind.PERSON else actor,
        action="business.signed_up",
        subject=tenant,
        after={"slug": tenant.slug, "business_name": business_name, "email": owner.email},
    )
    return tenant


def _name_tenant(*, slugs: Iterator[str], business_name: str, business_type: str, owner: User) -> Tenant:
    """The business's row and host name, under the first slug that is free."""
    for candidate in slugs:
        tenant_id = new_id()
        tenant = Tenant(
            id=tenant_id,
            schema_name=f"t_{tenant_id.hex}",
            slug=candidate,
            business_name=business_name,
            business_type=business_type,
            email=owner.email,
            phone=owner.phone,
            provisioning_steps=planned_steps(),
        )
        try:
            with transaction.atomic():
                tenant.save()
                Domain.objects.create(
                    tenant=tenant, domain=f"{candidate}.{settings.TUZO_PLATFORM_HOST}", is_primary=True
                )
        except IntegrityError:
            continue
        return tenant
    raise SlugTaken(
        "This web address belongs to another business.", errors={"slug": ["Choose another one: this one is in use."]}
    )


def _slugs(slug: str, business_name: str) -> Iterator[str]:
    """The one that was asked for, or some that are made of the name."""
    if slug:
        yield _checked(slug)
    else:
        yield from _slugs_for(business_name)


def _checked(slug: str) -> str:
    if not _SLUG.fullmatch(slug):
        raise Invalid(
            "This web address can't be used.",
            errors={"slug": ["Use 3 to 40 small letters, digits and single hyphens between them."]},
        )
    if slug in RESERVED_SLUGS:
        raise SlugTaken("This web address is the platform's own.", errors={"slug": ["Choose another one."]})
    return slug


def _slugs_for(business_name: str) -> Iterator[str]:
    """`mama-mboga`, `mama-mboga-2`, … that nobody had a moment ago."""
    base = slugify(business_name.replace("_", " "))[:30].strip("-")
    if not _SLUG.fullmatch(base) or base in RESERVED_SLUGS:
        base = f"business-{base}" if base else "my-business"
    taken = set(Tenant.objects.filter(slug__startswith=base).values_list("slug", flat=True))
    for number in range(1, len(taken) + 100):
        slug = base if number == 1 else f"{base}-{number}"
        if slug not in taken:
            yield slug


def one_line(name: str) -> str:
    """A name as it stands in a list, or in the subject of a mail."""
    return " ".join(name.split())


def read_contact_number(text: str) -> str:
    """A Kenyan telephone number, mobile or landline, as digits that begin with 254.

    :raises Invalid: if it is none.
    """
    if match := _CONTACT_NUMBER.fullmatch(_SEPARATORS.sub("", text)):
        return f"254{match[1]}"
    raise Invalid(
        _("This phone number can't be used."), errors={"phone": [_("Enter a Kenyan number, like 0712 345 678.")]}
    )


def check_password(password: str, user: User) -> None:
    """Hold a new password against the platform's rules and the person's own name.

    :raises Invalid: with a sentence for each rule that it breaks.
    """
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid(_("This password can't be used."), errors={"password": error.messages}) from None


# What may be done to a business in which states. PROVISIONING ends by itself, in TRIAL (`tenants.provisioning`).
POSSIBLE_IN: dict[str, frozenset[str]] = {
    "business.activated": frozenset({Tenant.Status.TRIAL}),
    "business.suspended": frozenset({Tenant.Status.TRIAL, Tenant.Status.ACTIVE}),
    "business.reactivated": frozenset({Tenant.Status.SUSPENDED}),
    "business.closed": frozenset({Tenant.Status.TRIAL, Tenant.Status.ACTIVE, Tenant.Status.SUSPENDED}),
}


@transaction.atomic
def activate_tenant(*, actor: Actor, tenant: Tenant, reason: str = "") -> Tenant:
    """End a business's trial: it is in service.

    :raises WrongStep: if it is not on trial.
    """
    held = _hold(actor, tenant, for_action="business.activated")
    return _move(actor, held, to=Tenant.Status.ACTIVE, action="business.activated", reason=reason)


@transaction.atomic
def suspend_tenant(*, actor: Actor, tenant: Tenant, reason: str) -> Tenant:
    """Stop a business for a while: its people read and export, and its money is still recorded.

    :raises Invalid: without a reason, which its people will read.
    :raises WrongStep: if it is neither on trial nor in service.
    """
    held = _hold(actor, tenant, for_action="business.suspended")
    _require_reason(reason)
    back = held.status
    return _move(actor, held, to=Tenant.Status.SUSPENDED, action="business.suspended", reason=reason, back=back)


@transaction.atomic
def reactivate_tenant(*, actor: Actor, tenant: Tenant, reason: str = "") -> Tenant:
    """Let a suspended business go on as what it was, on trial or in service.

    :raises WrongStep: if it is not suspended.
    """
    held = _hold(actor, tenant, for_action="business.reactivated")
    return _move(actor, held, to=held.status_before, action="business.reactivated", reason=reason)


@transaction.atomic
def close_tenant(*, actor: Actor, tenant: Tenant, reason: str) -> Tenant:
    """End a business for good: its people read and export, and its money is still recorded.

    :raises Invalid: without a reason.
    :raises WrongStep: if it is closed already, or still being made.
    """
    held = _hold(actor, tenant, for_action="business.closed")
    _require_reason(reason)
    return _move(actor, held, to=Tenant.Status.CLOSED, action="business.closed", reason=reason)


def _hold(actor: Actor, tenant: Tenant, *, for_action: str) -> Tenant:
    require_operator(actor)
    held: Tenant = Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
    if held.status not in POSSIBLE_IN[for_action]:
        sentence = _("This step is not possible now. %(business)s: %(status)s.")
        raise WrongStep(sentence % {"business": held, "status": held.get_status_display()})
    return held


def _require_reason(reason: str) -> None:
    if not reason.strip():
        sentence = _("Say why: the business reads it.")
        raise Invalid(sentence, errors={"reason": [sentence]})


def _move(actor: Actor, tenant: Tenant, *, to: str, action: str, reason: str, back: str = "") -> Tenant:
    """Change the state, and write it into the platform's trail and the business's own."""
    before = tenant.status
    tenant.status, tenant.status_before, tenant.status_reason = to, back, reason
    Tenant.objects.filter(pk=tenant.pk).update(status=to, status_before=back, status_reason=reason)
    for trail in (schema_context("public"), tenant_context(tenant)):
        with trail:
            audit.services.record(
                actor=actor,
                action=action,
                subject=tenant,
                before={"status": before},
                after={"status": to},
                reason=reason,
            )
    return tenant
