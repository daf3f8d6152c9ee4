"""The platform's demo: one business of invented data that anybody may look around in, and that no visitor can change.

It practises only, and invites nobody. `is_demo` is set when there is something to see in it (`config.demo_shop` makes
it): from then on its pages are open without signing in, to a visitor who has the permissions of `VISITOR`. Its API is
not: that asks for a token, as everywhere.
"""

from django.db import IntegrityError, transaction

import audit.services
from audit.services import Actor
from tenants import limits
from tenants.errors import Conflict
from tenants.models import InboundCallback, Membership, Tenant, User
from tenants.permissions import OnlyToLookAt, require_operator
from tenants.queue import require_current_tenant
from tenants.signals import demo_visited

OPEN_IN = frozenset({Tenant.Status.TRIAL, Tenant.Status.ACTIVE})


class DemoExists(Conflict):
    code = "demo_exists"


class NotInDemo(Conflict):
    """What would lead out of the demo: to Safaricom, or to somebody's mailbox."""

    code = "not_in_demo"


def demo_business() -> Tenant | None:
    """The demo, while it is open to visitors."""
    found: Tenant | None = Tenant.objects.filter(is_demo=True, status__in=OPEN_IN).first()
    return found


def receives_visitors(tenant: Tenant | None) -> bool:
    return tenant is not None and tenant.is_demo and tenant.status in OPEN_IN


def receive_visitor(*, address: str) -> None:
    """Let a visitor see one page of the present business, the demo, and tell who keeps it alive.

    :raises TooManyAttempts: if this address has opened too many within the hour.
    """
    limits.count_attempt("demo", who=address)
    demo_visited.send(sender=Tenant, tenant=require_current_tenant())


def require_not_demo(sentence: str) -> None:
    """:raises NotInDemo: with the sentence, if the present business is the demo."""
    if require_current_tenant().is_demo:
        raise NotInDemo(sentence)


def require_no_visitor() -> None:
    """Keep a door that is open to customers closed in the demo, where whoever comes is a visitor.

    :raises OnlyToLookAt: if the present business is the demo.
    """
    if require_current_tenant().is_demo:
        raise OnlyToLookAt


@transaction.atomic
def open_to_visitors(*, actor: Actor, tenant: Tenant) -> None:
    """Make a business the demo. It never becomes an ordinary one again; it can only be removed.

    :raises DemoExists: if there is one.
    """
    require_operator(actor)
    try:
        with transaction.atomic():
            Tenant.objects.filter(pk=tenant.pk).update(is_demo=True)
    except IntegrityError:
        raise DemoExists("There is a demo already. Remove it first.") from None
    audit.services.record(actor=actor, action="demo.opened", subject=tenant)


@transaction.atomic
def remove_demo(*, actor: Actor, tenant: Tenant) -> None:
    """Delete a demo whole, also a half-made one: its schema, its deliveries, and its people, who are invented too."""
    require_operator(actor)
    tenant_id = tenant.pk
    people = list(Membership.objects.filter(tenant=tenant).values_list("user_id", flat=True))
    InboundCallback.objects.filter(tenant=tenant).delete()
    tenant.delete(force_drop=True)
    tenant.pk = tenant_id  # for the trail: Django has emptied it
    User.objects.filter(pk__in=people, memberships=None, is_staff=False).delete()
    audit.services.record(actor=actor, action="demo.removed", subject=tenant)
