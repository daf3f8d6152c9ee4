import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django_tenants.utils import tenant_context

from audit.services import record, system_actor
from tenants.models import Tenant


@pytest.fixture
def trails(acme, rival):
    """Two rows in acme's trail, one in rival's, none in the platform's."""
    heads = {}
    for tenant, count in ((acme, 2), (rival, 1)):
        with tenant_context(tenant), transaction.atomic():
            for _ in range(count):
                heads[tenant.slug] = record(actor=system_actor("test"), action="a.b", subject=tenant).entry_hash
    return heads


def verify(**options):
    out = StringIO()
    try:
        call_command("verify_audit", stdout=out, **options)
    except CommandError as error:
        return out.getvalue().splitlines(), str(error)
    return out.getvalue().splitlines(), ""


def change(tenant, statement):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(statement.format(f'"{tenant.schema_name}".audit_auditentry'))
        cursor.execute("SET LOCAL session_replication_role = origin")


def test_every_trail_is_counted_with_its_last_hash(trails):
    assert verify() == (
        ["the platform: 0 rows", f"acme: 2 rows {trails['acme']}", f"rival: 1 rows {trails['rival']}"],
        "",
    )


def test_one_trail_can_be_asked_for(trails):
    assert verify(tenant="acme") == ([f"acme: 2 rows {trails['acme']}"], "")


def test_an_unknown_business_is_said(trails):
    assert verify(tenant="nobody") == ([], "No business is called nobody.")


def test_a_broken_trail_is_said_and_the_others_are_checked_too(trails, acme):
    change(acme, "UPDATE {} SET reason = 'x' WHERE sequence = 2")

    lines, error = verify()
    assert lines[0] == "the platform: 0 rows"
    assert re.fullmatch(r"acme: BROKEN after 1 rows [0-9a-f]{64}: Row 2 is not as it was written\.", lines[1])
    assert lines[2] == f"rival: 1 rows {trails['rival']}"
    assert error == "1 of the audit trails does not hold."


def test_a_trail_that_was_dropped_is_said(trails, acme):
    with connection.cursor() as cursor:
        cursor.execute(f'DROP TABLE "{acme.schema_name}".audit_auditentry')

    lines, error = verify()
    assert lines[1] == "acme: BROKEN: its trail is missing"
    assert error == "1 of the audit trails does not hold."


def test_a_business_that_is_being_made_is_not_broken(trails, acme):
    Tenant.objects.filter(pk=acme.pk).update(status=Tenant.Status.PROVISIONING)
    with connection.cursor() as cursor:
        cursor.execute(f'DROP TABLE "{acme.schema_name}".audit_auditentry')

    lines, error = verify()
    assert lines[1] == "acme: is being made"
    assert error == ""


@pytest.mark.usefixtures("trails")
def test_the_schema_is_left_as_it_was():
    verify()

    assert connection.schema_name == "public"
