"""A business from its sign-up to its customers' SMS, over HTTP, against the stack that `./tuzo up` runs.

The stack and its two businesses are shared; each test plugs in a PayBill of its own.
"""

import re

import pytest

from tests.journeys.stack import Business, Stack, until

pytestmark = pytest.mark.processes

JOHN, GRACE, OTIENO, AKINYI = "254712345126", "254722345127", "254733345128", "254744345129"


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    stack = Stack(tmp_path_factory.mktemp("journey"))
    stack.start()
    yield stack
    stack.stop()


@pytest.fixture(scope="module")
def electronics(stack):
    return Business(stack, "Journey Electronics", "shop")


@pytest.fixture(scope="module")
def restaurants(stack):
    return Business(stack, "Journey Restaurants", "restaurant")


@pytest.fixture(scope="module")
def asked_without_callbacks(electronics):
    """Two customers who were prompted and answered; M-PESA's callbacks about it got lost. We ask after 25 seconds."""
    channel = electronics.plug_in("888009", {"default": "loyalty"}, until="active")
    electronics.stack.control("PUT", "/faults/888009", {"faults": [{"fault": "callback_lost", "on": ["stk-callback"]}]})
    requests = {}
    for phone_number, answer in ((OTIENO, "pin"), (AKINYI, "cancel")):
        asked = electronics.post(
            "payment-requests/",
            202,
            phone_number=phone_number,
            amount=250,
            account_reference=f"INV-{answer}",
            channel=channel["id"],
        )
        electronics.stack.answer_prompt(phone_number, answer)
        requests[answer] = asked["id"]
    return requests


def payment_of(business, receipt):
    """As the API lists it, once it is there."""
    (payment,) = until(lambda: business.get("payments/", receipt=receipt)["results"], f"payment {receipt}")
    return payment


def outcome_of(business, request_id):
    """A payment request, once it is not pending any more."""
    path = f"payment-requests/{request_id}/"
    return until(lambda: (found := business.get(path))["status"] != "pending" and found, request_id, seconds=60)


def sms_to(business, phone_number):
    """The newest message to a phone, once there is one."""
    return until(
        lambda: [m for m in business.get("sms-messages/")["results"] if m["phone_number"] == phone_number], "an SMS"
    )[0]


def test_the_stack_tells_the_two_stories_when_it_comes_up(stack):
    assert "    SMS: Hi John! You earned 100 VIP points. Total: 2,847 points.\n" in stack.said
    assert "    SMS: Thanks for ordering! 4 more orders for free delivery.\n" in stack.said


def test_a_new_business_takes_its_first_practice_payment_without_doing_anything(stack, electronics):
    assert [(step["key"], step["state"]) for step in electronics.progress["steps"]] == [
        ("schema", "done"),
        ("program", "done"),
        ("practice_channel", "done"),
    ]
    channel = until(
        lambda: (
            electronics.get("mpesa-channels/")["results"][0]["status"] == "active"
            and electronics.get("mpesa-channels/")["results"][0]
        ),
        "the practice PayBill to be active",
    )
    receipt = stack.pay(channel["shortcode"], "ANYTHING", 40, JOHN, "JOHN")

    payment = payment_of(electronics, receipt)
    assert (payment["amount"], payment["environment"], payment["routed_to"]) == ("40.00", "practice", "loyalty")
    assert (payment["shortcode"], payment["account_reference"]) == (channel["shortcode"], "ANYTHING")
    assert payment["source"] == "confirmation"


def test_a_paybill_goes_from_its_keys_to_active_in_order(electronics):
    channel = electronics.plug_in("888001", {"default": "loyalty"}, until="configured")
    path = f"mpesa-channels/{channel['id']}/"

    assert electronics.post(f"{path}activate/", 409)["code"] == "not_verified"
    assert electronics.post(f"{path}register-urls/", 409)["code"] == "not_verified"
    assert electronics.get(path)["status"] == "configured"

    verified = electronics.post(f"{path}verify/?wait=20", 200)
    assert verified | {"verified": True, "status": "verified"} == verified
    details = verified["verification_details"]
    assert details == {
        "shortcode": "888001",
        "account_balance_accessible": True,
        "verified_at": electronics.get(path)["verified_at"],
    }
    assert electronics.post(f"{path}activate/", 409)["code"] == "urls_not_registered"
    assert electronics.post(f"{path}register-urls/?wait=20", 200)["registered"] is True
    assert electronics.post(f"{path}activate/", 200)["status"] == "active"


@pytest.mark.usefixtures("asked_without_callbacks")  # they wait meanwhile
def test_john_hears_of_his_points_although_worker_and_web_process_are_killed(stack, electronics):
    for code, name in (("standard_customer", "Standard"), ("employee_discount", "Staff"), ("b2b_customer", "B2B")):
        electronics.post("programs/", 201, code=code, name=name, accrual_rule={})
    vip = electronics.post(
        "programs/",
        201,
        code="vip_customer",
        name="VIP",
        member_key="by_reference",
        accrual_rule={"points": 1, "per_kes": 100, "multiplier": "2"},
    )
    mapping = {
        "default": "standard_customer",
        "VIP*": "vip_customer",
        "STAFF*": "employee_discount",
        "WHOLESALE": "b2b_customer",
    }
    electronics.plug_in("888002", mapping, until="active")
    john = electronics.post(
        "members/",
        201,
        program_id=vip["id"],
        environment="practice",
        code="VIP001",
        name="John",
        phone_number="0712 345 126",
        consented=True,
    )
    electronics.post(f"members/{john['id']}/adjust-points/", 201, points=2747, reason="From the paper cards")

    stack.kill("worker")
    receipt = stack.pay("888002", "VIP001", 5000, JOHN, "JOHN")
    stack.wait_for_answer(receipt, "c2b-confirmation")
    stack.kill("web")

    assert payment_of(electronics, receipt)["routed_to"] == "vip_customer"
    message = sms_to(electronics, JOHN)
    assert message["body"] == "Hi John! You earned 100 VIP points. Total: 2,847 points."
    assert electronics.get(f"members/{john['id']}/")["points_balance"] == 2847
    entries = electronics.get(f"members/{john['id']}/points-entries/")["results"]
    assert [(entry["kind"], entry["points"], entry["receipt"]) for entry in entries] == [
        ("earn", 100, receipt),
        ("adjust", 2747, None),
    ]
    assert until(lambda: sms_to(electronics, JOHN)["status"] == "sent", "the SMS to be sent")


