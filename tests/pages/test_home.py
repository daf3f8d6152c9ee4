"""Home: today, what waits, what is wrong, and the practice phone that pays."""

import re
from datetime import timedelta
from decimal import Decimal
from html import unescape

import pytest
from django.utils import timezone
from django_tenants.utils import tenant_context

from channels import practice_phone
from channels.models import ChannelRun, Environment, Problem, SmsMessage
from loyalty.models import AccrualRule, Member, Program
from payments.models import Payment, PaymentRequest, PayoutBatch, PayoutPolicy
from payments.services import PaymentReport, record_payments
from tenants.hosts import forget_hosts
from tenants.models import InboundCallback, Role, Tenant
from tests.factories import make_channel
from tests.pages.sent_money import make_batch, make_reversal
from tests.practice import make_simulator_unreachable

HTMX = {"HX-Request": "true"}


def pay(tenant, channel, receipt, amount, **columns):
    values = {
        "receipt": receipt,
        "channel": channel,
        "payer": "254712345126",
        "payer_name": "JOHN KAMAU",
        "amount": Decimal(amount),
        "account_reference": "VIP001",
        "routed_to": "",
        "source": Payment.Source.CONFIRMATION,
        "paid_at": timezone.now(),
        "callback_id": None,
    }
    with tenant_context(tenant):
        record_payments(reports=[PaymentReport(**values | columns)])


def words(answer):
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def test_today_stands_against_the_same_day_a_week_ago(acme, rival, browser, member_of):
    paybill, now = make_channel(acme, "600966"), timezone.now()
    other = make_channel(acme, "600967", environment=Environment.SANDBOX)
    pay(acme, paybill, "UKL0000001", "1000.00", paid_at=now)
    pay(acme, paybill, "UKL0000002", "500.00", paid_at=now)
    pay(acme, other, "UKL0000003", "77.00")
    pay(acme, paybill, "UKL0000004", "1200.00", paid_at=now - timedelta(days=7, seconds=1))
    pay(
        acme, paybill, "UKL0000005", "900.00", paid_at=now - timedelta(days=7) + timedelta(minutes=30)
    )  # later than now
    pay(rival, make_channel(rival, "600968"), "UKL0000006", "31.00")

    told = words(browser(member_of(acme, Role.USER)).get("/"))
    assert "KES 1,500 2 payments A week ago by this time: KES 1,200 in 1 payment (+25 %)" in told
    assert "77.00" not in told
    assert "31.00" not in told


def test_a_business_that_was_not_here_a_week_ago_is_not_told_of_it(acme, browser, member_of):
    client = browser(member_of(acme, Role.USER))
    assert "A week ago" not in words(client.get("/"))

    Tenant.objects.filter(pk=acme.pk).update(created_at=timezone.now() - timedelta(days=8))
    forget_hosts()
    assert "A week ago nothing had come in by this time." in words(client.get("/"))


def test_a_payment_arrives_without_reloading(acme, browser, member_of):
    paybill = make_channel(acme, "600966")
    client = browser(member_of(acme, Role.USER))
    page = client.get("/").content.decode()
    assert "The first payment appears here by itself." in page
    fragment = re.search(r'hx-get="(/payments/latest/\?opened=\d+&amp;seen=\w+)" hx-trigger="every 2s"', page)[1]
    fragment = unescape(fragment)
    assert client.get(fragment, headers=HTMX).status_code == 204

    pay(acme, paybill, "UKL0000001", "1234.00", payer_name="")
    told = words(client.get(fragment, headers=HTMX))
    assert "KES 1,234 1 payment" in told
    assert "2547****126" in told  # others can read the screen
    assert client.get("/payments/latest/")["Location"] == "/"


