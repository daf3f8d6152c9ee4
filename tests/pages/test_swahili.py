"""Who reads Swahili reads Swahili: also what workers wrote when nobody was reading. The API goes on in English."""

import html
import re
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import public_id
from channels.daraja.errors import DarajaRejected, Reason
from channels.models import ChannelRun, SmsMessage
from channels.steps import STEPS, refused
from config import catalogue
from payments.models import Payment, Payout, ReconciliationItem, StatementLine
from payments.money_out import machine
from payments.reconciliation import recount
from payments.services import NAIROBI
from payments.statement_lines import Line, keep_lines
from tenants.models import Role, User
from tenants.sentences import say
from tests.factories import make_channel
from tests.pages.catalogue_of_pages import PAGES
from tests.pages.sent_money import SENDS_MONEY, make_batch, make_reversal
from tests.pages.test_every_page import open_page

Kind = ChannelRun.Kind
YESTERDAY = datetime.now(NAIROBI).date() - timedelta(days=1)


@pytest.fixture
def reader(browser, member_of, acme):
    """An administrator of acme who reads Swahili."""
    place = member_of(acme, Role.ORG_ADMIN)
    User.objects.filter(pk=place.user_id).update(language="sw")
    return browser(place)


@pytest.fixture
def channel(acme):
    return make_channel(acme, "600966", initiator_credential="a password", **SENDS_MONEY)


def words(answer):
    """What a page says, without its tags."""
    text = html.unescape(re.sub(r"<[^>]+>", " ", answer.content.decode()))
    return " ".join(text.replace("\N{NO-BREAK SPACE}", " ").split())


def missing_here(acme, channel):
    """A payment that M-PESA lists and nobody reported, and the problem that this makes."""
    line = Line(
        receipt="SGE1AB23CD",
        completed_at=datetime.combine(YESTERDAY, datetime.min.time(), NAIROBI) + timedelta(hours=10),
        paid_in=Decimal("1250.00"),
        details="Pay Bill",
        party="254708374149",
        account_reference="INV-204",
    )
    with tenant_context(acme):
        keep_lines(channel=channel, source=StatementLine.Source.PULL, lines=[line], now=timezone.now())
        recount(channel_id=channel.pk, day=YESTERDAY, now=timezone.now())
        return ReconciliationItem.objects.get()


def test_a_run_says_what_was_tried_and_found_and_what_to_do(acme, channel, reader, api):
    finding = refused(DarajaRejected("Bad Request - Invalid Credentials", reason=Reason.WRONG_KEYS))
    entries = [
        {"key": key, "state": "waiting", "tried": step.tried, "said": "", "meaning": "", "do_now": "", "who": "nobody"}
        | {"at": None}
        for key, step in STEPS[Kind.VERIFY].items()
    ]
    entries[1] |= {"state": "failed", "said": finding.said, "meaning": finding.meaning, "do_now": finding.do_now}
    entries[2] |= {"state": "skipped", "meaning": say("A step before it failed.")}
    with tenant_context(acme):
        run = ChannelRun.objects.create(
            channel=channel,
            kind=Kind.VERIFY,
            status="FAILED",
            error_code=finding.code,
            steps=entries,
            created_at=timezone.now(),
        )
    address = f"channels/{public_id('ch', channel.pk)}/runs/{public_id('run', run.pk)}/"  # the API's, after “mpesa-”

    page = words(reader.get(f"/{address}"))
    assert "Kupata kibali cha kuingia kwa consumer key na secret" in page
    assert "Safaricom haikubali consumer key na secret hizi." in page
    assert "Nakili zote mbili tena kutoka kwenye app yako katika tovuti ya Daraja, na uangalie mazingira." in page
    assert "Hatua iliyotangulia ilishindikana." in page
    assert "Bad Request - Invalid Credentials" in page

    answer = api(acme).get(f"/api/v1/mpesa-{address}", headers={"Accept-Language": "sw"}).json()
    step = answer["steps"][1]
    assert step["tried"] == "Get an access token for the consumer key and secret"
    assert step["meaning"] == (
        "Safaricom does not accept this consumer key and secret. Sandbox keys do not work in production."
    )
    assert answer["error"]["do_now"] == step["do_now"]
    assert step["do_now"] == "Copy both again from your app on the Daraja portal, and check the environment."


def test_a_problem_and_what_does_not_match_are_told_with_amount_and_date(acme, channel, reader, api):
    item = missing_here(acme, channel)
    address = public_id("rit", item.pk)
    months = ["Januari", "Februari", "Machi", "Aprili", "Mei", "Juni", "Julai", "Agosti", "Septemba", "Oktoba"]
    month = [*months, "Novemba", "Disemba"][YESTERDAY.month - 1]

    page = words(reader.get("/problems/"))
    assert f"Jambo 1 halilingani na rekodi za M-PESA za {YESTERDAY.day} {month} {YESTERDAY.year}." in page
    assert "Fungua siku hiyo, angalia kila jambo, na ulimalize kwa maelezo." in page
    sentence = "M-PESA inaorodhesha KES 1,250.00 zilizoingia kwa SGE1AB23CD, na hakuna malipo kama hayo hapa."
    assert sentence in words(reader.get(f"/reconciliation/items/{address}/"))

    client = api(acme)
    problem = client.get("/api/v1/problems/", headers={"Accept-Language": "sw"}).json()["results"][0]
    assert problem["sentence"] == f"1 thing does not match M-PESA's records of {YESTERDAY:%-d %B %Y}."
    assert problem["do_now"] == "Open the day, look at each, and settle it with a note."
    listed = client.get("/api/v1/reconciliation-items/", headers={"Accept-Language": "sw"}).json()["results"]
    assert [each["id"] for each in listed] == [address]
    assert (
        listed[0]["sentence"]
        == "M-PESA lists KES 1,250.00 that came in under SGE1AB23CD, and there is no such payment here."
    )


