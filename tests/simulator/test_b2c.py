import re
import uuid

import pytest
import requests

from tests.simulator.conftest import parameters

PROCESSED = "The service request is processed successfully."
EVERY_ACCOUNT_OF_A_PAYBILL = {"Float Account": "0.00", "Organization Settlement Account": "0.00"}


def balance_of(process, phone):
    return process.control("PUT", f"/customers/{phone}", {}).json()["balance"]


def test_payout_moves_the_money_and_the_charge_and_says_so(process, payer, john):
    ack = payer.pay_out(john, 3000, OriginatorConversationID="acme-1")
    body = payer.result()

    assert (ack.json()["OriginatorConversationID"], ack.json()["ResponseCode"]) == ("acme-1", "0")
    assert (body["ResultCode"], body["ResultDesc"], body["ResultType"]) == (0, PROCESSED, 0)
    assert body["OriginatorConversationID"] == "acme-1"
    assert body["ConversationID"] == ack.json()["ConversationID"]
    assert re.fullmatch(r"[A-Z]{2}[1-9A-V][A-Z][A-Z0-9]{6}", body["TransactionID"])
    found = parameters(body)
    moment = found.pop("TransactionCompletedDateTime")
    assert re.fullmatch(r"\d\d\.\d\d\.\d{4} \d\d:\d\d:\d\d", moment)
    assert found == {
        "TransactionAmount": 3000,
        "TransactionReceipt": body["TransactionID"],
        "B2CRecipientIsRegisteredCustomer": "Y",
        "B2CChargesPaidAccountAvailableFunds": -9.0,
        "ReceiverPartyPublicName": f"{john} - JOHN KAMAU",
        "B2CUtilityAccountAvailableFunds": 997_000.0,
        "B2CWorkingAccountAvailableFunds": 50_000.0,
    }
    reference = body["ReferenceData"]["ReferenceItem"]
    assert reference["Value"] == "https://internalsandbox.safaricom.co.ke/mpesa/b2cresults/v1/submit"
    assert payer.accounts() == {
        **EVERY_ACCOUNT_OF_A_PAYBILL,
        "Utility Account": "997000.00",
        "Working Account": "50000.00",
        "Charges Paid Account": "-9.00",
    }
    assert balance_of(process, john) == "4000.00"


@pytest.mark.parametrize("command", ["BusinessPayment", "SalaryPayment", "PromotionPayment"])
@pytest.mark.parametrize("version", [1, 3])
def test_every_command_pays_by_both_versions(payer, customer, command, version):
    payer.pay_out(customer, 10, version=version, CommandID=command)

    assert payer.result()["ResultCode"] == 0
    assert [(order["command"], order["state"]) for order in payer.ledger()["orders"]] == [(command, "completed")]


def test_version_1_is_given_an_id_by_the_gateway(payer, customer):
    ids = payer.pay_out(customer, version=1, OriginatorConversationID="mine").json()

    assert re.fullmatch(r"[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\d+", ids["OriginatorConversationID"])
    assert payer.result()["OriginatorConversationID"] == ids["OriginatorConversationID"]


def test_version_2_does_not_exist(payer, customer):
    answer = payer.pay_out(customer, version=2)

    assert (answer.status_code, answer.json()["errorCode"]) == (404, "404.002.01")


def test_pochi_is_paid_like_a_phone(process, payer, customer):
    body = {
        "InitiatorName": payer.data["initiator_name"],
        "OriginatorConversationID": "pochi-1",
        "CommandID": "BusinessPayToPochi",
        "Amount": 500,
        "PartyA": payer.shortcode,
        "PartyB": customer,
    }

    ack = payer.initiate("/mpesa/b2pochi/v1/paymentrequest", **body)
    again = payer.initiate("/mpesa/b2pochi/v1/paymentrequest", **body)

    assert ack.json()["OriginatorConversationID"] == "pochi-1"
    assert (again.status_code, again.json()["errorCode"]) == (500, "500.002.1001")
    assert payer.result()["ResultCode"] == 0
    assert balance_of(process, customer) == "200500.00"


@pytest.mark.parametrize(
    ("amount", "charge"),
    [
        (100, "0.00"),
        (101, "5.00"),
        (1500, "5.00"),
        (1501, "9.00"),
        (20_000, "11.00"),
        (20_001, "13.00"),
        (250_000, "13.00"),
    ],
)
def test_charge_follows_the_tariff(process, payer, customer, amount, charge):
    process.control("PUT", f"/customers/{customer}", {"balance": 0})

    payer.pay_out(customer, amount)

    assert payer.result()["ResultCode"] == 0
    assert payer.ledger()["orders"][0]["charge"] == charge


