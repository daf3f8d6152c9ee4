"""What django-tenants before 4.0.1 got wrong (its issue 1262): a savepoint that is rolled back takes the search path
with it, while the connection believes that it is still in the other business's schema."""

import pytest
from django.conf import settings
from django.db import connection, transaction
from django_tenants.utils import tenant_context

from channels.models import MpesaChannel
from loyalty.models import Program


@pytest.fixture
def programs(acme, rival):
    for tenant in (acme, rival):
        with tenant_context(tenant):
            Program.objects.create(code=f"of_{tenant.slug}", name=tenant.slug)
    connection.set_schema_to_public()


class Broken(Exception):
    pass


def codes():
    return list(Program.objects.values_list("code", flat=True))


def test_the_setting_that_brings_the_danger_is_on():
    assert settings.TENANT_LIMIT_SET_CALLS is True


def test_after_a_savepoint_in_another_business_was_rolled_back_we_are_where_we_say(acme, rival, programs):
    connection.set_tenant(acme)
    assert codes() == ["of_acme"]

    with pytest.raises(Broken), transaction.atomic():
        connection.set_tenant(rival)
        assert codes() == ["of_rival"]
        raise Broken

    assert connection.tenant == rival
    assert codes() == ["of_rival"]
    connection.set_tenant(acme)
    assert codes() == ["of_acme"]


def test_a_context_that_ends_in_a_rolled_back_savepoint_leaves_us_at_home(acme, rival, programs):
    connection.set_tenant(acme)

    with transaction.atomic():
        with pytest.raises(Broken), transaction.atomic(), tenant_context(rival):
            Program.objects.create(code="lost", name="lost")
            raise Broken
        assert connection.tenant == acme
        assert codes() == ["of_acme"]
        Program.objects.create(code="also_acmes", name="also")

    assert sorted(codes()) == ["also_acmes", "of_acme"]
    with tenant_context(rival):
        assert codes() == ["of_rival"]


def test_a_savepoint_that_began_before_the_business_was_entered_does_not_lead_to_public(acme, rival, programs):
    with pytest.raises(Broken), transaction.atomic():
        with tenant_context(acme):
            assert codes() == ["of_acme"]
        connection.set_tenant(acme)
        with pytest.raises(Broken), transaction.atomic():
            MpesaChannel.objects.count()
            raise Broken
        assert codes() == ["of_acme"]
        raise Broken

    assert connection.tenant == acme
    assert codes() == ["of_acme"]
