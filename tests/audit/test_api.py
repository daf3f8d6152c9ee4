"""The business's door to its trail: `/api/v1/audit-entries/`."""

from uuid import UUID

import pytest
from django.db import connection, transaction
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import public_id
from audit.models import AuditEntry, AuditRow
from audit.services import Actor, record
from tenants.models import Role, Tenant

AMINA = Actor(
    kind=AuditRow.ActorKind.PERSON,
    id=UUID(int=7),
    label="amina@acme.example",
    role=Role.ORG_ADMIN,
    address="196.201.214.200",
    user_agent="Firefox",
)
OPERATOR = Actor(kind=AuditRow.ActorKind.OPERATOR, id=UUID(int=8), label="op@tuzo.example", role="super_admin")
URL = "/api/v1/audit-entries/"


@pytest.fixture
def trail(acme):
    with tenant_context(acme), transaction.atomic():
        return [
            record(
                actor=AMINA,
                action="business.renamed",
                subject=acme,
                before={"business_name": "Acme Ltd", "api_key": "canary"},
                after={"business_name": "Acme"},
                reason="shorter",
            ),
            record(actor=OPERATOR, action="business.suspended", subject=acme),
            record(actor=AMINA, action="business.renamed", subject=acme),
        ]


def sequences(response):
    assert response.status_code == 200
    return [entry["sequence"] for entry in response.json()["results"]]


def test_an_administrator_reads_the_trail_newest_first(trail, acme, api, monkeypatch):
    monkeypatch.setattr(Tenant._meta.pk, "prefix", "biz")

    response = api(acme).get(URL)

    assert sequences(response) == [3, 2, 1]
    assert response.json()["results"][2] == {
        "id": public_id("aud", trail[0].pk),
        "sequence": 1,
        "occurred_at": timezone.localtime(trail[0].occurred_at).isoformat(),
        "action": "business.renamed",
        "actor": {
            "kind": "person",
            "id": public_id("usr", UUID(int=7)),
            "label": "amina@acme.example",
            "role": "org_admin",
            "address": "196.201.214.200",
            "user_agent": "Firefox",
        },
        "subject": {"kind": "tenants.tenant", "id": public_id("biz", acme.pk), "label": "Acme"},
        "before": {"business_name": "Acme Ltd", "api_key": "(hidden)"},
        "after": {"business_name": "Acme"},
        "reason": "shorter",
        "entry_hash": trail[0].entry_hash,
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"action": "business.renamed"}, [3, 1]),
        ({"action": "business"}, []),
        ({"actor": "AMINA@acme.example"}, [3, 1]),
        ({"actor": public_id("usr", UUID(int=8))}, [2]),
        ({"subject": "nothing"}, []),
        ({"occurred_from": "2999-01-01T00:00:00Z"}, []),
        ({"occurred_before": "2999-01-01T00:00:00Z"}, [3, 2, 1]),
    ],
)
def test_the_trail_is_filtered(trail, acme, api, query, expected):
    assert sequences(api(acme).get(URL, query)) == expected


def test_a_subject_that_is_no_thing_of_ours_any_more_is_named_as_it_was(acme, api):
    with tenant_context(acme), transaction.atomic():
        record(actor=AMINA, action="shop.closed", subject=acme)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(f"""UPDATE "{acme.schema_name}".audit_auditentry SET subject_kind = 'shops.shop'""")
        cursor.execute("SET LOCAL session_replication_role = origin")

    (entry,) = api(acme).get(URL).json()["results"]
    assert (entry["subject"]["kind"], entry["subject"]["id"]) == ("shops.shop", str(acme.pk))


def test_the_trail_is_filtered_by_subject(trail, acme, rival, api):
    client = api(acme)

    assert sequences(client.get(URL, {"subject": public_id("biz", acme.pk)})) == [3, 2, 1]
    assert sequences(client.get(URL, {"subject": str(acme.pk)})) == [3, 2, 1]
    assert sequences(client.get(URL, {"subject": public_id("biz", rival.pk)})) == []


def test_the_trail_comes_in_pages(trail, acme, api):
    client = api(acme)

    first = client.get(URL, {"page_size": 2})
    second = client.get(first.json()["next"])

    assert (sequences(first), sequences(second)) == ([3, 2], [1])
    assert second.json()["next"] is None


def test_a_filter_that_can_not_be_read_is_refused(trail, acme, api):
    response = api(acme).get(URL, {"occurred_from": "yesterday"})

    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"
    assert (response.json()["code"], list(response.json()["errors"])) == ("invalid", ["occurred_from"])


@pytest.mark.parametrize("role", [Role.MANAGER, Role.USER])
def test_only_administrators_read_the_trail(trail, acme, api, role):
    response = api(acme, role).get(URL)

    assert response.status_code == 403
    assert response.json()["code"] == "not_permitted"
    assert "amina" not in response.content.decode()


def test_a_rival_sees_only_its_own_trail(trail, rival, api):
    assert sequences(api(rival).get(URL)) == []
    assert sequences(api(rival).get(URL, {"subject": str(trail[0].subject_id)})) == []


def test_a_stranger_reads_nothing(trail, client):
    response = client.get(URL, SERVER_NAME="localhost")

    assert response.status_code == 401
    assert "amina" not in response.content.decode()


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_the_trail_can_not_be_written_through_the_api(trail, acme, api, method):
    assert getattr(api(acme), method)(URL).status_code == 405

    with tenant_context(acme):
        assert AuditEntry.objects.count() == 3
