import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.test import override_settings
from django.utils import timezone
from django_tenants.utils import tenant_context

from channels.models import Environment, MpesaChannel
from payments import drain, services
from payments.deliveries import PATIENCE_FOR_A_REQUEST
from payments.models import DayTotal, Payment, PaymentRequest
from tenants.models import DueTask, InboundCallback, TenantActivity
from tests.factories import make_channel

Kind = InboundCallback.Kind
State = InboundCallback.State
Reason = InboundCallback.Reason


def test_confirmation_becomes_a_payment_with_its_day_total(acme, acme_paybill, deliver, body):
    row = deliver(acme_paybill, body("c2b_confirmation_masked.json", BillRefNumber=" vip-001 "))

    assert (row.state, row.reason, row.dedup_key) == (State.APPLIED, "", "RKL51ZDR4F")
    with tenant_context(acme):
        payment = Payment.objects.get()
        assert (payment.receipt, payment.amount, payment.payer) == ("RKL51ZDR4F", Decimal("5.00"), "2547 ***** 149")
        assert payment.payer_name == "JOHN"
        assert payment.account_reference == " vip-001 "
        assert payment.routed_to == "vip"
        assert payment.paid_at == datetime(2023, 11, 21, 9, 13, 25, tzinfo=UTC)
        assert (payment.environment, payment.callback_id) == (Environment.PRACTICE, row.pk)
        total = DayTotal.objects.get()
        assert (total.channel_id, total.date) == (acme_paybill.pk, date(2023, 11, 21))
        assert (total.payment_count, total.amount) == (1, Decimal("5.00"))
    assert TenantActivity.objects.get(tenant=acme).last_payment_at is not None


def test_a_day_ends_at_midnight_in_nairobi(acme, acme_paybill, deliver, body):
    deliver(acme_paybill, body("c2b_confirmation_masked.json", TransTime="20231122000001"))

    with tenant_context(acme):
        assert DayTotal.objects.get().date == date(2023, 11, 22)


def test_repeated_confirmation_is_one_payment(acme, acme_paybill, deliver, body):
    deliver(acme_paybill, body("c2b_confirmation_masked.json"))
    second = deliver(acme_paybill, body("c2b_confirmation_masked.json"))

    assert second.state == State.APPLIED
    assert InboundCallback.objects.count() == 2
    with tenant_context(acme):
        assert Payment.objects.count() == 1
        assert DayTotal.objects.get().amount == Decimal("5.00")


def test_repeats_in_one_batch_are_one_payment(acme, acme_paybill, deliver, body):
    raw = body("c2b_confirmation_masked.json")
    later = timezone.now() + timedelta(minutes=1)
    for _ in range(3):
        deliver(acme_paybill, raw, due_at=later)

    with tenant_context(acme):
        assert drain.apply_pending(now=later) == 3
        assert Payment.objects.count() == 1
        assert DayTotal.objects.get().payment_count == 1
    assert InboundCallback.objects.filter(state=State.APPLIED).count() == 3


def test_other_spacing_and_order_of_keys_is_the_same_news(acme_paybill, deliver, body):
    deliver(acme_paybill, body("c2b_confirmation_masked.json"))
    values = json.loads(body("c2b_confirmation_masked.json"))
    again = deliver(acme_paybill, json.dumps(dict(reversed(values.items())), indent=3).encode())

    assert again.state == State.APPLIED


def test_another_body_under_the_same_receipt_keeps_both_and_raises_an_alarm(acme, acme_paybill, deliver, body, caplog):
    deliver(acme_paybill, body("c2b_confirmation_masked.json"))
    other = deliver(acme_paybill, body("c2b_confirmation_masked.json", TransAmount="5000.00"))

    assert (other.state, other.reason) == (State.QUARANTINED, Reason.CONFLICTING_BODY)
    assert InboundCallback.objects.count() == 2
    with tenant_context(acme):
        assert Payment.objects.get().amount == Decimal("5.00")
        assert DayTotal.objects.get().amount == Decimal("5.00")
    assert any(record.levelname == "ERROR" for record in caplog.records)


