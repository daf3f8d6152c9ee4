from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.daraja.explanations import Api, explain
from channels.daraja.payloads import parse_result
from channels.daraja.verdicts import Verdict, verdict, verdict_of, verdict_of_status

PAYLOADS = Path(__file__).parents[2] / "payloads" / "daraja"
SUCCEEDED, FAILED, UNKNOWN = Verdict

INITIATOR_FAILED = [
    *("1", "11", "18", "20", "21", "22", "24", "25", "26", "29", "2001", "2006", "2028", "8006", "SFC_IC0003"),
    *("TP40153", "100000002", "100000005", "100000010", "100000011"),
]
INITIATOR_UNKNOWN = ["15", "17", "19", "100000000", "100000001", "100000004", "100000007", "100000009"]
LIMITS = ["2", "3", "4", "8"]
TABLE = {
    Api.STK: (
        [
            *("1", "2", "3", "4", "8", "17", "26", "1001", "1019", "1025", "1031", "1032", "1036", "1037", "2001"),
            *("2028", "2029", "8006", "9999", "SFC_IC0003", "E3008"),
        ],
        ["4999"],
    ),
    Api.B2C: ([*INITIATOR_FAILED, *LIMITS, "2040"], INITIATOR_UNKNOWN),
    Api.B2B: ([*INITIATOR_FAILED, *LIMITS], INITIATOR_UNKNOWN),
    Api.REVERSAL: ([*INITIATOR_FAILED, "R000002"], [*INITIATOR_UNKNOWN, "R000001"]),
    Api.B2B_EXPRESS: (["4001", "4102", "4104"], ["4201", "4203"]),
    Api.RATIBA: (["1001", "1025", "1032", "1037", "1050", "1051", "2001"], []),
    Api.BALANCE: (INITIATOR_FAILED, INITIATOR_UNKNOWN),
    Api.STATUS: ([*INITIATOR_FAILED, "2032"], INITIATOR_UNKNOWN),
}


@pytest.mark.parametrize("api", Api)
def test_every_documented_code_is_failed_only_if_it_leaves_no_doubt(api):
    failed, unknown = TABLE[api]

    assert {code: verdict(api, code) for code in failed} == dict.fromkeys(failed, FAILED)
    assert {code: verdict(api, code) for code in unknown} == dict.fromkeys(unknown, UNKNOWN)
    assert verdict(api, "0") is SUCCEEDED


@given(api=st.sampled_from(Api), code=st.text(max_size=10), desc=st.text(max_size=40))
def test_a_code_that_is_not_documented_is_unknown_and_never_failed(api, code, desc):
    documented = {"0", *TABLE[api][0], *TABLE[api][1]}

    assert code in documented or verdict(api, code, desc) is UNKNOWN


def test_what_is_still_processing_has_not_failed():
    assert verdict(Api.B2C, "1", "The transaction is still under processing") is UNKNOWN


@pytest.mark.parametrize("api", [Api.B2C, Api.B2B, Api.REVERSAL])
def test_an_unknown_end_of_money_is_never_advised_to_be_sent_again(api):
    for code in [*TABLE[api][1], "7777"]:
        assert explain(api, code).is_retryable is False


def result(name):
    return parse_result((PAYLOADS / f"{name}.json").read_bytes())


@pytest.mark.parametrize(
    ("api", "name", "expected"),
    [
        (Api.B2C, "result_b2c", SUCCEEDED),
        (Api.B2C, "result_b2c_unregistered", FAILED),
        (Api.B2C, "result_wrong_initiator", FAILED),
        (Api.B2C, "result_waiting", UNKNOWN),
        (Api.B2B, "result_b2b", SUCCEEDED),
        (Api.B2B, "result_tax", SUCCEEDED),
        (Api.B2B, "result_lone_parameter", FAILED),
        (Api.B2B, "result_top_up_failed", FAILED),
        (Api.REVERSAL, "result_reversal", SUCCEEDED),
        (Api.REVERSAL, "result_reversal_2017", SUCCEEDED),
        (Api.REVERSAL, "result_reversal_invalid", FAILED),
        (Api.REVERSAL, "result_reversal_again", UNKNOWN),
        (Api.BALANCE, "result_balance", SUCCEEDED),
        (Api.BALANCE, "result_balance_locked", FAILED),
        (Api.STATUS, "result_status", SUCCEEDED),
        (Api.STATUS, "result_status_unknown_receipt", FAILED),
    ],
)
def test_a_result_has_the_verdict_of_its_code(api, name, expected):
    assert verdict_of(api, result(name)) is expected


@pytest.mark.parametrize("api", [Api.B2C, Api.B2B, Api.REVERSAL])
def test_money_that_moved_without_a_receipt_is_unknown(api):
    assert verdict_of(api, replace(result("result_b2c"), transaction_id=None)) is UNKNOWN


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("Completed", SUCCEEDED),
        (" completed ", SUCCEEDED),
        ("Cancelled", FAILED),
        ("Declined", FAILED),
        ("Expired", FAILED),
        ("Initiated", UNKNOWN),
        ("Authorized", UNKNOWN),
        ("Pending Authorized", UNKNOWN),
        ("Reversed", UNKNOWN),
        ("", UNKNOWN),
    ],
)
def test_only_a_final_status_is_a_verdict(status, expected):
    assert verdict_of_status(status) is expected
