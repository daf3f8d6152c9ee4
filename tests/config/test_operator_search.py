"""Operators find the business of a receipt or a shortcode, and everybody concerned can read that they looked."""

from decimal import Decimal

import pytest
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import new_id
from audit.models import AuditEntry, AuditRow, PlatformAuditEntry
from audit.services import Actor
from config.operator_search import UnusableQuestion, search_businesses
from payments.models import Payment
from tenants.models import Role
from tenants.permissions import NotOperator
from tests.factories import make_channel

OPERATOR = Actor(kind=AuditRow.ActorKind.OPERATOR, id=new_id(), label="op@tuzo.example", role="super_admin")


@pytest.fixture
def paid(acme, rival):
    make_channel(rival, "600200")
    channel = make_channel(acme, "600100", store_number="600111")
    now = timezone.now()
    with tenant_context(acme):
        return Payment.objects.create(
            channel=channel,
            receipt="UKL1000001",
            environment=channel.environment,
            payer="254712345678",
            amount=Decimal("1500.50"),
            source="CONFIRMATION",
            paid_at=now,
            created_at=now,
        )


def trail(tenant):
    with tenant_context(tenant):
        return list(AuditEntry.objects.values_list("action", "actor_label", "after"))


def test_a_receipt_leads_to_its_business_and_both_trails_say_who_asked(acme, rival, paid):
    [found] = search_businesses(actor=OPERATOR, text=" ukl1000001 ")
    assert (found.tenant, found.shortcode, found.what) == (acme, "600100", "paid")
    assert (found.amount, found.at) == (Decimal("1500.50"), paid.paid_at)
    assert trail(acme) == [("business.looked_up", "op@tuzo.example", {"by": "UKL1000001"})]
    assert trail(rival) == []
    entry = PlatformAuditEntry.objects.get()
    assert (entry.action, entry.after) == ("operator.searched", {"text": "UKL1000001", "found": ["acme"]})


@pytest.mark.parametrize(
    ("text", "slugs"), [("600100", ["acme"]), ("600 111", ["acme"]), ("600200", ["rival"]), ("600999", [])]
)
def test_a_shortcode_or_store_number_leads_to_its_business(paid, text, slugs):
    assert [found.tenant.slug for found in search_businesses(actor=OPERATOR, text=text)] == slugs
    assert PlatformAuditEntry.objects.get().after["found"] == slugs


def test_a_receipt_may_have_no_digit(acme, paid):
    with tenant_context(acme):
        Payment.objects.update(receipt="UKMSVMSISF")

    [found] = search_businesses(actor=OPERATOR, text="ukmsvmsisf")
    assert (found.tenant, found.what, found.receipt) == (acme, "paid", "UKMSVMSISF")


@pytest.mark.parametrize("text", ["", "x", "12", "' OR 1=1 --", "ABCDEFGHI"])
def test_what_is_neither_is_refused_and_not_asked(paid, text):
    with pytest.raises(UnusableQuestion):
        search_businesses(actor=OPERATOR, text=text)
    assert not PlatformAuditEntry.objects.exists()


@pytest.mark.parametrize("role", [*Role.values, "super_admin"])
def test_nobody_else_searches(acme, paid, role):
    actor = Actor(kind=AuditRow.ActorKind.PERSON, label="amina@acme.example", role=role)
    with pytest.raises(NotOperator):
        search_businesses(actor=actor, text="600100")
    assert (trail(acme), PlatformAuditEntry.objects.count()) == ([], 0)
