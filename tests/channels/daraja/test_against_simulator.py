"""The same client against the simulator, over HTTP: what we send it understands, and what it sends we read."""

import itertools
import time
import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
import requests

from channels.daraja.client import DarajaClient, Frequency, Invoice, QrKind
from channels.daraja.credentials import Credentials, security_credential
from channels.daraja.errors import DarajaRejected, Reason
from channels.daraja.explanations import Api
from channels.daraja.notices import parse_express_callback, parse_invoice_payment, parse_standing_order_callback
from channels.daraja.outcomes import NotSent, Refused, Unknown, outcome_of
from channels.daraja.results import Party, read_b2b, read_b2c, read_balance, read_reversal, read_status
from channels.daraja.tokens import MemoryTokenStore
from channels.daraja.verdicts import Verdict, verdict_of, verdict_of_status

_PHONES = itertools.count(254_711_000_001)


class Business:
    """A PayBill on the simulator with money in its accounts, and the client that calls for it."""

    def __init__(self, simulator, receiver, session, **wanted):
        self.simulator, self.receiver = simulator, receiver
        self.data = simulator.open(**wanted)
        self.shortcode = self.data["shortcode"]
        for account in ("Utility Account", "Working Account"):
            body = {"account": account, "amount": "100000.00"}
            simulator.control("POST", f"/organisations/{self.shortcode}/deposits", body)
        self.client = DarajaClient(
            simulator.url,
            Credentials(self.data["consumer_key"], self.data["consumer_secret"]),
            session=session,
            tokens=MemoryTokenStore(),
            timeout_s=(2, 1),
        )
        certificate = requests.get(f"{simulator.url}/control/certificate.pem", timeout=5).content
        self.initiator = {
            "initiator": self.data["initiator_name"],
            "security_credential": security_credential(self.data["initiator_password"], certificate),
            "shortcode": self.shortcode,
            "result_url": f"{receiver.url}/result",
            "timeout_url": f"{receiver.url}/timeout",
        }

    def faults(self, *wanted):
        self.simulator.faults(self.shortcode, *wanted)

    def pay_out(self, **changes):
        return self.client.b2c(
            **{
                "originator_conversation_id": str(uuid.uuid4()),
                "msisdn": str(next(_PHONES)),
                "amount_kes": 1500,
                "remarks": "Refund",
                **self.initiator,
            }
            | changes
        )

    def is_paid(self, amount_kes=1000, account_reference="VIP001"):
        """A customer pays; returns the receipt."""
        self.client.simulate_c2b(
            version=2,
            shortcode=self.shortcode,
            msisdn="254708374149",
            amount_kes=amount_kes,
            account_reference=account_reference,
        )
        payments = self.eventually(
            lambda: self.simulator.control("GET", f"/payments?shortcode={self.shortcode}")["payments"]
        )
        return payments[0]["receipt"]

    def delivered(self, kind):
        return self.eventually(lambda: [body for path, body in self.receiver.arrivals if path.endswith(f"/{kind}")])[0]

    @staticmethod
    def eventually(look):
        give_up_at = time.monotonic() + 10
        while not (found := look()):
            assert time.monotonic() < give_up_at, "it did not come"
            time.sleep(0.02)
        return found


QUICK = {"result": 0.02, "callback": 0.02, "simulate": 0.02}


@pytest.fixture
def business(simulator_server, receiver, session):
    return Business(simulator_server, receiver, session, timings=QUICK, auto_answer="pin")


@pytest.fixture
def other(simulator_server, receiver, session):
    return Business(simulator_server, receiver, session, timings=QUICK, name="Other Traders")


