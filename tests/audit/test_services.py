from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction
from django_tenants.utils import tenant_context

from audit.models import AuditEntry, AuditRow, PlatformAuditEntry
from audit.services import Actor, record, system_actor, verify_chain
from tenants.models import Role, Tenant

AMINA = Actor(
    kind=AuditRow.ActorKind.PERSON,
    id=UUID(int=7),
    label="amina@acme.example",
    role=Role.ORG_ADMIN,
    address="196.201.214.200",
    user_agent="Firefox",
)


@contextmanager
def triggers_off():
    """What somebody with the database's own superuser can do."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        try:
            yield cursor
        finally:
            cursor.execute("SET session_replication_role = origin")


def record_changes(tenant, count):
    with transaction.atomic():
        return [
            record(actor=AMINA, action="channel.renamed", subject=tenant, after={"name": f"Till {number}"})
            for number in range(1, count + 1)
        ]


def test_an_entry_says_who_did_what_to_what_from_where(in_acme):
    with transaction.atomic():
        record(
            actor=AMINA,
            action="business.renamed",
            subject=in_acme,
            before={"business_name": "Acme"},
            after={"business_name": "Acme Electronics", "paid": Decimal("10.50"), "since": date(2026, 1, 2)},
            reason="the sign changed",
        )

    entry = AuditEntry.objects.get()
    assert (entry.actor_kind, entry.actor_id, entry.actor_label) == ("PERSON", UUID(int=7), "amina@acme.example")
    assert (entry.actor_role, entry.address, entry.user_agent) == ("org_admin", "196.201.214.200", "Firefox")
    assert (entry.sequence, entry.action, entry.reason) == (1, "business.renamed", "the sign changed")
    assert (entry.subject_kind, entry.subject_id, entry.subject_label) == ("tenants.tenant", str(in_acme.pk), "Acme")
    assert entry.before == {"business_name": "Acme"}
    assert entry.after == {"business_name": "Acme Electronics", "paid": "10.50", "since": "2026-01-02"}


def test_secrets_are_hidden_at_any_depth(in_acme):
    with transaction.atomic():
        record(
            actor=system_actor("test"),
            action="channel.changed",
            subject=in_acme,
            before={"consumer_secret": "", "passkey": "canary-1"},
            after={
                "consumer_secret": "canary-2",
                "passkey": "",
                "Callback-Token": ["canary-3"],
                "sms": [{"api_key": "canary-4", "sender": "ACME"}],
            },
        )

    entry = AuditEntry.objects.get()
    assert entry.before == {"consumer_secret": "", "passkey": "(hidden)"}
    assert entry.after == {
        "consumer_secret": "(hidden)",
        "passkey": "",
        "Callback-Token": "(hidden)",
        "sms": [{"api_key": "(hidden)", "sender": "ACME"}],
    }


def test_an_entry_is_in_the_commit_of_its_change(in_acme):
    with transaction.atomic():
        Tenant.objects.filter(pk=in_acme.pk).update(business_name="Never")
        record(actor=AMINA, action="business.renamed", subject=in_acme)
        transaction.set_rollback(True)

    assert not AuditEntry.objects.exists()
    assert Tenant.objects.get(pk=in_acme.pk).business_name == "Acme"


def test_an_entry_without_a_commit_around_it_is_refused(committed):
    with tenant_context(committed("kilimo")):
        with pytest.raises(transaction.TransactionManagementError):
            record(actor=AMINA, action="business.renamed", subject=connection.tenant)

        assert not AuditEntry.objects.exists()


def test_each_business_and_the_platform_have_a_trail_of_their_own(acme, rival):
    with tenant_context(acme):
        record_changes(acme, 2)
    with tenant_context(rival):
        record_changes(rival, 1)
    record(actor=system_actor("test"), action="business.suspended", subject=acme)

    assert [entry.sequence for entry in PlatformAuditEntry.objects.all()] == [1]
    with tenant_context(acme):
        assert AuditEntry.objects.count() == 2
    with tenant_context(rival):
        assert AuditEntry.objects.count() == 1


def test_a_trail_as_written_holds(in_acme):
    entries = record_changes(in_acme, 3)

    verification = verify_chain()
    assert (verification.rows, verification.head, verification.problem) == (3, entries[-1].entry_hash, "")


def test_an_empty_trail_holds(in_acme):
    verification = verify_chain()

    assert (verification.rows, verification.head, verification.problem) == (0, "", "")


@pytest.mark.parametrize("statement", ["UPDATE {} SET reason = 'x'", "DELETE FROM {}", "TRUNCATE {}"])
@pytest.mark.parametrize("schema", ["acme", "public"])
def test_the_database_refuses_to_change_a_trail(acme, schema, statement):
    with tenant_context(acme):
        record_changes(acme, 1)
    record_changes(acme, 1)
    table = f'"{acme.schema_name}".audit_auditentry' if schema == "acme" else "public.audit_platformauditentry"

    with (
        pytest.raises(IntegrityError, match="is append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement.format(table))

    assert PlatformAuditEntry.objects.get().reason == ""
    with tenant_context(acme):
        assert AuditEntry.objects.get().reason == ""


@pytest.mark.parametrize(
    ("change", "rows", "problem"),
    [
        ("UPDATE audit_auditentry SET actor_label = 'x' WHERE sequence = 2", 1, "Row 2 is not as it was written."),
        (
            "UPDATE audit_auditentry SET after = '{\"name\": 1}' WHERE sequence = 3",
            2,
            "Row 3 is not as it was written.",
        ),
        ("UPDATE audit_auditentry SET id = gen_random_uuid() WHERE sequence = 1", 0, "Row 1 is not as it was written."),
        ("UPDATE audit_auditentry SET entry_hash = '' WHERE sequence = 4", 3, "Row 4 is not as it was written."),
        ("DELETE FROM audit_auditentry WHERE sequence = 2", 1, "Row 2 is missing."),
        ("DELETE FROM audit_auditentry WHERE sequence = 1", 0, "Row 1 is missing."),
    ],
)
def test_an_edited_or_deleted_row_is_found(in_acme, change, rows, problem):
    record_changes(in_acme, 4)

    with triggers_off() as cursor:
        cursor.execute(change)

    verification = verify_chain()
    assert (verification.rows, verification.problem) == (rows, problem)


def test_reordered_rows_are_found(in_acme):
    record_changes(in_acme, 4)

    with triggers_off() as cursor:
        cursor.execute("UPDATE audit_auditentry SET sequence = -2 WHERE sequence = 2")
        cursor.execute("UPDATE audit_auditentry SET sequence = 2 WHERE sequence = 3")
        cursor.execute("UPDATE audit_auditentry SET sequence = 3 WHERE sequence = -2")

    assert verify_chain().problem == "Row 2 is not as it was written."


def test_an_inserted_row_is_found(in_acme):
    last = record_changes(in_acme, 2)[-1]

    last.pk, last.sequence, last.previous_hash = UUID(int=9), 3, last.entry_hash
    last.save(force_insert=True)

    assert verify_chain().problem == "Row 3 is not as it was written."


def test_a_row_of_another_business_is_found(acme, rival):
    with tenant_context(acme):
        record_changes(acme, 1)
    with connection.cursor() as cursor:
        table = '"{}".audit_auditentry'.format
        cursor.execute(f"INSERT INTO {table(rival.schema_name)} SELECT * FROM {table(acme.schema_name)}")

    with tenant_context(rival):
        assert verify_chain().problem == "Row 1 is not as it was written."


def test_a_row_of_another_chain_is_found(in_acme):
    record_changes(in_acme, 2)
    with triggers_off() as cursor:
        cursor.execute("CREATE TEMP TABLE kept AS SELECT * FROM audit_auditentry WHERE sequence = 2")
        cursor.execute("DELETE FROM audit_auditentry")
        record_changes(in_acme, 1)
        cursor.execute("INSERT INTO audit_auditentry SELECT * FROM kept")

    assert verify_chain().problem == "Row 2 does not follow the row before it."


def test_two_rows_can_not_take_one_place(in_acme):
    (entry,) = record_changes(in_acme, 1)

    entry.pk = UUID(int=9)
    with pytest.raises(IntegrityError, match="sequence"), transaction.atomic():
        entry.save(force_insert=True)

    assert AuditEntry.objects.count() == 1


def test_a_trail_cut_off_at_its_end_shows_in_the_noted_head(in_acme):
    record_changes(in_acme, 3)
    noted = verify_chain()

    with triggers_off() as cursor:
        cursor.execute("DELETE FROM audit_auditentry WHERE sequence = 3")

    verification = verify_chain()
    assert verification.problem == ""
    assert verification.rows == noted.rows - 1
    assert verification.head != noted.head


def test_without_the_key_the_chain_can_not_be_rebuilt(in_acme, settings):
    record_changes(in_acme, 2)
    settings.AUDIT_KEY = "somebody else's key, long enough to be one"

    assert verify_chain().problem == "Row 1 is not as it was written."


def test_sixteen_writers_at_once_make_one_chain(committed, in_threads):
    tenant = committed("kilimo")

    def write():
        with tenant_context(tenant):
            for number in range(5):
                with transaction.atomic():
                    record(actor=AMINA, action="points.adjusted", subject=tenant, after={"number": number})

    assert in_threads(*[write] * 16) == [None] * 16
    with tenant_context(tenant):
        verification = verify_chain()
        assert (verification.rows, verification.problem) == (80, "")
        assert list(AuditEntry.objects.order_by("sequence").values_list("sequence", flat=True)) == list(range(1, 81))
