import logging

import pytest

from channels.daraja.client import Accepted, B2CCommand, IdentifierType
from channels.daraja.errors import DarajaRejected, DarajaTimeout, Reason

B2C = "/mpesa/b2c/v3/paymentrequest"
B2C_V1 = "/mpesa/b2c/v1/paymentrequest"
POCHI = "/mpesa/b2pochi/v1/paymentrequest"
B2B = "/mpesa/b2b/v1/paymentrequest"
TAX = "/mpesa/b2b/v1/remittax"
EXPRESS = "/v1/ussdpush/get-msisdn"
REVERSAL = "/mpesa/reversal/v1/request"
URLS = {
    "result_url": "https://pay.tuzo.co.ke/h/abc/result",
    "timeout_url": "https://pay.tuzo.co.ke/h/abc/timeout",
}
SENT_URLS = {"ResultURL": URLS["result_url"], "QueueTimeOutURL": URLS["timeout_url"]}
INITIATOR = {"initiator": "testapi", "security_credential": "c3Q=", "shortcode": "600992"}
OUR_ID = "0190f1c2-7a4e-7c31-9a55-0b7d6f1f2a33"
ACKNOWLEDGED = {
    "OriginatorConversationID": OUR_ID,
    "ConversationID": "AG_20240706_20106e9209f64bebd05b",
    "ResponseCode": "0",
    "ResponseDescription": "Accept the service request successfully.",
}
ACCEPTED = Accepted(OUR_ID, "AG_20240706_20106e9209f64bebd05b", "Accept the service request successfully.")
TO_PHONE = {**INITIATOR, **URLS, "msisdn": "254708374149", "amount_kes": 10, "remarks": "Refund"}
TO_BUSINESS = {**INITIATOR, **URLS, "payee": "600000", "amount_kes": 239, "remarks": "OK"}
TRANSFER_SENT = {
    "Initiator": "testapi",
    "SecurityCredential": "c3Q=",
    "SenderIdentifierType": "4",
    "RecieverIdentifierType": "4",
    "Amount": "239",
    "PartyA": "600992",
    "PartyB": "600000",
    "Remarks": "OK",
    **SENT_URLS,
}


def b2c(client, **changes):
    return client.b2c(**{"originator_conversation_id": OUR_ID, **TO_PHONE} | changes)


def b2c_v1(client, **changes):
    return client.b2c_v1(**TO_PHONE | changes)


def pochi(client, **changes):
    return client.b2pochi(**{"originator_conversation_id": OUR_ID, **TO_PHONE} | changes)


def pay_bill(client, **changes):
    return client.pay_bill(**{**TO_BUSINESS, "account_reference": "353353"} | changes)


def buy_goods(client, **changes):
    return client.buy_goods(**TO_BUSINESS | changes)


def top_up(client, **changes):
    return client.top_up_b2c(**TO_BUSINESS | changes)


def tax(client, **changes):
    arguments = {**TO_BUSINESS, "registration_number": "2020220016420161"} | changes
    del arguments["payee"]
    return client.remit_tax(**arguments)


def reverse(client, **changes):
    return client.reversal(
        **{**INITIATOR, **URLS, "receipt": "PDU91HIVIT", "amount_kes": 200, "remarks": "Payment reversal"} | changes
    )


def express(client, **changes):
    return client.b2b_express(
        **{
            "till": "000001",
            "shortcode": "600992",
            "amount_kes": 100,
            "payment_reference": "Order 7",
            "partner_name": "Acme Electronics",
            "callback_url": "https://pay.tuzo.co.ke/h/abc/express",
            "request_ref_id": OUR_ID,
        }
        | changes
    )


PAYOUT_SENT = {
    "InitiatorName": "testapi",
    "SecurityCredential": "c3Q=",
    "CommandID": "BusinessPayment",
    "Amount": 10,
    "PartyA": "600992",
    "PartyB": "254708374149",
    "Remarks": "Refund",
    **SENT_URLS,
}
REVERSAL_SENT = {
    "Initiator": "testapi",
    "SecurityCredential": "c3Q=",
    "CommandID": "TransactionReversal",
    "TransactionID": "PDU91HIVIT",
    "Amount": "200",
    "ReceiverParty": "600992",
    "RecieverIdentifierType": "11",
    "Remarks": "Payment reversal",
    **SENT_URLS,
}


