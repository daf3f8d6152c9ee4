"""Standing orders, against the simulator over HTTP."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
import requests as http
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import public_id
from audit.models import AuditEntry
from channels.models import MpesaChannel
from channels.msisdn import sha256_hex
from channels.practice import open_practice_organisation
from payments import standing_orders
from payments.models import Payment, StandingOrder
from payments.requests import NoUsableChannel
from payments.services import NAIROBI
from payments.standing_orders import (
    GIVE_UP_SENDING_AFTER,
    FrequencyUnconfirmed,
    StandingOrderNameTaken,
    StandingOrderNotFound,
    StandingOrderOver,
    cancel_standing_order,
    create_standing_order,
    payments_of_order,
    send_order,
)
from tenants.errors import Invalid
from tenants.models import DueTask, InboundCallback
from tests.factories import make_channel
from tests.practice import make_simulator_unreachable

Kind = InboundCallback.Kind
State = InboundCallback.State
Reason = InboundCallback.Reason
Status = StandingOrder.Status


@pytest.fixture
def paybill(acme, simulator):
    organisation = open_practice_organisation(name="Acme", kind="paybill", shortcode="600966")
    return make_channel(
        acme, "600966", consumer_key=organisation.consumer_key, consumer_secret=organisation.consumer_secret
    )


@pytest.fixture
def phone_number():
    """Another customer's phone for each test: the simulator remembers orders between them."""
    return f"2547{uuid4().int % 10**8:08d}"


@pytest.fixture
def ask(acme, actor, phone_number):
    def request(**changes):
        today = timezone.now().astimezone(NAIROBI).date()
        with tenant_context(acme):
            return create_standing_order(
                **{
                    "actor": actor(),
                    "name": "Rent",
                    "phone_number": phone_number,
                    "amount": 9000,
                    "account_reference": "HOUSE 7",
                    "frequency": "4",
                    "start_date": today + timedelta(days=1),
                    "end_date": today + timedelta(days=365),
                    "now": timezone.now(),
                }
                | changes
            )

    return request


def send(tenant, order, now=None):
    with tenant_context(tenant):
        send_order(order_id=order.pk, now=now or timezone.now())
        order.refresh_from_db()
    return order


def orders_at_safaricom(simulator, shortcode, phone_number):
    shown = simulator.control("GET", f"/standing-orders?shortcode={shortcode}")["standing_orders"]
    return [order for order in shown if order["phone_number"] == phone_number]


def told(order, code="0", *, reference=None):
    """What Daraja posts when the customer has answered."""
    data = [
        {"name": "TransactionID", "value": "SC8F2IQMH5" if code == "0" else "0000000000"},
        {"name": "responseCode", "value": code},
        {"name": "Status", "value": "OKAY" if code == "0" else "ERROR"},
        {"name": "Msisdn", "value": "254******867"},
    ]
    header = {"responseRefID": reference or order.response_ref_id, "responseCode": code, "responseDescription": "said"}
    return json.dumps({"responseHeader": header, "responseBody": {"responseData": data}}).encode()


def test_a_customer_is_asked_once(acme, paybill, ask, simulator, phone_number):
    order = ask()
    assert (order.status, order.phone_number, order.accepted_at) == (Status.PENDING, phone_number, None)

    send(acme, order)
    send(acme, order)

    assert (order.status, order.accepted_at is not None) == (Status.PENDING, True)
    [asked] = orders_at_safaricom(simulator, "600966", phone_number)
    assert (asked["name"], asked["account_reference"]) == ("Rent", "HOUSE 7")
    with tenant_context(acme):
        entry = AuditEntry.objects.latest("sequence")
    assert (entry.action, entry.subject_id) == ("standing_order.requested", str(order.pk))


def test_a_live_order_waits_for_safaricoms_word_on_what_its_number_means(acme, paybill, ask, settings):
    with tenant_context(acme):
        MpesaChannel.objects.update(environment="PRODUCTION")

    with pytest.raises(FrequencyUnconfirmed, match="once, daily or weekly") as refusal:
        ask(frequency="4")
    assert set(refusal.value.errors) == {"frequency"}
    with tenant_context(acme):
        assert not StandingOrder.objects.exists()
    assert ask(frequency="3").frequency == "3"
    settings.RATIBA_FREQUENCIES_CONFIRMED = True
    assert ask(frequency="4", name="Rent by the month").frequency == "4"


