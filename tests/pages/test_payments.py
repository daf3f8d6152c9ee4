"""Payments as people see, find and give them back; asking for one; the days; what was put aside."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from html import unescape
from urllib.parse import quote

import pytest
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import public_id
from audit.models import AuditRow
from audit.services import Actor
from channels.models import Environment, SmsMessage
from channels.practice_phone import practice_number
from loyalty.awards import award_payments
from loyalty.models import AccrualRule, Member, PaymentOutcome, Program
from payments import searching
from payments.models import Payment, PaymentRequest, Reversal
from payments.services import PaymentReport, record_payments
from tenants.models import InboundCallback, Role
from tenants.templatetags.tuzo import phone
from tests.factories import make_channel

SAVED = {"initiator_credential": {"ends_in": None, "saved_at": "2026-11-21T09:00:00+03:00", "proved_at": None}}
HTMX = {"HX-Request": "true"}


@pytest.fixture
def paybill(acme):
    return make_channel(acme, "600966", initiator_name="apiop", initiator_credential="secret", secret_notes=SAVED)


@pytest.fixture
def pay():
    """`pay(tenant, channel, "UKL0000001")` → a payment of KES 500."""

    def report(tenant, channel, receipt, amount="500.00", **columns):
        values = {
            "receipt": receipt,
            "channel": channel,
            "payer": "254712345126",
            "payer_name": "JOHN KAMAU",
            "amount": Decimal(amount),
            "account_reference": "VIP001",
            "routed_to": "loyalty",
            "source": Payment.Source.CONFIRMATION,
            "paid_at": timezone.now(),
            "callback_id": None,
        }
        with tenant_context(tenant):
            record_payments(reports=[PaymentReport(**values | columns)])
            return Payment.objects.get(receipt=receipt)

    return report


def address(payment, more=""):
    return f"/payments/{public_id('pay', payment.pk)}/{more}"


def receipts(client, query=""):
    page = client.get(f"/payments/{query}").content.decode()
    return re.findall(r">(UKL\w+)</a></th>", page)


def words(answer):
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


# -- The list ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def known(acme, paybill, pay):
    other = make_channel(acme, "600967")
    pay(acme, paybill, "UKL0000001", paid_at=datetime(2026, 11, 19, 20, 59, tzinfo=UTC))
    pay(
        acme,
        paybill,
        "UKL0000002",
        "1500.50",
        payer="2547 ***** 127",
        payer_name="GRACE",
        account_reference="inv-7",
        paid_at=datetime(2026, 11, 19, 21, 0, tzinfo=UTC),
    )
    pay(
        acme,
        other,
        "UKL0000003",
        payer="a" * 64,
        payer_name="",
        account_reference="500",
        amount="7.00",
        paid_at=datetime(2026, 11, 20, 9, 0, tzinfo=UTC),
    )
    return public_id("ch", other.pk)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["UKL0000003", "UKL0000002", "UKL0000001"]),
        ("?q=ukl0000001", ["UKL0000001"]),
        ("?q=UKL000000", ["UKL0000003", "UKL0000002", "UKL0000001"]),
        ("?q=0712+345+126", ["UKL0000001"]),
        ("?q=%2B254+712+345+127", ["UKL0000002"]),
        ("?q=1,500.50", ["UKL0000002"]),
        ("?q=KES+500", ["UKL0000001"]),
        ("?q=500", ["UKL0000003", "UKL0000001"]),
        ("?q=kamau", ["UKL0000001"]),
        ("?q=INV-7", ["UKL0000002"]),
        ("?q=vip", ["UKL0000001"]),
        *((f"?q={quote(typed)}", ["UKL0000001"]) for typed in ("vip-001", "Vip 001", "V-I-P 0", "vip\u2013001")),
        *((f"?q={quote(typed)}", ["UKL0000002"]) for typed in ("INV7", "in v7", "Sh. 1,500.50", "1 500.50/=")),
        *((f"?q={quote(typed)}", ["UKL0000001"]) for typed in ("sh 500", "Kshs 500", "500.00/-", "kes500")),
        ("?q=5+00", ["UKL0000003"]),
        ("?q=-", []),
        ("?q=nobody", []),
        ("?since=2026-11-20", ["UKL0000003", "UKL0000002"]),
        ("?until=2026-11-19", ["UKL0000001"]),
        ("?q=5%00", []),
    ],
)
def test_a_payment_is_found_by_what_is_at_hand(known, acme, browser, member_of, query, found):
    assert receipts(browser(member_of(acme, Role.USER)), query) == found


def test_ten_letters_are_a_receipt_if_there_is_one_else_a_name(acme, paybill, pay, browser, member_of, monkeypatch):
    monkeypatch.setattr(searching, "LOOKED_THROUGH", 1)
    pay(acme, paybill, "UKLSVMSISF", payer_name="MAKHANDIAS", paid_at=datetime(2026, 11, 19, 9, 0, tzinfo=UTC))
    pay(acme, paybill, "UKL0000001", payer_name="MAKHANDIAS", paid_at=datetime(2026, 11, 20, 9, 0, tzinfo=UTC))
    client = browser(member_of(acme, Role.USER))

    assert receipts(client, "?q=UKLSVMSISF") == ["UKLSVMSISF"]
    assert receipts(client, "?q=uklsvmsisf") == ["UKLSVMSISF"]
    monkeypatch.undo()
    assert receipts(client, "?q=MAKHANDIAS") == ["UKL0000001", "UKLSVMSISF"]


def test_a_payment_is_found_by_its_channel(known, acme, browser, member_of):
    client = browser(member_of(acme))

    assert receipts(client, f"?channel={known}") == ["UKL0000003"]
    assert client.get("/payments/?channel=x").status_code == 422


def test_parts_are_looked_for_among_the_newest_and_then_further_back(known, acme, browser, member_of, monkeypatch):
    monkeypatch.setattr(searching, "LOOKED_THROUGH", 1)
    client = browser(member_of(acme, Role.USER))

    def look(query):
        page = client.get(f"/payments/{query}").content.decode()
        further = re.search(r'href="([^"]+)">Look further back', page)
        return re.findall(r">(UKL\d{7})</a>", page), unescape(further[1]) if further else ""

    found, further = look("?q=kam")
    assert (found, further) == ([], "?q=kam&before=2026-11-19T21%3A00%3A00%2B00%3A00")
    found, further = look(further)
    assert (found, "before=2026-11-19T20%3A59" in further) == ([], True)
    assert look(further) == (["UKL0000001"], "")
    with tenant_context(acme):
        clerk = Actor(kind=AuditRow.ActorKind.PERSON, label="clerk", role=Role.USER)
        everywhere = searching.search_payments(actor=clerk, environment=Environment.PRACTICE, text="kam")
        assert [payment.receipt for payment in everywhere] == ["UKL0000001"]  # for files
    assert look("?q=kam&before=yesterday")[1] == "?q=kam&before=2026-11-19T21%3A00%3A00%2B00%3A00"


@pytest.mark.parametrize("query", ["?q=0712+345+126", "?q=UKL0000001", "?q=VIP001", "", "?until=2026-11-19"])
def test_what_is_typed_whole_is_found_at_any_age(known, acme, browser, member_of, monkeypatch, query):
    monkeypatch.setattr(searching, "LOOKED_THROUGH", 0)
    client = browser(member_of(acme, Role.USER))

    assert receipts(client, query)[-1] == "UKL0000001"
    assert "Look further back" not in words(client.get(f"/payments/{query}"))


def test_with_a_channel_an_amount_is_looked_for_among_the_newest_that_have_it(
    known, acme, browser, member_of, monkeypatch
):
    client = browser(member_of(acme, Role.USER))
    assert receipts(client, f"?q=7&channel={known}") == ["UKL0000003"]

    monkeypatch.setattr(searching, "LOOKED_THROUGH", 0)
    assert receipts(client, f"?q=7&channel={known}") == []
    assert "Look further back" in words(client.get(f"/payments/?q=7&channel={known}"))


def test_a_day_that_is_none_says_so_and_stays(known, acme, browser, member_of):
    answer = browser(member_of(acme)).get("/payments/?since=yesterday&q=kamau")

    page = answer.content.decode()
    assert answer.status_code == 422
    assert "Enter a day like 2026-11-21." in page
    assert 'value="yesterday"' in page
    assert "UKL0000001" not in page


def test_the_list_shows_exact_amounts_of_one_environment(acme, paybill, pay, browser, member_of):
    sandbox = make_channel(acme, "600200", environment=Environment.SANDBOX)
    pay(acme, paybill, "UKL0000001", "1234.50")
    pay(acme, sandbox, "UKL0000002")
    client = browser(member_of(acme))

    assert "UKL0000001 KES 1,234.50 John Kamau 0712 345 126 VIP001" in words(client.get("/payments/"))
    assert receipts(client) == ["UKL0000001"]
    assert receipts(client, "?environment=sandbox") == ["UKL0000002"]


def test_an_empty_list_in_practice_leads_to_a_practice_payment(acme, paybill, browser, member_of):
    page = browser(member_of(acme)).get("/payments/").content.decode()

    assert 'href="/practice/">Make a practice payment</a>' in page


def test_rival_sees_nothing_of_acmes(acme, rival, paybill, pay, browser, member_of):
    payment = pay(acme, paybill, "UKL0000001")
    client = browser(member_of(rival))

    assert receipts(client) == []
    assert client.get(address(payment)).status_code == 404
    assert client.get(address(payment, "reverse/")).status_code == 404
    assert client.get("/payments/pay_x/").status_code == 404


# -- One payment ------------------------------------------------------------------------------------------------------


def test_a_payment_tells_what_happened_to_it(acme, paybill, pay, browser, member_of):
    payment = pay(acme, paybill, "UKL0000001")
    InboundCallback.objects.create(
        tenant=acme,
        channel_id=paybill.pk,
        kind="C2B_CONFIRMATION",
        body=b"{}",
        state="APPLIED",
        dedup_key="UKL0000001",
        received_at=timezone.now(),
        due_at=timezone.now(),
    )
    client = browser(member_of(acme, Role.USER))
    page = client.get(address(payment)).content.decode()
    assert "Points are being counted." in page
    assert f'hx-get="{address(payment)}?seen=' in page
    seen = re.search(r"seen=(\w+)", page)[1]
    assert client.get(f"{address(payment)}?seen={seen}", headers=HTMX).status_code == 204

    with tenant_context(acme):
        program = Program.objects.create(code="loyalty", name="Loyalty")
        AccrualRule.objects.create(program=program)
        Member.objects.create(
            program=program,
            environment="PRACTICE",
            code="VIP001",
            name="John",
            phone_number="254712345126",
            phone_hash="x",
            consented_at=timezone.now(),
            joined_at=timezone.now(),
        )
        award_payments(payment_ids=[payment.pk], now=timezone.now())
        SmsMessage.objects.update(status="SENT", sent_at=timezone.now())
    answer = client.get(f"{address(payment)}?seen={seen}", headers=HTMX)
    told = words(answer)
    assert "hx-get" not in answer.content.decode()  # nothing is to come
    order = ["The customer paid", "confirmation arrived", "VIP001 John earned 5 points (Loyalty).", "got an SMS"]
    assert [told.index(each) for each in order] == sorted(told.index(each) for each in order)
    assert "You earned 5 Loyalty points" in told
    assert "Program Loyalty" in words(client.get(address(payment)))  # by its name
    assert "+5 points" in words(client.get("/payments/"))


def test_a_manager_asks_that_a_payment_be_given_back(acme, paybill, pay, browser, member_of):
    payment = pay(acme, paybill, "UKL0000001")
    client = browser(member_of(acme, Role.MANAGER))
    assert f'href="{address(payment, "reverse/")}"' in client.get(address(payment)).content.decode()

    refused = client.post(address(payment, "reverse/"), {"reason": "x"})
    assert refused.status_code == 400
    assert "Use 2 to 100 characters." in refused.content.decode()
    empty = client.post(address(payment, "reverse/"), {"reason": ""})
    assert (empty.status_code, "Say why it is given back." in empty.content.decode()) == (422, True)
    with tenant_context(acme):
        assert not Reversal.objects.exists()

    key = re.search(r'name="form_key" value="([^"]+)"', client.get(address(payment, "reverse/")).content.decode())[1]
    pressed = {"reason": "Paid twice", "form_key": key}
    answer = client.post(address(payment, "reverse/"), pressed, follow=True)
    assert client.post(address(payment, "reverse/"), pressed)["Location"] == address(payment)  # twice is once
    with tenant_context(acme):
        reversal = Reversal.objects.get()
        assert (reversal.payment, reversal.status, reversal.reason) == (payment, "AWAITING_APPROVAL", "Paid twice")
    told = words(answer)
    assert "Nothing is sent yet: somebody has to approve it within 24 hours." in told
    assert "“Paid twice”" in told
    assert "Give it back" not in told
    again = client.post(address(payment, "reverse/"), {"reason": "Paid twice"})
    assert (again.status_code, "is under way" in again.content.decode()) == (409, True)


def test_a_cashier_gives_nothing_back(acme, paybill, pay, browser, member_of):
    payment = pay(acme, paybill, "UKL0000001")
    client = browser(member_of(acme, Role.USER))

    assert "Give it back" not in client.get(address(payment)).content.decode()
    assert client.post(address(payment, "reverse/"), {"reason": "Paid twice"}).status_code == 403
    with tenant_context(acme):
        assert not Reversal.objects.exists()


# -- The counter, the days, what was put aside -------------------------------------------------------------------------


def test_the_counter_shows_the_newest_without_whole_numbers(acme, paybill, pay, browser, member_of):
    pay(acme, paybill, "UKL0000001", payer_name="", paid_at=timezone.now() - timedelta(minutes=1))
    client = browser(member_of(acme, Role.USER))
    page = client.get("/counter/").content.decode()
    assert "2547****126" in page
    assert "0712" not in page
    seen = re.search(r'hx-get="(/counter/\?seen=\w+)" hx-trigger="every 4s"', page)[1]
    assert client.get(seen, headers=HTMX).status_code == 204

    pay(acme, paybill, "UKL0000002", "75.00")
    fragment = client.get(seen, headers=HTMX)
    assert fragment.status_code == 200
    assert words(fragment).startswith("KES 75.00 John Kamau")


def test_the_days_say_what_is_left(acme, paybill, pay, browser, member_of):
    payment = pay(acme, paybill, "UKL0000001", "500.00", paid_at=datetime(2026, 10, 5, 21, 30, tzinfo=UTC))
    pay(acme, paybill, "UKL0000002", "100.00", paid_at=datetime(2026, 10, 6, 9, 0, tzinfo=UTC))
    pay(acme, paybill, "UKL0000003", "40.00", paid_at=datetime(2026, 9, 30, 9, 0, tzinfo=UTC))
    with tenant_context(acme):
        day = payment.channel.day_totals.get(date=date(2026, 10, 6))
        day.reversed_count, day.reversed_amount, day.charges = 1, Decimal(100), Decimal("2.75")
        day.save()
    told = words(browser(member_of(acme, Role.USER)).get("/payments/days/?month=2026-10"))

    assert "6 Oct 2026 2 KES 600.00 KES 100.00 KES 2.75 KES 497.25" in told
    assert "40.00" not in told
    assert "September 2026" in told


def test_what_was_put_aside_is_applied_again_by_who_may(acme, rival, paybill, browser, member_of):
    row = InboundCallback.objects.create(
        tenant=acme,
        channel_id=paybill.pk,
        kind="C2B_CONFIRMATION",
        body=b'{"TransID": "UKL0000009"}',
        state="QUARANTINED",
        reason="FOREIGN_SHORTCODE",
        received_at=timezone.now(),
        due_at=timezone.now(),
    )
    again = f"/payments/put-aside/{public_id('cb', row.pk)}/again/"
    cashier, manager = browser(member_of(acme, Role.USER)), browser(member_of(acme, Role.MANAGER))
    assert cashier.get("/payments/put-aside/").status_code == 403
    assert cashier.post(again).status_code == 403
    assert browser(member_of(rival)).post(again).status_code == 404
    page = manager.get("/payments/put-aside/").content.decode()
    assert "It names a number that is not this channel&#x27;s." in page
    assert "UKL0000009" in page
    row.refresh_from_db()
    assert row.state == "QUARANTINED"

    assert manager.post(again)["Location"] == "/payments/put-aside/"
    row.refresh_from_db()
    assert row.state == "PENDING"


# -- Asking ------------------------------------------------------------------------------------------------------------


def test_in_practice_the_form_says_which_phone_answers(acme, paybill, browser, member_of):
    client = browser(member_of(acme, Role.USER))
    with tenant_context(acme):
        number = phone(practice_number())

    assert f"only the practice phone answers, whose number is {number}." in unescape(
        client.get("/ask/").content.decode()
    )
    other = client.get("/ask/?phone=0712345126").content.decode()
    assert "only the practice phone answers." in other
    make_channel(acme, "600200", environment=Environment.SANDBOX)
    assert "practice phone answers" not in client.get("/ask/?environment=sandbox").content.decode()


def test_a_cashier_asks_and_follows_it_to_its_end(acme, paybill, pay, browser, member_of):
    client = browser(member_of(acme, Role.USER))
    wrong = client.post("/ask/", {"phone_number": "12", "amount": "0", "account_reference": "#"})
    page = wrong.content.decode()
    assert wrong.status_code == 422
    assert "Enter whole shillings, from 1 to 250,000." in page
    assert "Use at most 12 letters and digits, like INV-204." in page
    assert 'value="12"' in page
    nobody = client.post("/ask/", {"phone_number": "12", "amount": "KES 250", "account_reference": "INV-7"})
    assert (nobody.status_code, "Enter a Kenyan mobile number" in nobody.content.decode()) == (400, True)
    with tenant_context(acme):
        assert not PaymentRequest.objects.exists()

    answer = client.post("/ask/", {"phone_number": "0712 345 126", "amount": "KES 250", "account_reference": "INV-7"})
    with tenant_context(acme):
        asked = PaymentRequest.objects.get()
    assert (asked.phone_number, asked.amount, asked.account_reference) == ("254712345126", 250, "INV-7")
    url = f"/ask/{public_id('preq', asked.pk)}/"
    assert answer["Location"] == url
    page = client.get(url).content.decode()
    assert "Safaricom is being asked to show the request on the phone." in page
    assert '<span class="badge state-pending">Waiting</span>' in page
    assert 'hx-trigger="every 2s"' in page
    assert '<meta http-equiv="refresh" content="4">' in page

    payment = pay(acme, paybill, "UKL0000001", "250.00")
    with tenant_context(acme):
        PaymentRequest.objects.update(status="SUCCEEDED", payment=payment, finished_at=timezone.now())
    fragment = client.get(url, headers=HTMX).content.decode()
    assert "hx-get" not in fragment
    assert '<span class="badge state-succeeded">Paid</span>' in fragment
    assert f'<a href="{address(payment)}">UKL0000001</a>' in fragment


@pytest.mark.parametrize(
    ("columns", "said", "state"),
    [
        ({"accepted_at": timezone.now()}, "The customer has not answered yet.", "Waiting"),
        ({"status": "UNKNOWN"}, "Look for the payment in your M-PESA records", "Not known yet"),
        ({"status": "FAILED", "result_code": "1032"}, "Ask again", "Not paid"),
    ],
)
def test_accepted_is_never_shown_as_paid(acme, paybill, browser, member_of, columns, said, state):
    with tenant_context(acme):
        asked = PaymentRequest.objects.create(
            channel=paybill,
            environment="PRACTICE",
            phone_number="254712345126",
            amount=250,
            account_reference="INV-7",
            transaction_desc="Payment",
            requested_by="wanjiku",
            **columns,
        )
    told = words(browser(member_of(acme)).get(f"/ask/{public_id('preq', asked.pk)}/"))

    assert said in told
    assert f"{state} " in told
    assert "Paid " not in told.replace("Not paid", "")


def test_rival_neither_asks_by_nor_sees_acmes(acme, rival, paybill, browser, member_of):
    make_channel(rival, "600968")
    with tenant_context(acme):
        asked = PaymentRequest.objects.create(
            channel=paybill,
            environment="PRACTICE",
            phone_number="254712345126",
            amount=250,
            account_reference="INV-7",
            transaction_desc="Payment",
            requested_by="wanjiku",
        )
    client = browser(member_of(rival))

    assert client.get(f"/ask/{public_id('preq', asked.pk)}/").status_code == 404
    given = {"phone_number": "0712 345 126", "amount": "250", "account_reference": "INV-7"}
    foreign = client.post("/ask/", given | {"channel": public_id("ch", paybill.pk)})
    assert foreign.status_code == 422
    assert "Choose a channel that receives payments here." in foreign.content.decode()
    with tenant_context(rival):
        assert not PaymentRequest.objects.exists()


def test_a_payment_that_waits_for_its_owner_says_so(acme, paybill, pay, browser, member_of):
    payment = pay(acme, paybill, "UKL0000001")
    with tenant_context(acme):
        program = Program.objects.create(code="loyalty", name="Loyalty")
        PaymentOutcome.objects.create(payment=payment, status="WAITING", program=program, decided_at=timezone.now())

    assert "wait until somebody shows the receipt" in words(browser(member_of(acme)).get(address(payment)))
