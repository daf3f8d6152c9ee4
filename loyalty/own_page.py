"""A member's own page: what they hold and what they may do there, by a signed link instead of a password.

The link names one member of one business and nothing else, works on that business's host alone, and ends by itself.
Whoever holds it is that member; so it can't change a number, and what it can try is counted.
"""

from datetime import datetime, timedelta
from uuid import UUID

from django.core import signing
from django.db import connection
from django.utils.translation import gettext as _

from audit.services import Actor, system_actor
from loyalty.claims import claim_by_oneself
from loyalty.members import change_member
from loyalty.models import Member, PaymentOutcome
from tenants.demo import require_no_visitor
from tenants.errors import NotFound
from tenants.limits import count_attempt
from tenants.permissions import Permission, require, require_open
from tenants.queue import require_current_tenant

LINK_LASTS = timedelta(days=90)


def own_page_token(*, actor: Actor, member: Member) -> str:
    """What the address of the member's page carries, for `LINK_LASTS` from now."""
    require(actor, Permission.MEMBERS_CHANGE)
    return signing.dumps(member.pk.hex, salt=_salt())


def member_behind(*, token: str) -> Member:
    """The member whose page this is, also one who has left.

    :raises NotFound: if the link is not ours, another business's, or too old.
    """
    try:
        member_id = UUID(signing.loads(token, salt=_salt(), max_age=LINK_LASTS))
    except signing.BadSignature:
        raise NotFound(_("This link does not work any more. Ask the business for a new one.")) from None
    members = Member.objects.select_related("program", "program__stamp_rule", "program__accrual_rule")
    member = members.filter(pk=member_id).first()
    if member is None:
        raise NotFound(_("This link does not work any more. Ask the business for a new one."))
    return member


def reader(member: Member) -> Actor:
    """As whom the services know somebody who came by their link."""
    return system_actor(f"member {member.code}, on their own page")


def claim_own_payment(*, token: str, receipt: str, now: datetime) -> PaymentOutcome:
    """Give the member the points and the stamp of a payment whose receipt they have.

    :raises TooManyAttempts: after ten tries in an hour: receipts are not for guessing.
    :raises BusinessClosed: if the business is not open for changes.
    :raises DomainError: whatever else `claim_by_oneself` refuses.
    """
    member = member_behind(token=token)
    require_open(connection.tenant)  # type: ignore[attr-defined]  # django-tenants' connection
    require_no_visitor()
    count_attempt("own_claim", who=member.pk.hex)
    return claim_by_oneself(actor=reader(member), member_id=member.pk, receipt=receipt, now=now)


def leave(*, token: str, now: datetime) -> Member:
    """Take no part any more: name and number are forgotten, and nothing is earned. The points stay written.

    :raises BusinessClosed: if the business is not open for changes.
    """
    member = member_behind(token=token)
    require_open(connection.tenant)  # type: ignore[attr-defined]  # django-tenants' connection
    require_no_visitor()
    return change_member(actor=reader(member), member_id=member.pk, now=now, name="", phone_number="", is_active=False)


def _salt() -> str:
    return f"loyalty.own_page:{require_current_tenant().pk.hex}"