def test_a_piece_of_a_page_sends_who_is_signed_out_meanwhile_to_sign_in_and_back(acme, client):
    page = {"HTTP_HX_CURRENT_URL": "http://acme.localhost/payments/?q=kamau"}
    answer = client.get("/payments/latest/", headers=HTMX, HTTP_HOST="acme.localhost", **page)

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer["HX-Redirect"] == "/sign-in/?next=/payments/%3Fq%3Dkamau"
    elsewhere = {"HTTP_HX_CURRENT_URL": "http://rival.localhost/"}
    answer = client.get("/payments/latest/", headers=HTMX, HTTP_HOST="acme.localhost", **elsewhere)
    assert answer["HX-Redirect"] == "/sign-in/?next=/"


@pytest.mark.parametrize(
    ("referer", "back"),
    [
        ("http://acme.localhost/payments/?q=kamau", "/payments/%3Fq%3Dkamau"),
        ("http://rival.localhost/payments/", "/payments/download/"),
        ("javascript:alert(1)", "/payments/download/"),
        ("", "/payments/download/"),
    ],
)
def test_who_was_signed_out_before_a_form_reads_that_nothing_was_done_and_comes_back(acme, client, referer, back):
    sent = client.post("/payments/download/", {"type": "csv"}, HTTP_HOST="acme.localhost", headers={"Referer": referer})

    assert (sent.status_code, sent["Location"]) == (302, f"/sign-in/?next={back}")
    assert "You were signed out meanwhile, so nothing was done." in words(
        client.get(sent["Location"], HTTP_HOST="acme.localhost")
    )


@pytest.mark.parametrize(("minutes", "pace"), [(0, 2), (1, 5), (3, 15), (-60, 2), (600, 15)])
def test_a_page_that_is_left_open_asks_less_and_less(acme, browser, member_of, minutes, pace):
    make_channel(acme, "600966")
    client = browser(member_of(acme, Role.USER))
    opened = int((timezone.now() - timedelta(minutes=minutes)).timestamp())

    piece = client.get(f"/payments/latest/?opened={opened}&seen=0", headers=HTMX).content.decode()
    assert f'hx-trigger="every {pace}s"' in piece
    again = unescape(re.search(r'hx-get="([^"]+)"', piece)[1])
    assert client.get(again, headers=HTMX).status_code == 204
    piece = client.get("/payments/latest/?opened=x&seen=0", headers=HTMX).content.decode()
    assert 'hx-trigger="every 2s"' in piece


@pytest.fixture
def waiting(acme):
    """Something of everything that waits for a person."""
    paybill, now = make_channel(acme, "600966"), timezone.now()
    with tenant_context(acme):
        batch = {
            "channel": paybill,
            "environment": "PRACTICE",
            "payout_count": 1,
            "total_amount": 100,
            "fee_estimate": 0,
            "created_by": "x",
            "expires_at": now + timedelta(hours=1),
            "created_at": now,
        }
        PayoutBatch.objects.create(**batch, reference="A", status="AWAITING_APPROVAL")
        PayoutBatch.objects.create(**batch | {"environment": "SANDBOX"}, reference="B", status="AWAITING_APPROVAL")
        PayoutBatch.objects.create(**batch | {"expires_at": now}, reference="C", status="AWAITING_APPROVAL")
        PaymentRequest.objects.create(
            channel=paybill,
            environment="PRACTICE",
            phone_number="254712345126",
            amount=1,
            account_reference="A",
            transaction_desc="A",
            status="UNKNOWN",
            requested_by="x",
        )
        ChannelRun.objects.create(channel=paybill, kind="VERIFY", status="FAILED", created_at=now)
        problem = {"channel": paybill, "environment": "PRACTICE", "who": "you", "opened_at": now, "seen_at": now}
        Problem.objects.create(**problem, kind="SILENT", sentence="No payments since 9.", do_now="Look at the till.")
        Problem.objects.create(**problem, kind="LOW_FLOAT", sentence="Nearly empty.", do_now="Top up.")
        Problem.objects.create(**problem, kind="DIFFERS", sentence="All is well.", do_now="Nothing.", closed_at=now)
    InboundCallback.objects.create(
        tenant=acme,
        channel_id=paybill.pk,
        kind="RESULT",
        body=b"",
        state="QUARANTINED",
        reason="UNREADABLE",
        received_at=now,
        due_at=now,
    )
    return paybill


