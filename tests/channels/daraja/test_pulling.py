from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import orjson
import pytest

from channels.daraja.client import PullPage, PullRow
from channels.daraja.errors import DarajaRejected, DarajaUnavailable, Reason

PAYLOADS = Path(__file__).parents[2] / "payloads" / "daraja"
REGISTER = "/pulltransactions/v1/register"
QUERY = "/pulltransactions/v1/query"
START, END = datetime(2020, 8, 4, 5, 36, tzinfo=UTC), datetime(2020, 8, 16, 7, 10, tzinfo=UTC)


def payload(name):
    return orjson.loads((PAYLOADS / f"{name}.json").read_bytes())


def row(receipt, **changes):
    return payload("pull_page")["Response"][0][0] | {"transactionId": receipt} | changes


def answer(*rows):
    return {"ResponseRefID": "1", "ResponseCode": "1000", "ResponseMessage": "Success", "Response": [list(rows)]}


def page(client, **changes):
    return client.pull_page(**{"shortcode": "600000", "start": START, "end": END} | changes)


def pages(client):
    return list(client.pull(shortcode="600000", start=START, end=END))


FIRST = PullRow(
    receipt="OH540OB4VA",
    paid_at=datetime(2020, 8, 5, 10, 13, tzinfo=UTC),
    amount=Decimal("168.00"),
    account_reference="37207636392",
    msisdn="708374149",
    sender="MPESA",
    transaction_type="c2b-pay-bill-debit",
    organisation_name="Daraja Pull API Test",
)
CASES = {
    "pull_page": PullPage(
        (
            FIRST,
            PullRow(
                receipt="OH540OB4VB",
                paid_at=datetime(2020, 8, 5, 11, 0, 30, tzinfo=UTC),
                amount=Decimal("1.00"),
                account_reference="37207636392",
                msisdn="254708374149",
                sender="MPESA",
                transaction_type="c2b-pay-bill-debit",
                organisation_name="Daraja Pull API Test",
            ),
        )
    ),
    "pull_page_live": PullPage(
        (
            PullRow(
                receipt="UHP540OB4V",
                paid_at=datetime(2026, 8, 25, 10, 15, tzinfo=UTC),
                amount=Decimal("168.00"),
                account_reference="",
                msisdn="2547 ***** 149",
                sender="MPESA",
                transaction_type="c2b-pay-bill-debit",
                organisation_name="Daraja Pull API Test",
            ),
        )
    ),
    "pull_page_empty": PullPage(()),
}


@pytest.mark.parametrize("name", CASES)
def test_every_documented_page_is_read_to_its_exact_values(client, daraja, name):
    daraja.will_answer(QUERY, payload(name))

    assert page(client, end=datetime(2026, 8, 25, 10, 30, tzinfo=UTC)) == CASES[name]


def test_no_page_file_is_without_a_case():
    assert {path.stem for path in PAYLOADS.glob("pull_*.json")} == CASES.keys()


def test_a_window_is_asked_for_by_kenya_s_clock(client, daraja):
    daraja.will_answer(QUERY, payload("pull_page_empty"))

    page(client, start=START.astimezone(timezone(timedelta(hours=-5))), offset=200)

    assert daraja.calls(QUERY)[0].json == {
        "ShortCode": "600000",
        "StartDate": "2020-08-04 08:36:00",
        "EndDate": "2020-08-16 10:10:00",
        "OffSetValue": "200",
    }


def test_pages_follow_one_another_until_there_is_nothing_more(client, daraja):
    """A short page is not the last one: nothing says how long a page is."""
    daraja.will_answer(QUERY, answer(row("OH540OB4VA"), row("OH540OB4VB")))
    daraja.will_answer(QUERY, answer(row("OH540OB4VC")))
    daraja.will_answer(QUERY, payload("pull_page_empty"))

    found = pages(client)

    assert [[row.receipt for row in page.rows] for page in found] == [["OH540OB4VA", "OH540OB4VB"], ["OH540OB4VC"]]
    assert [call.json["OffSetValue"] for call in daraja.calls(QUERY)] == ["0", "2", "3"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, payload("pull_page_empty")),
        (200, {"ResponseCode": "1000", "Response": [[]]}),
        (200, {"ResponseCode": "1000", "Response": []}),
        (500, {"requestId": "1", "errorCode": "500", "errorMessage": "no transaction on G2"}),
    ],
)
def test_a_window_in_which_nothing_was_paid_has_no_pages(client, daraja, status, body):
    daraja.will_answer(QUERY, body, status=status)

    assert pages(client) == []
    assert len(daraja.calls(QUERY)) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, {"requestId": "1", "errorCode": "500", "errorMessage": "Failed to retrieve transactions"}),
        (200, {"ResponseCode": "1000", "ResponseMessage": "Success"}),
        (200, {"ResponseCode": "1000", "Response": "[[]]"}),
        (200, {"Response": [[]]}),
        (200, {}),
        (200, b"<html></html>"),
        (503, b"<html></html>"),
    ],
)
def test_a_failed_pull_is_an_error_and_never_an_empty_one(client, daraja, status, body):
    daraja.will_answer(QUERY, body, status=status)

    with pytest.raises(DarajaUnavailable):
        pages(client)