def test_an_order_brings_a_customer_nearer_to_free_delivery_although_the_web_process_is_killed(stack, restaurants):
    for code, name in (("dine_in", "Dining"), ("catering_service", "Catering")):
        restaurants.post("programs/", 201, code=code, name=name, accrual_rule={})
    delivery = restaurants.post(
        "programs/",
        201,
        code="delivery_customer",
        name="Delivery",
        stamp_rule={
            "payments_needed": 5,
            "reward": "free delivery",
            "thanks": "Thanks for ordering!",
            "noun": "order",
            "noun_plural": "orders",
        },
    )
    mapping = {"default": "dine_in", "DELIVERY": "delivery_customer", "CATERING": "catering_service"}
    restaurants.plug_in("888003", mapping, until="active")
    grace = restaurants.post(
        "members/",
        201,
        program_id=delivery["id"],
        environment="practice",
        name="Grace",
        phone_number="0722345127",
        consented=True,
    )

    stack.kill("web")
    stack.wait_for_web()
    stack.set_number_style("888003", "plain")
    receipt = stack.pay("888003", "DELIVERY", 1200, GRACE, "GRACE")

    assert sms_to(restaurants, GRACE)["body"] == "Thanks for ordering! 4 more orders for free delivery."
    assert restaurants.get(f"members/{grace['id']}/")["stamps"] == 1
    assert [each["receipt"] for each in restaurants.get("payments/", receipt=receipt)["results"]] == [receipt]


def test_a_prompt_on_a_phone_that_is_answered_with_the_pin_is_one_payment(stack, electronics):
    channel = electronics.plug_in("888004", {"default": "loyalty"}, until="active")
    asked = electronics.post(
        "payment-requests/",
        202,
        phone_number="0712 345 126",
        amount=700,
        account_reference="INV-7",
        channel=channel["id"],
    )
    assert asked["status"] == "pending"
    prompt = stack.answer_prompt(JOHN, "pin")

    settled = outcome_of(electronics, asked["id"])
    assert (settled["status"], settled["receipt"]) == ("succeeded", prompt["receipt"])
    assert payment_of(electronics, prompt["receipt"])["id"] == settled["payment_id"]
    stack.wait_for_answer(prompt["receipt"], "c2b-confirmation")  # M-PESA tells it a second time
    assert len(electronics.get("payments/", receipt=prompt["receipt"])["results"]) == 1


def test_a_prompt_whose_callback_was_lost_is_settled_by_asking(electronics, asked_without_callbacks):
    paid = outcome_of(electronics, asked_without_callbacks["pin"])
    cancelled = outcome_of(electronics, asked_without_callbacks["cancel"])

    assert (paid["status"], paid["reason"]) == ("succeeded", "The customer paid.")
    assert len(electronics.get("payments/", account_reference="INV-pin")["results"]) == 1
    assert (cancelled["status"], cancelled["result_code"]) == ("failed", "1032")
    assert electronics.get("payments/", account_reference="INV-cancel")["results"] == []


def test_each_business_sees_what_the_simulator_says_it_took_and_nothing_of_the_other(stack, electronics, restaurants):
    taken = {}
    for business, shortcode in ((electronics, "888005"), (restaurants, "888006")):
        business.plug_in(shortcode, {"default": "loyalty"}, until="active")
        for amount in (10, 20):
            payment_of(business, stack.pay(shortcode, "SHOP", amount, JOHN, "JOHN"))
        taken[business] = {each["id"]: each for each in business.get("payments/")["results"]}
        ours = {
            (each["receipt"], each["amount"]) for each in taken[business].values() if each["shortcode"] == shortcode
        }
        theirs = stack.control("GET", f"/payments?shortcode={shortcode}")["payments"]
        assert len(ours) == 2
        assert ours == {(each["receipt"], each["amount"]) for each in theirs if each["state"] == "completed"}

    assert taken[electronics].keys() & taken[restaurants].keys() == set()
    for payment_id in taken[electronics]:
        assert restaurants.ask("GET", f"payments/{payment_id}/", 404)["code"] == "not_found"


def test_a_visitor_is_led_to_the_demo_shop_and_sees_the_next_payment_come(stack):
    until(lambda: "Look around in a demo shop" in stack.page("localhost"), "the demo shop", seconds=120)

    def paid_today() -> int:
        found = re.search(r"<span>([0-9]+) payments?</span>", stack.page("demo.localhost"))
        assert found
        return int(found[1])

    before = paid_today()
    until(lambda: paid_today() > before, "another customer", seconds=60)
