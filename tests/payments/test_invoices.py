"""Invoices of Bill Manager, against the simulator over HTTP, and what is paid of them."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
import requests as http
from django.db import OperationalError
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import public_id
from audit.models import AuditEntry
from channels.models import MpesaChannel
from payments import invoice_payments, invoices
from payments.invoice_payments import CONFIRMATION_FIRST_FOR, allocate, parts_of
from payments.invoices import (
    BillManagerNotOn,
    InvoiceBeingSent,
    InvoiceNotFound,
    InvoiceOver,
    NewInvoice,
    NoPayBill,
    cancel_invoice,
    create_invoices,
    invoices_like,
    opt_in,
    send_pending,
)
from payments.models import DayTotal, Invoice, Payment
from payments.services import NAIROBI, PaymentReport, record_payments
from payments.signals import payment_reversed
from payments.tasks import send_invoices
from tenants.errors import Invalid, NotPermitted
from tenants.models import DueTask, InboundCallback, Role
from tenants.queue import perform
from tests.factories import make_channel
from tests.practice import make_simulator_unreachable

Kind = InboundCallback.Kind
State = InboundCallback.State
Reason = InboundCallback.Reason
Status = Invoice.Status


@pytest.fixture
def organisation(simulator):
    return simulator.open()


@pytest.fixture
def paybill(acme, organisation):
    return make_channel(
        acme,
        organisation["shortcode"],
        consumer_key=organisation["consumer_key"],
        consumer_secret=organisation["consumer_secret"],
        secret_notes={"consumer_key": {}, "consumer_secret": {}},
        account_mapping={"default": "tenants"},
    )


@pytest.fixture
def billing(acme, paybill, actor):
    """The PayBill, with Bill Manager on."""
    with tenant_context(acme):
        return opt_in(
            actor=actor(),
            channel_id=paybill.pk,
            email="accounts@acme.example",
            contact_phone="0710 000 000",
            send_reminders=True,
            now=timezone.now(),
        )


def new(**changes):
    return NewInvoice(
        **{
            "external_reference": uuid4().hex[:12],
            "name": "Rent",
            "billed_name": "Jane Doe",
            "phone_number": "0712 345 126",
            "billed_period": "August 2026",
            "due_date": date(2026, 8, 31),
            "account_reference": "HOUSE7",
            "amount": 9000,
            "items": [{"item_name": "Rent", "amount": 8500}, {"item_name": "Water", "amount": 500}],
        }
        | changes
    )


@pytest.fixture
def bill(acme, billing, actor):
    """`bill(new(), new())` → invoices as they were promised."""

    def create(*wanted, now=None):
        with tenant_context(acme):
            return create_invoices(
                actor=actor(), channel_id=billing.pk, invoices=wanted or [new()], now=now or timezone.now()
            )

    return create


@pytest.fixture
def sent(acme, billing, bill):
    """`sent()` → one invoice that M-PESA has."""

    def create(**changes):
        [invoice] = bill(new(**changes))
        return send(acme, billing, invoice)

    return create


def send(acme, channel, invoice, now=None):
    with tenant_context(acme):
        send_pending(channel_id=channel.pk, now=now or timezone.now())
        invoice.refresh_from_db()
    return invoice


def at_safaricom(simulator, channel):
    shown = simulator.control("GET", f"/invoices?shortcode={channel.shortcode}")["invoices"]
    return sorted(invoice["external_reference"] for invoice in shown)


def pay(channel, receipt, amount=9000, **changes):
    """A payment as the drain records it, and what follows from it."""
    record_payments(
        reports=[
            PaymentReport(
                **{
                    "receipt": receipt,
                    "channel": channel,
                    "payer": "2547 ***** 126",
                    "payer_name": "JANE",
                    "amount": Decimal(amount),
                    "account_reference": "HOUSE7",
                    "routed_to": "",
                    "source": Payment.Source.CONFIRMATION,
                    "paid_at": timezone.now(),
                    "callback_id": None,
                }
                | changes
            )
        ]
    )


def simulator_payment(simulator, channel, phone_number):
    """A customer pays on the simulator's phone; returns the receipt."""
    body = {"phone_number": phone_number, "shortcode": channel.shortcode, "account_reference": "HOUSE7", "amount": 9000}
    return http.post(f"{simulator.url}/phone/payments", json=body, timeout=10).json()["receipt"]


