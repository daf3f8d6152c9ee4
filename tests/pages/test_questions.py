"""Asking M-PESA from the pages what became of money, and reading what it said."""

import re

import pytest
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import public_id
from audit.models import AuditEntry
from channels.daraja.client import StkState
from channels.daraja.errors import DarajaTimeout, Reason
from payments import requests
from payments.models import Payment, PaymentRequest, StatusQuery
from tenants.models import Role
from tests.factories import make_channel
from tests.pages.sent_money import FOUND, SENDS_MONEY, make_batch, make_question, make_reversal

HTMX = {"HX-Request": "true"}


@pytest.fixture
def channel(acme):
    return make_channel(acme, "600966", initiator_credential="a password", **SENDS_MONEY)


@pytest.fixture
def manager(acme, member_of):
    return member_of(acme, Role.MANAGER)


def words(response):
    text = re.sub(r"<[^>]+>", " ", response.content.decode().partition("<main")[2])
    return " ".join(text.replace("&#x27;", "'").replace("\N{NO-BREAK SPACE}", " ").split())


def within(tenant, query):
    with tenant_context(tenant):
        return query()


# What went out


@pytest.mark.parametrize("state", ["ACCEPTED", "UNKNOWN", "NEEDS_REVIEW"])
def test_m_pesa_is_asked_about_a_payout_of_which_nobody_knows(acme, channel, manager, browser, state):
    payout = within(acme, lambda: make_batch(channel, "Wages", [state]).payouts.get())
    client, its = browser(manager), f"/money-out/payouts/{public_id('pout', payout.pk)}/"

    assert "Ask M-PESA now" in words(client.get(its))
    assert client.post(f"{its}ask/")["Location"] == its
    page = client.get(its)

    question = within(acme, StatusQuery.objects.get)
    assert (question.payout_id, question.status, question.requested_by) == (payout.pk, "PENDING", manager.user.email)
    assert within(acme, AuditEntry.objects.get).action == "status.asked"
    told = words(page)
    assert "M-PESA is being asked now." in told
    assert "Ask M-PESA now" not in told  # once is enough
    assert "Send" not in re.findall(r"<button[^>]*>([^<]*)", page.content.decode().partition("<main")[2])
    ask_again = re.search(r'hx-get="([^"]+)"', page.content.decode())[1].replace("&amp;", "&")
    assert client.get(ask_again, headers=HTMX).status_code == 204

    with tenant_context(acme):
        StatusQuery.objects.update(status="ANSWERED", found=FOUND, answered_at=timezone.now())
    assert client.get(ask_again, headers=HTMX)["HX-Refresh"] == "true"
    told = words(client.get(its))
    order = [f"{manager.user.email} asked M-PESA what became of it.", "M-PESA answered: “Completed”."]
    assert [told.index(each) for each in order] == sorted(told.index(each) for each in order)
    assert "Ask M-PESA now" in told


@pytest.mark.parametrize(("state", "role"), [("SUCCEEDED", "manager"), ("FAILED", "manager"), ("RESERVED", "manager")])
def test_nothing_is_asked_of_what_is_known(acme, channel, member_of, browser, state, role):
    payout = within(acme, lambda: make_batch(channel, "Wages", [state]).payouts.get())

    page = words(browser(member_of(acme, Role(role))).get(f"/money-out/payouts/{public_id('pout', payout.pk)}/"))

    assert "Ask M-PESA now" not in page


def test_m_pesa_is_asked_about_a_reversal_by_who_may(acme, rival, channel, manager, member_of, browser):
    with tenant_context(acme):
        reversal = make_reversal(channel, "UNKNOWN")
        type(reversal).objects.update(sending_at=timezone.now(), conversation_id="AG_20261121_1")
    its = f"/reversals/{public_id('rev', reversal.pk)}/"

    clerk = browser(member_of(acme, Role.USER))
    assert "Ask M-PESA now" not in words(clerk.get(its))
    assert clerk.post(f"{its}ask/").status_code == 403
    assert browser(member_of(rival)).post(f"{its}ask/").status_code == 404
    assert within(acme, StatusQuery.objects.count) == 0

    client = browser(manager)
    assert "Ask M-PESA now" in words(client.get(its))
    client.post(f"{its}ask/")
    assert within(acme, StatusQuery.objects.get).reversal_id == reversal.pk
    assert "M-PESA is being asked now." in words(client.get(its))


# What came in


def test_a_payment_is_asked_about_for_what_its_report_lacked(acme, channel, manager, browser):
    payment = within(acme, lambda: make_reversal(channel, "FAILED").payment)
    client, its = browser(manager), f"/payments/{public_id('pay', payment.pk)}/"

    assert "Ask M-PESA for what is missing" in words(client.get(its))
    client.post(f"{its}ask/")

    question = within(acme, StatusQuery.objects.get)
    assert (question.payment_id, question.receipt) == (payment.pk, payment.receipt)
    assert f"{manager.user.email} asked M-PESA about it." in words(client.get(its))
    with tenant_context(acme):
        Payment.objects.update(charge=0)
    assert "Ask M-PESA for what is missing" not in words(client.get(its))