def test_the_customers_yes_makes_it_active(acme, paybill, ask, simulator, deliver):
    order = send(acme, ask())

    answered = http.post(
        f"{simulator.url}/phone/standing-orders/{order.response_ref_id}", json={"answer": "pin"}, timeout=10
    )
    row = deliver(paybill, told(order), Kind.STANDING_ORDER, about=order.pk)

    assert answered.json()["state"] == "active"
    assert (row.state, row.dedup_key) == (State.APPLIED, order.response_ref_id)
    with tenant_context(acme):
        order.refresh_from_db()
    assert (order.status, order.result_code, order.finished_at) == (Status.ACTIVE, "0", None)


def test_the_answer_of_daraja_itself_is_understood(acme, paybill, ask, simulator, deliver, receiver):
    order = send(acme, ask())
    http.post(f"{simulator.url}/phone/standing-orders/{order.response_ref_id}", json={"answer": "pin"}, timeout=10)
    about = order.pk.hex
    with receiver._changed:
        assert receiver._changed.wait_for(lambda: any(path.endswith(about) for path, _ in receiver.arrivals), 10)
    path, raw = next(arrival for arrival in receiver.arrivals if arrival[0].endswith(about))

    deliver(paybill, raw, Kind.STANDING_ORDER, about=order.pk)

    assert path == f"/h/{paybill.callback_token}/standing-order/{about}"
    with tenant_context(acme):
        order.refresh_from_db()
    assert order.status == Status.ACTIVE


def test_the_customers_no_ends_it_and_the_name_is_free_again(acme, paybill, ask, deliver):
    order = send(acme, ask())

    deliver(paybill, told(order, "1032"), Kind.STANDING_ORDER, about=order.pk)

    with tenant_context(acme):
        order.refresh_from_db()
    assert (order.status, order.result_code) == (Status.FAILED, "1032")
    assert ask().status == Status.PENDING


def test_an_answer_that_comes_before_our_note_counts(acme, paybill, ask, deliver):
    order = ask()

    deliver(paybill, told(order, reference="early-1"), Kind.STANDING_ORDER, about=order.pk)
    send(acme, order)

    assert (order.status, order.response_ref_id, order.sending_at) == (Status.ACTIVE, "early-1", None)


def test_without_a_path_of_its_own_daraja_s_id_tells_the_order(acme, paybill, ask, deliver):
    order = send(acme, ask())

    deliver(paybill, told(order), Kind.STANDING_ORDER)

    with tenant_context(acme):
        order.refresh_from_db()
    assert order.status == Status.ACTIVE


def test_an_answer_to_no_order_of_the_channel_is_put_aside(acme, paybill, ask, deliver):
    other = make_channel(acme, "600977")
    order = send(acme, ask())
    long_ago = timezone.now() - timedelta(minutes=11)

    row = deliver(other, told(order), Kind.STANDING_ORDER, about=order.pk, received_at=long_ago)

    assert (row.state, row.reason) == (State.QUARANTINED, Reason.UNMATCHED_REQUEST)
    with tenant_context(acme):
        order.refresh_from_db()
    assert order.status == Status.PENDING


def test_a_contradiction_is_put_aside_and_changes_nothing(acme, paybill, ask, deliver):
    order = send(acme, ask())
    deliver(paybill, told(order), Kind.STANDING_ORDER, about=order.pk)

    again = deliver(paybill, told(order), Kind.STANDING_ORDER, about=order.pk)
    other = deliver(paybill, told(order, "1032"), Kind.STANDING_ORDER, about=order.pk)

    assert (again.state, other.state, other.reason) == (State.APPLIED, State.QUARANTINED, Reason.CONTRADICTION)
    with tenant_context(acme):
        order.refresh_from_db()
    assert (order.status, order.result_code) == (Status.ACTIVE, "0")


