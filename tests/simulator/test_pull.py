import sqlite3
from datetime import UTC, datetime, timedelta, timezone

import pytest

EAT = timezone(timedelta(hours=3))
FORM = "%Y-%m-%d %H:%M:%S"


def register(business, **changes):
    body = {
        "ShortCode": business.shortcode,
        "RequestType": "Pull",
        "NominatedNumber": "0722000000",
        "CallBackURL": business.receiver.url("pull"),
        **changes,
    }
    return business.call("/pulltransactions/v1/register", body)


def pull(business, *, headers=None, **changes):
    now = datetime.now(EAT)
    body = {
        "ShortCode": business.shortcode,
        "StartDate": (now - timedelta(hours=1)).strftime(FORM),
        "EndDate": (now + timedelta(hours=1)).strftime(FORM),
        "OffSetValue": "0",
        **changes,
    }
    return business.call("/pulltransactions/v1/query", body, **(headers or {}))


def rows(answer):
    assert answer.status_code == 200, answer.text
    assert answer.json()["ResponseCode"] == "1000"
    (found,) = answer.json()["Response"]
    return found


def test_shortcode_is_registered_once(paybill):
    first, second = register(paybill).json(), register(paybill).json()

    assert (first["ResponseStatus"], first["ResponseDescription"]) == ("1000", "Shortcode Registered Successfully")
    assert (second["ResponseStatus"], second["ResponseDescription"]) == ("1001", "ShortCode already Registered")
    assert list(first) == ["ResponseRefID", "ResponseStatus", "ShortCode", "ResponseDescription"]
    assert first["ShortCode"] == paybill.shortcode


def test_live_answers_have_spaces_in_their_keys_and_another_id(open_business, customer):
    live = open_business(mode="production")

    registered = register(live).json()
    live.is_paid(customer)
    pulled = pull(live).json()

    assert list(registered) == ["ResponseRefID", "Response Status", "ShortCode", "Response Description"]
    assert registered["Response Status"] == "1000"
    assert list(pulled) == ["RequestID", "ResponseCode", "ResponseMessage", "Response"]


def test_shortcode_that_is_not_registered_is_400_001(paybill, customer):
    paybill.is_paid(customer)

    answer = pull(paybill)

    assert (answer.status_code, answer.json()["errorCode"]) == (400, "400.001")
    assert answer.json()["errorMessage"] == "Invalid ShortCode"


def test_payment_whose_confirmation_was_lost_is_in_pull(paybill, receiver, customer):
    paybill.register()
    register(paybill)
    lost = paybill.is_paid(customer, 168, account="37207636392", fault="callback_lost").json()["receipt"]

    (row,) = rows(pull(paybill))

    assert not receiver.of("confirmation")
    paid_at = datetime.strptime(row.pop("trxDate"), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - paid_at) < timedelta(seconds=10)
    assert str(row.pop("msisdn")) in {customer, customer[3:]}
    assert row == {
        "transactionId": lost,
        "sender": "MPESA",
        "transactiontype": "c2b-pay-bill-debit",
        "billreference": "37207636392",
        "amount": "168.00",
        "organizationname": "Acme Electronics",
    }


def test_number_comes_without_254_with_it_and_as_text(paybill, customer):
    register(paybill)
    for _ in range(3):
        paybill.is_paid(customer, 1)

    shown = {row["msisdn"] for row in rows(pull(paybill))}

    assert shown == {int(customer[3:]), int(customer), customer}


def test_every_kind_of_customers_payment_is_there_and_cancelled_ones_are_not(paybill, receiver, customer):
    paybill.change(validation_enabled=True)
    paybill.register()
    register(paybill)
    phone = paybill.is_paid(customer, 100).json()["receipt"]
    prompt = paybill.push(customer, Amount=200).json()["CheckoutRequestID"]
    stk = paybill.answer(prompt, "pin").json()["receipt"]
    receiver.answers["validation"] = (200, '{"ResultCode": "C2B00012"}')
    paybill.is_paid(customer, 300)

    assert [row["transactionId"] for row in rows(pull(paybill))] == [phone, stk]


def test_pages_have_100_rows_and_the_offset_counts_rows(paybill, customer):
    register(paybill)
    receipts = [paybill.is_paid(customer, 1).json()["receipt"] for _ in range(103)]

    first, second = rows(pull(paybill)), rows(pull(paybill, OffSetValue=100))
    third = pull(paybill, OffSetValue="200")

    assert [row["transactionId"] for row in first] == receipts[:100]
    assert [row["transactionId"] for row in second] == receipts[100:]
    assert third.json()["ResponseCode"] == "1001"


