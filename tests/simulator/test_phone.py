import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests


def customers_balance(process, phone):
    return process.control("PUT", f"/customers/{phone}", {}).json()["balance"]


def test_payment_from_the_phone_moves_money_and_says_so(process, paybill, customer):
    paid = paybill.is_paid(customer, 5000, "VIP001").json()

    assert paid["state"] == "completed"
    assert re.fullmatch(
        rf"{paid['receipt']} Confirmed\. KES 5,000\.00 paid to Acme Electronics for account VIP001 on "
        r"\d\d/\d\d/\d\d at \d\d:\d\d\. New M-PESA balance is KES 195,000\.00\.",
        paid["message"],
    )
    assert customers_balance(process, customer) == "195000.00"
    assert paybill.books()["accounts"]["Utility Account"] == "5000.00"


@pytest.mark.parametrize("written", ["0712345678", "712345678", "+254 712 345 678", "254712345678"])
def test_phone_number_may_be_written_in_any_local_form(process, paybill, written):
    receipt = paybill.is_paid(written, 10).json()["receipt"]

    payments = process.control("GET", f"/payments?shortcode={paybill.shortcode}").json()["payments"]
    assert [(one["receipt"], one["phone_number"]) for one in payments] == [(receipt, "254712345678")]


def test_customers_name_can_be_given_with_a_payment(paybill, receiver, customer):
    paybill.change(names_style="full")
    paybill.register()

    paybill.is_paid(customer, 10, first_name="Wangari", last_name="Maina")

    body = receiver.wait("confirmation")[0].body
    assert (body["FirstName"], body["LastName"]) == ("WANGARI", "MAINA")


@pytest.mark.parametrize(
    ("changes", "status", "sentence"),
    [
        ({"amount": 0}, 422, "An amount is from KES 1 to KES 250,000."),
        ({"amount": 250_001}, 422, "An amount is from KES 1 to KES 250,000."),
        ({"amount": "10.50"}, 422, "M-PESA moves whole shillings."),
        ({"amount": "much"}, 422, "Write the amount in shillings, like 5000."),
        ({"amount": 200_001}, 422, "Failed. There is not enough money in your M-PESA account."),
        ({"shortcode": "123"}, 404, "No business has the number 123."),
        ({"account_reference": ""}, 422, "Type an account number; a PayBill asks for one."),
        ({"account_reference": "A" * 21}, 422, "An account number has 20 characters at most."),
        ({"phone_number": "12345"}, 422, "Write the phone number like 0712345678."),
        ({"fault": "gremlins"}, 422, None),
        ({"amout": 5}, 422, "amout: not a field here."),
    ],
)
def test_payment_that_cannot_be_tried_is_refused_and_moves_nothing(
    process, paybill, customer, changes, status, sentence
):
    body = {
        "shortcode": paybill.shortcode,
        "account_reference": "A1",
        "amount": 10,
        "phone_number": customer,
        **changes,
    }

    answer = requests.post(f"{process.url}/phone/payments", json=body, timeout=5)

    assert answer.status_code == status
    assert sentence is None or answer.json() == {"error": sentence}
    assert paybill.books()["completed"] == {"count": 0, "total": "0.00"}
    assert customers_balance(process, customer) == "200000.00"


def test_payments_at_once_never_spend_more_than_the_wallet_holds(process, paybill, receiver, customer):
    paybill.change(validation_enabled=True)
    paybill.register()
    receiver.pauses["validation"] = 0.1
    process.control("PUT", f"/customers/{customer}", {"balance": 50_000})

    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda _: paybill.is_paid(customer, 10_000), range(12)))

    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [422] * 7
    assert customers_balance(process, customer) == "0.00"
    assert paybill.books()["accounts"]["Utility Account"] == "50000.00"
    assert len({arrival.body["TransID"] for arrival in receiver.wait("confirmation", 5)}) == 5


def test_json_door_takes_json_only(process, paybill, customer):
    body = (
        f'{{"shortcode": "{paybill.shortcode}", "account_reference": "A", "amount": 5, "phone_number": "{customer}"}}'
    )

    answer = requests.post(
        f"{process.url}/phone/payments", data=body, headers={"Content-Type": "text/plain"}, timeout=5
    )

    assert answer.status_code == 415
    assert paybill.books()["completed"]["count"] == 0


