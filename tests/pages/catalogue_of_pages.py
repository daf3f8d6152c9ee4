"""Every page of ours, with what it needs to be opened. A page that is not here fails the suite.

Add one line for each new page: `Page("payment", arguments=lambda cast: {"payment_id": cast.payment_id})`. What it shows
comes from `furnish`: add rows there, so that pages are looked at with something on them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from audit.ids import new_id
from channels.models import Environment
from tenants import own_sign_in, people, provisioning, second_factor
from tenants.models import Invitation, Membership, Role, Tenant, User
from tests.factories import make_channel

PLATFORM, BUSINESS = settings.PUBLIC_SCHEMA_URLCONF, settings.ROOT_URLCONF
EVERYBODY = tuple(Role)
PASSWORD = "a long pass phrase"


@dataclass(kw_only=True)
class Cast:
    """A business with people and rows for every page."""

    tenant: Tenant
    places: dict[Role, Membership]
    invitation: Invitation
    stranger: User  # has no place, and may choose a new password


@dataclass(frozen=True)
class Page:
    """`roles` open it signed in; an empty one is a page for strangers. `asked_by_htmx` is a fragment of a page."""

    route: str
    urlconf: str = BUSINESS
    roles: tuple[Role, ...] = EVERYBODY
    arguments: Callable[[Cast], dict[str, Any]] = field(default=lambda cast: {})
    asked_by_htmx: bool = False

    def path(self, cast: Cast) -> str:
        return reverse(self.route, urlconf=self.urlconf, kwargs=self.arguments(cast))

    def __str__(self) -> str:
        return self.route


def _progress_token(cast: Cast) -> dict[str, str]:
    return {"token": provisioning.progress_token(cast.tenant)}


PAGES = [
    Page("front", PLATFORM, ()),
    Page("sign-up", PLATFORM, ()),
    Page("sign-up-progress", PLATFORM, (), _progress_token),
    Page("sign-up-progress", PLATFORM, (), _progress_token, asked_by_htmx=True),
    Page("sign-in", PLATFORM, ()),
    Page("password", PLATFORM, ()),
    Page("password-reset", PLATFORM, (), lambda cast: {"token": own_sign_in.reset_token(cast.stranger)}),
    Page("accept-invitation", PLATFORM, (), lambda cast: {"token": people.invitation_token(cast.invitation)}),
    Page("sign-in", BUSINESS, ()),
    Page("home"),
    Page("profile"),
    Page("change-password"),
    Page("second-factor"),
    Page("renew-recovery-codes"),
    Page("remove-second-factor"),
]

# Routes that answer a form, a program or a link by leading elsewhere: nothing to look at.
NOT_PAGES = {
    "look",
    "sign-in-code",
    "choose-business",
    "sign-up-open",
    "sign-out",
    "hand-over",
}


def furnish(tenant: Tenant) -> Cast:
    """Give the business what its pages need to have something to show."""
    connection.set_schema_to_public()
    places = {}
    for role in Role:
        user = User.objects.create_user(email=f"{role}@{tenant.slug}.example", password=PASSWORD, name="Wanjiku Kamau")
        places[role] = Membership.objects.create(user=user, tenant=tenant, role=role)
    second_factor.renew_recovery_codes(places[Role.ORG_ADMIN].user)
    invitation = Invitation.objects.create(
        tenant=tenant,
        email=f"new@{tenant.slug}.example",
        role=Role.MANAGER,
        invited_by="Wanjiku Kamau",
        expires_at=timezone.now() + people.INVITATION_LASTS,
    )
    stranger = User.objects.create_user(email=f"{new_id().hex}@{tenant.slug}.example", password=PASSWORD)
    make_channel(tenant, "600100")
    make_channel(tenant, "600200", environment=Environment.SANDBOX)
    return Cast(tenant=tenant, places=places, invitation=invitation, stranger=stranger)
