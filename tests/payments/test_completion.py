import json
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import public_id
from channels.models import Environment, MpesaChannel
from channels.signals import channel_activated
from payments import rounds
from payments.models import DayTotal, Payment, StatusQuery
from payments.services import NAIROBI, PaymentReport, record_payments
from payments.tasks import complete_payments
from tenants.models import DueTask, InboundCallback, Role
from tests.factories import make_channel

URL = "/api/v1/status-queries/"
SAVED = {"initiator_credential": {"ends_in": None, "saved_at": "2026-11-21T09:00:00+03:00", "proved_at": None}}
Source = Payment.Source


@pytest.fixture
def record(acme):
    """`record(channel, "UKL0000001")` → a payment of KES 500 an hour ago that was reported without a name."""

    def report(channel, receipt="UKL0000001", **columns):
        with tenant_context(acme):
            record_payments(
                reports=[
                    PaymentReport(
                        **{
                            "receipt": receipt,
                            "channel": channel,
                            "payer": "254712345126",
                            "payer_name": "",
                            "amount": Decimal("500.00"),
                            "account_reference": "VIP001",
                            "routed_to": "",
                            "source": Source.STK,
                            "paid_at": timezone.now() - timedelta(hours=1),
                            "callback_id": None,
                        }
                        | columns
                    )
                ]
            )
            return Payment.objects.get(channel=channel, receipt=receipt)

    return report


def run(acme, channel):
    with tenant_context(acme):
        rounds.complete_payments(channel_id=channel.pk, clock=timezone.now)


def asked_about(acme):
    with tenant_context(acme):
        return sorted(StatusQuery.objects.values_list("receipt", flat=True))


def again(acme, row):
    with tenant_context(acme):
        row.refresh_from_db()
    return row


# -- From a later report ----------------------------------------------------------------------------------------------


def test_a_later_report_brings_the_name_that_was_missing(acme, acme_paybill, record):
    payment = record(acme_paybill)

    record(acme_paybill, payer_name="JOHN", source=Source.CONFIRMATION)
    record(acme_paybill, payer_name="JANE", source=Source.PULL)

    assert (again(acme, payment).payer_name, payment.source) == ("JOHN", "STK")
    with tenant_context(acme):
        assert Payment.objects.count() == 1
        assert DayTotal.objects.get().payment_count == 1


def test_a_report_that_differs_brings_no_name(acme, acme_paybill, record):
    payment = record(acme_paybill)
    other = make_channel(acme, "600981")

    record(acme_paybill, payer_name="JOHN", amount=Decimal("501.00"))
    record(other, payer_name="JOHN")

    assert again(acme, payment).payer_name == ""


# -- By asking --------------------------------------------------------------------------------------------------------


def test_m_pesa_is_asked_for_the_name_and_the_charge_and_the_days_totals_follow(
    acme, connected, record, simulator, hear, api
):
    channel = connected()
    receipt = simulator.pay(channel.shortcode, 500)
    payment = record(channel, receipt)

    run(acme, channel)
    hear(channel)

    completed = again(acme, payment)
    assert completed.payer_name != ""
    with tenant_context(acme):
        question = StatusQuery.objects.get()
        assert (question.status, question.payment_id, question.requested_by) == ("ANSWERED", payment.pk, "by itself")
        assert question.found["TransactionStatus"] == "Completed"
        assert DayTotal.objects.get().charges == (completed.charge or 0)
    run(acme, channel)
    assert asked_about(acme) == [receipt]


def test_what_m_pesa_says_is_added_once(acme, body, deliver, record):
    channel = make_channel(acme, "600966", initiator_name="x", secret_notes=SAVED)
    payment = record(channel, "NEF61H8J60", amount=Decimal(300))
    with tenant_context(acme):
        questions = [
            StatusQuery.objects.create(
                channel=channel,
                environment="PRACTICE",
                receipt=payment.receipt,
                payment=payment,
                requested_by="x",
                asked_at=timezone.now(),
            )
            for _ in range(2)
        ]
    found = {
        "ReceiptNo": "NEF61H8J60",
        "Amount": "300",
        "TransactionStatus": "Completed",
        "DebitPartyName": "254712345126 - JOHN KAMAU",
        "CreditPartyCharges": "Pay merchant Charge|KES|1.65",
    }
    parameters = {"ResultParameter": [{"Key": key, "Value": value} for key, value in found.items()]}
    for question in questions:
        answer = body("result_status.json")
        whole = json.loads(answer)
        whole["Result"]["ResultParameters"] = parameters
        deliver(channel, json.dumps(whole).encode(), InboundCallback.Kind.RESULT, about=question.pk)

    assert (again(acme, payment).payer_name, payment.charge) == ("JOHN KAMAU", Decimal("1.65"))
    with tenant_context(acme):
        total = DayTotal.objects.get(date=payment.paid_at.astimezone(NAIROBI).date())
        assert (total.charges, total.amount) == (Decimal("1.65"), Decimal("300.00"))