def test_home_says_what_waits_for_a_manager(waiting, acme, browser, member_of):
    told = words(browser(member_of(acme, Role.MANAGER)).get("/"))

    assert "1 batch of payouts waits for approval" in told
    assert "1 request: nobody knows whether the customer paid" in told
    assert "1 message of M-PESA did not fit and was put aside" in told
    assert "PayBill 600966 (600966): the last attempt to connect it did not work" in told
    assert "No payments since 9. Look at the till." in told
    assert "Nearly empty. Top up." in told
    assert "All is well." not in told


def test_without_scripts_home_looks_again_and_sooner_in_practice(acme, browser, member_of):
    make_channel(acme, "600966")
    make_channel(acme, "600967", environment=Environment.SANDBOX)
    client = browser(member_of(acme))

    assert 'http-equiv="refresh" content="5"' in client.get("/").content.decode()
    assert 'http-equiv="refresh" content="30"' in client.get("/?environment=sandbox").content.decode()


def test_home_asks_nobody_to_approve_their_own(waiting, acme, browser, member_of):
    maker, now = member_of(acme, Role.MANAGER), timezone.now()
    with tenant_context(acme):
        PayoutBatch.objects.update(created_by_id=maker.user_id)
        make_batch(waiting, "Own", ["AWAITING_APPROVAL"], status="APPROVED", created_by_id=maker.user_id)
        approved = make_batch(waiting, "Twice", ["AWAITING_APPROVAL"], status="APPROVED", created_by_id=maker.user_id)
        PayoutBatch.objects.filter(pk=approved.pk).update(approved_at=now)
        make_batch(waiting, "Unclear", ["NEEDS_REVIEW"], created_by_id=maker.user_id)
        make_reversal(waiting, "AWAITING_APPROVAL", requested_by_id=maker.user_id)
        make_reversal(waiting, "NEEDS_REVIEW", requested_by_id=maker.user_id)

    own, others = (words(browser(place).get("/")) for place in (maker, member_of(acme, Role.MANAGER)))

    assert "1 batch of payouts is approved and not sent yet" in own  # below the threshold nobody else is needed
    assert "2 batches of payouts are approved and not sent yet" in others
    for sentence in (
        "1 batch of payouts waits for approval",
        "1 payment waits for approval to be given back",
        "1 payout: nobody knows whether the money moved",
        "1 payment: nobody knows whether it was given back",
    ):
        assert sentence not in own
        assert sentence in others

    with tenant_context(acme):
        PayoutPolicy.objects.create(environment="PRACTICE", approval_threshold=750)
    assert "1 payment waits for approval to be given back" in words(browser(maker).get("/"))


def test_home_tells_a_cashier_nothing_that_is_not_theirs(waiting, acme, browser, member_of):
    told = words(browser(member_of(acme, Role.USER)).get("/"))

    assert "1 request: nobody knows whether the customer paid" in told
    assert "No payments since 9." in told
    for hidden in ("payouts", "put aside", "Nearly empty."):
        assert hidden not in told


def test_rivals_home_is_its_own(waiting, rival, browser, member_of):
    told = words(browser(member_of(rival)).get("/"))

    assert "Needs you" not in told
    assert "Something is wrong" not in told


# -- The practice phone ------------------------------------------------------------------------------------------------


@pytest.fixture
def practising(acme, simulator):
    """acme with a practice PayBill that the simulator knows, and a program behind it."""
    opened = simulator.open(name="Acme Electronics")
    paybill = make_channel(acme, opened["shortcode"], account_mapping={"default": "loyalty"})
    with tenant_context(acme):
        AccrualRule.objects.create(program=Program.objects.create(code="loyalty", name="Loyalty"))
        number = practice_phone.practice_number()
    return paybill, number