def test_a_file_says_of_each_row_what_is_wrong_or_odd(acme, channel, reader, api):
    def upload(rows):
        file = SimpleUploadedFile("Novemba.csv", f"phone,amount,name\n{rows}".encode(), "text/csv")
        return reader.post("/money-out/upload/", {"channel": public_id("ch", channel.pk), "file": file})

    page = words(upload("0712,1500,Achieng\n0712345678,15.5,Otieno\n"))
    assert "Safu 2 kati ya 2 haziwezi kulipwa. Hakuna kilichohifadhiwa." in page
    assert "Andika nambari ya simu ya Kenya, kama 0712 345 678." in page
    assert "Andika shilingi kamili kwa tarakimu tu, kama 1500: bila koma, desimali wala herufi." in page

    checked = upload("0712345678,1500,Achieng\n0712345678,1500,Achieng 2\n")["Location"]
    assert "Safu 2 inamlipa mpokeaji huyuhuyu kiasi kilekile." in words(reader.get(checked))
    reader.post(checked, {"reference": "Vibarua"})
    with tenant_context(acme):
        payout = Payout.objects.get(row=3)
    address = f"payouts/{public_id('pout', payout.pk)}/"
    page = words(reader.get(f"/money-out/{address}"))
    assert "Safu 2 inamlipa mpokeaji huyuhuyu kiasi kilekile." in page
    assert "Jina lina tarakimu." in page
    answer = api(acme).get(f"/api/v1/{address}", headers={"Accept-Language": "sw"}).json()
    assert answer["warnings"] == ["Row 2 pays the same amount to the same receiver.", "The name has digits in it."]


def test_a_payout_says_why_a_person_has_to_look_and_why_it_failed(acme, channel, reader, api):
    now = timezone.now()
    with tenant_context(acme):
        batch = make_batch(channel, "Vibarua", ["UNKNOWN", "FAILED", "RESERVED"])
        asked, failed, late = batch.payouts.order_by("row")
        asked.checks, asked.environment = 9, "PRODUCTION"
        machine.begin_asking(asked, is_askable=True, now=now)
        machine.expire(late, now=now)
        asked.environment = channel.environment
        for row in (asked, late):
            row.save()

    def page_of(payout):
        return words(reader.get(f"/money-out/payouts/{public_id('pout', payout.pk)}/"))

    assert "M-PESA iliulizwa mara 9 na haikuweza kusema kama pesa zilihama." in page_of(asked)
    assert "Nambari hii ya simu haijasajiliwa na M-PESA" in page_of(failed)
    assert "Haikuweza kutumwa kwa wakati. Hakuna kilichotumwa." in page_of(late)
    answer = api(acme).get(f"/api/v1/payouts/{public_id('pout', asked.pk)}/").json()
    assert answer["meaning"] == "M-PESA was asked 9 times and could not say whether the money moved."


def test_the_story_of_a_payment_tells_what_workers_found(acme, channel, reader):
    now = timezone.now()
    with tenant_context(acme):
        reversal = make_reversal(channel, "UNKNOWN")
        machine.begin_asking(reversal, is_askable=False, now=now)
        reversal.save()
        SmsMessage.objects.create(
            dedup_key=f"points:{reversal.payment_id}",
            phone_number="254708374149",
            body="Hi!",
            environment=channel.environment,
            status=SmsMessage.Status.UNKNOWN,
            error=say("We stopped while sending it; the provider may have taken it."),
            due_at=now,
            created_at=now,
        )
        Payment.objects.filter(pk=reversal.payment_id).update(source=Payment.Source.STATEMENT)

    page = words(reader.get(f"/payments/{public_id('pay', reversal.payment_id)}/"))
    assert "Yalirekodiwa kutoka kwenye taarifa" in page
    assert "M-PESA haijasema matokeo yake, na haiwezi kuulizwa bila nambari yake yenyewe." in page


@pytest.fixture(scope="module")
def english():
    """Pieces of our English sentences that are long enough to know them by, where the Swahili is another."""
    pieces = set()
    for message in catalogue.read():
        ids, strings = ([each] if isinstance(each, str) else list(each) for each in (message.id, message.string))
        for sentence in ids:
            for piece in re.split(r"%\(\w+\)[sd]|[{}%<>]|\n", sentence):
                piece = " ".join(piece.split())
                if len(piece.split()) >= 4 and not any(piece in each for each in strings):
                    pieces.add(piece)
    return sorted(pieces)


def test_no_page_has_english_sentences_for_who_reads_swahili(cast, browser, english):
    left = []
    for page in PAGES:
        role = page.roles[0] if page.roles else None
        response, _ = open_page(page, role, cast, browser, language="sw")
        said = words(response)
        left += [f"{page}: {piece}" for piece in english if piece in said]
    assert left == []