@pytest.mark.parametrize(
    ("send", "changes", "path", "sent"),
    [
        (b2c, {}, B2C, {**PAYOUT_SENT, "OriginatorConversationID": OUR_ID}),
        (
            b2c,
            {"command": B2CCommand.SALARY_PAYMENT, "occasion": "ChristmasPay", "amount_kes": 250_000},
            B2C,
            {
                **PAYOUT_SENT,
                "OriginatorConversationID": OUR_ID,
                "CommandID": "SalaryPayment",
                "Amount": 250_000,
                "Occassion": "ChristmasPay",
            },
        ),
        (b2c_v1, {"command": B2CCommand.PROMOTION_PAYMENT}, B2C_V1, {**PAYOUT_SENT, "CommandID": "PromotionPayment"}),
        (
            pochi,
            {},
            POCHI,
            {**PAYOUT_SENT, "OriginatorConversationID": OUR_ID, "CommandID": "BusinessPayToPochi"},
        ),
        (pay_bill, {}, B2B, {**TRANSFER_SENT, "CommandID": "BusinessPayBill", "AccountReference": "353353"}),
        (
            pay_bill,
            {"requester": "254708374149", "occasion": "May", "amount_kes": 1_000_000},
            B2B,
            {
                **TRANSFER_SENT,
                "CommandID": "BusinessPayBill",
                "AccountReference": "353353",
                "Requester": "254708374149",
                "Occassion": "May",
                "Amount": "1000000",
            },
        ),
        (buy_goods, {}, B2B, {**TRANSFER_SENT, "CommandID": "BusinessBuyGoods"}),
        (
            buy_goods,
            {"payee_type": IdentifierType.TILL, "account_reference": "353353"},
            B2B,
            {
                **TRANSFER_SENT,
                "CommandID": "BusinessBuyGoods",
                "RecieverIdentifierType": "2",
                "AccountReference": "353353",
            },
        ),
        (top_up, {}, B2B, {**TRANSFER_SENT, "CommandID": "BusinessPayToBulk"}),
        (
            tax,
            {},
            TAX,
            {
                **TRANSFER_SENT,
                "CommandID": "PayTaxToKRA",
                "PartyB": "572572",
                "AccountReference": "2020220016420161",
            },
        ),
        (reverse, {}, REVERSAL, REVERSAL_SENT),
        (reverse, {"occasion": "Mistake"}, REVERSAL, {**REVERSAL_SENT, "Occasion": "Mistake"}),
    ],
)
def test_money_out_is_sent_in_daraja_s_spelling_and_types(client, daraja, send, changes, path, sent):
    daraja.will_answer(path, ACKNOWLEDGED)

    assert send(client, **changes) == ACCEPTED
    (call,) = daraja.calls(path)
    assert call.method == "POST"
    assert call.json == sent


def test_a_merchant_is_prompted_in_daraja_s_spelling(client, daraja):
    daraja.will_answer(EXPRESS, {"code": "0", "status": "USSD Initiated Successfully"})

    accepted = express(client)

    assert (accepted.request_ref_id, accepted.description) == (OUR_ID, "USSD Initiated Successfully")
    assert daraja.calls(EXPRESS)[0].json == {
        "primaryShortCode": "000001",
        "receiverShortCode": "600992",
        "amount": "100",
        "paymentRef": "Order 7",
        "callbackUrl": "https://pay.tuzo.co.ke/h/abc/express",
        "partnerName": "Acme Electronics",
        "RequestRefID": OUR_ID,
    }


