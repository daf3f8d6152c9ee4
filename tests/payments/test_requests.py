"""Asking phones for payments, against the simulator over HTTP."""

from datetime import timedelta
from uuid import uuid4

import pytest
import requests as http
from django.utils import timezone
from django_tenants.utils import tenant_context

from channels.daraja.errors import DarajaTimeout, DarajaUnavailable, Reason
from channels.models import MpesaChannel
from channels.practice import open_practice_organisation
from payments import requests
from payments.models import Payment, PaymentRequest
from payments.request_words import why_not_paid
from payments.requests import NoUsableChannel, check_request, request_payment, send_request
from tenants.errors import Invalid, NotFound
from tenants.models import DueTask, Role
from tenants.permissions import BusinessClosed
from tests.factories import make_channel

Status = PaymentRequest.Status


@pytest.fixture
def paybill(acme, simulator):
    """acme's practice PayBill, with the keys of an organisation on the simulator."""
    organisation = open_practice_organisation(name="Acme", kind="paybill", shortcode="600966")
    return make_channel(
        acme,
        "600966",
        consumer_key=organisation.consumer_key,
        consumer_secret=organisation.consumer_secret,
        passkey=organisation.passkey,
    )


@pytest.fixture
def phone_number():
    """Another customer's phone for each test: the simulator remembers prompts between them."""
    return f"2547{uuid4().int % 10**8:08d}"


@pytest.fixture
def ask(acme, actor, phone_number):
    def request(**changes):
        with tenant_context(acme):
            return request_payment(
                **{"actor": actor(), "phone_number": phone_number, "amount": 1200, "account_reference": "INV-204"}
                | changes
            )

    return request


def send(tenant, asked, now=None):
    with tenant_context(tenant):
        send_request(request_id=asked.pk, now=now or timezone.now())
        asked.refresh_from_db()


def check(tenant, asked):
    with tenant_context(tenant):
        check_request(request_id=asked.pk, now=timezone.now())
        asked.refresh_from_db()


def prompts(simulator, phone_number):
    return http.get(f"{simulator.url}/phone/prompts", params={"phone_number": phone_number}, timeout=5).json()[
        "prompts"
    ]


def answer(simulator, asked, how):
    http.post(f"{simulator.url}/phone/prompts/{asked.checkout_request_id}", json={"answer": how}, timeout=10)


def test_a_request_prompts_the_customers_phone(acme, paybill, ask, simulator, phone_number):
    asked = ask()
    assert (asked.status, asked.phone_number, asked.accepted_at) == (Status.PENDING, phone_number, None)

    send(acme, asked)

    assert asked.status == Status.PENDING
    assert asked.accepted_at is not None
    [prompt] = prompts(simulator, phone_number)
    assert prompt["checkout_request_id"] == asked.checkout_request_id
    assert (prompt["amount"], prompt["account_reference"]) == ("1200.00", "INV-204")
    assert DueTask.objects.get(task="payments.tasks.check_payment_request").due_at > timezone.now()


def test_sending_twice_prompts_once(acme, paybill, ask, simulator, phone_number):
    asked = ask()
    send(acme, asked)
    first = asked.checkout_request_id
    send(acme, asked)

    assert asked.checkout_request_id == first
    assert len(prompts(simulator, phone_number)) == 1


def test_a_worker_that_died_while_asking_leaves_the_request_unknown_and_does_not_ask_again(
    acme, paybill, ask, simulator, phone_number
):
    asked = ask()
    with tenant_context(acme):
        PaymentRequest.objects.update(sending_at=timezone.now())
    send(acme, asked)

    assert asked.status == Status.UNKNOWN
    assert prompts(simulator, phone_number) == []


@pytest.mark.parametrize(("how", "status", "code"), [("pin", Status.SUCCEEDED, "0"), ("cancel", Status.FAILED, "1032")])
def test_a_lost_callback_is_made_good_by_asking(acme, paybill, ask, simulator, how, status, code):
    asked = ask()
    send(acme, asked)
    answer(simulator, asked, how)  # its callback goes nowhere: no web process runs here
    check(acme, asked)

    assert (asked.status, asked.result_code) == (status, code)
    assert asked.finished_at is not None


def test_an_open_prompt_is_asked_about_again_and_given_up_as_unknown(acme, paybill, ask, simulator):
    asked = ask()
    send(acme, asked)
    check(acme, asked)
    assert (asked.status, asked.checks) == (Status.PENDING, 1)

    for _ in range(6):
        check(acme, asked)
    assert asked.status == Status.UNKNOWN


def test_a_query_does_not_undo_a_reported_payment(acme, paybill, ask, simulator):
    asked = ask()
    send(acme, asked)
    answer(simulator, asked, "cancel")
    with tenant_context(acme):
        PaymentRequest.objects.update(status=Status.SUCCEEDED)
    check(acme, asked)

    assert asked.status == Status.SUCCEEDED


