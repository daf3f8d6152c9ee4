from datetime import date

import pytest

from channels.daraja.client import Frequency, IdentifierType, StandingOrderAccepted
from channels.daraja.errors import DarajaRejected, DarajaTimeout, Reason

CREATE = "/standingorder/v1/createStandingOrderExternal"
ACKNOWLEDGED = {
    "ResponseHeader": {
        "responseRefID": "4dd9b5d9-d738-42ba-9326-2cc99e966000",
        "responseCode": "200",
        "responseDescription": "Request accepted for processing",
        "ResultDesc": "The service request is processed successfully.",
    },
    "ResponseBody": {"responseDescription": "Request accepted for processing", "responseCode": "200"},
}


def create(client, **changes):
    return client.create_standing_order(
        **{
            "name": "Gym of John",
            "shortcode": "174379",
            "msisdn": "254708374149",
            "amount_kes": 4500,
            "frequency": Frequency.MONTHLY,
            "start": date(2026, 12, 1),
            "end": date(2027, 12, 1),
            "account_reference": "VIP001",
            "callback_url": "https://pay.tuzo.co.ke/h/abc/standing-order",
        }
        | changes
    )


def test_a_standing_order_is_sent_in_daraja_s_spelling_and_types(client, daraja):
    daraja.will_answer(CREATE, ACKNOWLEDGED)

    assert create(client) == StandingOrderAccepted(
        "4dd9b5d9-d738-42ba-9326-2cc99e966000", "Request accepted for processing"
    )
    assert daraja.calls(CREATE)[0].json == {
        "StandingOrderName": "Gym of John",
        "StartDate": "20261201",
        "EndDate": "20271201",
        "BusinessShortCode": "174379",
        "TransactionType": "Standing Order Customer Pay Bill",
        "ReceiverPartyIdentifierType": "4",
        "Amount": "4500",
        "PartyA": "254708374149",
        "CallBackURL": "https://pay.tuzo.co.ke/h/abc/standing-order",
        "AccountReference": "VIP001",
        "TransactionDesc": "Payment",
        "Frequency": "4",
    }


def test_a_standing_order_to_a_till_has_the_till_s_type(client, daraja):
    daraja.will_answer(CREATE, ACKNOWLEDGED)

    create(client, payee_type=IdentifierType.TILL)

    sent = daraja.calls(CREATE)[0].json
    assert sent["TransactionType"] == "Standing Order Customer Pay Marchant"
    assert sent["ReceiverPartyIdentifierType"] == "2"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "StandingOrderName"),
        ({"shortcode": "abc"}, "BusinessShortCode"),
        ({"msisdn": "0708374149"}, "PartyA"),
        ({"amount_kes": 0}, "Amount"),
        ({"end": date(2026, 11, 30)}, "EndDate"),
        ({"account_reference": "A" * 13}, "AccountReference"),
        ({"description": "A" * 14}, "TransactionDesc"),
        ({"callback_url": "https://pay.tuzo.co.ke/mpesa"}, "CallBackURL"),
    ],
    ids=str,
)
def test_what_daraja_would_refuse_is_not_sent(client, daraja, changes, field):
    with pytest.raises(DarajaRejected) as refusal:
        create(client, **changes)

    assert refusal.value.field == field
    assert daraja.received == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"ResponseHeader": {"responseCode": "401", "responseDescription": "No"}}, DarajaRejected),
        ({"ResponseHeader": {"responseCode": "500", "responseDescription": "No"}}, DarajaTimeout),
        ({"ResponseHeader": {"responseCode": "200"}}, DarajaTimeout),
        ({}, DarajaTimeout),
    ],
    ids=str,
)
def test_a_code_in_the_header_counts_like_one_of_http(client, daraja, answer, error):
    daraja.will_answer(CREATE, answer)

    with pytest.raises(error) as raised:
        create(client)

    assert raised.value.http_status == 200
    assert raised.value.reason in (Reason.OTHER, Reason.SERVER_FAULT, Reason.NONSENSE_ANSWER)