def test_another_body_in_the_same_batch_is_quarantined_too(acme, acme_paybill, deliver, body):
    later = timezone.now() + timedelta(minutes=1)
    first = deliver(acme_paybill, body("c2b_confirmation_masked.json"), due_at=later)
    other = deliver(acme_paybill, body("c2b_confirmation_masked.json", FirstName="MALLORY"), due_at=later)

    with tenant_context(acme):
        drain.apply_pending(now=later)
        assert Payment.objects.get().payer_name == "JOHN"
    first.refresh_from_db()
    other.refresh_from_db()
    assert (first.state, other.state) == (State.APPLIED, State.QUARANTINED)


def test_payment_stays_in_its_own_tenant(acme_paybill, rival, rival_paybill, deliver, body):
    deliver(acme_paybill, body("c2b_confirmation_masked.json"))

    with tenant_context(rival):
        assert drain.apply_pending(now=timezone.now()) == 0
        assert not Payment.objects.exists()
        assert not DayTotal.objects.exists()


def test_the_shortcode_of_another_business_is_quarantined(acme, acme_paybill, rival_paybill, deliver, body):
    row = deliver(acme_paybill, body("c2b_confirmation_masked.json", BusinessShortCode=rival_paybill.shortcode))

    assert (row.state, row.reason) == (State.QUARANTINED, Reason.FOREIGN_SHORTCODE)
    assert row.error == "It names shortcode 600967."
    with tenant_context(acme):
        assert not Payment.objects.exists()


def test_a_till_is_known_by_its_store_number_too(acme, deliver, body):
    till = make_channel(acme, "555123", kind=MpesaChannel.Kind.TILL, store_number="600984")

    deliver(till, body("c2b_till.json", BusinessShortCode="600984", TransID="SGA0000001"))
    deliver(till, body("c2b_till.json", BusinessShortCode="555123", TransID="SGA0000002"))

    with tenant_context(acme):
        assert sorted(Payment.objects.values_list("receipt", flat=True)) == ["SGA0000001", "SGA0000002"]


@pytest.mark.parametrize("raw", [b"", b"not json", b"[]", b"{}", b"\x00\xff", b'{"TransID": null}', b"<html></html>"])
def test_nonsense_is_kept_and_quarantined(acme, acme_paybill, deliver, raw):
    row = deliver(acme_paybill, raw)

    assert (row.state, row.reason) == (State.QUARANTINED, Reason.UNREADABLE)
    assert bytes(row.body) == raw
    assert row.error != ""
    with tenant_context(acme):
        assert not Payment.objects.exists()


def test_one_bad_delivery_does_not_hold_up_the_others(acme, acme_paybill, deliver, body):
    later = timezone.now() + timedelta(minutes=1)
    deliver(acme_paybill, body("c2b_confirmation_masked.json", TransID="SGA0000001"), due_at=later)
    deliver(acme_paybill, b"nonsense", due_at=later)
    deliver(acme_paybill, body("c2b_confirmation_masked.json", TransID="SGA0000002"), due_at=later)

    with tenant_context(acme):
        drain.apply_pending(now=later)
        assert Payment.objects.count() == 2


def test_a_delivery_that_breaks_us_is_stepped_over_and_put_aside_at_last(
    acme, acme_paybill, deliver, body, monkeypatch, caplog
):
    later = timezone.now() + timedelta(minutes=1)
    bad = deliver(acme_paybill, body("c2b_confirmation_masked.json", TransID="SGA000000B"), due_at=later)
    deliver(acme_paybill, body("c2b_confirmation_masked.json", TransID="SGA000000G"), due_at=later)
    record = services.record_payments

    def break_on_the_bad_one(*, reports):
        if any(report.receipt == "SGA000000B" for report in reports):
            raise ValueError("a defect of ours")
        return record(reports=reports)

    monkeypatch.setattr(drain, "record_payments", break_on_the_bad_one)
    with tenant_context(acme):
        drain.apply_pending(now=later)
        assert [payment.receipt for payment in Payment.objects.all()] == ["SGA000000G"]
        bad.refresh_from_db()
        assert (bad.state, bad.attempts) == (State.PENDING, 1)
        for hour in range(1, 12):
            drain.apply_pending(now=later + timedelta(hours=hour))
    bad.refresh_from_db()
    assert (bad.state, bad.reason) == (State.QUARANTINED, Reason.FAILED)
    assert "a defect of ours" in caplog.text


