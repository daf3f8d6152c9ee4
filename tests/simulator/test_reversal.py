import pytest
import requests

from tests.simulator.conftest import parameters


def test_reversal_gives_the_whole_payment_back(process, paybill, john):
    receipt = paybill.is_paid(john, 600).json()["receipt"]
    paybill.is_paid(john, 70)

    paybill.reverse(receipt, 600)

    body = paybill.result()
    assert body["ResultCode"] == 0
    assert body["TransactionID"] != receipt
    found = parameters(body)
    assert isinstance(found.pop("TransCompletedTime"), int)
    assert found == {
        "DebitAccountBalance": "Utility Account|KES|70.00|70.00|0.00|0.00",
        "Amount": 600,
        "OriginalTransactionID": receipt,
        "Charge": 0,
        "CreditPartyPublicName": f"{john} - JOHN KAMAU",
        "DebitPartyPublicName": f"{paybill.shortcode} - Acme Electronics",
    }
    assert process.control("PUT", f"/customers/{john}", {}).json()["balance"] == "930.00"
    books = paybill.books()
    assert books["accounts"]["Utility Account"] == "70.00"
    assert books["completed"] == {"count": 1, "total": "70.00"}
    assert books["reversed"] == {"count": 1, "total": "600.00"}


def test_both_entries_are_in_the_books(paybill, customer):
    receipt = paybill.is_paid(customer, 400).json()["receipt"]

    paybill.reverse(receipt, 400)

    reversal = paybill.result()["TransactionID"]
    ledger = paybill.ledger()
    payment, order = ledger["payments"][0], ledger["orders"][0]
    assert (payment["receipt"], payment["state"], payment["reversal_receipt"]) == (receipt, "reversed", reversal)
    assert (order["command"], order["receipt"], order["state"]) == ("TransactionReversal", reversal, "completed")
    assert (order["party"], order["amount"], order["account_reference"]) == (customer, "400.00", receipt)


def test_payment_goes_back_only_once(paybill, customer):
    receipt = paybill.is_paid(customer, 400).json()["receipt"]
    paybill.is_paid(customer, 400)

    paybill.reverse(receipt, 400)
    paybill.reverse(receipt, 400)

    assert paybill.result(2)["ResultCode"] == "R000001"
    assert paybill.accounts()["Utility Account"] == "400.00"


def test_part_of_a_payment_cannot_go_back(paybill, customer):
    receipt = paybill.is_paid(customer, 400).json()["receipt"]

    paybill.reverse(receipt, 399)

    assert paybill.result()["ResultCode"] == 25
    assert paybill.accounts()["Utility Account"] == "400.00"
    assert paybill.ledger()["payments"][0]["state"] == "completed"


def test_payout_rivals_payment_and_cancelled_payment_cannot_be_reversed(payer, open_business, receiver, customer):
    payer.pay_out(customer, 400)
    payout = payer.result()["TransactionID"]
    rivals = open_business().is_paid(customer, 400).json()["receipt"]
    payer.change(validation_enabled=True)
    payer.register()
    receiver.answers["validation"] = (200, '{"ResultCode": "C2B00012"}')
    cancelled = payer.is_paid(customer, 400).json()["receipt"]

    for receipt in (payout, rivals, cancelled, "UKL0000001"):
        payer.reverse(receipt, 400)

    assert [one.body["Result"]["ResultCode"] for one in receiver.wait("result", 5)[1:]] == ["R000002"] * 4
    assert payer.accounts()["Utility Account"] == "999600.00"


def test_reversal_of_money_that_was_spent_is_declined(paybill, open_business, customer):
    receipt = paybill.is_paid(customer, 400).json()["receipt"]
    paybill.pay_out(customer, 100)

    paybill.reverse(receipt, 400)

    assert paybill.result(2)["ResultCode"] == 1
    assert paybill.accounts()["Utility Account"] == "300.00"
    assert paybill.ledger()["payments"][0]["state"] == "completed"


def test_stk_payment_and_a_tills_payment_can_be_reversed(till, receiver, customer):
    till.change(auto_answer="pin")
    till.push(customer, Amount=120)
    receiver.wait("stk")
    receipt = till.ledger()["payments"][0]["receipt"]

    till.reverse(receipt, 120)

    assert till.result()["ResultCode"] == 0
    assert till.accounts()["Merchant Account"] == "0.00"


def test_status_knows_the_reversal_and_still_the_payment(paybill, receiver, customer):
    receipt = paybill.is_paid(customer, 400).json()["receipt"]
    ids = paybill.reverse(receipt, 400).json()
    reversal = paybill.result()["TransactionID"]

    paybill.status(TransactionID=receipt)
    paybill.status(TransactionID=reversal)
    paybill.status(OriginalConversationID=ids["OriginatorConversationID"])

    original, by_receipt, by_id = (parameters(one.body["Result"]) for one in receiver.wait("result", 4)[1:])
    assert (original["ReceiptNo"], original["TransactionStatus"]) == (receipt, "Completed")
    assert by_receipt == by_id
    assert (by_id["ReceiptNo"], by_id["TransactionStatus"]) == (reversal, "Completed")
    assert by_id["ReasonType"] == "Transaction Reversal via API"
    assert by_id["DebitAccountType"] == "Utility Account"


def test_phone_is_told_of_the_money_that_came_back(process, paybill, customer):
    receipt = paybill.is_paid(customer, 400).json()["receipt"]
    paybill.reverse(receipt, 400)
    paybill.receiver.wait("result")

    answer = requests.get(f"{process.url}/phone/messages?phone_number={customer}", timeout=5).json()

    assert f"{receipt} was reversed and KES 400.00 is back on" in answer["messages"][0]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Initiator", ""),
        ("CommandID", "BusinessPayment"),
        ("TransactionID", ""),
        ("Amount", "1.50"),
        ("ReceiverParty", "acme"),
        ("RecieverIdentifierType", "4"),
        ("ResultURL", ""),
        ("Remarks", "x"),
        ("Occasion", "x" * 101),
    ],
)
def test_bad_field_is_named_and_nothing_is_ordered(paybill, customer, field, value):
    receipt = paybill.is_paid(customer, 400).json()["receipt"]

    answer = paybill.reverse(receipt, 400, **{field: value})

    assert answer.json()["errorMessage"] == f"Bad Request - Invalid {field}"
    assert paybill.ledger()["orders"] == []


def test_dead_token_is_answered_with_the_reversals_own_code(paybill):
    paybill.token = "dead"

    answer = paybill.reverse("UKL0000001", 10)

    assert (answer.status_code, answer.json()["errorCode"]) == (404, "404.001.03")
