"""The one business that visitors look around in: what it is, and what it never does."""

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.services import system_actor
from channels.models import MpesaChannel
from channels.services import create_channel
from tenants import demo, operators, people
from tenants.models import Invitation, Role, Tenant
from tenants.permissions import NotOperator

PLATFORM = system_actor("test")


@pytest.fixture
def shop(acme):
    demo.open_to_visitors(actor=PLATFORM, tenant=acme)
    acme.refresh_from_db()
    return acme


def test_there_is_one_demo_at_most(shop, rival):
    with pytest.raises(demo.DemoExists):
        demo.open_to_visitors(actor=PLATFORM, tenant=rival)
    with pytest.raises(IntegrityError, match="tenant_one_demo"), transaction.atomic():
        Tenant.objects.filter(pk=rival.pk).update(is_demo=True)

    assert demo.demo_business() == shop


def test_only_an_operator_opens_or_removes_it(acme, actor):
    for change in (demo.open_to_visitors, demo.remove_demo):
        with pytest.raises(NotOperator):
            change(actor=actor(Role.ORG_ADMIN), tenant=acme)

    assert demo.demo_business() is None


@pytest.mark.parametrize(
    ("status", "is_open"),
    [("PROVISIONING", False), ("TRIAL", True), ("ACTIVE", True), ("SUSPENDED", False), ("CLOSED", False)],
)
def test_visitors_come_while_it_is_in_service(shop, rival, status, is_open):
    Tenant.objects.update(status=status)

    for tenant in Tenant.objects.all():
        assert demo.receives_visitors(tenant) is (is_open and tenant == shop)
    assert (demo.demo_business() == shop) is is_open
    assert demo.receives_visitors(None) is False


@pytest.mark.parametrize("environment", ["SANDBOX", "PRODUCTION"])
def test_it_is_never_connected_to_safaricom(shop, environment):
    with tenant_context(shop):
        with pytest.raises(demo.NotInDemo, match="A demo has practice channels only"):
            create_channel(
                environment=environment,
                actor=PLATFORM,
                now=timezone.now(),
                name="Main",
                kind="TILL",
                shortcode="600999",
            )
        assert not MpesaChannel.objects.exists()


def test_it_invites_nobody(shop, actor, mailoutbox):
    with tenant_context(shop), pytest.raises(demo.NotInDemo, match="A demo invites nobody"):
        people.invite(actor=actor(Role.ORG_ADMIN), email="a@b.example", role=Role.USER, now=timezone.now())

    connection.set_schema_to_public()
    assert not Invitation.objects.exists()
    assert mailoutbox == []


def test_it_is_no_customer_of_the_platforms(acme, rival):
    before = operators.numbers(actor=PLATFORM)
    demo.open_to_visitors(actor=PLATFORM, tenant=acme)

    after = operators.numbers(actor=PLATFORM)
    assert (before.businesses, before.on_trial, before.new_this_week) == (2, 2, 2)
    assert (after.businesses, after.on_trial, after.new_this_week) == (1, 1, 1)
