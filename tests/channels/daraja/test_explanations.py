import pytest

from channels.daraja.errors import DarajaRejected, DarajaTimeout, DarajaUnavailable, Reason
from channels.daraja.explanations import REASONS, Api, Who, explain, explain_error

STK_CODES = [
    *("0", "1", "2", "3", "4", "8", "17", "26", "1001", "1019", "1025", "1031", "1032", "1036", "1037"),
    *("2001", "2028", "2029", "4999", "8006", "9999", "SFC_IC0003", "E3008"),
]
INITIATOR_CODES = [
    *("0", "1", "11", "15", "17", "18", "19", "20", "21", "22", "24", "25", "26", "29"),
    *("2001", "2006", "2028", "8006", "SFC_IC0003", "TP40153", "100000000", "100000001", "100000002"),
    *("100000004", "100000005", "100000007", "100000009", "100000010", "100000011"),
]


@pytest.mark.parametrize(
    ("api", "code"),
    [
        *((Api.STK, code) for code in STK_CODES),
        *((Api.BALANCE, code) for code in INITIATOR_CODES),
        *((Api.STATUS, code) for code in [*INITIATOR_CODES, "2032"]),
        *((Api.B2C, code) for code in [*INITIATOR_CODES, "2", "3", "4", "8", "2040"]),
        *((Api.B2B, code) for code in [*INITIATOR_CODES, "2", "3", "4", "8"]),
        *((Api.REVERSAL, code) for code in [*INITIATOR_CODES, "R000001", "R000002"]),
        *((Api.B2B_EXPRESS, code) for code in ["0", "4001", "4102", "4104", "4201", "4203"]),
        *((Api.RATIBA, code) for code in ["0", "1001", "1025", "1032", "1037", "1050", "1051", "2001"]),
    ],
)
def test_every_documented_code_has_an_explanation_of_its_own(api, code):
    explanation = explain(api, code)

    assert code not in explanation.title
    assert explanation.meaning.endswith(".")
    assert explanation.do_now.endswith(".")


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_an_explanation(reason):
    assert REASONS[reason].meaning.endswith(".")
    assert REASONS[reason].do_now.endswith(".")


def test_one_code_means_what_its_api_means_by_it():
    assert explain(Api.STK, "2001").title == "Wrong M-PESA PIN"
    assert explain(Api.STK, "2001").who is Who.CUSTOMER
    assert explain(Api.BALANCE, "2001").title == "Initiator not accepted"
    assert explain(Api.BALANCE, "2001").who is Who.YOU


def test_a_lack_of_money_names_the_account_that_lacks_it():
    assert "Utility account" in explain(Api.B2C, "1").meaning
    assert "Working account" in explain(Api.B2B, "1").meaning
    assert "received the payment" in explain(Api.REVERSAL, "1").meaning


def test_a_status_that_was_answered_is_not_called_paid():
    assert explain(Api.STK, "0").title == "Paid"
    assert explain(Api.STATUS, "0").title == "Answered"


def test_a_gateway_code_is_told_apart_by_its_words():
    assert explain(Api.STK, "500.001.1001", "Merchant does not exist") == REASONS[Reason.UNKNOWN_SHORTCODE]
    assert explain(Api.STK, "500.001.1001", "[MerchantValidate] - Wrong credentials") == REASONS[Reason.WRONG_PASSKEY]


def test_an_unknown_code_is_neutral_and_quotes_safaricom():
    explanation = explain(Api.STK, "7777", "The moon is in the wrong house")

    assert explanation.title == "Code 7777"
    assert "“The moon is in the wrong house”" in explanation.meaning
    assert explanation.is_retryable is False


@pytest.mark.parametrize("api", [Api.B2C, Api.B2B, Api.REVERSAL])
def test_an_unknown_code_of_money_out_is_not_called_undone(api):
    explanation = explain(api, "7777")

    assert explanation.do_now == "Find out whether the money moved before anything else: ask for its status."
    assert explanation.is_retryable is False


def test_a_field_that_was_not_accepted_is_named():
    error = DarajaRejected(reason=Reason.INVALID_FIELD, field="AccountReference")

    assert explain_error(error).title == "AccountReference was not accepted"


def test_what_may_have_gone_through_is_never_advised_to_be_sent_again():
    assert explain_error(DarajaUnavailable(reason=Reason.SLOW)).is_retryable is True

    refusal = explain_error(DarajaRejected(reason=Reason.OTHER), is_open=True)
    for explanation in (refusal, *(explain_error(DarajaTimeout(reason=reason)) for reason in Reason)):
        assert explanation.is_retryable is False
        assert explanation.do_now == "Find out whether it went through before you send it again."
