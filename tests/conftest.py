"""The cast and the doors of every test.

Two businesses exist in every run: *acme*, and *rival*, who must never see what is acme's. Their schemas are built once;
each test runs in a transaction that is rolled back. Tests about races, crashes and commits use `committed` instead.
"""

import os
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import hypothesis
import pytest
import requests
from django.conf import settings
from django.db import connection
from django.test.utils import setup_databases, teardown_databases
from django_tenants.utils import tenant_context
from rest_framework.test import APIClient

from audit.ids import new_id
from audit.models import AuditRow
from audit.services import Actor
from channels.models import Environment
from tenants.models import Domain, Membership, Role, Tenant, TenantActivity, User
from tenants.schema import build_schema, reserve_schema
from tenants.tokens import issue_tokens
from tests.practice import CONTROL_TOKEN, Receiver, Simulator
from tests.processes import free_port, simulator_process

# The machines that run this are shared: how long an example takes says nothing about it.
hypothesis.settings.register_profile("tuzo", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("tuzo")


@pytest.fixture(scope="session")
def django_db_setup(django_test_environment: None, django_db_blocker: Any) -> Iterator[None]:
    """One database for each run and worker, with the cast in it.

    Replaces pytest-django's own, which makes no database when only tests with `committed` are chosen, and would leave
    those to work on the real one.
    """
    test = settings.DATABASES["default"].setdefault("TEST", {})
    test["NAME"] = f"test_tuzo_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{os.getpid()}"
    with django_db_blocker.unblock():
        made = setup_databases(verbosity=0, interactive=False, aliases={"default"})
        for slug in ("acme", "rival"):
            make_tenant(slug)
    yield
    with django_db_blocker.unblock():
        teardown_databases(made, verbosity=0)


def make_tenant(slug: str, **columns: Any) -> Tenant:
    """A business as sign-up leaves it, without its people: schema, host name, on trial."""
    connection.set_schema_to_public()
    tenant_id = new_id()
    defaults = {
        "business_name": slug.capitalize(),
        "email": f"owner@{slug}.example",
        "phone": "254712000001",
        "status": Tenant.Status.TRIAL,
    }
    tenant = Tenant(id=tenant_id, schema_name=f"t_{tenant_id.hex}", slug=slug, **(defaults | columns))
    tenant.save()
    Domain.objects.create(tenant=tenant, domain=f"{slug}.localhost", is_primary=True)
    TenantActivity.objects.create(tenant=tenant)
    reserve_schema(tenant)
    build_schema(tenant)
    return tenant


@pytest.fixture(autouse=True)
def _no_schema_is_left_set() -> Iterator[None]:
    from tenants.hosts import forget_hosts

    forget_hosts()
    yield
    connection.set_schema_to_public()


@pytest.fixture
def committed(django_db_setup: None, django_db_blocker: Any) -> Iterator[Callable[[str], Tenant]]:
    """`committed("kilimo")` → a business that other connections see, in a test without a transaction around it.

    For races, crashes and listeners. It replaces `db`, `acme` and what builds on them; everything that was committed
    goes away after the test. Threads close their own connections (`in_threads` does).
    """
    with django_db_blocker.unblock():
        try:
            yield make_tenant
        finally:
            connection.close()  # also ends a transaction that the test broke
            forget_everything_but_the_cast()


_WITH_ROWS_TO_KEEP = {
    *("django_migrations", "django_content_type", "auth_permission"),
    *("tenants_tenant", "tenants_domain", "tenants_tenantactivity"),
}


def forget_everything_but_the_cast() -> None:
    connection.set_schema_to_public()
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '10s'")  # somebody's forgotten transaction fails here, instead of hanging
        cursor.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname LIKE 't\\_%%'"
            " AND nspname NOT IN (SELECT schema_name FROM tenants_tenant WHERE slug IN ('acme', 'rival'))"
        )
        for (schema_name,) in cursor.fetchall():
            cursor.execute(f'DROP SCHEMA "{schema_name}" CASCADE')
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        tables = {name for (name,) in cursor.fetchall()}
        cursor.execute("SET session_replication_role = replica")  # no triggers: the audit trail refuses to shrink
        for table in tables - _WITH_ROWS_TO_KEEP:
            cursor.execute(f'DELETE FROM "{table}"')
        cursor.execute("DELETE FROM tenants_tenant WHERE slug NOT IN ('acme', 'rival')")
        for table in ("tenants_domain", "tenants_tenantactivity"):
            cursor.execute(f'DELETE FROM "{table}" WHERE tenant_id NOT IN (SELECT id FROM tenants_tenant)')
    connection.close()  # and with it the two SETs


