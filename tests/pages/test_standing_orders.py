"""Standing orders from the pages: asked for once, agreed to on the phone, what they paid, cancelled; who sees them."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import public_id
from audit.models import AuditEntry
from payments.models import Payment, StandingOrder
from payments.services import NAIROBI, PaymentReport, record_payments
from tenants.models import InboundCallback, Role
from tests.factories import make_channel

HTMX = {"HX-Request": "true"}


@pytest.fixture
def paybill(acme):
    return make_channel(acme, "600966")


def today():
    return timezone.now().astimezone(NAIROBI).date()


def given(**changes):
    return {
        "phone_number": "0712 345 126",
        "amount": "9000",
        "frequency": "4",
        "start_date": str(today() + timedelta(days=1)),
        "end_date": str(today() + timedelta(days=365)),
        "account_reference": "HOUSE 7",
        "name": "Rent",
    } | changes


def make_order(channel, **columns):
    now = timezone.now()
    return StandingOrder.objects.create(
        **{
            "channel": channel,
            "environment": channel.environment,
            "name": "Rent",
            "phone_number": "254712345126",
            "amount": 9000,
            "account_reference": "HOUSE 7",
            "transaction_desc": "Payment",
            "frequency": "4",
            "start_date": today() - timedelta(days=30),
            "end_date": today() + timedelta(days=365),
            "status": "ACTIVE",
            "sending_at": now,
            "accepted_at": now,
            "response_ref_id": "4dd9b5d9",
            "requested_by": "amina@acme.example",
            "created_at": now,
        }
        | columns
    )


def address(order, more=""):
    return f"/standing-orders/{public_id('so', order.pk)}/{more}"


def words(response):
    text = re.sub(r"<[^>]+>", " ", response.content.decode().partition("<main")[2])
    return " ".join(text.replace("&#x27;", "'").replace("\N{NO-BREAK SPACE}", " ").split())


def within(tenant, query):
    with tenant_context(tenant):
        return query()


def test_a_cashier_asks_a_customer_once_however_often_the_button_is_pressed(acme, paybill, browser, member_of):
    client = browser(member_of(acme, Role.USER))
    page = client.get("/standing-orders/new/").content.decode()
    key = re.search(r'name="form_key" value="([^"]+)"', page)[1]
    assert f'min="{today()}"' in page

    first = client.post("/standing-orders/new/", given(form_key=key))
    again = client.post("/standing-orders/new/", given(form_key=key))

    order = within(acme, StandingOrder.objects.get)
    assert first["Location"] == again["Location"] == address(order)
    assert (order.phone_number, order.amount, order.frequency, order.status) == ("254712345126", 9000, "4", "PENDING")
    assert (order.name, order.account_reference, order.channel_id) == ("Rent", "HOUSE 7", paybill.pk)
    assert order.end_date == today() + timedelta(days=365)
    assert within(acme, AuditEntry.objects.get).action == "standing_order.requested"


@pytest.mark.parametrize(
    ("wrong", "status", "sentence"),
    [
        ({"phone_number": "0712"}, 400, "Enter a Kenyan mobile number, like 0712 345 678."),
        ({"amount": "0"}, 422, "Enter whole shillings, from 1 to 250,000."),
        ({"frequency": "9"}, 422, "Choose how often."),
        ({"start_date": "2020-01-01"}, 422, "Enter a day from "),
        ({"end_date": str(today())}, 400, "A standing order does not end before it starts."),
        ({"account_reference": "TOO LONG A REFERENCE"}, 422, "Use at most 12 letters and digits, like INV-204."),
        ({"name": ""}, 422, "Give it a name that the customer knows it by."),
    ],
)
def test_what_can_not_be_asked_comes_back_with_what_to_do(acme, paybill, browser, member_of, wrong, status, sentence):
    answer = browser(member_of(acme)).post("/standing-orders/new/", given(**wrong))

    assert answer.status_code == status
    assert sentence in words(answer)
    assert within(acme, StandingOrder.objects.count) == 0


def test_live_orders_are_offered_only_as_often_as_safaricom_is_clear_about(acme, browser, member_of, settings):
    make_channel(acme, "600966", environment="PRODUCTION")
    client = browser(member_of(acme))

    page = client.get("/standing-orders/new/").content.decode()
    refused = client.post("/standing-orders/new/", given())

    assert re.findall(r'<option value="(\d?)"', page) == ["", "1", "2", "3"]
    assert "Live orders are once, daily or weekly for now" in words(client.get("/standing-orders/new/"))
    assert refused.status_code == 409
    assert "live standing orders are once, daily or weekly." in words(refused)
    assert within(acme, StandingOrder.objects.count) == 0
    settings.RATIBA_FREQUENCIES_CONFIRMED = True
    assert client.post("/standing-orders/new/", given()).status_code == 302


def test_a_name_is_used_once_for_a_customer(acme, paybill, browser, member_of):
    within(acme, lambda: make_order(paybill))

    refused = browser(member_of(acme)).post("/standing-orders/new/", given())

    assert refused.status_code == 409
    assert "This customer has a standing order “Rent” already. Give this one another name." in words(refused)


def test_the_customer_agrees_on_the_practice_phone(acme, simulator, browser, member_of, run_due):
    opened = simulator.open(name="Acme Rent")
    make_channel(acme, opened["shortcode"], **{name: opened[name] for name in ("consumer_key", "consumer_secret")})
    client = browser(member_of(acme, Role.USER))
    number = re.search(r'name="phone_number" value="([^"]+)"', client.get("/standing-orders/new/").content.decode())[1]
    its = client.post("/standing-orders/new/", given(phone_number=number))["Location"]
    page = client.get(its)
    assert "The customer has not answered yet." in words(page)
    assert 'hx-trigger="every 3s"' in page.content.decode()
    run_due()

    phone = client.get("/practice/phone/", headers=HTMX).content.decode()
    asked = "Do you want to pay Ksh.9000.00 account no. HOUSE 7 every month"
    assert asked in phone
    prompt = re.search(r'name="prompt" value="(standing-orders/[^"]+)"', phone)[1]
    assert client.post("/practice/answer/", {"prompt": prompt, "answer": "pin"}).status_code == 302
    assert asked not in client.get("/practice/phone/", headers=HTMX).content.decode()


def test_an_order_tells_what_happened_and_what_came_by_it(acme, paybill, browser, member_of):
    now = timezone.now()
    with tenant_context(acme):
        order = make_order(paybill)
        record_payments(
            reports=[
                PaymentReport(
                    receipt=receipt,
                    channel=paybill,
                    payer=payer,
                    payer_name="",
                    amount=Decimal(9000),
                    account_reference="house 7",
                    routed_to="",
                    source=Payment.Source.CONFIRMATION,
                    paid_at=now,
                    callback_id=None,
                )
                for receipt, payer in (("UKL0000001", "2547 ***** 126"), ("UKL0000002", "254712000000"))
            ]
        )
    InboundCallback.objects.create(
        tenant=acme,
        channel_id=paybill.pk,
        kind="STANDING_ORDER",
        body=b"{}",
        state="APPLIED",
        dedup_key="4dd9b5d9",
        received_at=timezone.now(),
        due_at=now,
    )
    client = browser(member_of(acme, Role.USER))

    page = client.get(address(order))
    told = words(page)

    assert "The customer agreed. What is paid comes as ordinary payments." in told
    order_of = ["amina@acme.example asked for it.", "Safaricom took it to the customer's phone", "answer arrived"]
    assert [told.index(each) for each in order_of] == sorted(told.index(each) for each in order_of)
    assert "UKL0000001" in told
    assert "UKL0000002" not in told
    assert "by dialling *334#" in told
    assert "hx-get" not in page.content.decode().partition("<main")[2].partition("<footer")[0]


def test_cancelling_says_that_only_the_customer_can_end_it(acme, paybill, browser, member_of):
    order = within(acme, lambda: make_order(paybill))
    client = browser(member_of(acme, Role.USER))

    asked = words(client.get(address(order, "cancel/")))
    assert "M-PESA hears nothing of this" in asked
    assert "by dialling *334#" in asked
    assert within(acme, StandingOrder.objects.get).status == "ACTIVE"
    done = client.post(address(order, "cancel/"), follow=True)

    assert "You expect nothing more of it. It pays until the customer ends it on the phone." in words(done)
    assert "Cancel it here" not in words(done)
    assert within(acme, StandingOrder.objects.get).status == "CANCELLED"
    assert client.post(address(order, "cancel/")).status_code == 409
    assert client.get(address(order, "cancel/"))["Location"] == address(order)


def test_orders_are_found_by_state_and_by_what_is_at_hand(acme, paybill, browser, member_of):
    with tenant_context(acme):
        make_order(paybill)
        make_order(paybill, name="Fees", phone_number="254712345127", account_reference="STD 4", status="UNKNOWN")
        make_order(paybill, name="Sandbox", environment="SANDBOX")
    client = browser(member_of(acme))

    def found(query):
        return re.findall(
            r"</a>\s*</th>\s*<td[^>]*><span>(\w+)", client.get(f"/standing-orders/{query}").content.decode()
        )

    assert found("") == ["Fees", "Rent"]
    assert found("?state=unknown") == ["Fees"]
    assert found("?state=active") == ["Rent"]
    assert found("?q=0712 345 127") == ["Fees"]
    assert found("?q=house+7") == ["Rent"]
    assert found("?q=nobody") == []
    assert "No standing order was found" in words(client.get("/standing-orders/?q=nobody"))


def test_rival_finds_and_cancels_nothing_of_acmes(acme, rival, paybill, browser, member_of):
    order = within(acme, lambda: make_order(paybill))
    client = browser(member_of(rival))

    for path in (address(order), address(order, "cancel/"), "/standing-orders/so_x/"):
        assert client.get(path).status_code == 404
    assert client.post(address(order, "cancel/")).status_code == 404
    assert "HOUSE 7" not in words(client.get("/standing-orders/"))
    assert within(acme, StandingOrder.objects.get).status == "ACTIVE"
