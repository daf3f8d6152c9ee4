import pytest

from tests.simulator.conftest import parameters


def codes(business, count):
    return [arrival.body["Result"]["ResultCode"] for arrival in business.receiver.wait("result", count)]


def test_pay_bill_moves_working_money_to_the_receivers_utility_account(payer, open_business):
    supplier = open_business(name="Supplier")

    ack = payer.pay_business(supplier.shortcode, 6000).json()
    body = payer.result()

    assert (body["ResultCode"], body["ConversationID"]) == (0, ack["ConversationID"])
    assert body["OriginatorConversationID"] == ack["OriginatorConversationID"]
    found = parameters(body)
    assert isinstance(found.pop("TransCompletedTime"), int)
    assert found == {
        "InitiatorAccountCurrentBalance": "{Amount={CurrencyCode=KES, MinimumAmount=4400000, BasicAmount=44000.00}}",
        "DebitAccountBalance": "{Amount={BasicAmount=44000.00, MinimumAmount=4400000, CurrencyCode=KES}}",
        "Amount": 6000,
        "DebitPartyAffectedAccountBalance": "Working Account|KES|44000.00|44000.00|0.00|0.00",
        "DebitPartyCharges": "Business Pay Bill Charge|KES|42.00",
        "ReceiverPartyPublicName": f"{supplier.shortcode} - Supplier",
        "Currency": "KES",
    }
    keys = [one["Key"] for one in body["ReferenceData"]["ReferenceItem"]]
    assert keys == ["BillReferenceNumber", "QueueTimeoutURL", "Occassion"]
    assert body["ReferenceData"]["ReferenceItem"][0]["Value"] == 353353
    assert (payer.accounts()["Working Account"], payer.accounts()["Charges Paid Account"]) == ("44000.00", "-42.00")
    assert supplier.accounts()["Utility Account"] == "6000.00"


@pytest.mark.parametrize("identifier_type", ["2", "4"])
def test_goods_are_paid_into_the_tills_merchant_account(payer, till, identifier_type):
    payer.pay_business(till.shortcode, 700, CommandID="BusinessBuyGoods", RecieverIdentifierType=identifier_type)

    assert payer.result()["ResultCode"] == 0
    assert till.accounts()["Merchant Account"] == "700.00"


def test_goods_can_be_paid_to_a_store_number(payer, open_business):
    till = open_business(kind="till", store_number="6612345")

    payer.pay_business("6612345", 700, CommandID="BusinessBuyGoods")

    assert payer.result()["ResultCode"] == 0
    assert till.accounts()["Merchant Account"] == "700.00"


def test_top_up_is_free_and_fills_the_utility_account(payer):
    payer.pay_business(payer.shortcode, 50_000, CommandID="BusinessPayToBulk", AccountReference="")

    body = payer.result()
    assert body["ResultCode"] == 0
    assert {"Key": "DebitPartyCharges"} in body["ResultParameters"]["ResultParameter"]
    assert payer.accounts()["Working Account"] == "0.00"
    assert payer.accounts()["Utility Account"] == "1050000.00"
    assert payer.accounts()["Charges Paid Account"] == "0.00"


def test_tax_goes_to_the_tax_authority_only(process, payer):
    before = float(process.control("GET", "/books").json()["tax_collected"])
    body = {
        "CommandID": "PayTaxToKRA",
        "SenderIdentifierType": "4",
        "RecieverIdentifierType": "4",
        "Amount": "239",
        "PartyA": payer.shortcode,
        "AccountReference": "2020260001234567",
    }

    elsewhere = payer.initiate("/mpesa/b2b/v1/remittax", PartyB="600000", **body)
    payer.initiate("/mpesa/b2b/v1/remittax", PartyB="572572", **body)

    assert elsewhere.json()["errorMessage"] == "Bad Request - Invalid PartyB"
    result = payer.result()
    assert parameters(result)["ReceiverPartyPublicName"] == "572572 - KENYA REVENUE AUTHORITY"
    assert payer.accounts()["Working Account"] == "49761.00"
    assert float(process.control("GET", "/books").json()["tax_collected"]) == before + 239


def test_receiver_that_does_not_exist_as_such_is_declined_with_a_lone_parameter(payer, till, open_business):
    paybill = open_business()

    payer.pay_business("54321")
    payer.pay_business(till.shortcode)
    payer.pay_business(paybill.shortcode, CommandID="BusinessBuyGoods")

    assert codes(payer, 3) == ["SFC_IC0003"] * 3
    body = payer.result()
    assert body["ResultParameters"]["ResultParameter"]["Key"] == "BOCompletedTime"
    assert body["ReferenceData"]["ReferenceItem"]["Key"] == "QueueTimeoutURL"
    assert payer.accounts()["Working Account"] == "50000.00"


def test_failed_top_up_has_the_shapes_of_its_sample(payer):
    payer.pay_business(payer.shortcode, 50_001, CommandID="BusinessPayToBulk", AccountReference="19008")

    body = payer.result()
    assert body["ResultCode"] == 1
    assert body["ResultParameters"] == {"ResultParameter": {"Key": "BillReferenceNumber", "Value": 19008}}
    assert [one["Key"] for one in body["ReferenceData"]["ReferenceItem"]] == [
        "BillReferenceNumber",
        "QueueTimeoutURL",
        "Occassion",
    ]


def test_status_is_told_to_who_pays_and_who_is_paid(payer, open_business, receiver):
    supplier = open_business(name="Supplier")
    payer.pay_business(supplier.shortcode, 6000)
    receipt = payer.result()["TransactionID"]

    payer.status(TransactionID=receipt)
    supplier.status(TransactionID=receipt)

    for arrival in receiver.wait("result", 3)[1:]:
        found = parameters(arrival.body["Result"])
        assert found["CreditPartyName"] == f"{supplier.shortcode} - Supplier"
        assert (found["ReasonType"], found["DebitAccountType"]) == ("Business Pay Bill via API", "Working Account")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("CommandID", "PayTaxToKRA"),
        ("SenderIdentifierType", "2"),
        ("RecieverIdentifierType", "2"),
        ("RecieverIdentifierType", ""),
        ("Amount", "0"),
        ("PartyA", "x"),
        ("PartyB", "x"),
        ("AccountReference", ""),
        ("AccountReference", "x" * 14),
        ("Requester", "0712345678"),
        ("Remarks", ""),
        ("ResultURL", "x"),
    ],
)
def test_bad_field_is_named_and_nothing_is_ordered(payer, open_business, field, value):
    answer = payer.pay_business(open_business().shortcode, **{field: value})

    assert answer.json()["errorMessage"] == f"Bad Request - Invalid {field}"
    assert payer.ledger()["orders"] == []