@pytest.mark.parametrize(
    "columns",
    [
        {"payer_name": "JOHN"},
        {"paid_at": timezone.now() - timedelta(minutes=1)},
        {"paid_at": timezone.now() - timedelta(days=2)},
    ],
)
def test_what_has_a_name_or_is_too_young_or_old_is_not_asked_about(acme, simulator, record, columns):
    channel = make_channel(acme, "600966", initiator_name="x", secret_notes=SAVED)
    record(channel, **columns)

    run(acme, channel)

    assert asked_about(acme) == []


def test_no_more_than_twenty_questions_are_put_in_an_hour(acme, connected, record):
    channel = connected()
    for number in range(23):
        record(channel, f"UKL00000{number:02}", paid_at=timezone.now() - timedelta(minutes=20 + number))

    run(acme, channel)

    assert asked_about(acme) == [f"UKL00000{number:02}" for number in range(20)]
    (due_at,) = DueTask.objects.filter(task=complete_payments.name).values_list("due_at", flat=True)
    assert timedelta(minutes=59) < due_at - timezone.now() < timedelta(minutes=61)


@pytest.mark.parametrize(
    "columns", [{"initiator_name": ""}, {"status": "SUSPENDED"}, {"environment": Environment.SANDBOX}]
)
def test_only_active_channels_with_an_api_operator_are_asked(acme, simulator, record, columns):
    channel = make_channel(acme, "600966", **{"initiator_name": "x", "secret_notes": SAVED} | columns)
    record(channel)

    run(acme, channel)

    assert asked_about(acme) == []


def test_it_begins_when_the_channel_becomes_active(acme, acme_paybill):
    with tenant_context(acme):
        channel_activated.send(sender=MpesaChannel, channel=acme_paybill)

    assert DueTask.objects.filter(task=complete_payments.name).count() == 1


# -- By a person, through the API -------------------------------------------------------------------------------------


def test_a_status_is_asked_for_followed_and_listed(acme, connected, record, simulator, hear, run_due, api):
    channel = connected()
    payment = record(channel, simulator.pay(channel.shortcode, 500))
    client = api(acme, Role.MANAGER)

    asked = client.post(URL, {"payment_id": public_id("pay", payment.pk)}, format="json")
    assert (asked.status_code, asked.json()["status"], asked.json()["found"]) == (202, "pending", {})
    assert asked.json()["receipt"] == payment.receipt
    run_due()
    hear(channel)

    shown = client.get(f"{URL}{asked.json()['id']}/").json()
    assert (shown["status"], shown["transaction_status"], shown["reason"]) == ("answered", "Completed", "")
    assert shown["found"]["ReceiptNo"] == payment.receipt
    listed = client.get(f"{URL}?payment={public_id('pay', payment.pk)}").json()["results"]
    assert [row["id"] for row in listed] == [shown["id"]]
    assert client.get(f"{URL}?environment=production").json()["results"] == []


def test_a_receipt_that_m_pesa_does_not_know_is_an_answer(acme, connected, hear, run_due, api):
    channel = connected()
    client = api(acme)

    asked = client.post(URL, {"receipt": "uzz0000000"}, format="json")
    run_due()
    hear(channel)

    shown = client.get(f"{URL}{asked.json()['id']}/").json()
    assert (shown["status"], shown["result_code"], shown["transaction_status"]) == ("answered", "2032", "")
    assert shown["receipt"] == "UZZ0000000"


@pytest.mark.parametrize("given", [{}, {"receipt": "UKL0000001", "payment_id": "pay_" + "0" * 26}, {"receipt": "a b"}])
def test_exactly_one_thing_is_asked_about(acme, given, api):
    make_channel(acme, "600966", initiator_name="x", secret_notes=SAVED)

    refused = api(acme).post(URL, given, format="json")

    assert refused.status_code == 400
    assert asked_about(acme) == []


def test_a_user_sees_and_does_not_ask(acme, acme_paybill, api):
    client = api(acme, Role.USER)

    assert client.post(URL, {"receipt": "UKL0000001"}, format="json").status_code == 403
    assert client.get(URL).status_code == 200


def test_the_rival_sees_nothing(acme, rival, rival_paybill, connected, record, api):
    channel = connected()
    payment = record(channel)
    run(acme, channel)
    with tenant_context(acme):
        question = StatusQuery.objects.get()
    client = api(rival)

    assert client.get(URL).json()["results"] == []
    assert client.get(f"{URL}{public_id('stq', question.pk)}/").status_code == 404
    for given in (
        {"payment_id": public_id("pay", payment.pk)},
        {"receipt": "X1", "channel": public_id("ch", channel.pk)},
    ):
        assert client.post(URL, given, format="json").status_code == 404
