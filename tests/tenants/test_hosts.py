import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tenants.hosts import forget_hosts, host_of_tenant, tenant_of_host, url_of_tenant
from tenants.models import Domain, Tenant


def test_a_warm_request_asks_the_database_nothing_about_its_host(acme):
    client = Client(SERVER_NAME="acme.localhost")
    client.get("/health/")

    with CaptureQueriesContext(connection) as queries:
        assert client.get("/health/").json() == {"status": "ok"}
    assert [query["sql"] for query in queries] == [f'SET search_path = "{acme.schema_name}","public"', "SELECT 1"]


def test_a_host_that_is_nobodys_is_remembered_too(db):
    assert tenant_of_host("nobody.localhost") is None

    with CaptureQueriesContext(connection) as queries:
        assert tenant_of_host("nobody.localhost") is None
    assert len(queries) == 0


def test_after_a_change_the_database_is_asked_again(acme, rival):
    assert tenant_of_host("acme.localhost") == acme
    Domain.objects.filter(domain="acme.localhost").update(tenant=rival)
    assert tenant_of_host("acme.localhost") == acme

    forget_hosts()
    assert tenant_of_host("acme.localhost") == rival


def test_what_changed_while_it_was_read_is_not_remembered(acme, rival, monkeypatch):
    """Somebody moves the host name between our reading and our remembering."""
    read = Domain.objects.select_related

    def read_and_change(*args):
        found = read(*args)
        forget_hosts()
        return found

    monkeypatch.setattr(Domain.objects, "select_related", read_and_change)
    assert tenant_of_host("acme.localhost") == acme
    monkeypatch.undo()
    Domain.objects.filter(domain="acme.localhost").update(tenant=rival)

    assert tenant_of_host("acme.localhost") == rival


def test_an_answer_is_not_older_than_a_minute(acme, rival, monkeypatch):
    from tenants import hosts

    tenant_of_host("acme.localhost")
    Domain.objects.filter(domain="acme.localhost").update(tenant=rival)
    now = hosts.time.monotonic()

    monkeypatch.setattr(hosts.time, "monotonic", lambda: now + 59)
    assert tenant_of_host("acme.localhost") == acme
    monkeypatch.setattr(hosts.time, "monotonic", lambda: now + 61)
    assert tenant_of_host("acme.localhost") == rival


@pytest.mark.parametrize("host", ["acme.localhost", "ACME.localhost", "acme.localhost:8000", "acme.localhost."])
def test_a_business_is_found_however_its_host_is_written(acme, host):
    response = Client(SERVER_NAME="x", HTTP_HOST=host).get("/sign-in/")

    assert response.status_code == 200
    assert b"Sign in to Acme" in response.content


@pytest.mark.parametrize(
    "host", ["nobody.localhost", "acme.localhost.evil.example", "evil.example", "acme_localhost", "[::1", "a b"]
)
def test_a_host_that_is_nobodys_gets_nothing(acme, host):
    assert Client(HTTP_HOST=host).get("/health/").status_code == 404


def test_no_header_selects_a_business(acme):
    response = Client(HTTP_HOST="localhost").get(
        "/sign-in/", headers={"X-Forwarded-Host": "acme.localhost", "X-Tenant": "acme"}
    )

    assert b"Acme" not in response.content


def test_a_business_has_its_own_url(acme, settings):
    assert host_of_tenant(acme) == "acme.localhost"
    assert url_of_tenant(acme) == "http://acme.localhost:8000/"
    settings.TUZO_PUBLIC_URL = "https://tuzo.example"
    assert url_of_tenant(acme) == "https://acme.localhost/"


def test_a_request_leaves_no_business_behind(acme):
    Client(HTTP_HOST="acme.localhost").get("/health/")

    assert connection.schema_name == "public"
    assert not isinstance(connection.tenant, Tenant)
