"""No shilling comes into being or is lost, whatever happens and whenever the process is killed."""

import random
import sqlite3
import threading
import time
import uuid
from collections import Counter
from contextlib import suppress
from decimal import Decimal

import requests

from channels.simulator import accounts
from channels.simulator.books import _STEPS, Books

FAULTS = (
    "",
    "taken_then_resets",
    "queue_timeout",
    "queue_dropped",
    "callback_lost",
    "callback_repeated",
    "insufficient_funds",
    "carried_out_late;seconds=0.05",
)


def expected_accounts(ledger, opening):
    """What every account must hold, counted from the payments and orders alone."""
    held = Counter(opening)
    for payment in ledger["payments"]:
        if payment["state"] != "cancelled":
            held[payment["shortcode"], "Utility Account"] += Decimal(payment["amount"])
    for order in ledger["orders"]:
        if order["state"] != "completed":
            continue
        amount = Decimal(order["amount"])
        held[order["shortcode"], "Charges Paid Account"] -= Decimal(order["charge"])
        if order["command"] in {"BusinessPayBill", "BusinessPayToBulk"}:
            held[order["shortcode"], "Working Account"] -= amount
            held[order["party"], "Utility Account"] += amount
        else:
            held[order["shortcode"], "Utility Account"] -= amount
    return {key: value for key, value in held.items() if value}


def actual_accounts(ledger):
    return {
        (organisation["shortcode"], account): Decimal(amount)
        for organisation in ledger["organisations"]
        for account, amount in organisation["accounts"].items()
        if Decimal(amount)
    }


def spent(ledger):
    """What customers paid, less what came to them."""
    paid = sum(Decimal(one["amount"]) for one in ledger["payments"] if one["state"] != "cancelled")
    to_phones = {"BusinessPayment", "TransactionReversal"}
    received = [one for one in ledger["orders"] if one["state"] == "completed" and one["command"] in to_phones]
    return paid - sum(Decimal(one["amount"]) for one in received)


def whole(own):
    ledger = own.control("GET", "/ledger").json()
    assert ledger["sum"] == "0.00"
    return ledger


def test_sum_of_all_the_books_never_changes(own, shop):
    """A seeded mixture of everything that moves money, with faults; the sum is looked at after each step."""
    chance = random.Random(7)
    supplier = "600999"
    own.control("PUT", f"/organisations/{supplier}", {"name": "Supplier", "kind": "paybill"})
    shop.change(timings={"result": 0, "callback": 0})
    shop.deposit("Utility Account", 100_000)
    shop.deposit("Working Account", 3_000)
    phones = [f"25471234560{number}" for number in range(5)]
    receipts = []

    def act(fault):
        phone, amount = chance.choice(phones), chance.randint(5, 3000)
        kind = chance.randrange(6)
        if kind == 0:
            receipts.append((shop.is_paid(phone, amount).json()["receipt"], amount))
        elif kind == 1 and receipts:
            shop.reverse(*chance.choice(receipts))
        elif kind == 2:
            shop.pay_business(chance.choice((supplier, "54321")), amount)
        elif kind == 3:
            shop.pay_business(shop.shortcode, amount, CommandID="BusinessPayToBulk", AccountReference="")
        else:
            shop.pay_out(phone, amount, X_Simulator_Fault=fault)

    for number in range(80):
        with suppress(requests.RequestException):  # an answer that a fault took away
            act(FAULTS[number % len(FAULTS)])
        assert own.control("GET", "/books").json()["sum"] == "0.00"
    time.sleep(0.2)
    ledger = whole(own)

    opening = {(shop.shortcode, "Utility Account"): 100_000, (shop.shortcode, "Working Account"): 3_000}
    assert actual_accounts(ledger) == expected_accounts(ledger, opening)
    assert Decimal(ledger["spent_by_customers"]) == spent(ledger)
    assert Decimal(ledger["charges_collected"]) == sum(Decimal(one["charge"]) for one in ledger["orders"])
    assert ledger["issued"] == "103000.00"
    states = Counter((one["command"], one["state"]) for one in ledger["orders"])
    assert states["BusinessPayment", "completed"] > 10
    assert {state for _, state in states} == {"completed", "failed", "dropped"}
    assert "reversed" in {one["state"] for one in ledger["payments"]}