def test_used_id_is_refused_and_nothing_moves(payer, open_business, customer):
    rival = open_business(opening_balance=5000)
    payer.pay_out(customer, 1000, OriginatorConversationID="acme-2")

    again = payer.pay_out(customer, 1000, OriginatorConversationID="acme-2")
    rivals = rival.pay_out(customer, 1000, OriginatorConversationID="acme-2")

    assert again.status_code == 500
    assert again.json()["errorCode"] == "500.002.1001"
    assert again.json()["errorMessage"] == "Duplicate OriginatorConversationID."
    assert rivals.json()["ResponseCode"] == "0"
    assert len(payer.ledger()["orders"]) == 1
    assert payer.accounts()["Utility Account"] == "999000.00"


@pytest.mark.parametrize("amount", [9, 250_001])
def test_amount_outside_m_pesas_limits_is_declined(payer, customer, amount):
    payer.pay_out(customer, amount)

    body = payer.result()
    assert body["ResultCode"] == (2 if amount < 10 else 3)
    assert "ResultParameters" not in body
    assert body["TransactionID"].endswith("0000000")
    assert payer.accounts()["Utility Account"] == "1000000.00"


def test_payout_above_the_balance_is_declined(open_business, customer):
    poor = open_business(opening_balance=999)

    poor.pay_out(customer, 1000)

    assert poor.result()["ResultCode"] == 1
    assert poor.accounts()["Utility Account"] == "999.00"
    assert poor.accounts()["Charges Paid Account"] == "0.00"


def test_wallet_holds_500_000_at_most(process, payer, customer):
    process.control("PUT", f"/customers/{customer}", {"balance": 499_000})

    payer.pay_out(customer, 1001)
    assert payer.result()["ResultCode"] == 8
    payer.pay_out(customer, 1000)
    assert payer.result(2)["ResultCode"] == 0

    assert balance_of(process, customer) == "500000.00"


def test_phone_receives_500_000_a_day_at_most(process, payer, customer):
    for count in (1, 2):
        process.control("PUT", f"/customers/{customer}", {"balance": 0})
        payer.pay_out(customer, 250_000)
        assert payer.result(count)["ResultCode"] == 0
    process.control("PUT", f"/customers/{customer}", {"balance": 0})

    payer.pay_out(customer, 10)

    assert payer.result(3)["ResultCode"] == 4
    assert balance_of(process, customer) == "0.00"


def test_unregistered_phone_is_declined_until_it_registers(process, payer, customer):
    process.control("PUT", f"/customers/{customer}", {"registered": False})

    payer.pay_out(customer)
    payer.pay_out("254700000404")
    assert [arrival.body["Result"]["ResultCode"] for arrival in payer.receiver.wait("result", 2)] == [2040, 2040]
    process.control("PUT", f"/customers/{customer}", {"registered": True})
    payer.pay_out(customer)

    assert payer.result(3)["ResultCode"] == 0
    assert balance_of(process, customer) == "201000.00"


def test_till_has_no_utility_account_to_pay_from(till, customer):
    till.deposit("Merchant Account", 5000)

    till.pay_out(customer)

    assert till.result()["ResultCode"] == 2028
    assert till.accounts()["Merchant Account"] == "5000.00"


def test_wrong_credential_shows_only_in_the_result_and_the_third_locks(payer, customer):
    wrong = payer.credential("not the password")

    answers = [payer.pay_out(customer, SecurityCredential=wrong).json()["ResponseCode"] for _ in range(3)]

    codes = [arrival.body["Result"]["ResultCode"] for arrival in payer.receiver.wait("result", 3)]
    assert (answers, sorted(codes)) == (["0", "0", "0"], [2001, 2001, 8006])
    assert payer.accounts()["Utility Account"] == "1000000.00"


def test_rivals_initiator_moves_nothing(payer, open_business, customer):
    rival = open_business(initiator_name="rivalapi")

    rival.pay_out(customer, PartyA=payer.shortcode)

    assert rival.result()["ResultCode"] == 2001
    assert payer.accounts()["Utility Account"] == "1000000.00"