def test_the_button_pays_through_the_phone(practising, acme, browser, member_of):
    _paybill, number = practising
    client = browser(member_of(acme, Role.USER))
    page = client.get("/").content.decode()
    assert 'action="/practice/"' in page
    assert "Make a practice payment</button>" in page
    given = dict(re.findall(r'<input type="hidden" name="(next|amount|account_reference)" value="([^"]*)">', page))
    assert given == {"next": "/", "amount": "500", "account_reference": "WANJIRU"}

    assert client.post("/practice/", given)["Location"] == "/"
    phone = words(client.get("/practice/phone/", headers=HTMX))
    assert "Confirmed. KES 500.00 paid to Acme Electronics for account WANJIRU" in phone
    with tenant_context(acme):
        member = Member.objects.get()  # so that the payment has an owner, who gets an SMS
    assert (member.code, member.name, member.phone_number, member.environment) == (
        "WANJIRU",
        "Wanjiru",
        number,
        "PRACTICE",
    )
    client.post("/practice/", given)
    with tenant_context(acme):
        assert Member.objects.count() == 1


def test_home_promises_no_points_where_the_program_gives_none(practising, acme, browser, member_of, run_due):
    paybill, number = practising
    with tenant_context(acme):
        AccrualRule.objects.all().delete()
    client = browser(member_of(acme, Role.USER))

    page = words(client.get("/"))
    assert "the points and the SMS arrive" not in page
    assert "see the payment arrive, with what its program gives for it: points, a stamp, an SMS." in page
    client.post("/practice/", {"amount": "500", "account_reference": "WANJIRU"})
    pay(acme, paybill, "UKL0000001", "500.00", payer=number, account_reference="WANJIRU", routed_to="loyalty")
    run_due()

    arrived = words(client.get("/payments/latest/", headers=HTMX))
    assert re.search(r"John Kamau KES 500.00 .* , WANJIRU All payments", arrived)
    with tenant_context(acme):
        assert not SmsMessage.objects.exists()


def test_the_payment_its_points_and_the_sms_appear(practising, acme, browser, member_of, run_due):
    paybill, number = practising
    client = browser(member_of(acme, Role.USER))
    client.post("/practice/", {"amount": "500", "account_reference": "WANJIRU"})
    pay(acme, paybill, "UKL0000001", "500.00", payer="2547 ***** 678", account_reference="WANJIRU", routed_to="loyalty")
    run_due()

    assert "WANJIRU, +5 points" in words(client.get("/payments/latest/", headers=HTMX))
    phone = words(client.get("/practice/phone/", headers=HTMX))
    assert "Acme Hi Wanjiru! You earned 5 Loyalty points." in phone
    assert f"0{number[3:6]} {number[6:9]} {number[9:]}" in phone


def test_the_form_says_what_is_wrong_and_pays_nothing(practising, acme, browser, member_of):
    client = browser(member_of(acme))
    before = client.get("/practice/").content.decode().count("Confirmed.")
    answer = client.post("/practice/", {"amount": "1.5", "account_reference": ""})

    page = answer.content.decode()
    assert answer.status_code == 422
    assert "Enter whole shillings, from 1 to 250,000." in page
    assert "Enter an account number, like WANJIRU." in page
    assert page.count("Confirmed.") == before


@pytest.mark.parametrize(("code", "mapping"), [("WANJIRU", {"default": "loyalty"}), ("OTHER", {})])
def test_a_practice_payment_makes_nobody_a_member_by_force(practising, acme, browser, member_of, code, mapping):
    """The code is another member's, or no program gets the payment: it is paid all the same."""
    paybill, _number = practising
    with tenant_context(acme):
        Member.objects.create(
            program=Program.objects.get(), environment="PRACTICE", code=code, name="Otieno", joined_at=timezone.now()
        )
        paybill.account_mapping = mapping
        paybill.save()

    answer = browser(member_of(acme)).post("/practice/", {"amount": "500", "account_reference": "WANJIRU"})
    assert answer["Location"] == "/practice/"
    with tenant_context(acme):
        assert [member.name for member in Member.objects.all()] == ["Otieno"]