def test_a_pull_that_fails_halfway_has_given_its_first_pages_and_says_so(client, daraja):
    daraja.will_answer(QUERY, answer(row("OH540OB4VA")))
    daraja.will_answer(QUERY, b"", status=500)
    pull = client.pull(shortcode="600000", start=START, end=END)

    assert next(pull).rows == (FIRST,)
    with pytest.raises(DarajaUnavailable):
        next(pull)


def test_a_page_that_comes_again_and_again_does_not_go_on_for_ever(client, daraja):
    daraja.will_answer(QUERY, answer(row("OH540OB4VA")))

    with pytest.raises(DarajaUnavailable) as nonsense:
        pages(client)

    assert nonsense.value.message == "the same page came twice"
    assert len(daraja.calls(QUERY)) == 2


@pytest.mark.parametrize(
    "bad", [{"amount": "0"}, {"trxDate": "yesterday"}, {"transactionId": "OH50000000"}, {"msisdn": []}], ids=str
)
def test_a_row_that_makes_no_sense_is_told_and_the_others_are_read(client, daraja, bad):
    daraja.will_answer(QUERY, answer(row("OH540OB4VA"), row("OH540OB4VB", **bad), "no row"))

    read = page(client)

    assert read.rows == (FIRST,)
    assert len(read.unreadable) == 2
    assert read.unreadable[1] == "A row is not an object."
    assert read.row_count == 3


@pytest.mark.parametrize(
    ("said", "paid_at"),
    [
        ("2020-08-16T07:05:00Z", datetime(2020, 8, 16, 7, 5, tzinfo=UTC)),
        ("2020-08-16T07:11:00Z", datetime(2020, 8, 16, 7, 11, tzinfo=UTC)),  # clocks differ
        ("2020-08-16T10:05:00Z", datetime(2020, 8, 16, 7, 5, tzinfo=UTC)),  # hours later than the window
        ("2020-08-16T10:05:00", datetime(2020, 8, 16, 7, 5, tzinfo=UTC)),
    ],
)
def test_a_time_is_taken_at_its_word_unless_it_can_not_be_true(client, daraja, said, paid_at):
    daraja.will_answer(QUERY, answer(row("OH540OB4VA", trxDate=said)))

    assert page(client).rows[0].paid_at == paid_at


def test_a_page_is_by_one_clock(client, daraja):
    first, last = row("OH540OB4VA", trxDate="2020-08-15T10:00:00Z"), row("OH540OB4VB", trxDate="2020-08-16T10:05:00Z")
    daraja.will_answer(QUERY, answer(first, last))

    assert [row.paid_at.hour for row in page(client).rows] == [7, 7]


@pytest.mark.parametrize(
    "changes",
    [
        {"shortcode": "abc"},
        {"start": END},
        {"start": START.replace(tzinfo=None)},
        {"offset": -1},
    ],
    ids=str,
)
def test_a_window_that_makes_no_sense_is_not_asked_for(client, daraja, changes):
    with pytest.raises(DarajaRejected):
        page(client, **changes)

    assert daraja.received == []


@pytest.mark.parametrize(
    "registered",
    [
        {"ResponseRefID": "feb5e3f2", "ResponseStatus": "1000", "ResponseDescription": "Registered"},
        {"ResponseRefID": "feb5e3f2", "ResponseStatus": "1001", "ResponseDescription": "Registered"},
        {"ResponseRefID": "feb5e3f2", "Response Status": "1000", "Response Description": "Registered"},
    ],
)
def test_registering_once_or_again_turns_pull_on(client, daraja, registered):
    daraja.will_answer(REGISTER, {**registered, "ShortCode": "600000"})

    said = client.pull_register(
        shortcode="600000", nominated_msisdn="254708374149", callback_url="https://pay.tuzo.co.ke/h/abc/pull"
    )

    assert said == "Registered"
    assert daraja.calls(REGISTER)[0].json == {
        "ShortCode": "600000",
        "RequestType": "Pull",
        "NominatedNumber": "254708374149",
        "CallBackURL": "https://pay.tuzo.co.ke/h/abc/pull",
    }


def test_an_app_without_the_product_is_refused(client, daraja):
    body = {"requestId": "1", "errorCode": "401.001", "errorMessage": "Invalid Access Token"}
    daraja.will_answer(QUERY, body, status=401)

    with pytest.raises(DarajaRejected) as refusal:
        page(client)

    assert refusal.value.reason is Reason.INVALID_TOKEN