def e_receipts(simulator, phone_number):
    answer = http.get(f"{simulator.url}/phone/requests", params={"phone_number": phone_number}, timeout=10)
    return answer.json()["e_receipts"]


def reload(acme, invoice):
    with tenant_context(acme):
        invoice.refresh_from_db()
    return invoice.status, invoice.paid_amount


# -- Opting in --------------------------------------------------------------------------------------------------------


def test_opting_in_keeps_the_app_key_sealed_and_dates_it(acme, billing):
    with tenant_context(acme):
        channel = MpesaChannel.objects.get()
        entry = AuditEntry.objects.latest("sequence")

    assert channel.bill_manager_app_key.startswith("AG_")
    assert channel.bill_manager_opted_in_at is not None
    assert entry.action == "channel.bill_manager_turned_on"
    assert channel.bill_manager_app_key not in str(entry.after)


def test_doing_it_again_changes_the_details_and_keeps_key_and_date(acme, paybill, billing, actor):
    with tenant_context(acme):
        before = MpesaChannel.objects.get()
        opt_in(
            actor=actor(),
            channel_id=paybill.pk,
            email="new@acme.example",
            contact_phone="0710000000",
            send_reminders=False,
            now=timezone.now(),
        )
        after = MpesaChannel.objects.get()

    assert after.bill_manager_app_key == before.bill_manager_app_key
    assert after.bill_manager_opted_in_at == before.bill_manager_opted_in_at


def test_a_till_has_no_bill_manager(acme, actor):
    till = make_channel(acme, "600977", kind=MpesaChannel.Kind.TILL)

    with tenant_context(acme), pytest.raises(NoPayBill):
        opt_in(
            actor=actor(),
            channel_id=till.pk,
            email="a@acme.example",
            contact_phone="0710000000",
            send_reminders=True,
            now=timezone.now(),
        )


def test_only_an_administrator_turns_it_on(acme, paybill, actor):
    with tenant_context(acme), pytest.raises(NotPermitted):
        opt_in(
            actor=actor(Role.MANAGER),
            channel_id=paybill.pk,
            email="a@acme.example",
            contact_phone="0710000000",
            send_reminders=True,
            now=timezone.now(),
        )


def test_a_channel_that_has_not_opted_in_sends_no_invoice(acme, paybill, actor):
    with tenant_context(acme):
        with pytest.raises(BillManagerNotOn):
            create_invoices(actor=actor(), channel_id=paybill.pk, invoices=[new()], now=timezone.now())
        assert not Invoice.objects.exists()


# -- Sending ----------------------------------------------------------------------------------------------------------


def test_an_invoice_is_handed_to_m_pesa_once(acme, billing, bill, simulator):
    [invoice] = bill(new(external_reference="INV-1"))
    assert (invoice.status, invoice.phone_number) == (Status.PENDING, "254712345126")

    send(acme, billing, invoice)
    send(acme, billing, invoice)

    assert (invoice.status, invoice.result_desc) == (Status.SENT, "")
    assert at_safaricom(simulator, billing) == ["INV-1"]


def test_many_invoices_are_all_handed_over(acme, billing, bill, simulator, run_due):
    created = bill(*[new(external_reference=f"INV-{number:03}") for number in range(250)])

    run_due()

    assert len(at_safaricom(simulator, billing)) == len(created) == 250
    with tenant_context(acme):
        assert Invoice.objects.filter(status=Status.SENT).count() == 250


def test_one_that_m_pesa_refuses_does_not_hold_up_the_others(acme, billing, bill, simulator):
    good, bad = bill(new(external_reference="GOOD"), new(external_reference="BAD", billed_name="x\x07y"))

    send(acme, billing, good)

    assert reload(acme, bad)[0] == Status.FAILED
    assert "billedFullName" in bad.result_desc
    assert good.status == Status.SENT
    assert at_safaricom(simulator, billing) == ["GOOD"]


def test_the_number_of_a_refused_invoice_is_free_again(acme, billing, bill):
    [bad] = bill(new(external_reference="INV-1", billed_name="x\x07y"))
    send(acme, billing, bad)
    assert bad.status == Status.FAILED

    [good] = bill(new(external_reference="INV-1"))

    assert send(acme, billing, good).status == Status.SENT