def test_a_receipt_is_asked_about_and_the_answer_appears(acme, channel, manager, browser):
    client = browser(manager)
    wrong = client.post("/receipts/", {"channel": public_id("ch", channel.pk), "receipt": "SGE-1"})
    assert (wrong.status_code, "letters and digits only, like SGE1AB23CD." in words(wrong)) == (400, True)
    empty = client.post("/receipts/", {"channel": public_id("ch", channel.pk), "receipt": ""})
    assert (empty.status_code, "Enter the receipt, like SGE1AB23CD." in words(empty)) == (422, True)
    assert within(acme, StatusQuery.objects.count) == 0

    its = client.post("/receipts/", {"channel": public_id("ch", channel.pk), "receipt": "sge1ab23cd"})["Location"]
    page = client.get(its)
    assert "M-PESA has not answered yet." in words(page)
    assert 'hx-trigger="every 2s"' in page.content.decode()

    with tenant_context(acme):
        StatusQuery.objects.update(status="ANSWERED", result_code="0", found=FOUND, answered_at=timezone.now())
    told = words(client.get(its))
    for said in ("M-PESA answered: “Completed”.", "KES 1,500.00", "Jane Doe 0708 374 149", "Pay Bill Online"):
        assert said in told
    assert "SGE1AB23CD" in words(client.get("/receipts/"))


def test_that_m_pesa_knows_of_none_and_that_it_never_answered_are_said(acme, channel, manager, browser):
    with tenant_context(acme):
        make_question(channel, receipt="SGE1AB23CE", status="ANSWERED", result_code="2032", answered_at=timezone.now())
        make_question(channel, receipt="SGE1AB23CF", status="UNANSWERED", requested_by="tuzo")

    told = words(browser(manager).get("/receipts/"))

    assert "M-PESA knows of nothing under this number." in told
    assert "M-PESA took the question and never answered." in told
    assert "Tuzo by itself" in told


def test_a_clerk_reads_answers_about_payments_and_none_about_payouts(acme, rival, channel, member_of, browser):
    with tenant_context(acme):
        payout = make_batch(channel, "Wages", ["UNKNOWN"]).payouts.get()
        about_payout = make_question(channel, payout=payout)
        about_receipt = make_question(channel, receipt="SGE1AB23CD")
        make_batch(channel, "Suppliers", ["SUCCEEDED"]).payouts.update(receipt="SGE9ZY87XW")
        about_its_receipt = make_question(channel, receipt="SGE9ZY87XW")
    clerk = browser(member_of(acme, Role.USER))

    page = words(clerk.get("/receipts/"))
    assert "SGE1AB23CD" in page
    assert "SGE9ZY87XW" not in page
    assert clerk.get(f"/receipts/{public_id('stq', about_its_receipt.pk)}/").status_code == 404
    assert "A payout" not in page
    assert "M-PESA receipt" not in page  # the form
    assert clerk.get(f"/receipts/{public_id('stq', about_payout.pk)}/").status_code == 404
    its = f"/receipts/{public_id('stq', about_receipt.pk)}/"
    assert (clerk.get(its).status_code, browser(member_of(rival)).get(its).status_code) == (200, 404)
    assert clerk.post("/receipts/", {"channel": public_id("ch", channel.pk), "receipt": "X"}).status_code == 403


# Requests on phones


@pytest.fixture
def unclear(acme, channel):
    with tenant_context(acme):
        return PaymentRequest.objects.create(
            channel=channel,
            environment="PRACTICE",
            phone_number="254712345126",
            amount=250,
            account_reference="INV-7",
            transaction_desc="Payment",
            status="UNKNOWN",
            checkout_request_id="ws_CO_1",
            accepted_at=timezone.now(),
            finished_at=timezone.now(),
            requested_by="x",
        )


class Daraja:
    def __init__(self, answer):
        self.answer = answer

    def stk_query(self, **given):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (StkState(StkState.Kind.FINAL, "0", "Done"), "SUCCEEDED", "The customer paid."),
        (StkState(StkState.Kind.FINAL, "1032", "Cancelled"), "FAILED", "M-PESA answered."),
        (StkState(StkState.Kind.NOT_FOUND), "UNKNOWN", "M-PESA can't say either."),
    ],
)
def test_m_pesa_is_asked_about_a_request(acme, unclear, member_of, browser, monkeypatch, answer, status, said):
    monkeypatch.setattr(requests, "daraja_client", lambda _: Daraja(answer))
    client, its = browser(member_of(acme, Role.USER)), f"/ask/{public_id('preq', unclear.pk)}/"

    page = words(client.get(its))
    assert "Ask M-PESA now" in page
    assert "Ask for another" not in page  # not before it is known
    assert "Ask again" not in page
    told = words(client.post(f"{its}ask-mpesa/", follow=True))

    assert said in told
    assert within(acme, PaymentRequest.objects.get).status == status
    assert ("Ask M-PESA now" in told) is (status == "UNKNOWN")


def test_a_question_that_does_not_get_through_changes_nothing(acme, unclear, member_of, browser, monkeypatch):
    slow = DarajaTimeout("No answer in time.", reason=Reason.SLOW)
    monkeypatch.setattr(requests, "daraja_client", lambda _: Daraja(slow))

    answer = browser(member_of(acme)).post(f"/ask/{public_id('preq', unclear.pk)}/ask-mpesa/")

    assert answer.status_code == 503
    assert within(acme, PaymentRequest.objects.get).status == "UNKNOWN"
    assert within(acme, AuditEntry.objects.count) == 0


def test_what_is_known_and_what_is_anothers_is_not_asked_about(acme, rival, unclear, member_of, browser):
    its = f"/ask/{public_id('preq', unclear.pk)}/ask-mpesa/"
    assert browser(member_of(rival)).post(its).status_code == 404
    with tenant_context(acme):
        PaymentRequest.objects.update(status="SUCCEEDED")
    assert browser(member_of(acme)).post(its).status_code == 409
