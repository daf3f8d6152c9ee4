"""Dynamic QR; STK and C2B are in test_client.py."""

import base64

import pytest

from channels.daraja.client import QrKind
from channels.daraja.errors import DarajaRejected, DarajaUnavailable, Reason

QR = "/mpesa/qrcode/v1/generate"
PNG = b"\x89PNG\r\n\x1a\n the rest of a picture"
MADE = {
    "ResponseCode": "AG_20191219_000043fdf61864fe9ff5",
    "RequestID": "16738-27456357-1",
    "ResponseDescription": "QR Code Successfully Generated.",
    "QRCode": base64.b64encode(PNG).decode(),
}


def make(client, **changes):
    return client.dynamic_qr(
        **{
            "kind": QrKind.BUY_GOODS,
            "payee": "373132",
            "merchant_name": "TEST SUPERMARKET",
            "amount_kes": 1,
            "account_reference": "Invoice Test",
        }
        | changes
    )


@pytest.mark.parametrize("code", [MADE["ResponseCode"], "00"])
def test_a_qr_code_is_a_picture_whatever_its_code(client, daraja, code):
    daraja.will_answer(QR, {**MADE, "ResponseCode": code})

    qr = make(client)

    assert (qr.png, qr.request_id) == (PNG, "16738-27456357-1")
    assert daraja.calls(QR)[0].json == {
        "MerchantName": "TEST SUPERMARKET",
        "RefNo": "Invoice Test",
        "Amount": 1,
        "TrxCode": "BG",
        "CPI": "373132",
        "Size": "300",
    }


@pytest.mark.parametrize(
    "answer",
    [
        {"ResponseCode": "00"},
        {**MADE, "QRCode": ""},
        {**MADE, "QRCode": "no base64!"},
        {**MADE, "QRCode": base64.b64encode(b"<html>").decode()},
    ],
    ids=str,
)
def test_an_answer_without_a_picture_is_nonsense_and_may_be_asked_again(client, daraja, answer):
    daraja.will_answer(QR, answer)

    with pytest.raises(DarajaUnavailable) as nonsense:
        make(client)

    assert nonsense.value.reason is Reason.NONSENSE_ANSWER


def test_a_refusal_names_its_field(client, daraja):
    body = {"requestId": "1", "errorCode": "400", "errorMessage": "Bad Request - Invalid TrxCode"}
    daraja.will_answer(QR, body, status=400)

    with pytest.raises(DarajaRejected) as refusal:
        make(client)

    assert (refusal.value.reason, refusal.value.field) == (Reason.INVALID_FIELD, "TrxCode")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount_kes": 0}, "Amount"),
        ({"payee": ""}, "CPI"),
        ({"account_reference": ""}, "RefNo"),
        ({"merchant_name": ""}, "MerchantName"),
        ({"size_px": 0}, "Size"),
    ],
    ids=str,
)
def test_what_daraja_would_refuse_is_not_sent(client, daraja, changes, field):
    with pytest.raises(DarajaRejected) as refusal:
        make(client, **changes)

    assert refusal.value.field == field
    assert daraja.received == []