def test_an_answer_that_got_lost_is_unknown_and_nothing_is_sent_again(acme, billing, bill, simulator):
    [invoice] = bill()
    simulator.faults(billing.shortcode, {"fault": "taken_then_resets", "on": ["bill_manager"]})
    send(acme, billing, invoice)
    simulator.faults(billing.shortcode)

    assert invoice.status == Status.UNKNOWN
    assert send(acme, billing, invoice).status == Status.UNKNOWN
    assert at_safaricom(simulator, billing) == [invoice.external_reference]


def test_what_did_not_get_through_is_sent_later(acme, billing, bill, settings, simulator):
    [invoice] = bill()
    urls = settings.DARAJA_URLS
    make_simulator_unreachable(settings)
    send(acme, billing, invoice)
    assert (invoice.status, invoice.sending_at) == (Status.PENDING, None)

    settings.DARAJA_URLS = urls

    assert send(acme, billing, invoice).status == Status.SENT


def test_what_does_not_get_through_for_a_day_has_failed(acme, billing, bill, settings):
    [invoice] = bill()
    make_simulator_unreachable(settings)

    send(acme, billing, invoice, now=invoice.created_at + invoices.GIVE_UP_SENDING_AFTER)

    assert invoice.status == Status.FAILED
    assert invoice.result_desc.startswith("Nothing was sent.")


def test_a_worker_that_died_leaves_its_invoices_unknown(acme, billing, bill, simulator):
    [invoice] = bill()
    with tenant_context(acme):
        Invoice.objects.update(sending_at=timezone.now() - timedelta(minutes=21))

    assert send(acme, billing, invoice).status == Status.UNKNOWN
    assert at_safaricom(simulator, billing) == []


class Killed(BaseException):
    """As kill -9: nothing is said, and the lease stays."""


@pytest.mark.parametrize(
    ("breaks", "with_what"), [("_hand_over", Killed), ("_note", Killed), ("_note", OperationalError)]
)
def test_whoever_works_in_place_of_a_worker_that_died_comes_back_when_its_invoices_are_lost(
    acme, billing, bill, monkeypatch, breaks, with_what, run_due
):
    def die(*_args, **_more):
        raise with_what

    [invoice] = bill()
    monkeypatch.setattr(invoices, "_hand_over", lambda *_: None)
    monkeypatch.setattr(invoices, breaks, die)
    due = DueTask.objects.filter(task=send_invoices.name)
    with pytest.raises(with_what):
        perform(task=send_invoices, due_task_id=due.get().pk, tenant_id=acme.pk)
    past = timezone.now() - timedelta(seconds=1)
    due.filter(leased_until=None).update(due_at=past)
    due.exclude(leased_until=None).update(leased_until=past)

    run_due()

    assert due.get().due_at - timezone.now() > timedelta(minutes=19)
    with tenant_context(acme):
        Invoice.objects.update(sending_at=timezone.now() - timedelta(minutes=21))
    due.update(due_at=past)
    run_due()
    assert reload(acme, invoice)[0] == Status.UNKNOWN
    assert not due.exists()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"phone_number": "0612345678"}, "phone_number"),
        ({"items": [{"item_name": "Rent", "amount": 1}]}, "items"),
        ({"external_reference": "TWICE"}, "external_reference"),
    ],
)
def test_one_that_can_not_be_refuses_all_with_its_place(acme, bill, changes, field):
    with pytest.raises(Invalid) as refusal:
        bill(new(external_reference="TWICE"), new(**changes))

    assert list(refusal.value.errors) == [f"invoices[2].{field}"]
    with tenant_context(acme):
        assert not Invoice.objects.exists()


def test_a_number_is_never_used_again(acme, bill):
    bill(new(external_reference="INV-1"))

    with pytest.raises(Invalid) as refusal:
        bill(new(external_reference="INV-1"))

    assert list(refusal.value.errors) == ["invoices[1].external_reference"]


def test_more_than_a_thousand_at_once_are_refused(acme, bill):
    with pytest.raises(Invalid):
        bill(*[new() for _ in range(1001)])

    with tenant_context(acme):
        assert not Invoice.objects.exists()