def test_a_code_that_says_nothing_for_certain_is_unknown(acme, paybill, ask, deliver):
    order = send(acme, ask())

    deliver(paybill, told(order, "500"), Kind.STANDING_ORDER, about=order.pk)

    with tenant_context(acme):
        order.refresh_from_db()
    assert (order.status, order.finished_at) == (Status.UNKNOWN, None)


def test_no_answer_is_unknown_and_a_late_one_still_counts(acme, paybill, ask, deliver):
    order = send(acme, ask())
    promised = DueTask.objects.get(task="payments.tasks.give_up_on_standing_order")
    assert promised.due_at == order.accepted_at + standing_orders.ANSWER_PATIENCE

    with tenant_context(acme):
        standing_orders.give_up_waiting(order_id=order.pk, now=timezone.now())
        order.refresh_from_db()
    assert order.status == Status.UNKNOWN

    deliver(paybill, told(order), Kind.STANDING_ORDER, about=order.pk)
    with tenant_context(acme):
        order.refresh_from_db()
    assert order.status == Status.ACTIVE


def test_a_worker_that_died_while_asking_leaves_it_unknown_and_asks_no_more(
    acme, paybill, ask, simulator, phone_number
):
    order = ask()
    with tenant_context(acme):
        StandingOrder.objects.filter(pk=order.pk).update(sending_at=timezone.now())

    send(acme, order)

    assert order.status == Status.UNKNOWN
    assert orders_at_safaricom(simulator, "600966", phone_number) == []


def test_what_did_not_get_through_is_tried_again_for_a_while(acme, paybill, ask, settings):
    order = ask()
    make_simulator_unreachable(settings)

    send(acme, order)
    assert (order.status, order.sending_at) == (Status.PENDING, None)
    assert DueTask.objects.get(task="payments.tasks.send_standing_order").due_at <= timezone.now() + timedelta(
        minutes=1
    )

    send(acme, order, now=order.created_at + GIVE_UP_SENDING_AFTER)
    assert order.status == Status.FAILED


def test_an_answer_that_got_lost_is_unknown(acme, paybill, ask, simulator):
    simulator.faults("600966", {"fault": "taken_then_resets", "on": ["standing_order"]})
    order = send(acme, ask())
    simulator.faults("600966")

    assert order.status == Status.UNKNOWN


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"phone_number": "0612345678"}, "phone_number"),
        ({"start_date": date(2020, 1, 1)}, "start_date"),
        ({"end_date": date(2020, 1, 1)}, "end_date"),
    ],
)
def test_what_can_not_be_is_refused_with_its_field(acme, paybill, ask, changes, field):
    with pytest.raises(Invalid) as refusal:
        ask(**changes)

    assert list(refusal.value.errors) == [field]
    with tenant_context(acme):
        assert not StandingOrder.objects.exists()


def test_a_customer_has_one_order_of_a_name(acme, paybill, ask):
    ask()

    with pytest.raises(StandingOrderNameTaken):
        ask()
    assert ask(name="Water").name == "Water"
    with tenant_context(acme):
        assert StandingOrder.objects.count() == 2


def test_a_channel_that_is_not_active_asks_nobody(acme, paybill, ask):
    with tenant_context(acme):
        type(paybill).objects.update(status="SUSPENDED")

    with pytest.raises(NoUsableChannel):
        ask()


def test_a_cancelled_order_that_was_not_sent_is_not_sent_at_all(acme, paybill, ask, actor, simulator, phone_number):
    order = ask()
    with tenant_context(acme):
        cancel_standing_order(actor=actor(), order_id=order.pk, now=timezone.now())

    send(acme, order)

    assert (order.status, order.sending_at) == (Status.CANCELLED, None)
    assert orders_at_safaricom(simulator, "600966", phone_number) == []
    with tenant_context(acme), pytest.raises(StandingOrderOver):
        cancel_standing_order(actor=actor(), order_id=order.pk, now=timezone.now())


