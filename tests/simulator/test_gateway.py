import re

import pytest
import requests

PUSH = "/mpesa/stkpush/v1/processrequest"
INVALID_TOKEN = {
    PUSH: (404, "404.001.03", "Invalid Access Token"),
    "/mpesa/stkpushquery/v1/query": (404, "404.001.03", "Invalid Access Token"),
    "/mpesa/c2b/v1/registerurl": (400, "400.003.01", "Invalid Access Token"),
    "/mpesa/c2b/v2/simulate": (400, "400.003.01", "Invalid Access Token"),
    "/mpesa/transactionstatus/v1/query": (400, "400.003.01", "Invalid Access Token"),
    "/sfcverify/v1/query/info": (400, "400.003.01", "Invalid Access Token"),
    "/mpesa/accountbalance/v1/query": (401, "401.002.01", "Error Occurred - Invalid Access Token - stale"),
}


@pytest.mark.parametrize(("path", "expected"), INVALID_TOKEN.items())
def test_each_api_has_its_own_code_for_an_invalid_token(process, path, expected):
    answer = requests.post(process.url + path, json={}, headers={"Authorization": "Bearer stale"}, timeout=5)

    envelope = answer.json()
    assert (answer.status_code, envelope["errorCode"], envelope["errorMessage"]) == expected
    assert re.fullmatch(r"[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\d+", envelope["requestId"])
    assert list(envelope) == ["requestId", "errorCode", "errorMessage"]


def test_methods_and_missing_headers_are_refused_as_daraja_does(process):
    got = requests.get(process.url + PUSH, timeout=5)
    put = requests.put(process.url + PUSH, timeout=5)
    bare = requests.post(process.url + PUSH, json={}, timeout=5)

    assert (got.status_code, got.json()["errorCode"]) == (404, "404.001.04")
    assert (put.status_code, put.json()["errorCode"]) == (405, "405.001")
    assert put.json()["errorMessage"] == "PUT Method Not Allowed"
    assert (bare.status_code, bare.json()["errorMessage"]) == (404, "Invalid Authentication Header")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/mpesa/stkpush/v9/processrequest", "404.001.01"),
        ("/mpesa/b2c/v2/paymentrequest", "404.002.01"),
        ("/mpesa/c2b/v3/registerurl", "404.003.01"),
        ("/nowhere", "404.001.01"),
    ],
)
def test_unknown_paths_are_resources_not_found(process, path, code):
    answer = requests.post(process.url + path, json={}, timeout=5)

    assert answer.status_code == 404
    assert (answer.json()["errorCode"], answer.json()["errorMessage"]) == (code, "Resource not found")


def test_product_that_the_app_lacks_is_401_003_01(paybill):
    paybill.change(products=["stk", "c2b_v1"])

    answer = paybill.register(version=2)

    assert answer.status_code == 401
    assert answer.json()["errorCode"] == "401.003.01"
    assert answer.json()["errorMessage"] == (
        "Error Occurred - Invalid Access Token - Invalid API call as no apiproduct match found"
    )
    assert paybill.register(version=1).status_code == 200


def test_wrong_content_type_is_blamed_on_the_first_field(process, paybill):
    token = paybill.fetch_token().json()["access_token"]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "text/plain"}

    answer = requests.post(process.url + PUSH, data="{}", headers=headers, timeout=5)

    assert answer.status_code == 400
    assert answer.json()["errorMessage"] == "Bad Request - Invalid BusinessShortCode"


@pytest.mark.parametrize("body", ["{", "[]", "nonsense", ""])
def test_body_that_is_no_json_object_is_an_invalid_payload(process, paybill, body):
    token = paybill.fetch_token().json()["access_token"]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    answer = requests.post(process.url + PUSH, data=body, headers=headers, timeout=5)

    assert (answer.status_code, answer.json()["errorCode"]) == (400, "400.002.05")
    assert answer.json()["errorMessage"] == "Invalid Request Payload"