# -- Cancelling -------------------------------------------------------------------------------------------------------


def test_an_invoice_that_was_not_sent_is_withdrawn_here(acme, billing, bill, actor, simulator):
    [invoice] = bill()
    with tenant_context(acme):
        assert cancel_invoice(actor=actor(), invoice_id=invoice.pk, now=timezone.now()).status == Status.CANCELLED

    assert send(acme, billing, invoice).status == Status.CANCELLED
    assert at_safaricom(simulator, billing) == []


def test_an_invoice_that_m_pesa_has_is_withdrawn_there_first(acme, billing, sent, actor, simulator):
    invoice = sent()

    with tenant_context(acme):
        cancelled = cancel_invoice(actor=actor(), invoice_id=invoice.pk, now=timezone.now())

    assert (cancelled.status, cancelled.finished_at is not None) == (Status.CANCELLED, True)
    assert at_safaricom(simulator, billing) == []
    with tenant_context(acme):
        assert AuditEntry.objects.latest("sequence").action == "invoice.cancelled"
        with pytest.raises(InvoiceOver):
            cancel_invoice(actor=actor(), invoice_id=invoice.pk, now=timezone.now())


def test_an_invoice_is_not_withdrawn_while_it_is_handed_over(acme, bill, actor):
    [invoice] = bill()
    with tenant_context(acme):
        Invoice.objects.update(sending_at=timezone.now())
        with pytest.raises(InvoiceBeingSent):
            cancel_invoice(actor=actor(), invoice_id=invoice.pk, now=timezone.now())

    assert reload(acme, invoice)[0] == Status.PENDING


# -- What is paid -----------------------------------------------------------------------------------------------------


def test_a_payment_to_its_account_pays_an_invoice(acme, billing, sent, run_due):
    invoice = sent()
    with tenant_context(acme):
        pay(billing, "RKL51ZDR4F", 4000, account_reference="house7")
    run_due()
    assert reload(acme, invoice) == (Status.PARTLY_PAID, Decimal(4000))

    with tenant_context(acme):
        pay(billing, "RKL51ZDR4G", 6000)
    run_due()

    assert reload(acme, invoice) == (Status.PAID, Decimal(9000))
    assert invoice.finished_at is not None
    with tenant_context(acme):
        parts = [(part.payment.receipt, part.amount) for part in parts_of(invoice)]
    assert parts == [("RKL51ZDR4F", Decimal(4000)), ("RKL51ZDR4G", Decimal(5000))]


def test_a_payment_that_was_recorded_just_before_its_invoice_pays_it(acme, billing, bill, run_due):
    with tenant_context(acme):
        pay(billing, "RKL51ZDR4F", 4000, account_reference="house7")
    [invoice] = bill()
    run_due()

    assert reload(acme, invoice)[1] == Decimal(4000)
    with tenant_context(acme):
        assert [part.amount for part in parts_of(invoice)] == [Decimal(4000)]


@pytest.mark.parametrize(
    ("account", "typed"),
    [("1042", "10-42"), ("1042", " 10 42"), ("10-42", "1042"), ("1052", "1-0-5-2"), ("House 7", "HOUSE\u20117")],
)
def test_an_account_is_found_however_the_customer_spelt_it(acme, billing, sent, run_due, account, typed):
    invoice = sent(account_reference=account)
    with tenant_context(acme):
        pay(billing, "RKL51ZDR4F", account_reference=typed)
    run_due()

    assert reload(acme, invoice) == (Status.PAID, Decimal(9000))
    with tenant_context(acme):
        assert [(part.payment.account_reference, part.amount) for part in parts_of(invoice)] == [(typed, Decimal(9000))]


def test_invoices_whose_accounts_are_spelt_otherwise_share_what_is_paid_to_them(acme, billing, sent, run_due):
    first = sent(account_reference="HOUSE-7", due_date=date(2026, 8, 1))
    second = sent(account_reference="house 7", due_date=date(2026, 8, 2))
    with tenant_context(acme):
        pay(billing, "RKL51ZDR4F", 10_000, account_reference="House7")
    run_due()

    assert reload(acme, first) == (Status.PAID, Decimal(9000))
    assert reload(acme, second) == (Status.PARTLY_PAID, Decimal(1000))


