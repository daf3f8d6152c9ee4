import re

import pytest
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


@pytest.fixture(scope="module")
def schema():
    return SchemaGenerator(urlconf="config.urls_public").get_schema(public=True)


@pytest.fixture
def client(db):
    return Client(SERVER_NAME="localhost")


def operations(schema):
    return {
        (method, path): operation
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
    }


def test_the_schema_is_valid_openapi(schema):
    assert schema["openapi"] == "3.1.1"
    validate_schema(schema)


def test_every_operation_refuses_in_one_shape(schema):
    for operation, description in operations(schema).items():
        refusals = {status: answer for status, answer in description["responses"].items() if not status.startswith("2")}

        assert "default" in refusals, operation
        assert {str(answer["content"]) for answer in refusals.values()} == {str(PROBLEM)}, operation
    assert list(schema["components"]["schemas"]["Problem"]["properties"]) == [
        "type",
        "status",
        "code",
        "detail",
        "errors",
        "request_id",
    ]


def test_every_operation_says_how_its_caller_is_known(schema):
    assert set(schema["components"]["securitySchemes"]) == {"token", "session"}
    known = {operation: description["security"] for operation, description in operations(schema).items()}
    assert {path for (_, path), security in known.items() if security == [{}]} == {
        "/api/v1/merchants/",
        "/api/v1/merchants/progress/{token}/",
        "/api/v1/auth/token/",
        "/api/v1/auth/refresh/",
        "/api/v1/auth/revoke/",
        "/api/v1/team/invitations/accept/",
    }
    closed = [security for security in known.values() if security != [{}]]
    assert known["get", "/api/v1/audit-entries/"] in closed
    assert all(security == [{"token": []}, {"session": []}] for security in closed)


def test_every_operation_has_a_section(schema):
    assert [operation for operation, description in operations(schema).items() if description["tags"] == ["api"]] == []


def test_lists_come_in_pages(schema):
    page = schema["components"]["schemas"]["PaginatedPaymentOutputList"]

    assert list(page["properties"]) == ["next", "previous", "results"]


def test_the_schema_is_served_to_anybody_on_the_platform_host(client):
    response = client.get("/api/v1/schema/", HTTP_ACCEPT="application/vnd.oai.openapi+json")

    assert response.status_code == 200
    assert response.json()["info"]["title"] == "Tuzo API"
    assert "/api/v1/payments/" in response.json()["paths"]


def test_the_page_has_nothing_inline(client):
    response = client.get("/api/v1/docs/")

    text = response.content.decode()
    assert response.status_code == 200
    assert re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son[a-z]+=|javascript:", text) is None
    assert re.findall(r'<script src="([^"]+)"', text) == [
        "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js",
        "/api/v1/docs/?script=",
    ]
    policy = response["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "style-src 'self'"} <= set(policy)
    script = client.get("/api/v1/docs/?script=")
    assert script["Content-Type"] == "application/javascript"
    assert 'url: "/api/v1/schema/"' in script.content.decode().replace("\\u002D", "-")