@pytest.mark.parametrize(
    ("send", "changes", "field"),
    [
        *((send, {"amount_kes": 9}, "Amount") for send in (b2c, b2c_v1, pochi)),
        *((send, {"amount_kes": 250_001}, "Amount") for send in (b2c, b2c_v1, pochi, reverse)),
        *((send, {"amount_kes": 0}, "Amount") for send in (pay_bill, buy_goods, top_up, tax, reverse)),
        *((send, {"msisdn": "0708374149"}, "PartyB") for send in (b2c, b2c_v1, pochi)),
        *((send, {"payee": "till"}, "PartyB") for send in (pay_bill, buy_goods, top_up)),
        *((send, {"remarks": "A" * 101}, "Remarks") for send in (b2c, pochi, pay_bill, tax, reverse)),
        *((send, {"remarks": "A"}, "Remarks") for send in (b2c, pochi, reverse)),
        *((send, {"remarks": ""}, "Remarks") for send in (pay_bill, buy_goods, top_up, tax)),
        *((send, {"occasion": "A" * 101}, "Occassion") for send in (b2c, pochi, pay_bill, top_up)),
        (reverse, {"occasion": "A" * 101}, "Occasion"),
        (reverse, {"receipt": ""}, "TransactionID"),
        *((send, {"originator_conversation_id": ""}, "OriginatorConversationID") for send in (b2c, pochi)),
        *((send, {"originator_conversation_id": "A" * 37}, "OriginatorConversationID") for send in (b2c, pochi)),
        (pay_bill, {"account_reference": ""}, "AccountReference"),
        *((send, {"account_reference": "A" * 14}, "AccountReference") for send in (pay_bill, buy_goods, top_up)),
        (tax, {"registration_number": ""}, "AccountReference"),
        (pay_bill, {"requester": "0708374149"}, "Requester"),
        (express, {"amount_kes": 0}, "amount"),
        (express, {"till": "one"}, "primaryShortCode"),
        (express, {"payment_reference": ""}, "paymentRef"),
        (express, {"partner_name": ""}, "partnerName"),
        (express, {"request_ref_id": ""}, "RequestRefID"),
    ],
)
def test_what_daraja_would_refuse_is_refused_before_any_money_can_move(client, daraja, send, changes, field):
    with pytest.raises(DarajaRejected) as refusal:
        send(client, **changes)

    assert (refusal.value.reason, refusal.value.field) == (Reason.INVALID_FIELD, field)
    assert (refusal.value.http_status, refusal.value.call) == (None, "")
    assert daraja.received == []


MONEY_OUT = [
    (b2c, B2C),
    (b2c_v1, B2C_V1),
    (pochi, POCHI),
    (pay_bill, B2B),
    (buy_goods, B2B),
    (top_up, B2B),
    (tax, TAX),
    (reverse, REVERSAL),
]


@pytest.mark.parametrize(("send", "path"), MONEY_OUT)
@pytest.mark.parametrize("argument", ["result_url", "timeout_url"])
def test_an_address_that_daraja_would_refuse_is_not_sent(client, daraja, send, path, argument):
    with pytest.raises(DarajaRejected) as refusal:
        send(client, **{argument: "https://pay.tuzo.co.ke/mpesa"})

    assert refusal.value.reason is Reason.FORBIDDEN_URL
    assert daraja.received == []


@pytest.mark.parametrize(("send", "path"), [*MONEY_OUT, (express, EXPRESS)])
@pytest.mark.parametrize(
    "answer",
    [
        {**ACKNOWLEDGED, "ResponseCode": "1"},
        {**ACKNOWLEDGED, "ResponseCode": "100000000"},
        {"ConversationID": "AG_1"},
        {},
        b"<html>It works!</html>",
        b'{"OriginatorConv',
        b"",
    ],
    ids=str,
)
def test_money_whose_answer_is_not_clear_may_have_moved_and_is_not_sent_again(client, daraja, send, path, answer):
    daraja.will_answer(path, answer)

    with pytest.raises(DarajaTimeout):
        send(client)

    assert len(daraja.calls(path)) == 1


def test_the_log_of_a_payout_has_our_id_but_no_credential_and_no_whole_number(client, daraja, caplog):
    daraja.will_answer(B2C, ACKNOWLEDGED)

    with caplog.at_level(logging.DEBUG):
        b2c(client)

    ours = [record.getMessage() for record in caplog.records if record.name.startswith("channels.daraja")]
    assert ours[-1] == f"Daraja b2c_v3, {OUR_ID} to 2547****149: answered, {OUR_ID}"
    for secret in ("canary", "token-1", "c3Q=", "708374149"):
        assert secret not in caplog.text