def test_prompt_shows_who_asks_for_what_and_goes_when_answered(process, paybill, customer):
    ids = paybill.push(customer).json()
    url = f"{process.url}/phone/prompts?phone_number=0{customer[3:]}"

    shown = requests.get(url, timeout=5).json()["prompts"]
    answered = paybill.answer(ids["CheckoutRequestID"], "pin")
    again = paybill.answer(ids["CheckoutRequestID"], "pin")

    assert len(shown) == 1
    assert shown[0].pop("expires_at").endswith("+03:00")
    assert shown[0] == {
        "checkout_request_id": ids["CheckoutRequestID"],
        "shortcode": paybill.shortcode,
        "business": "Acme Electronics",
        "amount": "1200.00",
        "account_reference": "INV7",
        "text": "Do you want to pay Ksh.1,200 to Acme Electronics Account no. INV7? Enter M-PESA PIN",
    }
    assert answered.json()["result_code"] == "0"
    assert again.status_code == 409
    assert requests.get(url, timeout=5).json() == {"prompts": []}
    assert paybill.books()["completed"]["count"] == 1


def test_unknown_prompt_and_unknown_answer_are_refused(paybill, customer):
    ids = paybill.push(customer).json()

    assert paybill.answer("ws_CO_0", "pin").status_code == 404
    assert paybill.answer(ids["CheckoutRequestID"], "none").status_code == 422
    assert paybill.query(ids["CheckoutRequestID"]).json()["ResultCode"] == "4999"


def form(process, path, headers=None, **fields):
    return requests.post(f"{process.url}/phone/{path}", data=fields, headers=headers, allow_redirects=False, timeout=10)


def test_page_pays_by_a_plain_form_and_shows_the_message(process, till, customer):
    answer = form(process, "pay", phone_number=customer, shortcode=till.shortcode, account_reference="", amount="1,200")

    assert (answer.status_code, answer.headers["location"]) == (303, f"/phone?phone_number={customer}")
    page = requests.get(process.url + answer.headers["location"], timeout=5)
    assert "Confirmed. KES 1,200.00 paid to Taste Restaurants on " in page.text
    assert "KES 198,800.00 in M-PESA" in page.text
    messages = requests.get(f"{process.url}/phone/messages?phone_number={customer}", timeout=5).json()["messages"]
    assert len(messages) == 1


def test_page_answers_a_prompt_by_a_plain_form(process, paybill, receiver, customer):
    ids = paybill.push(customer).json()
    page = requests.get(f"{process.url}/phone?phone_number={customer}", timeout=5).text
    assert "Do you want to pay Ksh.1,200 to Acme Electronics Account no. INV7?" in page
    assert ids["CheckoutRequestID"] in page

    answer = form(
        process, "answer", phone_number=customer, checkout_request_id=ids["CheckoutRequestID"], answer="cancel"
    )

    assert answer.status_code == 303
    assert receiver.wait("stk")[0].body["Body"]["stkCallback"]["ResultCode"] == 1032


def test_page_keeps_what_was_typed_when_it_refuses(process, paybill, customer):
    answer = form(
        process, "pay", phone_number=customer, shortcode=paybill.shortcode, account_reference='"><b>', amount="1.5"
    )

    assert answer.status_code == 422
    assert "M-PESA moves whole shillings." in answer.text
    assert 'value="&quot;&gt;&lt;b&gt;"' in answer.text
    assert paybill.books()["completed"]["count"] == 0


@pytest.mark.parametrize("path", ["pay", "answer"])
def test_form_of_another_site_is_refused(process, paybill, customer, path):
    answer = form(
        process,
        path,
        headers={"Sec-Fetch-Site": "cross-site"},
        phone_number=customer,
        shortcode=paybill.shortcode,
        account_reference="A",
        amount="10",
    )

    assert answer.status_code == 403
    assert paybill.books()["completed"]["count"] == 0


def test_page_has_a_strict_policy_and_nothing_inline(process):
    page = requests.get(f"{process.url}/phone", timeout=5)

    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self';")
    assert "unsafe" not in policy
    assert "<style" not in page.text
    assert " style=" not in page.text
    assert re.findall(r"<script[^>]*>(.*?)</script>", page.text) == [""]
    assert not re.search(r" on[a-z]+=", page.text)
    for link in re.findall(r'(?:src|href)="(/phone/static/[^"]+)"', page.text):
        assert requests.get(process.url + link, timeout=5).status_code == 200


def test_page_shows_the_amounts_that_make_things_go_wrong(process):
    page = requests.get(f"{process.url}/phone", timeout=5).text

    assert "<tr><th>1,032</th><td>The customer cancels.</td></tr>" in page
    assert "<tr><th>7,003</th><td>The callback, confirmation or result never comes.</td></tr>" in page


def test_front_leads_to_the_phone(process):
    answer = requests.get(process.url, allow_redirects=False, timeout=5)

    assert (answer.status_code, answer.headers["location"]) == (303, "/phone")