@pytest.mark.parametrize(("words", "count"), [("house 7", 1), ("HOUSE-7", 1), ("house", 0), ("-", 0)])
def test_invoices_are_searched_by_their_account_however_it_is_spelt(acme, billing, bill, actor, words, count):
    bill(new(account_reference="House7"))

    with tenant_context(acme):
        found = invoices_like(actor=actor(), environment=billing.environment, words=words, today=date(2026, 8, 1))
        assert found.count() == count


def test_a_payment_that_was_given_back_pays_nothing(acme, billing, sent, run_due):
    invoice = sent()
    with tenant_context(acme):
        pay(billing, "RKL51ZDR4F")
    run_due()
    assert reload(acme, invoice) == (Status.PAID, Decimal(9000))

    with tenant_context(acme):
        payment = Payment.objects.get()
        Payment.objects.update(reversed_at=timezone.now())
        payment_reversed.send(sender=Payment, payment_id=payment.pk)
    run_due()

    assert reload(acme, invoice) == (Status.SENT, Decimal(0))
    assert invoice.finished_at is None


def test_other_accounts_and_earlier_payments_pay_nothing(acme, billing, sent, run_due):
    with tenant_context(acme):
        pay(billing, "RKL51ZDR4A", paid_at=timezone.now() - timedelta(days=1))
    invoice = sent()
    with tenant_context(acme):
        pay(billing, "RKL51ZDR4B", account_reference="HOUSE8")
    run_due()

    assert reload(acme, invoice) == (Status.SENT, Decimal(0))


def test_without_invoices_a_payment_promises_nothing(acme, billing):
    with tenant_context(acme):
        pay(billing, "RKL51ZDR4A")

    assert not DueTask.objects.filter(task="payments.tasks.count_invoice_payments").exists()


def test_the_invoice_that_is_due_first_is_paid_first_and_what_is_left_belongs_to_none():
    start = datetime(2026, 8, 1, tzinfo=UTC)

    def invoice(amount, due, created_at=start):
        return Invoice(amount=amount, due_date=due, created_at=created_at)

    august, july = invoice(1000, date(2026, 8, 31)), invoice(500, date(2026, 7, 31))
    later = invoice(700, date(2026, 6, 30), created_at=start + timedelta(days=9))
    first = Payment(receipt="A", amount=Decimal(1200), paid_at=start + timedelta(days=1))
    second = Payment(receipt="B", amount=Decimal(1200), paid_at=start + timedelta(days=10))

    parts = allocate([august, july, later], [second, first])

    assert [(part.payment.receipt, part.invoice, part.amount) for part in parts] == [
        ("A", july, Decimal(500)),
        ("A", august, Decimal(700)),
        ("B", later, Decimal(700)),
        ("B", august, Decimal(300)),
    ]


# -- Bill Manager's own reports ---------------------------------------------------------------------------------------


@pytest.fixture
def push(billing, body, deliver):
    """`push(paidAmount="5000")` → Bill Manager's report, as it stands when it was applied."""

    def put(*, channel=billing, received_at=None, **changes):
        values = {"shortCode": channel.shortcode, "accountReference": "HOUSE7", "paidAmount": "9000"} | changes
        return deliver(
            channel,
            body("bill_payment.json", **values),
            Kind.INVOICE_PAYMENT,
            **({"received_at": received_at} if received_at else {}),
        )

    return put


def test_the_report_of_a_payment_that_is_here_counts_nothing_twice(acme, billing, sent, push, run_due):
    invoice = sent()
    with tenant_context(acme):
        pay(billing, "RJB53MYR1N")

    row = push()
    run_due()

    assert (row.state, row.dedup_key) == (State.APPLIED, "RJB53MYR1N")
    with tenant_context(acme):
        assert (Payment.objects.count(), DayTotal.objects.get().amount) == (1, Decimal(9000))
    assert reload(acme, invoice) == (Status.PAID, Decimal(9000))


def test_the_report_waits_for_the_confirmation_which_says_more(acme, push):
    row = push()

    assert (row.state, row.error) == (State.PENDING, "M-PESA's own confirmation has not come yet.")
    with tenant_context(acme):
        assert not Payment.objects.exists()


