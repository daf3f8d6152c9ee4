"""Customers: payers as the payments know them, and the members among them."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q, QuerySet

from audit.services import Actor
from channels.models import SmsMessage
from channels.msisdn import InvalidPhoneNumber, is_plain, normalise, sha256_hex, spellings
from loyalty.members import members_of
from loyalty.models import Member, PaymentOutcome, Program
from loyalty.queries import find_members
from payments.models import Payment
from payments.payers import (
    PayerTotal,
    is_shared,
    newest_of_each_payer,
    newest_of_payers,
    payments_like,
    totals_of,
)
from tenants.permissions import Permission, require

WALKED = 1_000
WALKED_TO_FIND = 10_000
_MEMBERS_LOOKED_UP = 50
_DIGITS_TO_SEARCH_BY = 3


@dataclass(frozen=True, slots=True)
class Customer:
    """A payer by their newest payment. `members`: what they are in each program that knows their number.

    Where no program does, `counted_for` is the member whom the newest payment counted for: what they typed said so.
    """

    newest: Payment
    total: PayerTotal
    members: Sequence[Member]
    counted_for: Member | None

    @property
    def name(self) -> str:
        """The payer's own; where the phone is another's than the member's, like a parent's, that of a member last."""
        own = next((member.name for member in self.members if member.name and member.is_known_by_phone), "")
        others = next((member.name for member in self.members if member.name), "")
        return own or self.newest.payer_name.title() or others

    @property
    def phone_number(self) -> str:
        """The whole number, or '' where nobody told us: M-PESA hides most."""
        known = next((member.phone_number for member in self.members), "")
        return known or (self.newest.payer if is_plain(self.newest.payer) else "")

    @property
    def is_shared(self) -> bool:
        """May several people stand behind it? M-PESA masked the number."""
        return is_shared(self.newest.payer)


def find_payers(*, actor: Actor, environment: str, text: str = "") -> QuerySet[Payment]:
    """The newest payment of each payer whose number, name or member's code or name fits.

    A whole number is found by an index, in whichever way M-PESA spelt it; all else is looked for payment by payment.
    """
    require(actor, Permission.LOYALTY_READ)
    typed = " ".join(text.split())
    try:
        return newest_of_payers(actor=actor, environment=environment, payers=spellings(normalise(typed)))
    except InvalidPhoneNumber:
        pass
    rows = newest_of_each_payer(actor=actor, environment=environment)
    if not typed:
        return rows
    members = find_members(actor=actor, environment=environment, text=typed).exclude(phone_number="")
    numbers = members.values_list("phone_number", flat=True).order_by("-pk")[:_MEMBERS_LOOKED_UP]
    payers = [spelling for number in numbers for spelling in (number, sha256_hex(number))]
    matches = Q(payer__in=payers)
    matches |= Q(payer_name__contains=typed.upper()) | Q(payer_name__contains=typed.title())
    digits = "".join(filter(str.isdigit, typed)).removeprefix("254").lstrip("0")
    if len(digits) >= _DIGITS_TO_SEARCH_BY and not any(map(str.isalpha, typed)):
        matches |= Q(payer__startswith="254", payer__contains=digits)
    return rows.filter(matches)


def payments_to_walk(text: str) -> int:
    """How many payments a page that looks for this may look at; 0 where an index knows. Asking of a payment whether it
    is its payer's newest costs more than reading the name on it."""
    try:
        normalise(text)
    except InvalidPhoneNumber:
        return WALKED_TO_FIND if text.strip() else WALKED
    return 0


def customers_behind(*, actor: Actor, environment: str, newest: Sequence[Payment]) -> list[Customer]:
    """What is known of the payers of a page, by the newest payment of each, in the same order."""
    require(actor, Permission.LOYALTY_READ)
    totals = totals_of(actor=actor, environment=environment, payers=[payment.payer for payment in newest])
    members = _members_by_hash(actor, environment, {_hash_of(payment.payer) for payment in newest})
    outcomes = PaymentOutcome.objects.filter(payment__in=newest, member__isnull=False)
    counted_for = {row.payment_id: row.member for row in outcomes.select_related("member__program")}
    return [
        Customer(
            payment,
            totals[payment.payer],
            found := members.get(_hash_of(payment.payer), []),
            None if found else counted_for.get(payment.pk),
        )
        for payment in newest
    ]


def customer_behind(*, actor: Actor, payment_id: UUID) -> tuple[Customer, QuerySet[Payment]]:
    """Who made a payment, and all of their payments.

    :raises NotFound: if the business has no such payment.
    """
    rows = payments_like(actor=actor, payment_id=payment_id)
    newest = list(rows.order_by("-paid_at", "-pk")[:1])
    (customer,) = customers_behind(actor=actor, environment=newest[0].environment, newest=newest)
    return customer, rows


def messages_about(*, actor: Actor, payments: Sequence[Payment]) -> dict[UUID, SmsMessage]:
    """The SMS that each of these payments led to."""
    require(actor, Permission.LOYALTY_READ)
    keys = {f"points:{payment.pk}": payment.pk for payment in payments}
    return {keys[message.dedup_key]: message for message in SmsMessage.objects.filter(dedup_key__in=keys)}


def _members_by_hash(actor: Actor, environment: str, hashes: set[str]) -> dict[str, list[Member]]:
    """By the hash of the number, which both a plain and a hashed payer lead to."""
    found: dict[str, list[Member]] = {}
    programs = Program.objects.values("pk")  # the index begins with the program
    rows = members_of(actor=actor).filter(program__in=programs, environment=environment, phone_hash__in=hashes - {""})
    for member in rows.exclude(phone_hash="").order_by("program__name", "code"):
        found.setdefault(member.phone_hash, []).append(member)
    return found


def _hash_of(payer: str) -> str:
    """'' for what was masked: nobody knows whose it is."""
    if is_plain(payer):
        return sha256_hex(payer)
    return "" if is_shared(payer) else payer
