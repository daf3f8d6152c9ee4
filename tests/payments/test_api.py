from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import new_id, public_id
from channels.models import Environment
from payments.models import DayTotal, Payment, PaymentRequest
from payments.services import PaymentReport, record_payments
from tenants.models import InboundCallback, Role
from tests.factories import make_channel

NOON = datetime(2026, 11, 21, 9, tzinfo=UTC)


def pay(tenant, channel, receipt, **columns):
    with tenant_context(tenant):
        record_payments(
            reports=[
                PaymentReport(
                    **{
                        "receipt": receipt,
                        "channel": channel,
                        "payer": "2547 ***** 149",
                        "payer_name": "JOHN",
                        "amount": Decimal("500.00"),
                        "account_reference": "VIP001",
                        "routed_to": "vip",
                        "source": Payment.Source.CONFIRMATION,
                        "paid_at": NOON,
                        "callback_id": None,
                    }
                    | columns
                )
            ]
        )
        return Payment.objects.get(receipt=receipt)


def receipts(response):
    assert response.status_code == 200, response.content
    return [row["receipt"] for row in response.json()["results"]]


def test_a_payment_is_shown_whole(acme, acme_paybill, api):
    payment = pay(acme, acme_paybill, "UKL0000001")

    shown = api(acme).get(f"/api/v1/payments/{public_id('pay', payment.pk)}/")

    assert shown.json() == {
        "id": public_id("pay", payment.pk),
        "status": "succeeded",
        "receipt": "UKL0000001",
        "amount": "500.00",
        "charge": None,
        "currency": "KES",
        "channel_id": public_id("ch", acme_paybill.pk),
        "shortcode": "600966",
        "environment": "practice",
        "account_reference": "VIP001",
        "routed_to": "vip",
        "payer": "2547 ***** 149",
        "payer_name": "JOHN",
        "source": "confirmation",
        "paid_at": "2026-11-21T12:00:00+03:00",
        "reversed_at": None,
    }


def test_the_totals_of_a_day_are_net_of_what_went_back_and_of_charges(acme, acme_paybill, api):
    live = make_channel(acme, "600982", environment=Environment.PRODUCTION)
    for number, paid_at in enumerate([NOON, NOON, NOON + timedelta(days=1)], start=1):
        pay(acme, acme_paybill, f"UKL000000{number}", paid_at=paid_at)
    pay(acme, live, "UKL0000009")
    with tenant_context(acme):
        day = DayTotal.objects.filter(channel=acme_paybill, date="2026-11-21")
        day.update(reversed_count=1, reversed_amount=Decimal(500), charges=Decimal("2.75"))
    client = api(acme)

    shown = client.get("/api/v1/day-totals/").json()["results"]

    assert [(row["date"], row["payment_count"], row["net"]) for row in shown] == [
        ("2026-11-22", 1, "500.00"),
        ("2026-11-21", 2, "497.25"),
    ]
    assert shown[1] == {
        "date": "2026-11-21",
        "channel_id": public_id("ch", acme_paybill.pk),
        "payment_count": 2,
        "amount": "1000.00",
        "reversed_count": 1,
        "reversed_amount": "500.00",
        "charges": "2.75",
        "net": "497.25",
    }
    (one,) = client.get("/api/v1/day-totals/?date_from=2026-11-22").json()["results"]
    assert one["date"] == "2026-11-22"
    (of_live,) = client.get("/api/v1/day-totals/?environment=production").json()["results"]
    assert of_live["channel_id"] == public_id("ch", live.pk)


