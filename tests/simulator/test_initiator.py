import re

import pytest

PROCESSED = "The service request is processed successfully."


def result(receiver, count=1):
    return receiver.wait("result", count)[count - 1].body["Result"]


def parameters(body):
    return {item["Key"]: item.get("Value") for item in body["ResultParameters"]["ResultParameter"]}


def test_balance_is_acknowledged_first_and_the_result_follows(paybill, receiver, customer):
    paybill.change(timings={"result": 0.2})
    paybill.is_paid(customer, 5000)

    ack = paybill.balance()
    assert not receiver.of("result")
    body = result(receiver)

    ids = ack.json()
    assert re.fullmatch(r"AG_\d{8}_0100[0-9a-z]{16}", ids["ConversationID"])
    assert (ids["ResponseCode"], ids["ResponseDescription"]) == ("0", "Accept the service request successfully.")
    assert (body["ResultType"], body["ResultCode"], body["ResultDesc"]) == (0, 0, PROCESSED)
    assert body["ConversationID"] == ids["ConversationID"]
    assert body["OriginatorConversationID"] == ids["OriginatorConversationID"]
    assert re.fullmatch(r"[A-Z]{2}[1-9A-V]0000000", body["TransactionID"])
    found = parameters(body)
    assert list(found) == ["ActionType", "AccountBalance", "BOCompletedTime"]
    assert found["AccountBalance"] == (
        "Working Account|KES|0.00|0.00|0.00|0.00&Float Account|KES|0.00|0.00|0.00|0.00"
        "&Utility Account|KES|5000.00|5000.00|0.00|0.00&Charges Paid Account|KES|0.00|0.00|0.00|0.00"
        "&Organization Settlement Account|KES|0.00|0.00|0.00|0.00"
    )
    assert isinstance(found["BOCompletedTime"], int)
    reference = body["ReferenceData"]["ReferenceItem"]
    assert reference["Key"] == "QueueTimeoutURL"
    assert reference["Value"].startswith("https://internalsandbox.safaricom.co.ke/")


def test_balance_of_a_till_lists_its_merchant_account(open_business, receiver):
    till = open_business(kind="till", opening_balance="712.50")

    till.balance()

    assert parameters(result(receiver))["AccountBalance"] == (
        "Working Account|KES|0.00|0.00|0.00|0.00&Merchant Account|KES|712.50|712.50|0.00|0.00"
        "&Charges Paid Account|KES|0.00|0.00|0.00|0.00"
    )


def test_wrong_credential_is_acknowledged_then_refused_and_the_third_locks(process, paybill, receiver):
    wrong = paybill.credential("not the password")
    for count in (1, 2):
        assert paybill.balance(SecurityCredential=wrong).json()["ResponseCode"] == "0"
        body = result(receiver, count)
        assert (body["ResultCode"], body["ResultDesc"]) == (2001, "The initiator information is invalid.")
        assert "ResultParameters" not in body

    paybill.balance(SecurityCredential="bm9uc2Vuc2U=")
    third = result(receiver, 3)
    paybill.balance()
    right_but_locked = result(receiver, 4)

    for body in (third, right_but_locked):
        assert (body["ResultCode"], body["ResultDesc"]) == (8006, "The security credential is locked.")
        assert parameters(body)["ErrorMsg"] == "API Password is locked. "
    paybill.change(initiator_password="Fresh123#")
    paybill.balance()
    assert result(receiver, 5)["ResultCode"] == 0


def test_right_credential_forgives_earlier_failures(paybill, receiver):
    wrong = paybill.credential("not the password")
    for credential in (wrong, wrong, paybill.credential(), wrong):
        paybill.balance(SecurityCredential=credential)

    codes = [arrival.body["Result"]["ResultCode"] for arrival in receiver.wait("result", 4)]
    assert sorted(codes) == [0, 2001, 2001, 2001]


def test_rivals_initiator_learns_nothing(paybill, open_business, receiver):
    rival = open_business(initiator_name="rivalapi")

    rival.balance(PartyA=paybill.shortcode)

    body = result(receiver)
    assert body["ResultCode"] == 2001
    assert "ResultParameters" not in body


