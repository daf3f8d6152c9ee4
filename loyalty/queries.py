"""What people look up about programs and members: searches, counts, what became of a member's payments."""

from uuid import UUID

from django.db.models import Count, Q, QuerySet

from audit.services import Actor
from loyalty.members import member_code, members_of
from loyalty.models import Member, PaymentOutcome
from tenants.permissions import Permission, require

_DIGITS_TO_SEARCH_BY = 3


def find_members(*, actor: Actor, environment: str, text: str = "", program_id: UUID | None = None) -> QuerySet[Member]:
    """Members of one environment whose code begins with `text`, whose name has it, or whose number has its digits."""
    found = members_of(actor=actor).filter(environment=environment)
    if program_id:
        found = found.filter(program=program_id)
    return found.filter(_matches(text)) if text.strip() else found


def _matches(text: str) -> Q:
    """`0712 345` and `254712345` both find 254712345678; fewer than three digits find no number."""
    matches = Q(name__icontains=text.strip())
    if code := member_code(text):
        matches |= Q(code__startswith=code)
    digits = "".join(filter(str.isdigit, text)).removeprefix("254").lstrip("0")
    if len(digits) >= _DIGITS_TO_SEARCH_BY and not any(map(str.isalpha, text)):
        matches |= Q(phone_number__contains=digits)
    return matches


def member_counts(*, actor: Actor, environment: str) -> dict[UUID, int]:
    """How many take part, by the program's key; programs without members are left out."""
    require(actor, Permission.LOYALTY_READ)
    rows = Member.objects.filter(environment=environment, is_active=True).order_by().values_list("program_id")
    return dict(rows.annotate(members=Count("pk")))


def payments_that_counted(*, actor: Actor, member_id: UUID) -> QuerySet[PaymentOutcome]:
    """What this member's payments gave, those that were reversed too."""
    require(actor, Permission.LOYALTY_READ)
    return PaymentOutcome.objects.filter(member=member_id).select_related("payment")