def test_payments_are_listed_newest_first_and_in_pages(acme, acme_paybill, api):
    for number in range(1, 6):
        pay(acme, acme_paybill, f"UKL000000{number}", paid_at=NOON + timedelta(minutes=number))
    client = api(acme)

    first = client.get("/api/v1/payments/?page_size=2")
    second = client.get(first.json()["next"])

    assert receipts(first) == ["UKL0000005", "UKL0000004"]
    assert receipts(second) == ["UKL0000003", "UKL0000002"]
    assert receipts(client.get(second.json()["previous"])) == ["UKL0000005", "UKL0000004"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("receipt=ukl0000002", ["UKL0000002"]),
        ("account_reference=school", ["UKL0000002"]),
        ("account_reference=s-c%20hool", ["UKL0000002"]),
        ("account_reference=scho", []),
        ("amount=750", ["UKL0000002"]),
        ("amount_min=600", ["UKL0000002"]),
        ("amount_max=600", ["UKL0000001"]),
        ("paid_from=2026-11-21T12:30:00%2B03:00", ["UKL0000002"]),
        ("paid_before=2026-11-21T12:30:00%2B03:00", ["UKL0000001"]),
        ("environment=sandbox", ["UKL0000003"]),
        ("environment=production", []),
    ],
)
def test_payments_are_filtered(acme, acme_paybill, api, query, expected):
    sandbox = make_channel(acme, "600980", environment=Environment.SANDBOX)
    pay(acme, acme_paybill, "UKL0000001")
    later = {"amount": Decimal(750), "account_reference": "SCHOOL", "paid_at": NOON + timedelta(hours=1)}
    pay(acme, acme_paybill, "UKL0000002", **later)
    pay(acme, sandbox, "UKL0000003")

    assert receipts(api(acme).get(f"/api/v1/payments/?{query}")) == expected


def test_payments_of_one_channel(acme, acme_paybill, api):
    other = make_channel(acme, "600981")
    pay(acme, acme_paybill, "UKL0000001")
    pay(acme, other, "UKL0000002")

    assert receipts(api(acme).get(f"/api/v1/payments/?channel={public_id('ch', other.pk)}")) == ["UKL0000002"]


@pytest.mark.parametrize(
    "query", ["channel=nonsense", "amount=many", "paid_from=yesterday", "environment=moon", "amount=NaN"]
)
def test_a_filter_that_cannot_be_read_is_an_error_and_not_an_empty_list(acme, acme_paybill, api, query):
    refused = api(acme).get(f"/api/v1/payments/?{query}")

    assert refused.status_code == 400
    assert refused["Content-Type"] == "application/problem+json"
    assert list(refused.json()["errors"]) == [query.split("=")[0]]


def test_practice_and_live_money_never_stand_in_one_list(acme, acme_paybill, api):
    live = make_channel(acme, "600982", environment=Environment.PRODUCTION)
    pay(acme, acme_paybill, "UKL0000001")
    pay(acme, live, "UKL0000002")
    client = api(acme)

    assert receipts(client.get("/api/v1/payments/")) == ["UKL0000001"]  # the primary channel's environment
    assert receipts(client.get("/api/v1/payments/?environment=production")) == ["UKL0000002"]


def test_the_rival_sees_no_payment(acme, acme_paybill, rival, rival_paybill, api):
    payment = pay(acme, acme_paybill, "UKL0000001")
    client = api(rival)

    assert receipts(client.get("/api/v1/payments/")) == []
    assert client.get(f"/api/v1/payments/{public_id('pay', payment.pk)}/").status_code == 404


@pytest.mark.parametrize("identifier", ["nonsense", "ch_" + "0" * 26, "pay_" + "z" * 26, "pay_" + "0" * 26])
def test_what_is_no_payment_is_not_found(acme, api, identifier):
    assert api(acme).get(f"/api/v1/payments/{identifier}/").status_code == 404


