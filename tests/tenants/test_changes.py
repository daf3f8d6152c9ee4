import pytest
from django.db import connection

from config.launcher.processes import wait_until
from tenants import services
from tenants.changes import start_listening
from tenants.hosts import tenant_of_host
from tenants.models import Domain, Tenant


@pytest.fixture
def listening(committed):
    """A listener that has begun, on the test's database."""
    stop = start_listening()
    assert wait_until(lambda: listeners() == 1, timeout_s=10)
    yield
    stop.set()
    assert wait_until(lambda: listeners() == 0, timeout_s=10)


def listeners():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE query = 'LISTEN tenants_changed'"
            " AND datname = current_database() AND state = 'idle'"
        )
        return cursor.fetchone()[0]


def test_a_host_name_changed_by_another_connection_is_seen(listening, committed, in_threads):
    kilimo, baraka = committed("kilimo"), committed("baraka")
    assert wait_until(lambda: tenant_of_host("kilimo.localhost") == kilimo, timeout_s=10)

    in_threads(lambda: Domain.objects.filter(domain="kilimo.localhost").update(tenant=baraka))

    assert wait_until(lambda: tenant_of_host("kilimo.localhost") == baraka, timeout_s=10)


def test_a_suspension_by_another_connection_is_seen(listening, committed, in_threads):
    from audit.models import AuditRow
    from audit.services import Actor

    kilimo = committed("kilimo")
    assert wait_until(lambda: tenant_of_host("kilimo.localhost") == kilimo, timeout_s=10)
    operator = Actor(kind=AuditRow.ActorKind.OPERATOR, label="op@tuzo.example", role="super_admin")

    in_threads(lambda: services.suspend_tenant(actor=operator, tenant=kilimo, reason="Because."))

    assert wait_until(lambda: tenant_of_host("kilimo.localhost").status == "SUSPENDED", timeout_s=10)


def test_what_changed_while_nobody_listened_is_seen_after_the_connection_is_back(listening, committed):
    kilimo = committed("kilimo")
    assert wait_until(lambda: tenant_of_host("kilimo.localhost") == kilimo, timeout_s=10)

    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # the change is announced to nobody
        Tenant.objects.filter(pk=kilimo.pk).update(status="CLOSED")
        cursor.execute("SET session_replication_role = DEFAULT")
    assert tenant_of_host("kilimo.localhost").status == "TRIAL"
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN tenants_changed'"
            " AND datname = current_database()"
        )

    assert wait_until(lambda: tenant_of_host("kilimo.localhost").status == "CLOSED", timeout_s=10)
    assert wait_until(lambda: listeners() == 1, timeout_s=10)