def test_what_a_suspended_business_is_paid_is_still_recorded(acme, acme_paybill, deliver, body):
    acme.status = "SUSPENDED"
    acme.save()

    deliver(acme_paybill, body("c2b_confirmation_masked.json"))

    with tenant_context(acme):
        assert Payment.objects.count() == 1


def test_an_unlisted_address_counts_only_where_it_is_enforced_and_live(acme, deliver, body):
    live = make_channel(acme, "600966", environment=Environment.PRODUCTION)
    raw = body("c2b_confirmation_masked.json")

    with override_settings(CALLBACK_ADDRESS_POLICY="enforce"):
        refused = deliver(live, raw, address="203.0.113.9", address_is_listed=False)
    flagged = deliver(live, raw, address="203.0.113.9", address_is_listed=False)

    assert (refused.state, refused.reason) == (State.QUARANTINED, Reason.UNLISTED_ADDRESS)
    assert flagged.state == State.APPLIED


def make_request(channel, **columns):
    return PaymentRequest.objects.create(
        **{
            "channel": channel,
            "environment": channel.environment,
            "phone_number": "254708374149",
            "amount": 1,
            "account_reference": "INV-204",
            "transaction_desc": "Payment",
            "requested_by": "cashier@acme.example",
            "checkout_request_id": "ws_CO_191220191020363925",
        }
        | columns
    )


def test_stk_result_pays_the_request(acme, acme_paybill, deliver, body):
    with tenant_context(acme):
        make_request(acme_paybill)
    row = deliver(acme_paybill, body("stk_callback_paid.json"), Kind.STK_CALLBACK)

    assert row.state == State.APPLIED
    with tenant_context(acme):
        request = PaymentRequest.objects.get()
        payment = Payment.objects.get()
        assert (request.status, request.payment) == (PaymentRequest.Status.SUCCEEDED, payment)
        assert (payment.receipt, payment.amount) == ("NLJ7RT61SV", Decimal("1.00"))
        assert (payment.source, payment.account_reference) == (Payment.Source.STK, "INV-204")
        assert payment.routed_to == "regulars"


def test_stk_result_settles_a_request_whose_acknowledgement_was_lost(acme, acme_paybill, deliver, body):
    """Its path names the request; Daraja's own number for it never reached us."""
    with tenant_context(acme):
        asked = make_request(acme_paybill, checkout_request_id="", status=PaymentRequest.Status.UNKNOWN)
    row = deliver(acme_paybill, body("stk_callback_paid.json"), Kind.STK_CALLBACK, about=asked.pk)

    assert row.state == State.APPLIED
    with tenant_context(acme):
        assert PaymentRequest.objects.get().payment == Payment.objects.get()


def test_stk_result_of_another_prompt_does_not_settle_the_request_that_its_path_names(
    acme, acme_paybill, deliver, body
):
    with tenant_context(acme):
        asked = make_request(acme_paybill, checkout_request_id="ws_CO_another")
    row = deliver(acme_paybill, body("stk_callback_paid.json"), Kind.STK_CALLBACK, about=asked.pk)

    assert row.state == State.PENDING
    with tenant_context(acme):
        assert PaymentRequest.objects.get().status == PaymentRequest.Status.PENDING
        assert not Payment.objects.exists()


def test_confirmation_and_stk_result_of_one_receipt_are_one_payment(acme, acme_paybill, deliver, body):
    with tenant_context(acme):
        make_request(acme_paybill)
    deliver(acme_paybill, body("c2b_confirmation_masked.json", TransID="NLJ7RT61SV", TransAmount="1.00"))
    row = deliver(acme_paybill, body("stk_callback_paid.json"), Kind.STK_CALLBACK)

    assert row.state == State.APPLIED
    with tenant_context(acme):
        assert PaymentRequest.objects.get().payment == Payment.objects.get()
        assert DayTotal.objects.get().payment_count == 1