def test_books_are_right_whenever_the_process_is_killed(own, shop):
    """Three kills in the middle of a stream: what was acknowledged is there, once, with its money and its result."""
    shop.deposit("Utility Account", 1_000_000)
    shop.change(timings={"result": 0})
    credential = shop.credential()
    asked, acknowledged, ended = [], set(), threading.Event()

    def stream(lane):
        number = 0
        while not ended.is_set():
            order_id, number = f"acme-{lane}-{number}", number + 1
            asked.append(order_id)
            try:
                phone = f"25471000{number % 10_000:04}"
                answer = shop.pay_out(phone, 10, SecurityCredential=credential, OriginatorConversationID=order_id)
                if answer.json().get("ResponseCode") == "0":
                    acknowledged.add(order_id)
            except (requests.RequestException, ValueError):
                time.sleep(0.05)

    shop.fetch_token()
    lanes = [threading.Thread(target=stream, args=(lane,)) for lane in range(3)]
    for lane in lanes:
        lane.start()
    for _ in range(3):
        time.sleep(0.4)
        own.kill()
        own.start()
    time.sleep(0.3)
    ended.set()
    for lane in lanes:
        lane.join()

    ledger = whole(own)
    orders = {one["originator_conversation_id"]: one for one in ledger["orders"]}
    assert len(orders) == len(ledger["orders"]) > 30
    assert acknowledged <= set(orders) <= set(asked)
    assert {one["state"] for one in ledger["orders"]} == {"completed"}
    assert len({one["receipt"] for one in ledger["orders"]}) == len(orders)
    utility = (shop.shortcode, "Utility Account")
    assert actual_accounts(ledger) == expected_accounts(ledger, {utility: 1_000_000})
    delivered = own.control("GET", "/deliveries?limit=100000").json()["deliveries"]
    assert {one["reference"] for one in delivered} == {one["conversation_id"] for one in ledger["orders"]}


def test_books_of_the_first_version_are_balanced_when_they_are_opened(tmp_path):
    path = tmp_path / "books.sqlite3"
    old = sqlite3.connect(path)
    old.executescript(f"{_STEPS[0]} PRAGMA user_version = 1;")
    old.execute("INSERT INTO accounts VALUES ('174379', 'Utility Account', 150000)")
    old.execute("INSERT INTO customers VALUES ('254712345678', 'JOHN', '', 'KAMAU', 19950000)")
    old.commit()
    old.close()

    books = Books(path)

    assert accounts.total(books) == 0
    assert accounts.held(books, accounts.MPESA, accounts.ISSUED) == -100_000
    books.close()


def test_ledger_shows_an_order_with_everything_to_compare(payer, customer):
    payer.pay_out(customer, 1000, OriginatorConversationID="acme-1")
    result = payer.result()

    order = payer.ledger()["orders"][0]
    asked_at, finished_at = order.pop("asked_at"), order.pop("finished_at")
    assert asked_at <= finished_at
    assert finished_at.endswith("+03:00")
    assert isinstance(order.pop("id"), int)
    assert order == {
        "command": "BusinessPayment",
        "originator_conversation_id": "acme-1",
        "conversation_id": result["ConversationID"],
        "receipt": result["TransactionID"],
        "shortcode": payer.shortcode,
        "party": customer,
        "amount": "1000.00",
        "charge": "5.00",
        "account_reference": "",
        "state": "completed",
        "result_code": "0",
    }


def test_ledger_of_one_business_has_nothing_of_its_rival(payer, open_business, customer):
    rival = open_business()
    rival.is_paid(customer, 10)
    payer.pay_out(customer, 10)
    payer.result()

    assert rival.ledger()["orders"] == []
    assert payer.ledger()["payments"] == []
    assert [one["shortcode"] for one in rival.ledger()["payments"]] == [rival.shortcode]


def test_request_that_a_till_paid_is_in_the_ledger_of_both_and_conserves_the_sum(process, paybill, open_business):
    till = open_business(kind="till", opening_balance=1000)
    body = {
        "primaryShortCode": till.shortcode,
        "receiverShortCode": paybill.shortcode,
        "amount": "71",
        "paymentRef": "INV7",
        "callbackUrl": paybill.receiver.url("express"),
        "partnerName": "Vendor",
        "RequestRefID": str(uuid.uuid4()),
    }

    paybill.call("/v1/ussdpush/get-msisdn", body, X_Simulator_Fault="callback_before_ack")

    (request,) = paybill.ledger()["till_requests"]
    assert till.ledger()["till_requests"] == [request]
    assert (request["request_id"], request["payer"], request["payee"]) == (
        body["RequestRefID"],
        till.shortcode,
        paybill.shortcode,
    )
    assert (request["amount"], request["result_code"], len(request["receipt"])) == ("71.00", "0", 10)
    assert (till.accounts()["Merchant Account"], paybill.accounts()["Utility Account"]) == ("929.00", "71.00")
    assert process.control("GET", "/books").json()["sum"] == "0.00"


def test_bank_cannot_take_more_than_an_account_holds(process, payer):
    assert payer.deposit("Working Account", "-50000.01").json() == {"error": "Working Account holds less than that."}
    assert payer.deposit("Wallet", 5).status_code == 422
    assert payer.deposit("Working Account", "-50000").status_code == 200

    assert payer.accounts()["Working Account"] == "0.00"
    assert process.control("GET", "/books").json()["sum"] == "0.00"
