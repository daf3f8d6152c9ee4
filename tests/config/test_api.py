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
