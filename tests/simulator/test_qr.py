import base64
import io
import re

import pytest
import segno

PATH = "/mpesa/qrcode/v1/generate"


def body(business, **changes):
    return {
        "MerchantName": "TEST SUPERMARKET",
        "RefNo": "Invoice Test",
        "Amount": 1,
        "TrxCode": "PB",
        "CPI": business.shortcode,
        "Size": "300",
        **changes,
    }


def picture(content, scale):
    made = io.BytesIO()
    segno.make(content, error="m", micro=False).save(made, kind="png", scale=scale, border=4)
    return made.getvalue()


def test_code_is_a_png_that_opens_the_phone_with_the_payment_filled_in(process, paybill):
    answer = paybill.call(PATH, body(paybill))

    told = answer.json()
    assert answer.status_code == 200
    assert re.fullmatch(r"AG_\d{8}_0100[0-9a-z]{16}", told["ResponseCode"])
    assert told["ResponseDescription"] == "QR Code Successfully Generated."
    assert list(told) == ["ResponseCode", "RequestID", "ResponseDescription", "QRCode"]
    png = base64.b64decode(told["QRCode"], validate=True)
    link = (
        f"{process.url}/phone?shortcode={paybill.shortcode}"
        "&account_reference=Invoice+Test&amount=1&merchant=TEST+SUPERMARKET"
    )
    modules = segno.make(link, error="m", micro=False).symbol_size(border=4)[0]
    assert png == picture(link, 300 // modules)


@pytest.mark.parametrize("size", [100, "300", 999])
def test_code_is_square_and_fits_the_size_asked_for(paybill, size):
    png = base64.b64decode(paybill.call(PATH, body(paybill, Size=size)).json()["QRCode"])

    width, height = int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
    assert width == height
    assert int(size) // 2 < width <= int(size)


def test_live_shortcode_gets_00(open_business):
    live = open_business(mode="production")

    assert live.call(PATH, body(live)).json()["ResponseCode"] == "00"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("MerchantName", ""),
        ("RefNo", None),
        ("Amount", 0),
        ("Amount", "1.5"),
        ("TrxCode", "XX"),
        ("CPI", ""),
        ("Size", "big"),
        ("Size", 0),
        ("Size", 100_000),
    ],
)
def test_bad_field_is_named_with_a_bare_400(paybill, field, value):
    answer = paybill.call(PATH, body(paybill, **{field: value}))

    assert (answer.status_code, answer.json()["errorCode"]) == (400, "400")
    assert answer.json()["errorMessage"] == f"Bad Request - Invalid {field}"


def test_faults_strike_it_and_product_and_token_are_asked_for(paybill):
    paybill.faults({"fault": "spike_arrest", "on": ["qr"], "count": 1})
    arrested = paybill.call(PATH, body(paybill))
    paybill.change(products=["stk"])
    unattached = paybill.call(PATH, body(paybill))
    paybill.token = "stale"
    stale = paybill.call(PATH, body(paybill))

    assert (arrested.status_code, arrested.json()["errorCode"]) == (500, "500.003.02")
    assert (unattached.status_code, unattached.json()["errorCode"]) == (401, "401.003.01")
    assert (stale.status_code, stale.json()["errorCode"]) == (400, "400.003.01")
