"""Customers: payers as the payments know them."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import public_id
from audit.services import system_actor
from channels.models import MpesaChannel
from channels.msisdn import sha256_hex
from loyalty import customers
from loyalty.customers import customers_behind, find_payers
from loyalty.models import PaymentOutcome
from payments import payers
from payments.models import Payment
from tenants.models import Role
from tests.factories import make_channel
from tests.pages.asked import asked_in
from tests.pages.test_loyalty import text_of

PHONE = "254712345126"
SYSTEM = system_actor("test")


@pytest.fixture
def clerk(cast, browser):
    return browser(cast.places[Role.USER])


def pay(tenant, payer, *, amount=100, days_ago=0, name="", environment="PRACTICE", **columns):
    with tenant_context(tenant):
        channel = MpesaChannel.objects.filter(environment=environment).first()
        paid_at = timezone.now() - timedelta(days=days_ago)
        return Payment.objects.create(
            **{
                "receipt": f"TCU{Payment.objects.count():07d}",
                "channel": channel,
                "environment": environment,
                "payer": payer,
                "payer_name": name,
                "amount": amount,
                "source": Payment.Source.CONFIRMATION,
                "paid_at": paid_at,
                "created_at": paid_at,
            }
            | columns
        )


def address_of(payment):
    return f"/customers/{public_id('pay', payment.pk)}/"


def rows_of(answer):
    """What stands in the rows of the table."""
    body = answer.content.decode().split("<tbody>")[1].split("</tbody>")[0]
    return [
        " ".join(re.sub(r"<[^>]+>", " ", row).replace("\N{NO-BREAK SPACE}", " ").split())
        for row in body.split("<tr>")[1:]
    ]


def test_a_payment_of_which_nobody_knows_who_made_it_is_no_customers(acme, clerk):
    unknown = pay(acme, "", name="WANJIKU", source=Payment.Source.STATEMENT)

    page = clerk.get("/customers/")
    assert len(rows_of(page)) == 4
    assert address_of(unknown) not in page.content.decode()
    assert "No customer fits" in text_of(clerk.get("/customers/?q=wanjiku"))
    assert clerk.get(address_of(unknown)).status_code == 404


def test_each_payer_stands_once_with_what_they_paid_and_whether_they_are_a_member(clerk):
    rows = rows_of(clerk.get("/customers/"))

    assert len(rows) == 4  # one more made a payment that money out gives back
    (member,) = [row for row in rows if "0712 345 126" in row]
    assert member.startswith("Achieng Otieno 0712 345 126 11 KES 9,375.00")
    assert member.endswith("VIP001 VIP")
    (masked,) = [row for row in rows if "2547 ***** 127" in row]
    assert masked.startswith("Grace 2547 ***** 127 Perhaps several people 10 KES 4,625.00")
    assert masked.endswith("–")
    (hashed,) = [row for row in rows if "aaaaaaaa" in row]
    assert hashed.startswith("Hidden number aaaaaaaa Hidden number aaaaaaaa 10 KES 4,875.00")


def test_who_paid_last_comes_first(cast, clerk):
    pay(cast.tenant, "254733000111", name="LATE", days_ago=-1)
    pay(cast.tenant, "254733000222", name="EARLY", days_ago=400)

    rows = rows_of(clerk.get("/customers/"))

    assert (rows[0].split()[0], rows[-1].split()[0]) == ("Late", "Early")


def test_what_was_given_back_is_not_counted_as_paid(cast):
    pay(cast.tenant, "254733000111", amount=700)
    pay(cast.tenant, "254733000111", amount=300, reversed_at=timezone.now())

    with tenant_context(cast.tenant):
        totals = payers.totals_of(actor=SYSTEM, environment="PRACTICE", payers=["254733000111", "nobody"])

    assert totals["254733000111"] == payers.PayerTotal(2, Decimal(700), has_more=False)
    assert totals["nobody"] == payers.PayerTotal(0, Decimal(0), has_more=False)


def test_no_page_adds_up_more_than_the_newest_payments(cast, clerk, monkeypatch):
    monkeypatch.setattr(payers, "COUNTED", 3)
    for number in range(5):
        pay(cast.tenant, "254733000111", amount=10 * (number + 1), days_ago=number, name="MANY")

    (row,) = [row for row in rows_of(clerk.get("/customers/")) if "Many" in row]
    assert "3+ KES 60.00+" in row


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0712 345 126", ["0712 345 126"]),
        ("+254712345126", ["0712 345 126"]),
        ("vip-001", ["0712 345 126"]),
        ("achieng", ["0712 345 126"]),
        ("kamau", ["0712 345 126"]),
        ("345126", ["0712 345 126"]),
        ("grace", ["2547 ***** 127"]),
        ("0712 345 127", ["2547 ***** 127"]),
        ("0799 999 999", []),
        ("nobody", []),
    ],
)
def test_customers_are_found_by_phone_name_and_code(clerk, text, found):
    page = clerk.get("/customers/", {"q": text})

    rows = rows_of(page) if found else []
    assert len(rows) == len(found)
    assert all(number in row for number, row in zip(found, rows, strict=True))
    assert ("No customer fits" in text_of(page)) is not bool(found)


@pytest.mark.parametrize("payer", ["2547 ***** 999", "254******999", "25471****999", "2547****999", "254712*****999"])
def test_whoever_was_masked_is_found_by_the_whole_number_however_m_pesa_did_it(cast, clerk, payer):
    pay(cast.tenant, payer, name="WANJA")
    pay(cast.tenant, payer, environment="SANDBOX")

    (row,) = rows_of(clerk.get("/customers/", {"q": "0712 345 999"}))

    assert row.startswith(f"Wanja {payer} Perhaps several people 1 KES 100.00")


def test_a_member_is_known_by_the_hash_of_their_number_too(cast):
    pay(cast.tenant, sha256_hex(PHONE), amount=50)

    with tenant_context(cast.tenant):
        newest = find_payers(actor=SYSTEM, environment="PRACTICE", text="0712345126").order_by("payer")
        found = customers_behind(actor=SYSTEM, environment="PRACTICE", newest=list(newest))

    assert [customer.newest.payer for customer in found] == sorted([PHONE, sha256_hex(PHONE)])
    assert [[member.code for member in customer.members] for customer in found] == [["VIP001"], ["VIP001"]]
    assert [customer.phone_number for customer in found] == [PHONE, PHONE]


def test_a_masked_number_is_nobodys_and_says_whom_it_paid_for(cast, clerk):
    payment = pay(cast.tenant, "2547 ***** 126", name="JOHN", days_ago=-1)
    with tenant_context(cast.tenant):
        PaymentOutcome.objects.create(
            payment=payment,
            status="EARNED",
            program=cast.loyal.program,
            member=cast.loyal.member,
            points=2,
            decided_at=timezone.now(),
        )

    row = rows_of(clerk.get("/customers/"))[0]
    assert row.startswith("John 2547 ***** 126 Perhaps several people 1 KES 100.00")
    assert row.endswith("paid for VIP001")
    page = text_of(clerk.get(address_of(payment)))
    assert "so several people can stand behind it" in page
    assert "The latest payment counted for VIP001 Achieng Otieno" in page
    assert "Enrol as a member" not in page
    assert "Safaricom did not tell the whole number." in page


def test_a_customer_has_payments_points_sms_and_what_can_be_done(cast, browser):
    address = address_of(cast.received.payment)

    page = browser(cast.places[Role.MANAGER]).get(address)

    text = text_of(page)
    assert "KES 9,375 Paid in all" in text
    assert "180 VIP points" in text
    assert "You earned 100 VIP points. Total: 180 points. Not sent" in text
    assert 'href="/ask/?phone=254712345126"' in page.content.decode()
    assert 'href="/money-out/send/?phone=254712345126&amp;name=Achieng%20Otieno"' in page.content.decode()
    assert "Enrol as a member" not in text
    clerks = browser(cast.places[Role.USER]).get(address).content.decode()
    assert "/ask/" in clerks
    assert "/money-out/send/" not in clerks


def test_what_is_known_is_filled_in_already(cast, browser):
    payment = pay(cast.tenant, "254733000111", name="JUMA ALI")
    manager = browser(cast.places[Role.MANAGER])

    page = manager.get(address_of(payment)).content.decode()

    assert 'href="/members/new/?phone=254733000111&amp;name=Juma%20Ali"' in page
    form = manager.get("/members/new/?phone=254733000111&name=Juma%20Ali").content.decode()
    assert 'name="phone_number" value="254733000111"' in form
    assert 'name="name" value="Juma Ali"' in form
    assert "checked" not in form
    form = manager.get("/money-out/send/?phone=254733000111&name=Juma%20Ali").content.decode()
    assert 'name="phone_number" value="254733000111"' in form


def test_environments_never_meet(cast, clerk):
    other = pay(cast.tenant, PHONE, amount=9, name="SANDY", environment="SANDBOX")

    assert "Sandy" not in text_of(clerk.get("/customers/?environment=practice"))
    (row,) = rows_of(clerk.get("/customers/?environment=sandbox"))
    assert row.startswith("Sandy 0712 345 126 1 KES 9.00")
    page = text_of(clerk.get(address_of(other)))
    assert "KES 9 Paid in all" in page
    assert "VIP001" not in page


def test_a_page_walks_so_many_payments_and_goes_on_from_there(cast, clerk, monkeypatch):
    monkeypatch.setattr(customers, "WALKED_TO_FIND", 10)
    pay(cast.tenant, "254733000222", name="EARLY", days_ago=400)

    found, address = [], "/customers/?q=early"
    for _page in range(5):
        page = clerk.get(address).content.decode()
        found.append("Early" in page)
        older = re.search(r'href="(\?[^"]*older=[^"]+)"', page)
        if older is None:
            break
        assert "Older ones have not been looked at yet." in page
        address = f"/customers/{older[1].replace('&amp;', '&')}"

    assert found == [False, False, False, True]


def test_many_customers_stand_on_pages_and_cost_no_more_queries(cast, clerk):
    for number in range(40):
        pay(cast.tenant, f"2547330{number:05d}", days_ago=number, name=f"N{number}")

    connection.set_schema_to_public()
    with CaptureQueriesContext(connection) as queries:
        first = clerk.get("/customers/")
    assert len(asked_in(queries)) <= 12
    older = re.search(r'href="(\?older=[^"]+)"', first.content.decode())[1]
    second = clerk.get(f"/customers/{older}")
    numbers = [re.search(r"N\d+ ", row) for row in (*rows_of(first), *rows_of(second))]
    assert (len(rows_of(first)), len(rows_of(second))) == (25, 19)
    assert [match[0].strip() for match in numbers if match] == [f"N{number}" for number in range(40)]


def test_the_rival_sees_no_customer_of_acmes(cast, rival, browser, member_of):
    make_channel(rival, "600300")
    thief = browser(member_of(rival))

    assert thief.get(address_of(cast.received.payment)).status_code == 404
    page = text_of(thief.get("/customers/", {"q": "0712345126"}))
    assert "No customer fits" in page
    assert "Achieng" not in page
    assert "No customers yet" in text_of(thief.get("/customers/"))
