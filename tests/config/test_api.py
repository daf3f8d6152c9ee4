import pytest
from django.db import OperationalError

from payments.api import payments


def test_while_the_database_is_away_a_caller_is_asked_to_come_again(api, acme, monkeypatch):
    def break_down(**_):
        raise OperationalError("the connection is closed")

    client = api(acme)
    monkeypatch.setattr(payments.PaymentList, "get_queryset", lambda _: break_down())
    answer = client.get("/api/v1/payments/")

    assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (503, "unavailable", "5")
    assert answer.json()["detail"] == "We are interrupted for a moment. Send the same again in a few seconds."


@pytest.mark.parametrize("host", ["localhost", "acme.localhost"])
def test_an_address_that_is_not_there_is_refused_as_everything_else_is(acme, client, host):
    answer = client.get("/api/v1/nothing/", headers={"host": host})

    assert (answer.status_code, answer["content-type"]) == (404, "application/problem+json")
    assert (answer.json()["code"], answer.json()["detail"]) == ("not_found", "There is no such thing here.")
    assert client.get("/nothing/", headers={"host": host})["content-type"].startswith("text/html")


def test_a_defect_is_reported_and_answered_without_its_details(api, acme, monkeypatch):
    def break_down(**_):
        raise RuntimeError("a secret")

    client = api(acme)
    client.raise_request_exception = False
    monkeypatch.setattr(payments.PaymentList, "get_queryset", lambda _: break_down())
    answer = client.get("/api/v1/payments/")

    assert (answer.status_code, answer["content-type"]) == (500, "application/problem+json")
    assert answer.json()["code"] == "defect"
    assert b"secret" not in answer.content


@pytest.mark.parametrize("path", ["/api/v1/members/", "/api/v1/payments/"])
@pytest.mark.parametrize("cursor", ["cD1hYmM=", "cD0lMDA=", "x"])
def test_a_cursor_that_we_never_gave_is_refused(api, acme, path, cursor):
    answer = api(acme).get(f"{path}?cursor={cursor}")

    assert (answer.status_code, answer.json()["detail"]) == (404, "Invalid cursor")


@pytest.mark.parametrize("path", ["/api/v1/auth/token/", "/api/v1/merchants/"])
def test_json_that_is_nested_too_deeply_is_refused(client, acme, path):
    answer = client.post(path, "[" * 100_000, content_type="application/json", headers={"host": "localhost"})

    assert answer.status_code == 400
    assert "nested too deeply" in answer.json()["detail"]
