"""Which business an M-PESA receipt or a shortcode belongs to: what operators ask when somebody calls.

Every business's schema is asked, many in one statement. The question stands in the platform's trail, and in the trail
of each business that it found something of, so that the business can see who looked.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import connection, transaction
from django.utils.translation import gettext as _
from django_tenants.utils import schema_context, tenant_context

import audit.services
from audit.services import Actor
from tenants.errors import Invalid
from tenants.models import Tenant, User
from tenants.permissions import require_operator

_SHORTCODE = re.compile(r"[0-9]{5,7}")
_RECEIPT = re.compile(r"(?=.*[0-9])[0-9A-Z]{8,20}|[A-Z]{10}")  # a few have no digit
_SCHEMAS_AT_ONCE = 50
_MOST_FOUND = 50

_BY_RECEIPT = """
    SELECT {number}, channel.shortcode, channel.name, channel.environment, moved.what, moved.receipt,
           moved.amount, moved.at
      FROM (SELECT channel_id, 'paid' AS what, receipt, amount, paid_at AS at
              FROM "{schema}".payments_payment WHERE receipt = %(text)s
             UNION ALL
            SELECT channel_id, 'sent', receipt, amount, completed_at
              FROM "{schema}".payments_payout WHERE receipt = %(text)s AND receipt <> '') AS moved
      JOIN "{schema}".channels_mpesachannel AS channel ON channel.id = moved.channel_id
"""
_BY_SHORTCODE = """
    SELECT {number}, channel.shortcode, channel.name, channel.environment, '', '', NULL::numeric, NULL::timestamptz
      FROM "{schema}".channels_mpesachannel AS channel
     WHERE %(text)s IN (channel.shortcode, channel.store_number)
"""


class UnusableQuestion(Invalid):
    """It is neither a receipt nor a shortcode."""

    code = "unusable_question"


@dataclass(frozen=True)
class Found:
    """A channel, or money on it: then `what` is `paid` or `sent`, and `receipt`, `amount` (KES) and `at` say which."""

    tenant: Tenant
    shortcode: str
    channel: str
    environment: str
    what: str
    receipt: str
    amount: Decimal | None
    at: datetime | None


def search_businesses(*, actor: Actor, text: str) -> list[Found]:
    """Where a receipt (`UKL1000001`) was paid or sent, or whose a shortcode (`174379`) is; the first 50, by business.

    :raises UnusableQuestion: if the text is neither.
    """
    require_operator(actor)
    text = "".join(text.split()).upper()
    if _SHORTCODE.fullmatch(text):
        question = _BY_SHORTCODE
    elif _RECEIPT.fullmatch(text):
        question = _BY_RECEIPT
    else:
        raise UnusableQuestion(_("Enter an M-PESA receipt like UKL1000001, or a shortcode of 5 to 7 digits."))
    tenants = list(Tenant.objects.exclude(status=Tenant.Status.PROVISIONING).order_by("pk"))
    found = [each for some in _some_at_once(tenants) for each in _ask(question, text, some)][:_MOST_FOUND]
    _record(actor, text, found)
    return found


def _some_at_once(tenants: Sequence[Tenant]) -> Iterator[Sequence[Tenant]]:
    for start in range(0, len(tenants), _SCHEMAS_AT_ONCE):
        yield tenants[start : start + _SCHEMAS_AT_ONCE]


def _ask(question: str, text: str, tenants: Sequence[Tenant]) -> list[Found]:
    # Schema names are ours: the database holds them to t_ and 32 hexadecimal digits.
    each = [question.format(number=number, schema=tenant.schema_name) for number, tenant in enumerate(tenants)]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(each), {"text": text})
        return [Found(tenants[number], *columns) for number, *columns in cursor.fetchall()]


@transaction.atomic
def _record(actor: Actor, text: str, found: Sequence[Found]) -> None:
    tenants = list({each.tenant.pk: each.tenant for each in found}.values())
    for tenant in tenants:
        with tenant_context(tenant):
            audit.services.record(actor=actor, action="business.looked_up", subject=tenant, after={"by": text})
    with schema_context("public"):
        audit.services.record(
            actor=actor,
            action="operator.searched",
            subject=User(pk=actor.id, email=actor.label),
            after={"text": text, "found": [tenant.slug for tenant in tenants]},
        )