def test_a_request_is_answered_pending_and_followed_by_its_id(acme, acme_paybill, api):
    client = api(acme, Role.USER)
    given = {"phone_number": "+254 712 345 678", "amount": 1200, "account_reference": "INV-204"}

    made = client.post("/api/v1/payment-requests/", given, format="json")

    assert made.status_code == 202
    body = made.json()
    assert (body["status"], body["phone_number"], body["receipt"]) == ("pending", "254712345678", None)
    assert body["reason"] == "We are asking Safaricom to prompt the phone."
    assert client.get(f"/api/v1/payment-requests/{body['id']}/").json()["id"] == body["id"]
    assert [row["id"] for row in client.get("/api/v1/payment-requests/").json()["results"]] == [body["id"]]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": 0}, "amount"),
        ({"amount": 250_001}, "amount"),
        ({"amount": "1.5"}, "amount"),
        ({"amount": "1e3"}, "amount"),
        ({"amount": "NaN"}, "amount"),
        ({"amount": -5}, "amount"),
        ({"phone_number": "0202 123 456"}, "phone_number"),
        ({"phone_number": "+255712345678"}, "phone_number"),
        ({"phone_number": ""}, "phone_number"),
        ({"account_reference": ""}, "account_reference"),
        ({"account_reference": "1234567890123"}, "account_reference"),
        ({"account_reference": "<script>"}, "account_reference"),
        ({"account_reference": "a\x00b"}, "account_reference"),
        ({"transaction_desc": "12345678901234"}, "transaction_desc"),
        ({"channel": "pay_" + "0" * 26}, "channel"),
    ],
)
def test_bad_input_gets_a_clear_error_and_asks_nobody(acme, acme_paybill, api, changes, field):
    given = {"phone_number": "0712345678", "amount": 1200, "account_reference": "INV-204"} | changes

    refused = api(acme).post("/api/v1/payment-requests/", given, format="json")

    assert refused.status_code == 400
    assert list(refused.json()["errors"]) == [field]
    with tenant_context(acme):
        assert not PaymentRequest.objects.exists()


@pytest.mark.parametrize("raw", ["", "[]", "{", '"text"', "null", "123"])
def test_a_body_that_is_no_object_gets_a_clear_error(acme, acme_paybill, api, raw):
    refused = api(acme).post("/api/v1/payment-requests/", raw, content_type="application/json")

    assert refused.status_code == 400
    assert refused.json()["code"] in {"invalid", "parse_error"}


def test_a_failed_request_says_why_in_plain_words(acme, acme_paybill, api):
    with tenant_context(acme):
        failed = PaymentRequest.objects.create(
            channel=acme_paybill,
            environment="PRACTICE",
            phone_number="254712345678",
            amount=5,
            account_reference="A",
            transaction_desc="B",
            requested_by="x",
            status="FAILED",
            result_code="1032",
            result_desc="Request cancelled by user",
        )

    shown = api(acme).get(f"/api/v1/payment-requests/{public_id('preq', failed.pk)}/").json()

    assert (shown["status"], shown["result_code"]) == ("failed", "1032")
    assert "cancel" in shown["reason"].lower()
    assert shown["do_now"] != ""


def quarantine(tenant, channel, **columns):
    now = timezone.now()
    return InboundCallback.objects.create(
        **{
            "id": new_id(),
            "tenant": tenant,
            "channel_id": channel.pk,
            "kind": "C2B_CONFIRMATION",
            "body": b"nonsense \xff",
            "received_at": now,
            "due_at": now,
            "state": "QUARANTINED",
            "reason": "UNREADABLE",
            "error": "The body is not JSON.",
        }
        | columns
    )


def test_what_was_put_aside_is_shown_with_its_reason_and_applied_again_on_request(acme, acme_paybill, api):
    row = quarantine(acme, acme_paybill)
    client = api(acme, Role.MANAGER)

    [shown] = client.get("/api/v1/quarantine/").json()["results"]
    assert (shown["id"], shown["reason"], shown["error"]) == (
        public_id("cb", row.pk),
        "unreadable",
        "The body is not JSON.",
    )
    assert shown["body"] == "nonsense �"
    assert client.post(f"/api/v1/quarantine/{shown['id']}/redrive/").status_code == 202
    row.refresh_from_db()
    assert (row.state, row.reason, row.attempts) == ("PENDING", "", 0)


def test_a_user_may_not_redrive_and_the_rival_does_not_find_it(acme, acme_paybill, rival, api):
    row = quarantine(acme, acme_paybill)
    path = f"/api/v1/quarantine/{public_id('cb', row.pk)}/redrive/"

    assert api(acme, Role.USER).post(path).status_code == 403
    assert api(rival).post(path).status_code == 404
    assert api(rival).get("/api/v1/quarantine/").json()["results"] == []
    row.refresh_from_db()
    assert row.state == "QUARANTINED"