def test_refused_by_safaricom_is_failed_at_once_with_its_reason(acme, paybill, ask, simulator, phone_number):
    with tenant_context(acme):
        MpesaChannel.objects.filter(pk=paybill.pk).update(passkey="wrong")
    asked = ask()
    send(acme, asked)

    assert (asked.status, asked.result_code) == (Status.FAILED, "500.001.1001")
    assert asked.result_desc == "[MerchantValidate] - Wrong credentials"
    assert prompts(simulator, phone_number) == []


def test_a_phone_is_not_asked_later_than_a_minute_after_it_was_wanted(acme, paybill, ask, monkeypatch):
    attempts = []

    class BusyClient:
        def stk_push(self, **kwargs):
            attempts.append(kwargs["msisdn"])
            raise DarajaUnavailable("Spike arrest violation", reason=Reason.SPIKE_ARREST)

    monkeypatch.setattr(requests, "daraja_client", lambda channel: BusyClient())
    asked = ask()
    for seconds in (0, 59):
        with pytest.raises(DarajaUnavailable):
            send(acme, asked, now=asked.created_at + timedelta(seconds=seconds))
        with tenant_context(acme):
            asked.refresh_from_db()
        assert (asked.status, asked.sending_at) == (Status.PENDING, None)
    send(acme, asked, now=asked.created_at + timedelta(seconds=60))

    assert len(attempts) == 2
    assert (asked.status, asked.result_code) == (Status.FAILED, "not_taken")
    assert asked.result_desc == "Spike arrest violation"
    with tenant_context(acme):
        assert why_not_paid(asked) == (
            "Safaricom did not take it, so nothing was shown on the phone.",
            "Ask again.",
        )


def test_one_that_nobody_sent_in_time_is_not_sent_late(acme, paybill, ask, simulator, phone_number):
    asked = ask()
    send(acme, asked, now=asked.created_at + timedelta(minutes=10))

    assert (asked.status, asked.result_code) == (Status.FAILED, "not_taken")
    assert prompts(simulator, phone_number) == []


def test_whoever_waits_hears_within_the_minute_that_it_was_not_taken(acme, paybill, ask, settings):
    settings.DARAJA_URLS = {**settings.DARAJA_URLS, "PRACTICE": "http://127.0.0.1:1"}
    asked = ask()
    DueTask.objects.update(due_at=timezone.now() + timedelta(hours=1))  # as the fifth attempt would be
    with pytest.raises(DarajaUnavailable):
        send(acme, asked)

    assert DueTask.objects.get().due_at == asked.created_at + timedelta(seconds=60)


def test_money_taken_and_no_answer_is_unknown(acme, paybill, ask, simulator, monkeypatch):
    class SilentClient:
        def stk_push(self, **kwargs):
            raise DarajaTimeout("No answer within 25 s.")

    monkeypatch.setattr(requests, "daraja_client", lambda channel: SilentClient())
    asked = ask()
    send(acme, asked)
    send(acme, asked)

    assert asked.status == Status.UNKNOWN
    assert not asked.checkout_request_id


def test_bad_input_is_refused_and_nothing_is_promised(acme, acme_paybill, ask):
    with pytest.raises(Invalid) as refusal:
        ask(phone_number="+1 202 555 0100")

    assert refusal.value.errors == {"phone_number": ["Enter a Kenyan mobile number, like 0712 345 678."]}
    with tenant_context(acme):
        assert not PaymentRequest.objects.exists()
    assert not DueTask.objects.exists()


def test_the_primary_channel_asks_unless_another_is_named(acme, acme_paybill, ask):
    other = make_channel(acme, "600970")

    assert ask().channel_id == acme_paybill.pk
    assert ask(channel_id=other.pk).channel_id == other.pk


@pytest.mark.parametrize("columns", [{"status": MpesaChannel.Status.VERIFIED}, {"passkey": ""}])
def test_a_channel_that_cannot_prompt_says_so(acme, ask, columns):
    channel = make_channel(acme, "600971", **columns)
    with pytest.raises(NoUsableChannel):
        ask(channel_id=channel.pk)

    with tenant_context(acme):
        assert not PaymentRequest.objects.exists()


def test_the_rivals_channel_is_not_found(acme, acme_paybill, rival_paybill, ask):
    with pytest.raises(NotFound):
        ask(channel_id=rival_paybill.pk)


def test_a_suspended_business_asks_nobody(acme, acme_paybill, ask):
    acme.status = "SUSPENDED"
    with pytest.raises(BusinessClosed):
        ask()


def test_every_role_may_ask(acme, acme_paybill, ask, actor):
    for role in Role:
        assert ask(actor=actor(role)).status == Status.PENDING
    with tenant_context(acme):
        assert not Payment.objects.exists()