def test_shortcode_that_nobody_has_is_acknowledged_and_refused(payer, customer):
    assert payer.pay_out(customer, PartyA="12345").json()["ResponseCode"] == "0"

    assert payer.result()["ResultCode"] == 2001


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("OriginatorConversationID", ""),
        ("InitiatorName", ""),
        ("SecurityCredential", None),
        ("CommandID", "BusinessPayBill"),
        ("CommandID", "BusinessPayToPochi"),
        ("Amount", 0),
        ("Amount", -10),
        ("Amount", "10.50"),
        ("Amount", "1e3"),
        ("PartyA", "acme"),
        ("PartyB", "0712345678"),
        ("PartyB", "255712345678"),
        ("Remarks", "x"),
        ("Remarks", "x" * 101),
        ("QueueTimeOutURL", "x"),
        ("ResultURL", ""),
        ("Occassion", "x" * 101),
    ],
)
def test_bad_field_is_named_and_nothing_is_ordered(payer, customer, field, value):
    answer = payer.pay_out(customer, **{field: value})

    assert (answer.status_code, answer.json()["errorCode"]) == (400, "400.002.02")
    assert answer.json()["errorMessage"] == f"Bad Request - Invalid {field}"
    assert payer.ledger()["orders"] == []
    assert payer.deliveries() == []


def test_phone_is_told_of_what_it_received(process, payer, customer):
    payer.pay_out(customer, 1000)
    payer.pay_out(customer, 20, CommandID="PromotionPayment")
    payer.receiver.wait("result", 2)

    answer = requests.get(f"{process.url}/phone/messages?phone_number={customer}", timeout=5).json()

    newest, oldest = answer["messages"]
    assert re.match(
        r"Congratulations! \w{10} Confirmed\. You have received KES 20\.00 from Acme Electronics on", newest
    )
    assert re.match(r"\w{10} Confirmed\. You have received KES 1,000\.00 from Acme Electronics on", oldest)


def test_status_of_a_payout_is_told_by_receipt_and_by_our_own_id(payer, receiver, john):
    payer.pay_out(john, 3000, CommandID="SalaryPayment", OriginatorConversationID="acme-3")
    receipt = payer.result()["TransactionID"]

    payer.status(TransactionID=receipt)
    payer.status(OriginalConversationID="acme-3")

    by_receipt, by_id = (arrival.body["Result"] for arrival in receiver.wait("result", 3)[1:])
    found = parameters(by_receipt)
    assert found == parameters(by_id)
    assert (by_receipt["ResultCode"], by_receipt["TransactionID"][3:]) == (0, "0000000")
    moments = found.pop("InitiatedTime"), found.pop("FinalisedTime")
    assert all(isinstance(moment, int) and len(str(moment)) == 14 for moment in moments)
    assert found.pop("ConversationID").startswith("AG_")
    assert found == {
        "DebitPartyName": f"{payer.shortcode} - Acme Electronics",
        "CreditPartyName": f"{john} - JOHN KAMAU",
        "OriginatorConversationID": "acme-3",
        "DebitPartyCharges": "Fee For B2C Payment|KES|9.00",
        "DebitAccountType": "Utility Account",
        "TransactionReason": None,
        "ReasonType": "Salary Payment via API",
        "TransactionStatus": "Completed",
        "Amount": 3000.0,
        "ReceiptNo": receipt,
    }


def test_status_of_a_declined_payout_is_declined_without_a_receipt(payer, receiver, customer):
    payer.pay_out(customer, 9, OriginatorConversationID="acme-4")

    payer.status(OriginalConversationID="acme-4")

    body = receiver.wait("result", 2)[1].body["Result"]
    found = parameters(body)
    assert (body["ResultCode"], found["TransactionStatus"], found["ReceiptNo"]) == (0, "Declined", None)
    assert {"Key": "ReceiptNo"} in body["ResultParameters"]["ResultParameter"]


def test_status_of_what_never_reached_m_pesa_does_not_exist(payer, open_business, receiver, customer):
    payer.pay_out(customer, OriginatorConversationID="acme-5", SecurityCredential=payer.credential("wrong"))
    rival = open_business(opening_balance=5000)
    rival.pay_out(customer, OriginatorConversationID="rivals-1")
    receiver.wait("result", 2)

    for sought in ("acme-5", str(uuid.uuid4()), "rivals-1"):
        payer.status(OriginalConversationID=sought)

    answers = [arrival.body["Result"] for arrival in receiver.wait("result", 5)[2:]]
    assert [(body["ResultCode"], body["ResultDesc"]) for body in answers] == [
        (2032, "The transaction receipt number does not exist.")
    ] * 3