def test_what_an_order_pays_is_found_whichever_way_the_number_comes(acme, paybill, ask, phone_number):
    order = ask(start_date=date(2099, 3, 1), end_date=date(2099, 12, 31))
    number = phone_number
    first = datetime(2099, 2, 28, 21, 0, tzinfo=UTC)  # midnight in Nairobi

    def pay(receipt, **changes):
        values = {
            "payer": number,
            "amount": Decimal(9000),
            "account_reference": "house 7",
            "paid_at": first,
        } | changes
        Payment.objects.create(
            receipt=receipt,
            channel=paybill,
            environment=paybill.environment,
            source="CONFIRMATION",
            created_at=first,
            **values,
        )

    with tenant_context(acme):
        pay("PLAIN00001")
        pay("HASHED0001", payer=sha256_hex(number), paid_at=first + timedelta(days=31))
        pay("MASKED0001", payer=f"{number[:4]} ***** {number[-3:]}", paid_at=first + timedelta(days=62))
        pay("OTHERPAYER", payer=f"{number[:4]} ***** 000" if number[-3:] != "000" else "2547 ***** 111")
        pay("OTHERACCNT", account_reference="HOUSE 8")
        pay("OTHERAMNT1", amount=Decimal(8000))
        pay("TOOEARLY01", paid_at=first - timedelta(seconds=1))
        pay("TOOLATE001", paid_at=datetime(2099, 12, 31, 21, 0, tzinfo=UTC))

        found = [payment.receipt for payment in payments_of_order(order)]

    assert found == ["MASKED0001", "HASHED0001", "PLAIN00001"]


def test_an_order_is_asked_for_once_through_the_api_and_shows_what_it_paid(acme, paybill, api, phone_number):
    client = api(acme)
    today = timezone.now().astimezone(NAIROBI).date()
    body = {
        "name": "Rent",
        "phone_number": phone_number,
        "amount": 9000,
        "account_reference": "HOUSE 7",
        "frequency": "monthly",
        "start_date": str(today),
        "end_date": str(today + timedelta(days=90)),
    }
    unnamed = client.post("/api/v1/standing-orders/", body, format="json", HTTP_IDEMPOTENCY_KEY="")
    assert (unnamed.status_code, unnamed.json()["code"]) == (400, "idempotency_key_required")

    first = client.post("/api/v1/standing-orders/", body, format="json", HTTP_IDEMPOTENCY_KEY="rent-7")
    again = client.post("/api/v1/standing-orders/", body, format="json", HTTP_IDEMPOTENCY_KEY="rent-7")

    assert (first.status_code, first.json()["status"], first.json()["frequency"]) == (202, "pending", "monthly")
    assert (again.json(), again["Idempotency-Replayed"]) == (first.json(), "true")
    listed = client.get("/api/v1/standing-orders/?status=pending").json()["results"]
    assert [order["id"] for order in listed] == [first.json()["id"]]
    with tenant_context(acme):
        Payment.objects.create(
            receipt="RKL51ZDR4F",
            channel=paybill,
            environment=paybill.environment,
            payer=phone_number,
            amount=Decimal(9000),
            account_reference="HOUSE 7",
            source="CONFIRMATION",
            paid_at=timezone.now(),
            created_at=timezone.now(),
        )
    shown = client.get(f"/api/v1/standing-orders/{first.json()['id']}/").json()
    assert [(paid["receipt"], paid["amount"]) for paid in shown["payments"]] == [("RKL51ZDR4F", "9000.00")]
    cancelled = client.post(f"/api/v1/standing-orders/{first.json()['id']}/cancel/")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")


def test_the_rival_sees_and_cancels_nothing(acme, rival, paybill, ask, api, actor):
    order = ask()
    client = api(rival)
    url = f"/api/v1/standing-orders/{public_id('so', order.pk)}/"

    assert client.get("/api/v1/standing-orders/").json()["results"] == []
    assert (client.get(url).status_code, client.post(f"{url}cancel/").status_code) == (404, 404)
    with tenant_context(rival), pytest.raises(StandingOrderNotFound):
        cancel_standing_order(actor=actor(), order_id=order.pk, now=timezone.now())
    with tenant_context(acme):
        order.refresh_from_db()
    assert order.status == Status.PENDING
