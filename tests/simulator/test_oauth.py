import re

import requests


def generate(process, *, method="GET", grant="client_credentials", **kwargs):
    url = f"{process.url}/oauth/v1/generate"
    return requests.request(method, url, params={"grant_type": grant} if grant else {}, timeout=5, **kwargs)


def keys(business):
    return business.data["consumer_key"], business.data["consumer_secret"]


def test_right_keys_get_a_token_whose_life_is_a_string(process, paybill):
    answer = generate(process, auth=keys(paybill))

    assert answer.status_code == 200
    assert re.fullmatch(r"[A-Za-z0-9]{28}", answer.json()["access_token"])
    assert answer.json()["expires_in"] == "3599"


def test_wrong_keys_get_400_and_an_empty_body(process, paybill):
    key, secret = keys(paybill)

    wrong_secret = generate(process, auth=(key, secret + "x"))
    wrong_key = generate(process, auth=(key + "x", secret))

    assert (wrong_secret.status_code, wrong_secret.content) == (400, b"")
    assert (wrong_key.status_code, wrong_key.content) == (400, b"")


def test_other_authentication_and_grant_types_are_named(process, paybill):
    no_basic = generate(process, headers={"Authorization": "Bearer x"})
    no_grant = generate(process, auth=keys(paybill), grant="")

    assert (no_basic.status_code, no_basic.json()["errorCode"]) == (400, "400.008.01")
    assert no_basic.json()["errorMessage"] == "Invalid Authentication passed"
    assert (no_grant.status_code, no_grant.json()["errorCode"]) == (400, "400.008.02")
    assert no_grant.json()["errorMessage"] == "Invalid grant type passed"


def test_token_by_post_is_an_invalid_authentication_header(process, paybill):
    answer = generate(process, method="POST", auth=keys(paybill))

    assert (answer.status_code, answer.json()["errorCode"]) == (404, "404.001.04")


def test_older_tokens_live_on_unless_the_switch_says_that_each_kills_the_last(paybill):
    first = paybill.fetch_token().json()["access_token"]
    paybill.fetch_token()
    paybill.token = first
    assert paybill.register().status_code == 200

    paybill.faults({"fault": "token_only_one"})
    second = paybill.fetch_token().json()["access_token"]

    paybill.token = first
    assert paybill.register().json()["errorCode"] == "400.003.01"
    paybill.token = second
    assert paybill.register().status_code == 200


def test_one_app_serves_several_organisations(open_business, paybill):
    sister = open_business(consumer_key=paybill.data["consumer_key"])

    assert sister.data["consumer_secret"] == paybill.data["consumer_secret"]
    sister.token = paybill.fetch_token().json()["access_token"]
    assert sister.register().status_code == 200
