"""Payment requests under every order of events that Hypothesis can think of, against a model of plain dicts."""

import contextlib
import json
from datetime import timedelta
from typing import Any

import hypothesis.strategies as st
from django.db import connection, transaction
from django.utils import timezone
from django_tenants.utils import tenant_context
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from channels.daraja.client import StkAccepted, StkState
from channels.daraja.errors import DarajaRejected, DarajaTimeout, DarajaUnavailable, Reason
from payments import drain, requests
from payments.models import DayTotal, Payment, PaymentRequest
from tenants.models import InboundCallback
from tests.factories import make_channel

AMOUNT = 300
CHECKOUT = "ws_CO_05012036120000000"
RECEIPT = "SGB1C2D3E4"
ANSWERS = {
    "accepted": StkAccepted("29115-34620561-1", CHECKOUT, "Success. Request accepted for processing"),
    "refused": DarajaRejected("Bad Request - Invalid PhoneNumber", reason=Reason.INVALID_FIELD, code="400.002.02"),
    "not_sent": DarajaUnavailable("No connection could be made.", reason=Reason.UNREACHABLE),
    "unclear": DarajaTimeout("No answer in time.", reason=Reason.SLOW),
}


class Killed(BaseException):
    """The worker died here."""


class Requests(RuleBasedStateMachine):
    """One prompt. `model` is what should be true of it."""

    tenant: Any
    patch: Any

    @initialize()
    def ask(self) -> None:
        self.now = timezone.now()
        self.around = transaction.atomic()
        self.around.__enter__()
        self.channel = make_channel(self.tenant, "600966")
        connection.set_tenant(self.tenant)
        self.patch.setattr(requests, "daraja_client", lambda _: self)
        self.request = PaymentRequest.objects.create(
            channel=self.channel,
            environment=self.channel.environment,
            phone_number="254708374149",
            amount=AMOUNT,
            account_reference="INV-204",
            transaction_desc="Payment",
            requested_by="cashier@acme.example",
        )
        self.model = {"status": "PENDING", "prompts": 0, "accepted": False, "begun": False, "paid": False}

    def teardown(self) -> None:
        if hasattr(self, "around"):
            transaction.set_rollback(True)
            self.around.__exit__(None, None, None)

    def stk_push(self, **_: Any) -> StkAccepted:
        self.called = True
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def stk_query(self, **_: Any) -> StkState:
        return self.state

    @rule(how=st.sampled_from([*sorted(ANSWERS), "killed"]))
    def send(self, how: str) -> None:
        model, self.called = self.model, False
        self.answer = Killed() if how == "killed" else ANSWERS[how]
        with contextlib.suppress(Killed, DarajaUnavailable):
            requests.send_request(request_id=self.request.pk, now=self.now)
        if model["status"] != "PENDING" or model["accepted"]:
            assert not self.called
            return
        if model["begun"]:  # somebody died here before: whether the phone rang, nobody knows
            assert not self.called
            model["status"] = "UNKNOWN"
            return
        if self.now - self.request.created_at >= requests.SEND_WITHIN:  # the customer has left
            assert not self.called
            model["status"] = "FAILED"
            model["begun"] = True
            return
        assert self.called
        model["prompts"] += how in {"accepted", "unclear", "killed"}
        if how == "not_sent":
            return
        model["begun"] = True
        model["accepted"] = how == "accepted"
        model["status"] = {"refused": "FAILED", "unclear": "UNKNOWN"}.get(how, "PENDING")

    @rule(seconds=st.sampled_from([1, 30, 200]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(says=st.sampled_from(["paid", "1032", "not yet"]))
    def check(self, says: str) -> None:
        model = self.model
        kinds = {"paid": StkState.Kind.FINAL, "1032": StkState.Kind.FINAL, "not yet": StkState.Kind.NOT_FOUND}
        self.state = StkState(kinds[says], result_code={"paid": "0"}.get(says, says), result_desc="")
        checks = PaymentRequest.objects.get().checks
        requests.check_request(request_id=self.request.pk, now=self.now)
        if model["status"] != "PENDING" or not model["accepted"]:
            return
        if says != "not yet":
            model["status"] = "SUCCEEDED" if says == "paid" else "FAILED"
        elif checks == 6:
            model["status"] = "UNKNOWN"

    @rule(how=st.sampled_from(["paid", "paid", "cancelled", "other amount"]))
    def callback(self, how: str) -> None:
        """Twice, as M-PESA does; also long after the outcome, and against it."""
        model = self.model
        states = [self.deliver(how) for _ in range(2)]
        if not model["accepted"]:
            expected = ["PENDING"] * 2  # it may have overtaken our own note
        elif how == "other amount":
            expected = ["QUARANTINED"] * 2
        elif how == "cancelled":
            expected = ["QUARANTINED" if model["status"] == "SUCCEEDED" else "APPLIED"] * 2
            model["status"] = "SUCCEEDED" if model["status"] == "SUCCEEDED" else "FAILED"
        else:
            expected = ["APPLIED"] * 2
            model["status"], model["paid"] = "SUCCEEDED", True
        assert states == expected

    @rule()
    def confirmation(self) -> None:
        """The same money, by M-PESA's other mouth."""
        if self.model["paid"]:
            assert self.put(InboundCallback.Kind.C2B_CONFIRMATION, confirmation_body()) == "APPLIED"

    @invariant()
    def it_is_as_the_model_says(self) -> None:
        if not hasattr(self, "model"):
            return
        request = PaymentRequest.objects.get()
        assert request.status == self.model["status"]
        assert (request.payment_id is not None) == self.model["paid"]
        assert (request.finished_at is not None) == (request.status != "PENDING")

    @invariant()
    def the_phone_rings_at_most_once(self) -> None:
        if hasattr(self, "model"):
            assert self.model["prompts"] <= 1

    @invariant()
    def what_was_paid_is_counted_once(self) -> None:
        if hasattr(self, "model"):
            assert Payment.objects.count() == self.model["paid"]
            counted = list(DayTotal.objects.values_list("payment_count", "amount"))
            assert counted == ([(1, AMOUNT)] if self.model["paid"] else [])

    def deliver(self, how: str) -> str:
        callback: dict[str, Any] = {
            "MerchantRequestID": "29115-34620561-1",
            "CheckoutRequestID": CHECKOUT,
            "ResultCode": 1032 if how == "cancelled" else 0,
            "ResultDesc": "In Daraja's words.",
        }
        if how != "cancelled":
            items = {
                "Amount": AMOUNT + (how != "paid"),
                "MpesaReceiptNumber": RECEIPT,
                "TransactionDate": 20360105120000,
            }
            callback["CallbackMetadata"] = {"Item": [{"Name": name, "Value": value} for name, value in items.items()]}
        return self.put(InboundCallback.Kind.STK_CALLBACK, {"Body": {"stkCallback": callback}})

    def put(self, kind: InboundCallback.Kind, body: dict[str, Any]) -> str:
        row = InboundCallback.objects.create(
            tenant=self.tenant,
            channel_id=self.channel.pk,
            kind=kind,
            body=json.dumps(body).encode(),
            received_at=self.now,
            due_at=self.now,
        )
        drain.apply_pending(now=self.now)
        row.refresh_from_db()
        state = str(row.state)
        if state == "PENDING":
            row.delete()  # it would be applied when its request is noted, which the drain's own tests show
        return state


def confirmation_body() -> dict[str, Any]:
    return {
        "TransactionType": "Pay Bill",
        "TransID": RECEIPT,
        "TransTime": "20360105120000",
        "TransAmount": f"{AMOUNT}.00",
        "BusinessShortCode": "600966",
        "BillRefNumber": "INV-204",
        "MSISDN": "254708374149",
    }


def test_payment_requests_keep_their_word_whatever_happens(acme, monkeypatch):
    Requests.tenant, Requests.patch = acme, monkeypatch
    with tenant_context(acme):
        run_state_machine_as_test(
            Requests,
            settings=settings(max_examples=20, stateful_step_count=20, suppress_health_check=list(HealthCheck)),
        )