def test_a_payout_arrives_and_its_result_says_so(business):
    our_id = str(uuid.uuid4())

    accepted = business.pay_out(originator_conversation_id=our_id, msisdn="254711222333")
    result = business.receiver.result()
    paid = read_b2c(result)

    assert accepted.originator_conversation_id == our_id
    assert our_id in (result.originator_conversation_id, accepted.originator_conversation_id)
    assert result.conversation_id == accepted.conversation_id
    assert verdict_of(Api.B2C, result) is Verdict.SUCCEEDED
    assert (paid.receipt, paid.amount) == (result.transaction_id, Decimal("1500.00"))
    assert paid.receiver is not None
    assert paid.completed_at is not None
    assert abs(paid.completed_at - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize("how", ["v1", "pochi"])
def test_the_other_ways_to_a_phone_are_understood_too(business, how):
    arguments = {"msisdn": str(next(_PHONES)), "amount_kes": 10, "remarks": "Refund", **business.initiator}
    if how == "v1":
        business.client.b2c_v1(**arguments)
    else:
        business.client.b2pochi(originator_conversation_id=str(uuid.uuid4()), **arguments)

    result = business.receiver.result()

    assert verdict_of(Api.B2C, result) is Verdict.SUCCEEDED
    assert read_b2c(result).amount == Decimal("10.00")


def test_the_same_id_twice_is_unknown_and_paid_once(business):
    our_id, phone = str(uuid.uuid4()), str(next(_PHONES))
    business.pay_out(originator_conversation_id=our_id, msisdn=phone)

    again = outcome_of(lambda: business.pay_out(originator_conversation_id=our_id, msisdn=phone))

    assert (type(again), again.reason) == (Unknown, Reason.DUPLICATE_CONVERSATION_ID)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("html_503", Unknown),
        ("empty_400", Unknown),
        ("maintenance", Unknown),
        ("nonsense_html", Unknown),
        ("nonsense_truncated", Unknown),
        ("taken_then_resets", Unknown),
        ("taken_then_hangs", Unknown),
        ("token_killed", Refused),
        ("product_missing", Refused),
        ("spike_arrest", NotSent),
        ("spike_arrest_429", NotSent),
        ("quota", NotSent),
    ],
)
def test_every_fault_of_a_payout_has_the_outcome_that_is_safe(business, monkeypatch, fault, kind):
    monkeypatch.setattr("channels.daraja.gateway.back_off_s", lambda attempt: 0.0)
    business.faults({"fault": fault, "on": ["b2c"]})

    assert type(outcome_of(business.pay_out)) is kind


def test_what_became_of_a_payout_is_found_by_our_own_id(business):
    our_id = str(uuid.uuid4())
    business.faults({"fault": "taken_then_resets", "on": ["b2c"]}, {"fault": "callback_lost", "on": ["result"]})
    assert type(outcome_of(lambda: business.pay_out(originator_conversation_id=our_id))) is Unknown
    business.faults()

    business.client.transaction_status(original_conversation_id=our_id, **business.initiator)
    found = read_status(business.receiver.result())

    assert verdict_of_status(found.status) is Verdict.SUCCEEDED
    assert found.amount == Decimal("1500.00")
    assert found.originator_conversation_id == our_id


def test_another_business_is_paid_and_the_result_says_who(business, other):
    business.client.pay_bill(
        payee=other.shortcode, amount_kes=239, account_reference="353353", remarks="OK", **business.initiator
    )
    result = business.receiver.result()
    paid = read_b2b(result)

    assert verdict_of(Api.B2B, result) is Verdict.SUCCEEDED
    assert (paid.amount, paid.currency) == (Decimal("239.00"), "KES")
    assert paid.receiver == Party(other.shortcode, "Other Traders")
    assert paid.debit_account is not None
    assert paid.bill_reference == "353353"


def test_taxes_are_paid(business):
    business.client.remit_tax(
        amount_kes=239, registration_number="2020220016420161", remarks="OK", **business.initiator
    )
    result = business.receiver.result()

    assert verdict_of(Api.B2B, result) is Verdict.SUCCEEDED
    assert read_b2b(result).amount == Decimal("239.00")


def test_a_payment_is_given_back_once(business):
    receipt = business.is_paid(amount_kes=1000)

    business.client.reversal(receipt=receipt, amount_kes=1000, remarks="Mistake", **business.initiator)
    result = business.receiver.result()

    assert verdict_of(Api.REVERSAL, result) is Verdict.SUCCEEDED
    assert read_reversal(result).original_receipt == receipt
    assert read_reversal(result).amount == Decimal("1000.00")


def test_a_balance_names_its_accounts(business):
    business.client.account_balance(**business.initiator)

    balances = read_balance(business.receiver.result())

    utility = balances.account("Utility Account")
    assert utility is not None
    assert utility.available == Decimal("100000.00")