@pytest.fixture
def in_threads() -> Callable[..., list[Any]]:
    """`in_threads(buy, buy)` → what each returned or raised, in order; all start at one moment, each on a connection of
    its own. For tests with `committed`."""

    def run(*functions: Callable[[], Any]) -> list[Any]:
        start = threading.Barrier(len(functions))

        def call(function: Callable[[], Any]) -> Any:
            try:
                connection.ensure_connection()
                start.wait(timeout=10)
                return function()
            except Exception as error:
                return error
            finally:
                connection.close()

        with ThreadPoolExecutor(len(functions)) as pool:
            return list(pool.map(call, functions))

    return run


@pytest.fixture
def acme(db: None) -> Tenant:
    return Tenant.objects.get(slug="acme")


@pytest.fixture
def rival(db: None) -> Tenant:
    return Tenant.objects.get(slug="rival")


@pytest.fixture
def in_acme(acme: Tenant) -> Iterator[Tenant]:
    """The test's body runs inside acme's schema."""
    with tenant_context(acme):
        yield acme


@pytest.fixture
def member_of() -> Callable[..., Membership]:
    """`member_of(tenant, Role.MANAGER)` → a person's place in a business."""

    def make(tenant: Tenant, role: Role = Role.ORG_ADMIN, **columns: Any) -> Membership:
        connection.set_schema_to_public()
        email = f"{role}-{uuid.uuid4().hex[:8]}@{tenant.slug}.example"
        user = User.objects.create_user(email=email, password="a long pass phrase")
        return Membership.objects.create(user=user, tenant=tenant, role=role, **columns)

    return make


class ApiCaller(APIClient):
    """Gives each POST an Idempotency-Key of its own; `HTTP_IDEMPOTENCY_KEY=` gives another, or none."""

    def post(self, path: str, *given: Any, **more: Any) -> Any:
        return super().post(path, *given, **{"HTTP_IDEMPOTENCY_KEY": uuid.uuid4().hex} | more)


@pytest.fixture
def api(member_of: Callable[..., Membership]) -> Callable[..., APIClient]:
    """`api(acme)` → a client of the API on the platform host, signed in as acme's administrator (or `role=`)."""

    def make(tenant: Tenant, role: Role = Role.ORG_ADMIN, *, host: str = "localhost") -> APIClient:
        client = ApiCaller(SERVER_NAME=host)
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {issue_tokens(member_of(tenant, role))['access']}")
        return client

    return make


@pytest.fixture
def actor() -> Callable[..., Actor]:
    def make(role: Role = Role.ORG_ADMIN) -> Actor:
        return Actor(kind=AuditRow.ActorKind.PERSON, id=new_id(), label="somebody@acme.example", role=role)

    return make


@pytest.fixture
def run_due() -> Callable[[], int]:
    """Do the work that was promised (`DueTask`) until none is due, as workers would; returns how many ran."""

    def run() -> int:
        from celery import current_app

        from tenants import queue

        count = 0
        while row := queue._due().order_by("due_at").first():
            queue.perform(task=current_app.tasks[row.task], due_task_id=row.pk, tenant_id=row.tenant_id)
            count += 1
        return count

    return run


@pytest.fixture(scope="session")
def simulator_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    port = free_port()
    process = simulator_process(
        tmp_path_factory.mktemp("simulator"), port, SIMULATOR_CONTROL_TOKEN=CONTROL_TOKEN, DATABASE_URL="", REDIS_URL=""
    )
    process.start()
    process.wait_for(f"http://127.0.0.1:{port}/health")
    yield Simulator(f"http://127.0.0.1:{port}")
    process.stop()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    place = Receiver()
    yield place
    place.server.shutdown()
    place.server.server_close()


@pytest.fixture
def simulator(
    simulator_server: Simulator, receiver: Receiver, settings: Any, db: None, monkeypatch: pytest.MonkeyPatch
) -> Simulator:
    """The simulator stands for every environment, and its deliveries come to `receiver`.

    No call may leave while a transaction is open, except for the one that the test itself runs in.
    """
    simulator_server.control("DELETE", "/faults")  # of a test before
    settings.DARAJA_URLS = dict.fromkeys(Environment.values, simulator_server.url)
    settings.SIMULATOR_URL = simulator_server.url
    settings.SIMULATOR_CONTROL_TOKEN = CONTROL_TOKEN
    settings.TUZO_PUBLIC_URL = receiver.url
    settings.DARAJA_TIMEOUT_S = (2.0, 5.0)
    monkeypatch.setattr("channels.connection._practice_certificate", (0.0, b""))
    depth = len(connection.savepoint_ids)
    send = requests.Session.send

    def guarded(session: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        assert len(connection.savepoint_ids) == depth, f"{request.url} was called inside a transaction"
        return send(session, request, **options)

    monkeypatch.setattr(requests.Session, "send", guarded)
    return simulator_server