def test_cancelled_prompt_fails_the_request_and_moves_no_money(acme, acme_paybill, deliver, body):
    raw = body("stk_callback_cancelled.json")
    with tenant_context(acme):
        make_request(acme_paybill, checkout_request_id=json.loads(raw)["Body"]["stkCallback"]["CheckoutRequestID"])
    deliver(acme_paybill, raw, Kind.STK_CALLBACK)

    with tenant_context(acme):
        request = PaymentRequest.objects.get()
        assert (request.status, request.result_code) == (PaymentRequest.Status.FAILED, "1032")
        assert request.finished_at is not None
        assert not Payment.objects.exists()


def test_stk_result_for_another_amount_is_quarantined(acme, acme_paybill, deliver, body):
    with tenant_context(acme):
        make_request(acme_paybill, amount=900)
    row = deliver(acme_paybill, body("stk_callback_paid.json"), Kind.STK_CALLBACK)

    assert (row.state, row.reason) == (State.QUARANTINED, Reason.AMOUNT_MISMATCH)
    with tenant_context(acme):
        assert PaymentRequest.objects.get().status == PaymentRequest.Status.PENDING
        assert not Payment.objects.exists()


def test_stk_result_that_overtook_its_request_waits_for_it(acme, acme_paybill, deliver, body):
    row = deliver(acme_paybill, body("stk_callback_paid.json"), Kind.STK_CALLBACK)
    assert (row.state, row.attempts) == (State.PENDING, 1)

    with tenant_context(acme):
        make_request(acme_paybill)
        drain.apply_pending(now=timezone.now() + timedelta(seconds=30))
        assert PaymentRequest.objects.get().status == PaymentRequest.Status.SUCCEEDED


def test_stk_result_that_nobody_asked_for_is_quarantined_in_the_end(acme, acme_paybill, deliver, body):
    row = deliver(
        acme_paybill,
        body("stk_callback_paid.json"),
        Kind.STK_CALLBACK,
        received_at=timezone.now() - PATIENCE_FOR_A_REQUEST - timedelta(seconds=1),
    )

    assert (row.state, row.reason) == (State.QUARANTINED, Reason.UNMATCHED_REQUEST)
    with tenant_context(acme):
        assert not Payment.objects.exists()


def test_stk_result_on_another_channel_than_the_request_is_not_believed(acme, acme_paybill, deliver, body):
    other = make_channel(acme, "600968")
    with tenant_context(acme):
        make_request(acme_paybill)
    deliver(other, body("stk_callback_paid.json"), Kind.STK_CALLBACK)

    with tenant_context(acme):
        assert PaymentRequest.objects.get().status == PaymentRequest.Status.PENDING
        assert not Payment.objects.exists()


def test_a_late_failure_does_not_undo_a_payment(acme, acme_paybill, deliver, body):
    with tenant_context(acme):
        make_request(acme_paybill)
    deliver(acme_paybill, body("stk_callback_paid.json"), Kind.STK_CALLBACK)
    cancelled = json.loads(body("stk_callback_cancelled.json"))
    cancelled["Body"]["stkCallback"]["CheckoutRequestID"] = "ws_CO_191220191020363925"
    late = deliver(acme_paybill, json.dumps(cancelled).encode(), Kind.STK_CALLBACK)

    assert (late.state, late.reason) == (State.QUARANTINED, Reason.CONTRADICTION)
    with tenant_context(acme):
        assert PaymentRequest.objects.get().status == PaymentRequest.Status.SUCCEEDED


def test_a_payment_reported_after_a_failure_counts(acme, acme_paybill, deliver, body):
    with tenant_context(acme):
        make_request(acme_paybill, status=PaymentRequest.Status.FAILED, result_code="1037")
    deliver(acme_paybill, body("stk_callback_paid.json"), Kind.STK_CALLBACK)

    with tenant_context(acme):
        assert PaymentRequest.objects.get().status == PaymentRequest.Status.SUCCEEDED
        assert Payment.objects.count() == 1


def test_new_payments_are_announced_in_the_same_commit(acme, acme_paybill, deliver, body):
    deliver(acme_paybill, body("c2b_confirmation_masked.json"))

    with tenant_context(acme):
        payment = Payment.objects.get()
    assert DueTask.objects.filter(tenant=acme, arguments={"payment_ids": [str(payment.pk)]}).count() == 1
