"""Who pays: payments by whom they came from, as M-PESA tells it.

A payer is a number, a number that M-PESA masked, or the hash of one (docs/daraja.md). Several people share a masked
number, so what is counted for one may be several people's. A statement may say nothing of who paid: such payments are
nobody's here.
"""

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db import connection
from django.db.models import OuterRef, QuerySet, Subquery
from django.utils.translation import gettext as _

from audit.services import Actor
from channels.msisdn import may_be
from payments.models import Payment, PaymentRequest, StatusQuery
from payments.queries import payments_of, read_payment
from payments.question_words import found_in
from tenants.errors import NotFound
from tenants.permissions import Permission, require

COUNTED = 500  # payments of one payer, at most: a page adds up no more

_TOTALS = """
    SELECT given.payer, counted.payments, counted.amount
      FROM unnest(%s::text[]) AS given (payer),
   LATERAL (SELECT count(*) AS payments, coalesce(sum(newest.amount) FILTER (WHERE reversed_at IS NULL), 0) AS amount
              FROM (SELECT amount, reversed_at
                      FROM payments_payment
                     WHERE environment = %s AND payer = given.payer
                     ORDER BY paid_at DESC, id DESC
                     LIMIT %s) AS newest) AS counted
"""

_NEWEST = """
    SELECT newest.id
      FROM unnest(%s::text[]) AS given (payer),
   LATERAL (SELECT id FROM payments_payment
             WHERE environment = %s AND payer = given.payer
             ORDER BY paid_at DESC, id DESC
             LIMIT 1) AS newest
"""


@dataclass(frozen=True, slots=True)
class PayerTotal:
    """What came from one payer: `amount` is KES without what was given back.

    `has_more`: only the newest `COUNTED` payments are in it.
    """

    payments: int
    amount: Decimal
    has_more: bool


def newest_of_each_payer(*, actor: Actor, environment: str) -> QuerySet[Payment]:
    """The last payment of everybody who has paid. Each payment is looked at by itself, so walk only so many."""
    payments = payments_of(actor=actor).filter(environment=environment)
    same = Payment.objects.filter(environment=environment, payer=OuterRef("payer")).order_by("-paid_at", "-pk")
    return payments.exclude(payer="").filter(pk=Subquery(same.values("pk")[:1]))


def newest_of_payers(*, actor: Actor, environment: str, payers: Collection[str]) -> QuerySet[Payment]:
    """The last payment of each of these, however many they have made."""
    payments = payments_of(actor=actor).filter(environment=environment)
    with connection.cursor() as cursor:
        cursor.execute(_NEWEST, [list(payers), environment])
        return payments.filter(pk__in=[key for (key,) in cursor.fetchall()])


def payments_like(*, actor: Actor, payment_id: UUID) -> QuerySet[Payment]:
    """All that came from whoever made this payment, in its environment.

    :raises NotFound: if the business has no such payment, or nobody knows who made it.
    """
    payment = read_payment(actor=actor, payment_id=payment_id)
    if not payment.payer:
        raise NotFound(_("Nobody knows who made this payment."))
    return payments_of(actor=actor).filter(environment=payment.environment, payer=payment.payer)


def totals_of(*, actor: Actor, environment: str, payers: Collection[str]) -> dict[str, PayerTotal]:
    """What came from each of a page's payers."""
    require(actor, Permission.PAYMENTS_READ)
    with connection.cursor() as cursor:
        cursor.execute(_TOTALS, [list(payers), environment, COUNTED])
        return {
            payer: PayerTotal(payments, amount, has_more=payments == COUNTED)
            for payer, payments, amount in cursor.fetchall()
        }


def may_come_from(*, payment: Payment, phone_number: str) -> bool:
    """Could this phone have paid it? By the number that it came with, and where that is masked by what else M-PESA said
    of it: the request on a phone that it answers, and who paid as a status query found."""
    asked = PaymentRequest.objects.filter(payment=payment).values_list("phone_number", flat=True)
    answers = StatusQuery.objects.filter(payment=payment, status=StatusQuery.Status.ANSWERED)
    found = [each for each in map(found_in, answers) if each.receipt == payment.receipt and each.payer]
    named = [payment.payer, *asked, *(each.payer.number for each in found if each.payer)]
    return all(may_be(each, phone_number) for each in named)


def is_shared(payer: str) -> bool:
    """May several people stand behind it?"""
    return "*" in payer
