"""What counts of an account number: here, for a channel's rules, and for the database."""

from string import printable

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone
from django_tenants.utils import tenant_context

from channels import mapping
from payments.accounts import account_key, key_of_account, of_account
from payments.models import Invoice, Payment
from tests.factories import make_channel

TYPED = [" VIP-001 ", "vip 001", "vip001", printable + "7", mapping.IGNORED + "7", "a\u00c9-\u00dfZ"]


@pytest.fixture
def invoices(acme):
    channel = make_channel(acme, "600981")
    with tenant_context(acme):
        return Invoice.objects.bulk_create(
            Invoice(
                channel=channel,
                environment=channel.environment,
                external_reference=str(number),
                account_reference=typed[:40],
                due_date="2026-08-31",
                amount=1,
                created_at=timezone.now(),
            )
            for number, typed in enumerate(TYPED)
        )


def test_the_database_agrees(acme, invoices):
    with tenant_context(acme):
        rows = Invoice.objects.annotate(key=key_of_account()).values_list("account_reference", "key")

        assert [key for _, key in rows] == [account_key(typed) for typed, _ in rows]


@pytest.mark.parametrize("typed", TYPED[:-1])
def test_so_do_the_rules_of_channels(typed):
    assert account_key(typed) == mapping.normalise(typed)


@pytest.mark.parametrize(("typed", "found"), [("VIP001", 3), (" v-i-p 001", 3), ("vip", 0), ("A\u00c9\u00dfz", 1)])
def test_an_account_is_found_however_it_is_spelt(acme, invoices, typed, found):
    with tenant_context(acme):
        assert Invoice.objects.filter(of_account(typed)).count() == found


@pytest.mark.parametrize(
    ("rows", "index"),
    [
        (lambda: Invoice.objects.filter(of_account("VIP001"), channel_id="0" * 32), "invoice_account"),
        (lambda: Payment.objects.filter(of_account("VIP001"), environment="PRACTICE"), "payment_reference"),
    ],
)
def test_an_index_finds_it(acme, rows, index):
    with tenant_context(acme), connection.cursor() as cursor:
        found: QuerySet = rows()
        drop_other_indexes(cursor, found.model._meta.db_table, index)  # else statistics decide which one serves
        cursor.execute("SET LOCAL enable_seqscan = off")

        plan = found.explain()

    assert index in plan
    assert [line for line in plan.splitlines() if "Index Cond:" in line and "translate(" in line], plan


def drop_other_indexes(cursor, table, index):
    """Those of no constraint. The test's transaction brings them back."""
    cursor.execute(
        "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND tablename = %s AND indexname <> %s"
        " AND indexname NOT IN (SELECT conname FROM pg_constraint)",
        [table, index],
    )
    for (name,) in cursor.fetchall():
        cursor.execute(f'DROP INDEX "{name}"')
