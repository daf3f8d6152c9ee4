"""Invoices from the pages: turned on, sent one by one and by the file, followed, withdrawn; who sees them."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import public_id
from audit.models import AuditEntry
from channels.models import MpesaChannel
from payments.models import Invoice, Payment
from payments.services import NAIROBI, PaymentReport, record_payments
from tenants.models import Role
from tests.factories import make_channel

HTMX = {"HX-Request": "true"}
HEADER = "invoice,customer,phone,what_for,period,due_date,account,amount,items\n"


@pytest.fixture
def paybill(acme):
    return make_channel(acme, "600966", bill_manager_opted_in_at=timezone.now())


@pytest.fixture
def clerk(acme, member_of, browser):
    return browser(member_of(acme, Role.USER))


def day(days=30):
    return timezone.now().astimezone(NAIROBI).date() + timedelta(days=days)


def given(channel, **changes):
    return {
        "channel": public_id("ch", channel.pk),
        "billed_name": "Jane Doe",
        "phone_number": "0712 345 126",
        "name": "Rent",
        "billed_period": "August 2026",
        "due_date": str(day()),
        "account_reference": "HOUSE 7",
        "amount": "9000",
        "items": "Rent 8,500\nWater KES 500",
        "external_reference": "INV-204",
    } | changes


def make_invoice(channel, **columns):
    values = {
        "external_reference": "INV-204",
        "name": "Rent",
        "billed_name": "Jane Doe",
        "phone_number": "254712345126",
        "billed_period": "August 2026",
        "due_date": day(),
        "account_reference": "HOUSE7",
        "amount": 9000,
        "status": "SENT",
        "requested_by": "amina@acme.example",
        "sending_at": timezone.now(),
        "created_at": timezone.now(),
    } | columns
    return Invoice.objects.create(channel=channel, **{"environment": channel.environment} | values)


def address(invoice, more=""):
    return f"/invoices/{public_id('bill', invoice.pk)}/{more}"


def words(response):
    text = re.sub(r"<[^>]+>", " ", response.content.decode().partition("<main")[2])
    return " ".join(text.replace("&#x27;", "'").replace("\N{NO-BREAK SPACE}", " ").split())


def within(tenant, query):
    with tenant_context(tenant):
        return query()


def upload(client, channel, text):
    file = SimpleUploadedFile("rent.csv", text.encode(), "text/csv")
    return client.post("/invoices/upload/", {"channel": public_id("ch", channel.pk), "file": file})


# Turning them on


def test_an_administrator_turns_invoices_on_and_the_first_one_is_sent(acme, simulator, member_of, browser, run_due):
    opened = simulator.open()
    channel = make_channel(
        acme,
        opened["shortcode"],
        consumer_key=opened["consumer_key"],
        consumer_secret=opened["consumer_secret"],
        secret_notes={"consumer_key": {}, "consumer_secret": {}},
    )
    client = browser(member_of(acme))
    door = f"/invoices/channels/{public_id('ch', channel.pk)}/"
    assert f'href="{door}"' in client.get("/invoices/").content.decode()
    assert "Invoices are not turned on yet" in words(client.get("/invoices/new/"))

    wrong = client.post(door, {"email": "accounts@acme.example", "contact_phone": "12"})
    assert (wrong.status_code, "Enter a Kenyan mobile number" in words(wrong)) == (400, True)
    done = client.post(door, {"email": "accounts@acme.example", "contact_phone": "0710 000 000"}, follow=True)

    assert f"M-PESA sends invoices for {channel} now." in words(done)
    assert within(acme, MpesaChannel.objects.get).bill_manager_opted_in_at is not None
    its = client.post("/invoices/new/", given(channel))["Location"]
    assert "It is being handed to M-PESA. The customer has nothing yet." in words(client.get(its))
    run_due()
    assert "M-PESA sent it to the customer. Nothing is paid yet." in words(client.get(its))


def test_a_clerk_turns_nothing_on_and_a_till_sends_none(acme, clerk, member_of, browser):
    till = make_channel(acme, "600967", kind="TILL")
    door = f"/invoices/channels/{public_id('ch', till.pk)}/"

    assert clerk.get(door).status_code == 403
    assert "Tills can't send invoices." in words(clerk.get("/invoices/"))
    assert "this is a till" in words(browser(member_of(acme)).get(door))
    posted = browser(member_of(acme)).post(door, {"email": "a@acme.example", "contact_phone": "0710 000 000"})
    assert posted.status_code == 409


# One invoice


def test_a_clerk_sends_an_invoice_once_however_often_the_button_is_pressed(acme, paybill, clerk):
    key = re.search(r'name="form_key" value="([^"]+)"', clerk.get("/invoices/new/").content.decode())[1]

    first = clerk.post("/invoices/new/", given(paybill, form_key=key))
    again = clerk.post("/invoices/new/", given(paybill, form_key=key))

    invoice = within(acme, Invoice.objects.get)
    assert first["Location"] == again["Location"] == address(invoice)
    assert (invoice.external_reference, invoice.amount, invoice.phone_number) == ("INV-204", 9000, "254712345126")
    assert invoice.items == [{"item_name": "Rent", "amount": 8500}, {"item_name": "Water", "amount": 500}]
    assert (invoice.due_date, invoice.status) == (day(), "PENDING")
    assert within(acme, AuditEntry.objects.get).action == "invoices.created"
    page = clerk.get(address(invoice)).content.decode()
    assert 'hx-trigger="every 3s"' in page


@pytest.mark.parametrize(
    ("wrong", "status", "sentence"),
    [
        ({"phone_number": "0712"}, 400, "Enter a Kenyan mobile number, like 0712 345 678."),
        ({"amount": "0"}, 422, "Enter whole shillings, from 1 to 50,000,000."),
        ({"items": "Rent 8500"}, 400, "The items don't add up to the amount."),
        ({"items": "Rent"}, 422, "Write each item with its amount at the end, like Rent 8500."),
        ({"due_date": "2020-01-01"}, 422, "Enter a day from "),
        ({"external_reference": ""}, 422, "Enter your own number for this invoice."),
        ({"external_reference": "INV-1"}, 400, "An invoice with the number INV-1 exists already."),
    ],
)
def test_what_can_not_be_sent_comes_back_with_what_to_do(acme, paybill, clerk, wrong, status, sentence):
    within(acme, lambda: make_invoice(paybill, external_reference="INV-1"))

    answer = clerk.post("/invoices/new/", given(paybill, **wrong))

    assert answer.status_code == status
    assert sentence in words(answer)
    assert 'value="Jane Doe"' in answer.content.decode()
    assert within(acme, Invoice.objects.count) == 1


def test_an_invoice_shows_what_is_paid_of_it_and_what_is_not(acme, paybill, clerk, run_due):
    with tenant_context(acme):
        invoice = make_invoice(paybill)
        record_payments(
            reports=[
                PaymentReport(
                    receipt="UKL0000001",
                    channel=paybill,
                    payer="254712345126",
                    payer_name="",
                    amount=Decimal(2500),
                    account_reference="house7",
                    routed_to="",
                    source=Payment.Source.CONFIRMATION,
                    paid_at=timezone.now(),
                    callback_id=None,
                )
            ]
        )
    run_due()

    told = words(clerk.get(address(invoice)))

    assert "Something of it is paid." in told
    assert "Paid of it KES 2,500.00 Still to be paid KES 6,500.00" in told
    assert "KES 2,500.00 was paid." in told
    assert "UKL0000001" in told
    assert "Withdraw this invoice" not in told


def test_a_payment_leads_to_the_invoices_that_it_pays(acme, paybill, clerk):
    with tenant_context(acme):
        first = make_invoice(paybill, external_reference="INV-1", due_date=day(1), amount=1500)
        second = make_invoice(paybill, external_reference="INV-2", due_date=day(2), amount=9000)
        make_invoice(paybill, external_reference="INV-3", due_date=day(3))
        reports = [
            PaymentReport(
                receipt=receipt,
                channel=paybill,
                payer="254712345126",
                payer_name="",
                amount=Decimal(2000),
                account_reference=account,
                routed_to="",
                source=Payment.Source.CONFIRMATION,
                paid_at=timezone.now(),
                callback_id=None,
            )
            for receipt, account in [("UKL0000001", "house-7"), ("UKL0000002", "HOUSE 8"), ("UKL0000003", "")]
        ]
        record_payments(reports=reports)
        paid, *others = Payment.objects.order_by("receipt")

    page = clerk.get(f"/payments/{public_id('pay', paid.pk)}/")
    assert "Invoice INV-1 : KES 1,500.00 INV-2 : KES 500.00 Channel" in words(page)
    assert f'href="{address(first)}"' in page.content.decode()
    assert f'href="{address(second)}"' in page.content.decode()
    for other in others:
        assert "Invoice INV-" not in words(clerk.get(f"/payments/{public_id('pay', other.pk)}/"))


def test_an_invoice_is_withdrawn_from_m_pesa_too(acme, paybill, clerk, monkeypatch):
    asked = []

    class Daraja:
        def cancel_invoice(self, **given):
            asked.append(given["external_reference"])

    monkeypatch.setattr("payments.invoices.daraja_client", lambda _: Daraja())
    invoice = within(acme, lambda: make_invoice(paybill))

    assert "That can't be undone" in words(clerk.get(address(invoice, "cancel/")))
    assert asked == []
    done = clerk.post(address(invoice, "cancel/"), follow=True)

    assert asked == ["INV-204"]
    assert "Withdrawn. M-PESA does not ask for it any more." in words(done)
    assert "Withdraw this invoice" not in words(done)
    assert within(acme, Invoice.objects.get).status == "CANCELLED"
    again = clerk.post(address(invoice, "cancel/"))
    assert (again.status_code, "can't be withdrawn any more: withdrawn." in words(again)) == (409, True)


@pytest.mark.parametrize("status", ["CANCELLED", "FAILED"])
def test_of_an_invoice_that_is_no_more_nothing_is_still_to_be_paid(acme, paybill, clerk, status):
    told = words(clerk.get(address(within(acme, lambda: make_invoice(paybill, status=status)))))

    assert "Amount KES 9,000.00" in told
    for said in ("Still to be paid", "Paid of it", "counts here by itself"):
        assert said not in told


# The list


def test_invoices_are_found_by_state_and_by_what_is_at_hand(acme, paybill, clerk):
    with tenant_context(acme):
        make_invoice(paybill, external_reference="A1", due_date=day(-1))
        make_invoice(paybill, external_reference="A2", billed_name="Otieno", status="PAID", due_date=day(-1))
        make_invoice(paybill, external_reference="A3", phone_number="254712345127", account_reference="STD4")
        make_invoice(paybill, external_reference="A4", environment="SANDBOX")

    def found(query):
        return re.findall(r">(A\d)</a>", clerk.get(f"/invoices/{query}").content.decode())

    assert found("") == ["A3", "A2", "A1"]
    assert found("?state=overdue") == ["A1"]
    assert found("?state=paid") == ["A2"]
    assert found("?q=otieno") == ["A2"]
    assert found("?q=0712345127") == ["A3"]
    assert found("?q=std4&state=sent") == ["A3"]
    assert found("?q=nobody") == []
    assert words(clerk.get("/invoices/?state=overdue")).count("Overdue") == 2  # the choice, and beside the day


# A file of them


def test_a_file_is_shown_before_it_is_sent_once(acme, paybill, clerk):
    rows = f"A1,Jane Doe,0712 345 126,Rent,August,{day()},HOUSE 7,9000,Rent 8500; Water 500\n"
    rows += f"A2,Otieno,0712345127,Rent,August,{day()},HOUSE 8,7000,\n"

    checked = upload(clerk, paybill, HEADER + rows)["Location"]
    told = words(clerk.get(checked))

    for said in ("Invoices 2", "KES 16,000.00", "Jane Doe 0712 345 126", "Otieno 0712 345 127", "Send 2 invoices"):
        assert said in told
    assert within(acme, Invoice.objects.count) == 0
    assert "2 invoices are being handed to M-PESA." in words(clerk.post(checked, follow=True))
    assert clerk.post(checked)["Location"] == "/invoices/"
    assert within(acme, lambda: list(Invoice.objects.order_by("pk").values_list("external_reference", "amount"))) == [
        ("A1", 9000),
        ("A2", 7000),
    ]
    assert clerk.get(checked)["Location"] == "/invoices/"


def test_a_refused_file_says_of_every_cell_what_to_mend(acme, paybill, clerk):
    rows = f"A1,,0712 345 126,Rent,August,{day()},HOUSE 7,lots,\n"
    rows += "A2,Otieno,0712345127,Rent,August,31/13/2026,HOUSE 8,7000,Rent\n"

    answer = upload(clerk, paybill, HEADER + rows)

    told = words(answer)
    assert answer.status_code == 422
    assert "2 rows can't be sent." in told
    for said in (
        "2 customer – Enter whose bill it is.",
        "2 amount lots Enter whole shillings, from 1 to 50,000,000.",
        "3 due_date 31/13/2026 Enter a day like 2026-11-21.",
        "3 items Rent Write each item with its amount at the end, like Rent 8500.",
    ):
        assert said in told
    assert within(acme, Invoice.objects.count) == 0


def test_what_the_service_refuses_stands_beside_its_row(acme, paybill, clerk):
    rows = f"A1,Jane,0712,Rent,August,{day()},HOUSE 7,9000,\nA1,Jane,0712345126,Rent,August,{day()},HOUSE 7,9000,\n"

    told = words(upload(clerk, paybill, HEADER + rows))

    assert "2 phone 0712 Enter a Kenyan mobile number, like 0712 345 678." in told
    assert "3 invoice A1 An invoice with the number A1 exists already." in told


def test_the_file_to_fill_in_has_the_columns_that_are_read(acme, paybill, clerk):
    blank = clerk.get("/invoices/upload/blank/?type=csv")
    assert blank.content.decode("utf-8-sig").strip() == HEADER.strip()
    assert clerk.get("/invoices/upload/blank/")["Content-Disposition"] == 'attachment; filename="invoices.xlsx"'
    told = words(upload(clerk, paybill, "invoice,customer\nA1,Jane\n"))
    assert "There is no column “phone_number”." in told


def test_rival_finds_and_sends_nothing_of_acmes(acme, rival, paybill, clerk, member_of, browser):
    invoice = within(acme, lambda: make_invoice(paybill))
    draft = upload(clerk, paybill, f"{HEADER}A1,Jane,0712345126,Rent,August,{day()},HOUSE 7,9000,\n")["Location"]
    client = browser(member_of(rival))

    door = f"/invoices/channels/{public_id('ch', paybill.pk)}/"
    for path in (address(invoice), address(invoice, "cancel/"), "/invoices/bill_x/", draft, door):
        assert client.get(path).status_code == 404, path
        assert client.post(path).status_code in {404, 405}, path
    assert "INV-204" not in words(client.get("/invoices/"))
    with tenant_context(acme):
        assert (Invoice.objects.count(), Invoice.objects.get().status) == (1, "SENT")