def test_practising_shows_practice_beside_it(acme, browser, member_of, settings):
    make_simulator_unreachable(settings)
    make_channel(acme, "600966", environment=Environment.PRODUCTION)
    make_channel(acme, "600967")
    client = browser(member_of(acme))

    answer = client.get("/practice/")
    assert answer["Location"] == "/practice/?environment=practice"
    assert 'data-environment="practice"' in client.get(answer["Location"]).content.decode()


def test_each_business_has_a_phone_of_its_own(acme, rival, practising, browser, member_of):
    browser(member_of(acme)).post("/practice/", {"amount": "500", "account_reference": "WANJIRU"})
    with tenant_context(rival):
        other = practice_phone.practice_number()

    assert other != practising[1]
    assert re.fullmatch(r"2547\d{8}", other)
    assert "Confirmed." not in words(browser(member_of(rival)).get("/practice/"))


def test_a_request_is_answered_on_the_phone(practising, acme, browser, member_of, simulator, run_due):
    opened = simulator.open(name="Acme Prompts")
    keys = {name: opened[name] for name in ("consumer_key", "consumer_secret", "passkey")}
    make_channel(acme, opened["shortcode"], **keys)
    client = browser(member_of(acme, Role.USER))
    asking = client.get("/ask/").content.decode()
    channel = re.search(rf'value="(ch_\w+)"[^>]*>[^<]*\({opened["shortcode"]}\)', asking)[1]
    local = re.search(r'name="phone_number" value="([^"]+)"', asking)[1]
    given = {"phone_number": local, "amount": "250", "account_reference": "INV-7", "channel": channel}
    assert client.post("/ask/", given).status_code == 302
    run_due()

    phone = client.get("/practice/phone/", headers=HTMX).content.decode()
    prompt = re.search(r'name="prompt" value="([^"]+)"', phone)[1]
    assert client.post("/practice/answer/", {"prompt": prompt, "answer": "wrong_pin"}).status_code == 400
    assert client.post("/practice/answer/", {"prompt": "ws_CO_x", "answer": "pin"}).status_code == 409
    assert client.post("/practice/answer/", {"prompt": prompt, "answer": "pin"})["Location"] == "/practice/"
    assert "Confirmed. KES 250.00 paid to Acme Prompts" in words(client.get("/practice/"))
    assert client.post("/practice/answer/", {"prompt": prompt, "answer": "pin"}).status_code == 409


def test_a_phone_that_does_not_answer_is_said(acme, browser, member_of, settings):
    make_simulator_unreachable(settings)
    make_channel(acme, "600966")
    client = browser(member_of(acme))

    assert "It does not answer at the moment." in words(client.get("/practice/"))
    answer = client.post("/practice/", {"amount": "500", "account_reference": "WANJIRU"})
    assert answer.status_code == 503
    assert "The practice phone does not answer. Try again in a moment." in words(answer)


def test_only_a_practice_channel_can_be_paid(acme, browser, member_of, settings):
    make_simulator_unreachable(settings)
    make_channel(acme, "600966", environment=Environment.PRODUCTION)
    make_channel(acme, "600967", status="DRAFT")
    client = browser(member_of(acme))

    answer = client.post("/practice/", {"amount": "500", "account_reference": "WANJIRU"})
    assert answer.status_code == 409
    assert "Your practice number is still being connected." in words(answer)
    assert "Make a practice payment" not in words(client.get("/"))  # the primary channel is live
    page = client.get("/?environment=practice").content.decode()
    assert "Your practice number is being connected." in page
    assert re.search(r'hx-get="/practice/card/\?opened=\d+&amp;seen=\w+" hx-trigger="every 2s"', page)