def test_nothing_in_the_window_is_1001_with_a_string_for_a_body(paybill, customer):
    register(paybill)
    paybill.is_paid(customer)
    now = datetime.now(EAT)

    answer = pull(
        paybill,
        StartDate=f"{now - timedelta(hours=2):%Y-%m-%d %H:%M}",
        EndDate=(now - timedelta(hours=1)).strftime(FORM),
    )

    told = answer.json()
    assert (answer.status_code, told["ResponseCode"], told["Transaction"]) == (200, "1001", "[[]]")
    assert "Response" not in told


def test_fault_says_500_where_there_is_nothing_and_only_there(paybill, customer):
    register(paybill)
    paybill.faults({"fault": "pull_nothing_500"})

    nothing = pull(paybill)
    paybill.is_paid(customer)

    assert (nothing.status_code, nothing.json()["errorCode"]) == (500, "500")
    assert nothing.json()["errorMessage"] == (
        "Failed to retrieve transactions. The short code does not have any available transactions."
    )
    assert len(rows(pull(paybill))) == 1


def test_fault_gives_kenyas_clock_with_a_z(paybill, customer):
    register(paybill)
    paybill.is_paid(customer)

    (row,) = rows(pull(paybill, headers={"X_Simulator_Fault": "pull_kenyan_time"}))

    paid_at = datetime.strptime(row["trxDate"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=EAT)
    assert abs(datetime.now(EAT) - paid_at) < timedelta(seconds=10)


def test_payment_is_gone_after_48_hours(own, shop, customer):
    register(shop)
    old, new = (shop.is_paid(customer, 1).json()["receipt"] for _ in range(2))
    books = sqlite3.connect(own.data / "simulator" / "books.sqlite3")
    with books:
        books.execute("UPDATE payments SET paid_at = paid_at - 48 * 3600 - 60 WHERE receipt = ?", (old,))
    books.close()
    own.kill()
    own.start()

    found = rows(pull(shop, StartDate="2020-08-04 8:36:00"))

    assert [row["transactionId"] for row in found] == [new]


def test_store_number_pulls_its_tills_and_no_others(open_business, customer):
    till = open_business(kind="till", store_number="700800")
    rival = open_business(kind="till", store_number="700800")
    register(till, ShortCode="700800")
    receipt = till.is_paid(customer, 100).json()["receipt"]
    rival.is_paid(customer, 200)

    (row,) = rows(pull(till, ShortCode="700800"))

    assert (row["transactionId"], row["transactiontype"]) == (receipt, "c2b-buy-goods-debit")


def test_rivals_payments_cannot_be_pulled(paybill, open_business, customer):
    rival = open_business()
    register(rival)
    rival.is_paid(customer)

    for answer in (register(paybill, ShortCode=rival.shortcode), pull(paybill, ShortCode=rival.shortcode)):
        assert (answer.status_code, answer.json()["errorCode"]) == (400, "400.001")


@pytest.mark.parametrize(
    ("field", "value"),
    [("RequestType", "Push"), ("NominatedNumber", "12"), ("CallBackURL", "")],
)
def test_bad_field_of_a_registration_is_named(paybill, field, value):
    answer = register(paybill, **{field: value})

    assert (answer.status_code, answer.json()["errorMessage"]) == (400, f"Bad Request - Invalid {field}")
    assert pull(paybill).json()["errorCode"] == "400.001"


@pytest.mark.parametrize(
    ("field", "value"),
    [("StartDate", "2020-08-04T08:36:00Z"), ("EndDate", "2019-01-01 00:00:00"), ("OffSetValue", "-1"), ("EndDate", "")],
)
def test_bad_field_of_a_query_is_named(paybill, field, value):
    register(paybill)

    answer = pull(paybill, **{field: value})

    assert (answer.status_code, answer.json()["errorCode"]) == (400, "400.002.02")
    assert answer.json()["errorMessage"] == f"Bad Request - Invalid {field}"


def test_app_without_the_product_is_told_that_its_token_is_invalid(paybill):
    paybill.change(products=["stk"])
    unattached = register(paybill)
    paybill.token = "stale"
    stale = pull(paybill)

    for answer in (unattached, stale):
        told = answer.json()
        assert (answer.status_code, told["errorCode"], told["errorMessage"]) == (401, "401.001", "Invalid Access Token")


def test_registration_outlives_a_kill_and_faults_strike_queries(own, shop, customer):
    register(shop)
    shop.is_paid(customer)

    own.kill()
    own.start()

    shop.faults({"fault": "maintenance", "on": ["pull_query"], "count": 1})
    assert pull(shop).status_code == 503
    assert len(rows(pull(shop))) == 1