def test_a_payment_that_only_bill_manager_reports_is_recorded(acme, billing, sent, push, run_due):
    invoice = sent()
    received_at = timezone.now() - CONFIRMATION_FIRST_FOR

    today = received_at.astimezone(NAIROBI).date()
    row = push(received_at=received_at, dateCreated=str(today))
    run_due()

    with tenant_context(acme):
        payment = Payment.objects.get()
        assert DayTotal.objects.get().amount == Decimal(9000)
    assert (row.state, payment.receipt, payment.amount) == (State.APPLIED, "RJB53MYR1N", Decimal(9000))
    assert (payment.source, payment.paid_at, payment.callback_id) == ("INVOICE", received_at, row.pk)
    assert (payment.account_reference, payment.routed_to) == ("HOUSE7", "tenants")
    with tenant_context(acme):
        Invoice.objects.update(created_at=received_at)
        invoice_payments.count_payments(channel_id=billing.pk, accounts=["house7"], now=timezone.now())
    assert reload(acme, invoice) == (Status.PAID, Decimal(9000))


def test_the_confirmation_that_comes_after_all_changes_nothing_but_the_name(acme, billing, push):
    push(received_at=timezone.now() - CONFIRMATION_FIRST_FOR)

    with tenant_context(acme):
        pay(billing, "RJB53MYR1N", account_reference="HOUSE7")
        payment = Payment.objects.get()
        assert (payment.source, DayTotal.objects.get().payment_count) == ("INVOICE", 1)
    assert payment.payer_name == "JANE"


def test_a_report_with_another_amount_is_put_aside(acme, billing, push, caplog):
    with tenant_context(acme):
        pay(billing, "RJB53MYR1N", 9000)

    row = push(paidAmount="90000")

    assert (row.state, row.reason) == (State.QUARANTINED, Reason.AMOUNT_MISMATCH)
    with tenant_context(acme):
        assert Payment.objects.get().amount == Decimal(9000)
    assert any(record.levelname == "ERROR" for record in caplog.records)


def test_a_report_for_another_shortcode_or_without_opting_in_is_put_aside(acme, push):
    other = make_channel(acme, "600977")

    foreign = push(shortCode="600000")
    unasked = push(channel=other)

    assert (foreign.state, foreign.reason) == (State.QUARANTINED, Reason.FOREIGN_SHORTCODE)
    assert (unasked.state, unasked.reason) == (State.QUARANTINED, Reason.UNMATCHED_REQUEST)
    with tenant_context(acme):
        assert not Payment.objects.exists()


def test_a_paid_invoice_is_acknowledged_once_however_often_it_is_reported(acme, billing, sent, simulator):
    """The simulator takes an acknowledgement only for a payment that it made itself."""
    phone = f"2547{uuid4().int % 10**8:08d}"
    invoice = sent(phone_number=phone)
    paid = simulator_payment(simulator, billing, phone)
    with tenant_context(acme):
        pay(billing, paid, payer=phone)
        payment = Payment.objects.get()
        invoice_payments.acknowledge(payment_id=payment.pk, now=timezone.now())
        invoice_payments.acknowledge(payment_id=payment.pk, now=timezone.now())

    receipts = [text for text in e_receipts(simulator, phone) if paid in text]
    assert len(receipts) == 1
    assert invoice.name in receipts[0]


def test_each_report_but_the_first_promises_no_e_receipt(acme, billing, sent, push):
    sent()
    with tenant_context(acme):
        pay(billing, "RJB53MYR1N")
    push()
    waiting = DueTask.objects.filter(task="payments.tasks.acknowledge_invoice_payment")
    assert waiting.count() == 1
    waiting.delete()

    push()

    assert not waiting.exists()


# -- The API ----------------------------------------------------------------------------------------------------------


def as_json(**changes):
    return {
        "external_reference": "INV-1",
        "name": "Rent",
        "billed_name": "Jane Doe",
        "phone_number": "0712 345 126",
        "billed_period": "August 2026",
        "due_date": "2026-08-31",
        "account_reference": "HOUSE7",
        "amount": 9000,
    } | changes