def test_a_missed_payment_is_pulled(business):
    receipt = business.is_paid(amount_kes=168, account_reference="VIP001")
    business.client.pull_register(
        shortcode=business.shortcode, nominated_msisdn="254712345678", callback_url=f"{business.receiver.url}/pull"
    )
    now = datetime.now(UTC)

    (page,) = business.client.pull(
        shortcode=business.shortcode, start=now - timedelta(minutes=15), end=now + timedelta(seconds=1)
    )

    (row,) = page.rows
    assert (row.receipt, row.amount, row.account_reference) == (receipt, Decimal("168.00"), "VIP001")
    assert abs(row.paid_at - now) < timedelta(minutes=1)


def test_nothing_paid_is_nothing_pulled_and_an_unregistered_shortcode_is_refused(business):
    window = {"start": datetime.now(UTC) - timedelta(minutes=15), "end": datetime.now(UTC)}
    with pytest.raises(DarajaRejected):
        list(business.client.pull(shortcode=business.shortcode, **window))
    business.client.pull_register(
        shortcode=business.shortcode, nominated_msisdn="254712345678", callback_url=f"{business.receiver.url}/pull"
    )

    assert list(business.client.pull(shortcode=business.shortcode, **window)) == []


def test_a_qr_code_is_drawn(business):
    qr = business.client.dynamic_qr(
        kind=QrKind.PAY_BILL,
        payee=business.shortcode,
        merchant_name="Acme Electronics",
        amount_kes=1200,
        account_reference="VIP001",
    )

    assert qr.png.startswith(b"\x89PNG")
    assert qr.request_id


def test_a_standing_order_is_agreed_to_on_the_phone(business):
    accepted = business.client.create_standing_order(
        name=uuid.uuid4().hex[:20],
        shortcode=business.shortcode,
        msisdn=str(next(_PHONES)),
        amount_kes=100,
        frequency=Frequency.MONTHLY,
        start=date.today() + timedelta(days=2),  # noqa: DTZ011 - any day to come
        end=date.today() + timedelta(days=90),  # noqa: DTZ011
        account_reference="VIP001",
        callback_url=f"{business.receiver.url}/standing-order",
    )

    agreed = parse_standing_order_callback(business.delivered("standing-order"))

    assert agreed.response_ref_id == accepted.response_ref_id
    assert agreed.result_code == "0"
    assert agreed.order_id is not None


def test_a_merchant_pays_by_prompt(business, simulator_server):
    till = simulator_server.open(kind="till", timings=QUICK)["shortcode"]
    for account in ("Working Account", "Merchant Account"):
        simulator_server.control("POST", f"/organisations/{till}/deposits", {"account": account, "amount": "1000.00"})

    accepted = business.client.b2b_express(
        till=till,
        shortcode=business.shortcode,
        amount_kes=71,
        payment_reference="Order 7",
        partner_name="Acme Electronics",
        callback_url=f"{business.receiver.url}/express",
        request_ref_id=str(uuid.uuid4()),
    )
    paid = parse_express_callback(business.delivered("express"))

    assert (paid.request_id, paid.result_code) == (accepted.request_ref_id, "0")
    assert paid.amount == Decimal("71.00")
    assert paid.receipt is not None


def test_an_invoice_is_sent_and_cancelled_once(business):
    app_key = business.client.opt_in_to_invoicing(
        shortcode=business.shortcode,
        email="bills@acme.example",
        contact_msisdn="254712345678",
        send_reminders=False,
        callback_url=f"{business.receiver.url}/invoice",
    )
    invoice = Invoice(
        external_reference=uuid.uuid4().hex[:12],
        full_name="John Doe",
        msisdn=str(next(_PHONES)),
        period="August 2026",
        name="Rent",
        due_on=date(2027, 1, 5),
        account_reference="VIP001",
        amount_kes=1500,
    )

    business.client.send_invoice(app_key=app_key, invoice=invoice)
    business.is_paid(amount_kes=1500, account_reference="VIP001")
    paid = parse_invoice_payment(business.delivered("invoice"))

    assert (paid.amount, paid.account_reference, paid.shortcode) == (Decimal("1500.00"), "VIP001", business.shortcode)
    with pytest.raises(DarajaRejected) as refusal:
        business.client.cancel_invoice(app_key=app_key, external_reference=invoice.external_reference)
    assert refusal.value.reason is Reason.INVOICE_PAID