def test_initiator_without_the_role_gets_21(paybill, receiver):
    paybill.faults({"fault": "initiator_refused"})

    paybill.balance()

    assert result(receiver)["ResultCode"] == 21


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Initiator", ""),
        ("SecurityCredential", None),
        ("CommandID", "Balance"),
        ("PartyA", "acme"),
        ("IdentifierType", "9"),
        ("Remarks", ""),
        ("QueueTimeOutURL", "x"),
        ("ResultURL", ""),
    ],
)
def test_bad_field_is_named_and_nothing_follows(paybill, field, value):
    answer = paybill.balance(**{field: value})

    assert (answer.status_code, answer.json()["errorCode"]) == (400, "400.002.02")
    assert answer.json()["errorMessage"] == f"Bad Request - Invalid {field}"
    assert paybill.deliveries() == []


def test_status_of_a_payment_is_told_with_the_documented_parameters(paybill, receiver):
    receipt = paybill.is_paid("0712345678", 5000).json()["receipt"]

    paybill.status(TransactionID=receipt)

    body = result(receiver)
    found = parameters(body)
    assert (body["ResultCode"], body["TransactionID"][3:]) == (0, "0000000")
    assert found["ReceiptNo"] == receipt
    assert found["TransactionStatus"] == "Completed"
    assert found["Amount"] == 5000.0
    assert found["DebitPartyName"] == "254712345678 - JOHN KAMAU"
    assert found["CreditPartyName"] == f"{paybill.shortcode} - Acme Electronics"
    assert found["ReasonType"] == "Pay Bill Online"
    assert isinstance(found["FinalisedTime"], int)
    assert {"Key": "TransactionReason"} in body["ResultParameters"]["ResultParameter"]
    assert body["ReferenceData"] == {"ReferenceItem": {"Key": "Occasion"}}


def test_status_can_be_asked_by_conversation(paybill, receiver, customer):
    ids = paybill.push(customer).json()
    receipt = paybill.answer(ids["CheckoutRequestID"], "pin").json()["receipt"]

    paybill.status(OriginalConversationID=ids["MerchantRequestID"], Occasion="June")

    body = result(receiver)
    assert parameters(body)["ReceiptNo"] == receipt
    assert body["ReferenceData"] == {"ReferenceItem": {"Key": "Occasion", "Value": "June"}}


def test_result_code_0_does_not_mean_that_the_payment_was_made(paybill, receiver, customer):
    paybill.change(validation_enabled=True)
    paybill.register()
    receiver.answers["validation"] = (200, '{"ResultCode": "C2B00012"}')
    receipt = paybill.is_paid(customer).json()["receipt"]

    paybill.status(TransactionID=receipt)

    body = result(receiver)
    assert body["ResultCode"] == 0
    assert parameters(body)["TransactionStatus"] == "Cancelled"


def test_unknown_and_rivals_receipts_do_not_exist(paybill, open_business, receiver, customer):
    rivals = open_business().is_paid(customer).json()["receipt"]

    paybill.status(TransactionID="UKL0000001")
    paybill.status(TransactionID=rivals)

    for arrival in receiver.wait("result", 2):
        body = arrival.body["Result"]
        assert (body["ResultCode"], body["ResultDesc"]) == (2032, "The transaction receipt number does not exist.")
        assert body["ResultParameters"]["ResultParameter"]["Key"] == "BOCompletedTime"


def test_status_of_nothing_is_a_bad_transaction_id(paybill):
    assert paybill.status().json()["errorMessage"] == "Bad Request - Invalid TransactionID"


def test_names_of_organisations_can_be_looked_up(paybill, till):
    path = "/sfcverify/v1/query/info"

    assert paybill.call(path, {"IdentifierType": 4, "Identifier": paybill.shortcode}).json() == {
        "ResponseCode": "4000",
        "ResponseMessage": "Success",
        "OrganizationName": "Acme Electronics",
    }
    found = paybill.call(path, {"IdentifierType": "2", "Identifier": till.shortcode}).json()
    assert found["OrganizationName"] == "Taste Restaurants"
    unknown = paybill.call(path, {"IdentifierType": 4, "Identifier": till.shortcode}).json()
    assert unknown == {"ResponseCode": "4001", "ResponseMessage": "Organization not found"}
    bad = paybill.call(path, {"IdentifierType": 1, "Identifier": till.shortcode}).json()
    assert bad["errorMessage"] == "Bad Request - Invalid IdentifierType"