def test_invoices_through_the_api(acme, paybill, api, run_due):
    client = api(acme)
    channel = public_id("ch", paybill.pk)
    url = f"/api/v1/mpesa-channels/{channel}/bill-manager/"
    on = client.post(url, {"email": "a@acme.example", "contact_phone": "0710000000"}, format="json")
    assert (on.status_code, on.json()["shortcode"]) == (200, paybill.shortcode)
    assert on.json()["opted_in_at"] is not None
    assert "app_key" not in on.content.decode()

    first = client.post("/api/v1/invoices/", as_json(channel=channel), format="json", HTTP_IDEMPOTENCY_KEY="k1")
    again = client.post("/api/v1/invoices/", as_json(channel=channel), format="json", HTTP_IDEMPOTENCY_KEY="k1")

    assert (first.status_code, first.json()["status"]) == (202, "pending")
    assert (again.json(), again["Idempotency-Replayed"]) == (first.json(), "true")
    run_due()
    shown = client.get(f"/api/v1/invoices/{first.json()['id']}/").json()
    assert (shown["status"], shown["paid_amount"], shown["payments"]) == ("sent", "0.00", [])
    with tenant_context(acme):
        pay(paybill, "RKL51ZDR4F", 4000)
    run_due()
    shown = client.get(f"/api/v1/invoices/{first.json()['id']}/").json()
    assert (shown["status"], shown["paid_amount"]) == ("partly_paid", "4000.00")
    assert [(part["receipt"], part["amount"]) for part in shown["payments"]] == [("RKL51ZDR4F", "4000.00")]
    listed = client.get("/api/v1/invoices/?status=partly_paid").json()["results"]
    assert [invoice["id"] for invoice in listed] == [first.json()["id"]]
    refused = client.post(f"/api/v1/invoices/{first.json()['id']}/cancel/")
    assert (refused.status_code, refused.json()["code"]) == (409, "invoice_over")


def test_many_invoices_through_the_api_are_all_or_none(acme, billing, api):
    client = api(acme)
    channel = public_id("ch", billing.pk)

    wrong = client.post(
        "/api/v1/invoices/bulk/",
        {
            "channel": channel,
            "invoices": [as_json(), as_json(external_reference="INV-2", amount=0, items=[{"item_name": "x"}]), 7],
        },
        format="json",
    )

    assert wrong.status_code == 400
    assert set(wrong.json()["errors"]) == {
        "invoices[2].amount",
        "invoices[2].items",
        "invoices[3].non_field_errors",
    }
    assert all(isinstance(said, str) for sentences in wrong.json()["errors"].values() for said in sentences)
    with tenant_context(acme):
        assert not Invoice.objects.exists()
    right = client.post(
        "/api/v1/invoices/bulk/",
        {"channel": channel, "invoices": [as_json(), as_json(external_reference="INV-2")]},
        format="json",
    )
    assert (right.status_code, right.json()["count"]) == (202, 2)


@pytest.mark.parametrize("data", [{}, [], {"invoices": []}, {"invoices": "x"}, {"channel": "nonsense", "invoices": 5}])
def test_a_body_without_invoices_is_refused(acme, billing, api, data):
    answer = api(acme).post("/api/v1/invoices/bulk/", data, format="json")

    assert (answer.status_code, answer.json()["errors"]["invoices"]) == (400, ["Give a list of invoices."])


def test_a_field_of_one_invoice_is_named_as_it_was_sent(acme, billing, api):
    body = as_json(channel=public_id("ch", billing.pk), phone_number="0612345678")

    answer = api(acme).post("/api/v1/invoices/", body, format="json")

    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["phone_number"])


def test_the_rival_sees_and_cancels_nothing(acme, rival, billing, bill, api, actor):
    [invoice] = bill()
    client = api(rival)
    url = f"/api/v1/invoices/{public_id('bill', invoice.pk)}/"

    assert client.get("/api/v1/invoices/").json()["results"] == []
    assert (client.get(url).status_code, client.post(f"{url}cancel/").status_code) == (404, 404)
    body = as_json(channel=public_id("ch", billing.pk))
    assert client.post("/api/v1/invoices/", body, format="json").status_code == 404
    with tenant_context(rival), pytest.raises(InvoiceNotFound):
        cancel_invoice(actor=actor(), invoice_id=invoice.pk, now=timezone.now())
    assert reload(acme, invoice)[0] == Status.PENDING
