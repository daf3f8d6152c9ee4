"""Sending money from the pages: check, make, approve, release, follow, decide; who sees what, and what is refused."""

import io
import re
from datetime import timedelta

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import public_id
from audit.models import AuditEntry
from channels import kept_drafts
from channels.models import KeptDraft, MpesaChannel
from payments.models import AllowedReceiver, Payout, PayoutBatch, PayoutPolicy, Reversal
from tenants import second_factor
from tenants.models import Role
from tests.factories import make_channel
from tests.pages.catalogue_of_pages import PASSWORD
from tests.pages.sent_money import SENDS_MONEY, make_batch, make_reversal


@pytest.fixture
def channel(acme) -> MpesaChannel:
    return make_channel(acme, "600966", initiator_credential="a password", **SENDS_MONEY)


@pytest.fixture
def maker(acme, member_of):
    return member_of(acme, Role.MANAGER)


@pytest.fixture
def second(acme, member_of):
    return member_of(acme, Role.ORG_ADMIN)


def words(response):
    """What the page says, without its tags."""
    text = re.sub(r"<[^>]+>", " ", response.content.decode().partition("<main")[2])
    return " ".join(text.replace("&#x27;", "'").replace("\N{NO-BREAK SPACE}", " ").split())


def one(channel, **more):
    return {"channel": public_id("ch", channel.pk), "phone_number": "0712 345 678", "amount": "1,500"} | more


def a_file(text, name="Casuals November.csv"):
    return SimpleUploadedFile(name, text.encode(), "text/csv")


def address(batch):
    return f"/money-out/batches/{public_id('pbat', batch.pk)}/"


def within(tenant, query):
    with tenant_context(tenant):
        return query()


# One payout


def test_a_payout_is_shown_with_its_fee_before_it_is_made_once(acme, channel, maker, browser):
    client = browser(maker)

    checked = client.post("/money-out/send/", one(channel, name="Achieng", account_reference="INV-7", purpose="SALARY"))

    assert checked.status_code == 302
    page = words(client.get(checked["Location"]))
    for said in ("0712 345 678", "Achieng", "INV-7", "KES 1,500.00", "KES 5.00", "KES 1,505.00"):
        assert said in page
    assert "A second person has to approve it before it can be sent." in page
    assert within(acme, PayoutBatch.objects.count) == 0

    made = client.post(checked["Location"], {"reference": ""})
    again = client.post(checked["Location"], {"reference": ""})

    assert made["Location"] == again["Location"]
    payout = within(acme, Payout.objects.get)
    assert (payout.receiver, payout.amount, payout.name) == ("254712345678", 1500, "Achieng")
    assert (payout.account_reference, payout.purpose, payout.status) == ("INV-7", "SALARY", "AWAITING_APPROVAL")
    assert within(acme, AuditEntry.objects.get).action == "payout_batch.created"


@pytest.mark.parametrize("typed", ["0712345678", "712 345 678", "+254 712-345-678", "254712345678"])
def test_a_phone_number_is_taken_in_any_local_form(acme, channel, maker, browser, typed):
    client = browser(maker)

    checked = client.post("/money-out/send/", one(channel, phone_number=typed))

    assert "0712 345 678" in words(client.get(checked["Location"]))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"phone_number": "0712"}, "Enter a Kenyan mobile number, like 0712 345 678."),
        ({"phone_number": ""}, "Enter the phone number that is to be paid."),
        ({"amount": "5"}, "M-PESA sends KES 10 or more."),
        ({"amount": "1.50"}, "Write whole shillings in digits only"),
        ({"amount": "250001"}, "M-PESA sends at most KES 250,000 at a time."),
    ],
)
def test_what_can_not_be_paid_comes_back_with_what_to_do(acme, channel, maker, browser, wrong, sentence):
    response = browser(maker).post("/money-out/send/", one(channel, name="Achieng") | wrong)

    assert response.status_code in {400, 422}
    assert sentence in words(response)
    assert 'value="Achieng"' in response.content.decode()
    assert within(acme, PayoutBatch.objects.count) == 0


def test_a_paybill_is_paid_with_its_account(acme, channel, maker, browser):
    client = browser(maker)
    given = {"channel": public_id("ch", channel.pk), "shortcode": "888880", "amount": "2000"}

    missing = client.post("/money-out/send/?to=paybill", given)
    checked = client.post("/money-out/send/?to=paybill", given | {"account_reference": "54406"})
    client.post(checked["Location"], {"reference": ""})

    assert "Enter the account that the money is for." in words(missing)
    payout = within(acme, Payout.objects.get)
    assert (payout.kind, payout.receiver, payout.account_reference) == ("PAYBILL", "888880", "54406")


def test_without_a_channel_that_can_send_the_page_says_so(acme, maker, browser):
    make_channel(acme, "600966")

    page = words(browser(maker).get("/money-out/send/"))

    assert "Money can't be sent yet" in page
    assert "Amount in KES" not in page


def test_a_check_that_is_forgotten_makes_nothing(acme, channel, maker, browser):
    client = browser(maker)
    checked = client.post("/money-out/send/", one(channel))["Location"]
    within(acme, lambda: KeptDraft.objects.update(expires_at=timezone.now()))

    response = client.post(checked)

    assert response.status_code == 404
    assert "This was checked more than an hour ago. Enter it again." in words(response)
    assert within(acme, PayoutBatch.objects.count) == 0
    within(acme, lambda: kept_drafts.forget_expired(now=timezone.now()))
    assert within(acme, KeptDraft.objects.count) == 0


def test_payouts_are_entered_and_made_while_the_cache_is_down(acme, channel, maker, browser, settings):
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}
    }
    client = browser(maker)
    checked = client.post("/money-out/send/", one(channel))["Location"]
    assert "KES 1,500.00" in words(client.get(checked))
    assert client.post(checked, {"reference": ""}).status_code == 302
    assert within(acme, PayoutBatch.objects.count) == 1


# A file


def test_a_file_is_shown_with_total_fees_and_odd_rows_before_it_is_made(acme, channel, maker, browser):
    client = browser(maker)
    rows = "phone,amount,name,reference,reason\n0712345678,1500,Achieng,W1,Wages\n0712345678,1500,Achieng,W2,Wages\n"
    given = {"channel": public_id("ch", channel.pk), "purpose": "SALARY", "file": a_file(rows)}

    checked = client.post("/money-out/upload/", given)["Location"]

    page = words(client.get(checked))
    assert "KES 3,000.00" in page
    assert "KES 10.00" in page
    assert "1 row to look at" in page
    assert "Row 2 pays the same amount to the same receiver." in page
    assert 'value="Casuals November"' in client.get(checked).content.decode()
    assert within(acme, PayoutBatch.objects.count) == 0

    client.post(checked, {"reference": "Casuals, week 47"})

    batch = within(acme, PayoutBatch.objects.get)
    assert (batch.reference, batch.payout_count, batch.total_amount) == ("Casuals, week 47", 2, 3000)
    assert (batch.flagged_count, batch.created_by_id) == (1, maker.user_id)


def test_a_refused_file_says_of_every_cell_what_to_mend(acme, channel, maker, browser):
    rows = 'phone,amount,name\n0712345678,1500,Achieng\n0712,"1,500",Otieno\n,20,Wanjiku\n'
    given = {"channel": public_id("ch", channel.pk), "file": a_file(rows)}

    response = browser(maker).post("/money-out/upload/", given)

    assert response.status_code == 400
    page = words(response)
    assert "2 of 3 rows can't be paid. Nothing was kept." in page
    assert "3 phone 0712 Enter a Kenyan mobile number, like 0712 345 678." in page
    assert "3 amount 1,500 Write whole shillings in digits only, like 1500" in page
    assert "4 phone – Say who is to be paid." in page
    assert within(acme, PayoutBatch.objects.count) == 0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name,amount\nAchieng,1500\n", "There is no column “phone_number”."),
        ("phone,amount\n", "There are no rows to pay."),
    ],
)
def test_a_file_without_what_is_needed_is_refused(acme, channel, maker, browser, text, sentence):
    given = {"channel": public_id("ch", channel.pk), "file": a_file(text)}

    response = browser(maker).post("/money-out/upload/", given)

    assert sentence in words(response)
    assert within(acme, PayoutBatch.objects.count) == 0


def test_a_name_of_a_batch_is_used_once(acme, channel, maker, browser):
    client = browser(maker)
    rows = "phone,amount\n0712345678,1500\n"
    first, other = (
        client.post("/money-out/upload/", {"channel": public_id("ch", channel.pk), "file": a_file(rows)})["Location"]
        for _ in range(2)
    )
    client.post(first, {"reference": "Casuals November"})

    response = client.post(other, {"reference": "Casuals November"})

    assert response.status_code == 409
    assert "There is a batch “Casuals November” already." in words(response)
    assert within(acme, PayoutBatch.objects.count) == 1


def test_the_file_to_fill_in_is_read_as_it_is(acme, channel, maker, browser):
    client = browser(maker)

    excel = client.get("/money-out/upload/blank/?to=paybill")
    plain = client.get("/money-out/upload/blank/?type=csv")

    sheet = openpyxl.load_workbook(io.BytesIO(excel.content)).active
    assert [cell.value for cell in sheet[1]] == ["shortcode", "amount", "name", "reference", "reason"]
    assert plain.content.decode("utf-8-sig") == "phone,amount,name,reference,reason\r\n"
    assert plain["Content-Disposition"] == 'attachment; filename="payouts-phone.csv"'


# A batch


@pytest.fixture
def batch(acme, channel, maker):
    with tenant_context(acme):
        return make_batch(
            channel, "Wages", ["AWAITING_APPROVAL"] * 2, status="AWAITING_APPROVAL", created_by_id=maker.user_id
        )


def test_who_made_a_batch_is_not_offered_to_approve_it_and_can_not(acme, batch, maker, browser):
    client = browser(maker)

    page = client.get(address(batch))
    refused = client.post(f"{address(batch)}approve/")

    assert "You made it, so somebody else has to approve it" in words(page)
    assert "/approve/" not in page.content.decode()
    assert refused.status_code == 403
    assert within(acme, PayoutBatch.objects.get).status == "AWAITING_APPROVAL"


def test_thousands_of_payouts_are_counted_with_a_comma(acme, channel, maker, browser):
    with tenant_context(acme):
        batch = make_batch(channel, "Wages", ["AWAITING_APPROVAL"], status="AWAITING_APPROVAL")
        PayoutBatch.objects.update(flagged_count=3000)

    assert "3,000 rows have something odd." in words(browser(maker).get(address(batch)))


def test_an_owner_alone_is_led_to_invite_a_colleague(acme, channel, maker, second, browser):
    with tenant_context(acme):
        whose = {"status": "AWAITING_APPROVAL", "created_by_id": second.user_id}
        batch = make_batch(channel, "Wages", ["AWAITING_APPROVAL"], **whose)

    assert 'href="/team/invite/"' in browser(second).get(address(batch)).content.decode()
    assert 'href="/team/invite/"' not in browser(maker).get(address(batch)).content.decode()


def test_a_second_person_approves_and_releases_with_the_password(acme, batch, second, browser):
    client = browser(second)

    assert client.post(f"{address(batch)}approve/")["Location"] == address(batch)
    wrong = client.post(f"{address(batch)}release/", {"password": "not it"})
    assert "This is not your password." in words(wrong)
    assert within(acme, PayoutBatch.objects.get).status == "APPROVED"
    released = client.post(f"{address(batch)}release/", {"password": PASSWORD})

    assert released["Location"] == address(batch)
    found = within(acme, PayoutBatch.objects.get)
    assert (found.status, found.approved_by_id, found.released_by_id) == ("RELEASED", second.user_id, second.user_id)
    assert within(acme, lambda: set(Payout.objects.values_list("status", flat=True))) == {"RESERVED"}


def test_a_code_of_the_second_factor_releases_too_and_nothing_does_not(acme, batch, second, browser):
    codes = second_factor.renew_recovery_codes(second.user)
    client = browser(second)
    client.post(f"{address(batch)}approve/")

    nothing = client.post(f"{address(batch)}release/", {"password": "", "second_factor": ""})
    wrong = client.post(f"{address(batch)}release/", {"second_factor": "000000"})
    assert "Needed." in words(nothing)
    assert wrong.status_code == 400
    assert within(acme, PayoutBatch.objects.get).status == "APPROVED"
    code = codes[0].upper()
    client.post(f"{address(batch)}release/", {"second_factor": f"{code[:4]} {code[4:]}"})

    assert within(acme, PayoutBatch.objects.get).status == "RELEASED"


def test_a_batch_of_more_than_the_policy_allows_is_not_released(acme, batch, second, browser):
    with tenant_context(acme):
        PayoutPolicy.objects.create(environment="PRACTICE", maximum_per_day=1000)
    client = browser(second)
    client.post(f"{address(batch)}approve/")

    response = client.post(f"{address(batch)}release/", {"password": PASSWORD})

    assert response.status_code == 409
    assert "your policy allows KES 1,000 a day" in words(response)
    assert within(acme, PayoutBatch.objects.get).status == "APPROVED"


def test_a_batch_is_withdrawn_with_its_reason(acme, batch, maker, browser):
    client = browser(maker)

    client.post(f"{address(batch)}cancel/", {"reason": "Paid in cash"})

    assert "It was withdrawn. Nothing was sent." in words(client.get(address(batch)))
    found = within(acme, PayoutBatch.objects.get)
    assert (found.status, found.reason) == ("CANCELLED", "Paid in cash")


@pytest.mark.parametrize("status", ["RELEASED", "FINISHED", "CANCELLED", "EXPIRED"])
def test_what_can_not_be_withdrawn_any_more_leads_back_to_the_batch(acme, channel, maker, browser, status):
    with tenant_context(acme):
        batch = make_batch(channel, "Wages", ["SUCCEEDED"])
        PayoutBatch.objects.update(status=status)
    client = browser(maker)

    for answer in (client.get(f"{address(batch)}cancel/"), client.post(f"{address(batch)}cancel/", {"reason": "x"})):
        assert (answer.status_code, answer["Location"]) == (302, address(batch))
    found = within(acme, PayoutBatch.objects.get)
    assert (found.status, found.reason) == (status, "")


def test_a_reversal_that_ended_leads_back_from_its_approval(acme, channel, second, browser):
    with tenant_context(acme):
        reversal = make_reversal(channel, "SUCCEEDED")
    client, its = browser(second), f"/reversals/{public_id('rev', reversal.pk)}/"

    for page in ("approve", "cancel"):
        assert client.get(f"{its}{page}/")["Location"] == its


def test_rows_of_an_approved_batch_wait_for_its_release(acme, channel, second, browser):
    with tenant_context(acme):
        batch = make_batch(channel, "Wages", ["AWAITING_APPROVAL"] * 2, status="APPROVED")
        payout = Payout.objects.first()
    client = browser(second)

    its = f"/money-out/payouts/{public_id('pout', payout.pk)}/"
    for page in (address(batch), its, "/money-out/payouts/"):
        said = client.get(page).content.decode()
        assert '<span class="badge state-pending">Ready to release</span>' in said
        assert "badge state-awaiting_approval" not in said


def test_money_moves_after_we_handed_it_over_though_m_pesas_clock_has_whole_seconds(acme, channel, second, browser):
    handed = timezone.now().replace(microsecond=0) + timedelta(milliseconds=700)
    ours = {"sending_at": handed, "accepted_at": handed + timedelta(milliseconds=200)}
    theirs = {"status": "SUCCEEDED", "completed_at": handed.replace(microsecond=0), "receipt": "SGE1AB23CD"}
    with tenant_context(acme):
        make_batch(channel, "Wages", ["SUCCEEDED"])
        reversal = make_reversal(channel, "AWAITING_APPROVAL")
        for rows in (Payout.objects, Reversal.objects):
            rows.update(**ours, **theirs, finished_at=handed + timedelta(seconds=1))
        payout = Payout.objects.get()
    client = browser(second)

    for page in (f"money-out/payouts/{public_id('pout', payout.pk)}", f"reversals/{public_id('rev', reversal.pk)}"):
        said = words(client.get(f"/{page}/"))
        order = ["We handed it to M-PESA.", "M-PESA took it. That is not a payment yet.", "M-PESA moved the money."]
        places = [said.index(sentence) for sentence in order]
        assert places == sorted(places)


def test_a_number_that_m_pesa_knows_by_another_name_is_pointed_out(acme, channel, second, browser):
    with tenant_context(acme):
        batch = make_batch(channel, "Wages", ["SUCCEEDED"] * 3 + ["FAILED"])
        names = [
            (1, "Njeri Mwangi", "DANIEL NYAMBURA"),
            (2, "Njeri Mwangi", "MWANGI, NJERI W."),
            (3, "", "DANIEL NYAMBURA"),
            (4, "Njeri Mwangi", "DANIEL NYAMBURA"),
        ]
        for row, name, receiver_name in names:
            Payout.objects.filter(row=row).update(name=name, receiver_name=receiver_name)
        its = {payout.row: f"/money-out/payouts/{public_id('pout', payout.pk)}/" for payout in Payout.objects.all()}
    client = browser(second)

    assert words(client.get(address(batch))).count("M-PESA: DANIEL NYAMBURA") == 1
    notice = "You sent it to “Njeri Mwangi”, and M-PESA knows the number as “DANIEL NYAMBURA”. The money has moved"
    assert [row for row, page in its.items() if notice in words(client.get(page))] == [1]


def test_accepted_is_never_shown_as_sent_and_each_row_has_its_state(acme, channel, second, browser):
    with tenant_context(acme):
        batch = make_batch(channel, "Wages", ["ACCEPTED", "SUCCEEDED", "FAILED", "UNKNOWN"])
        Payout.objects.filter(row=2).update(receipt="SGE1AB23CD")

    page = words(browser(second).get(address(batch)))

    assert "2 of 4 have their outcome." in page
    rows = page.partition("Row To Amount State")[2]
    for said in (
        "0712 345 001 Achieng Otieno KES 500.00 Waiting",
        "0712 345 002 Achieng Otieno KES 1,000.00 Sent SGE1AB23CD",
        "0712 345 003 Achieng Otieno KES 1,500.00 Not sent",
        "0712 345 004 Achieng Otieno KES 2,000.00 Not known yet",
    ):
        assert said in rows


def test_the_progress_asks_for_itself_until_all_is_known(acme, channel, second, browser):
    with tenant_context(acme):
        batch = make_batch(channel, "Wages", ["ACCEPTED", "SUCCEEDED"])
    client, htmx = browser(second), {"HX-Request": "true"}

    live = client.get(address(batch), headers=htmx)
    ask_again = re.search(r'hx-get="([^"]+)"', live.content.decode())[1].replace("&amp;", "&")

    assert 'hx-trigger="every 2s"' in live.content.decode()
    assert "HX-Refresh" not in live
    assert client.get(ask_again, headers=htmx).status_code == 204
    with tenant_context(acme):
        Payout.objects.filter(row=1).update(status="SUCCEEDED", finished_at=timezone.now())
        PayoutBatch.objects.update(status="FINISHED")
    done = client.get(ask_again, headers=htmx)
    assert "2 of 2 have their outcome." in words_of_piece(done)
    assert "hx-get" not in done.content.decode()
    assert done["HX-Refresh"] == "true"


def words_of_piece(response):
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


def test_a_page_that_was_open_for_long_asks_less_often(acme, channel, second, browser):
    with tenant_context(acme):
        batch = make_batch(channel, "Wages", ["UNKNOWN"])
        PayoutBatch.objects.update(released_at=timezone.now() - timedelta(minutes=11))

    assert 'hx-trigger="every 15s"' in browser(second).get(address(batch)).content.decode()


def test_long_batches_are_shown_page_by_page(acme, channel, second, browser):
    with tenant_context(acme):
        batch = make_batch(channel, "Wages", ["SUCCEEDED"] * 25)
    client = browser(second)

    first = client.get(address(batch)).content.decode()
    last = client.get(f"{address(batch)}?after=20").content.decode()
    back = client.get(f"{address(batch)}?before=21").content.decode()

    assert re.findall(r'id="row-(\d+)"', first) == [str(row) for row in range(1, 21)]
    assert re.findall(r'id="row-(\d+)"', last) == ["21", "22", "23", "24", "25"]
    assert re.findall(r'id="row-(\d+)"', back) == [str(row) for row in range(1, 21)]
    assert 'href="?after=20"' in first
    assert 'href="?before=21"' in last


def test_what_failed_is_tried_again_in_a_new_batch(acme, channel, second, browser):
    with tenant_context(acme):
        batch = make_batch(channel, "Wages", ["SUCCEEDED", "FAILED"], status="RELEASED")
    client = browser(second)

    assert "Try the one that failed again" in words(client.get(address(batch)))
    made = client.post(f"{address(batch)}retry/")

    assert "A new batch has the payout that failed." in words(client.get(made["Location"]))
    retry = within(acme, lambda: PayoutBatch.objects.get(retry_of=batch))
    assert (retry.payout_count, retry.total_amount, retry.status) == (1, 1000, "AWAITING_APPROVAL")


def test_the_result_file_has_every_row(acme, channel, second, browser):
    with tenant_context(acme):
        batch = make_batch(channel, "Wages", ["SUCCEEDED", "ACCEPTED"])

    response = browser(second).post(f"{address(batch)}result/", {"type": "csv"})

    lines = response.content.decode("utf-8-sig").splitlines()
    assert len(lines) == 3
    assert ",succeeded," in lines[1]
    assert ",pending," in lines[2]


# One payout, after it was sent


@pytest.fixture
def to_review(acme, channel, maker):
    with tenant_context(acme):
        return make_batch(channel, "Casuals", ["NEEDS_REVIEW"], created_by_id=maker.user_id).payouts.get()


def test_a_second_person_decides_what_nobody_could_tell(acme, to_review, second, browser):
    client, its = browser(second), f"/money-out/payouts/{public_id('pout', to_review.pk)}/"

    assert "M-PESA was asked 8 times." in words(client.get(its))
    no_receipt = client.post(its, {"verdict": "succeeded", "note": "Portal"})
    assert "Give M-PESA's receipt of the movement, like SGE1AB23CD." in words(no_receipt)
    done = client.post(its, {"verdict": "succeeded", "receipt": "sge1ab23cd", "note": "On the portal"})

    assert done["Location"] == its
    payout = within(acme, Payout.objects.get)
    assert (payout.status, payout.receipt, payout.note) == ("SUCCEEDED", "SGE1AB23CD", "On the portal")
    assert payout.decided_by == second.user.email


def test_who_made_a_payout_does_not_decide_it(acme, to_review, maker, browser):
    client, its = browser(maker), f"/money-out/payouts/{public_id('pout', to_review.pk)}/"

    page = words(client.get(its))
    client.post(its, {"verdict": "failed", "note": "I think so"})

    assert "You made this payout, so somebody else has to decide it." in page
    assert "How did you find out?" not in page
    assert within(acme, Payout.objects.get).status == "NEEDS_REVIEW"


def test_a_payout_under_way_is_shown_anew_when_something_is_new(acme, channel, second, browser):
    with tenant_context(acme):
        payout = make_batch(channel, "Wages", ["ACCEPTED"]).payouts.get()
    client, htmx = browser(second), {"HX-Request": "true"}

    page = client.get(f"/money-out/payouts/{public_id('pout', payout.pk)}/").content.decode()
    ask_again = re.search(r'hx-get="([^"]+)"', page)[1].replace("&amp;", "&")

    assert "M-PESA has it, and has not said yet whether the money moved." in page
    assert "Waiting" in page
    assert client.get(ask_again, headers=htmx).status_code == 204
    with tenant_context(acme):
        Payout.objects.update(status="SUCCEEDED", finished_at=timezone.now())
    done = client.get(ask_again, headers=htmx)
    assert "The receiver has the money." in done.content.decode()
    assert (done["HX-Refresh"], "hx-get" in done.content.decode()) == ("true", False)


def test_a_payout_is_found_by_the_phone_in_any_form(acme, channel, second, browser):
    with tenant_context(acme):
        make_batch(channel, "Wages", ["SUCCEEDED", "NEEDS_REVIEW"])
    client = browser(second)

    by_phone = words(client.get("/money-out/payouts/?q=0712+345+002"))
    to_look_at = words(client.get("/money-out/payouts/?state=review"))
    nobody = words(client.get("/money-out/payouts/?q=0799999999"))
    receipt = within(acme, lambda: Payout.objects.get(row=1)).receipt
    by_receipt = words(client.get(f"/money-out/payouts/?q={receipt.lower()}"))

    assert "0712 345 002" in by_phone
    assert "0712 345 001" not in by_phone
    assert "0712 345 001" not in to_look_at
    assert "No payout was found" in nobody
    assert "0712 345 001" in by_receipt
    assert "0712 345 002" not in by_receipt


# Reversals


def test_a_reversal_is_approved_with_the_password_and_sent(acme, channel, second, browser):
    with tenant_context(acme):
        reversal = make_reversal(channel, "AWAITING_APPROVAL")
    client, its = browser(second), f"/reversals/{public_id('rev', reversal.pk)}/"

    assert "It waits for approval. Nothing was sent." in words(client.get(its))
    assert "This is not your password." in words(client.post(f"{its}approve/", {"password": "no"}))
    assert client.post(f"{its}approve/", {"password": PASSWORD})["Location"] == its

    found = within(acme, Reversal.objects.get)
    assert (found.status, found.approved_by_id) == ("RESERVED", second.user_id)


def test_who_asked_for_a_reversal_does_not_approve_it(acme, channel, maker, browser):
    with tenant_context(acme):
        reversal = make_reversal(channel, "AWAITING_APPROVAL", requested_by_id=maker.user_id)

    client, its = browser(maker), f"/reversals/{public_id('rev', reversal.pk)}/"

    page = client.get(its)
    response = client.post(f"{its}approve/", {"password": PASSWORD})

    assert "You asked for it, so somebody else has to approve it" in words(page)
    assert f"{its}approve/" not in page.content.decode()
    assert response.status_code == 403
    assert "somebody else has to approve it" in words(response)
    assert within(acme, Reversal.objects.get).status == "AWAITING_APPROVAL"


def test_a_reversal_is_withdrawn_and_decided(acme, channel, second, browser):
    with tenant_context(acme):
        waiting, unclear = make_reversal(channel, "AWAITING_APPROVAL"), make_reversal(channel, "NEEDS_REVIEW")
    client = browser(second)

    client.post(f"/reversals/{public_id('rev', waiting.pk)}/cancel/", {"reason": "The customer keeps it"})
    client.post(f"/reversals/{public_id('rev', unclear.pk)}/", {"verdict": "failed", "note": "Not on the portal"})

    with tenant_context(acme):
        waiting.refresh_from_db()
        unclear.refresh_from_db()
    assert (waiting.status, waiting.note) == ("CANCELLED", "The customer keeps it")
    assert (unclear.status, unclear.note) == ("FAILED", "Not on the portal")


# The policy


def test_an_administrator_sets_the_limits_and_a_manager_reads_them(acme, channel, second, maker, browser):
    limits = {"approval_threshold": "5000", "maximum_per_payout": "20000", "maximum_per_day": "100000"}

    unproved = browser(second).post("/money-out/policy/", limits | {"password": "not it"})
    assert "This is not your password." in words(unproved)
    assert within(acme, PayoutPolicy.objects.count) == 0

    limits |= {"password": PASSWORD}
    saved = browser(second).post("/money-out/policy/", limits | {"allowed_receivers_only": "on"})
    refused = browser(maker).post("/money-out/policy/", limits | {"approval_threshold": "999999"})
    page = words(browser(maker).get("/money-out/policy/"))

    assert saved["Location"] == "/money-out/policy/"
    assert "KES 5,000" in page
    assert "only receivers on our list" in page
    assert refused.status_code == 403
    policy = within(acme, PayoutPolicy.objects.get)
    assert (policy.approval_threshold, policy.maximum_per_payout, policy.maximum_per_day) == (5000, 20_000, 100_000)
    assert (policy.maximum_per_actor, policy.allowed_receivers_only) == (None, True)


def test_a_limit_that_is_none_changes_nothing(acme, channel, second, browser):
    limits = {"approval_threshold": "-1", "maximum_per_payout": "a lot", "maximum_per_day": "100000"}

    response = browser(second).post("/money-out/policy/", limits)

    assert response.status_code == 422
    assert "Enter whole shillings in digits, like 50000." in words(response)
    assert within(acme, PayoutPolicy.objects.count) == 0


def test_receivers_are_put_on_the_list_and_taken_off(acme, channel, second, browser):
    client = browser(second)

    client.post("/money-out/policy/receivers/", {"phone_number": "0712 345 678", "name": "Achieng"})
    twice = client.post("/money-out/policy/receivers/", {"phone_number": "254712345678"})

    assert "This receiver is on the list." in words(twice)
    receiver = within(acme, AllowedReceiver.objects.get)
    assert (receiver.receiver, receiver.name) == ("254712345678", "Achieng")
    client.post(f"/money-out/policy/receivers/{public_id('rcv', receiver.pk)}/remove/")
    assert within(acme, AllowedReceiver.objects.count) == 0


# Who sees what


def test_a_clerk_sees_reversals_and_no_payouts(acme, channel, batch, member_of, browser):
    with tenant_context(acme):
        reversal = make_reversal(channel, "AWAITING_APPROVAL")
    client = browser(member_of(acme, Role.USER))

    home = client.get("/reversals/").content.decode()
    its = client.get(f"/reversals/{public_id('rev', reversal.pk)}/").content.decode()

    assert 'href="/money-out/"' not in home
    assert "/approve/" not in its
    for path in ("/money-out/", "/money-out/payouts/", "/money-out/send/", address(batch)):
        assert client.get(path).status_code == 403, path


def test_rival_finds_nothing_of_acmes_money(acme, rival, channel, batch, to_review, member_of, browser):
    with tenant_context(acme):
        reversal = make_reversal(channel, "AWAITING_APPROVAL")
    client = browser(member_of(rival))

    for path in (
        address(batch),
        f"{address(batch)}release/",
        f"{address(batch)}cancel/",
        f"/money-out/payouts/{public_id('pout', to_review.pk)}/",
        f"/reversals/{public_id('rev', reversal.pk)}/",
        f"/reversals/{public_id('rev', reversal.pk)}/approve/",
    ):
        assert client.get(path).status_code == 404, path
    for step in ("approve", "retry", "cancel", "result"):
        assert client.post(f"{address(batch)}{step}/").status_code == 404, step
    assert "Wages" not in client.get("/money-out/").content.decode()


def test_a_draft_of_acmes_is_none_of_rivals(acme, rival, channel, maker, member_of, browser):
    checked = browser(maker).post("/money-out/send/", one(channel))["Location"]
    make_channel(rival, "600966", **SENDS_MONEY)
    client = browser(member_of(rival))

    assert client.get(checked).status_code == 404
    assert client.post(checked).status_code == 404
    assert within(rival, PayoutBatch.objects.count) == 0


def test_a_page_shows_one_environment(acme, channel, second, browser):
    live = make_channel(acme, "600977", environment="SANDBOX", **SENDS_MONEY)
    with tenant_context(acme):
        make_batch(channel, "Practice wages", ["SUCCEEDED"])
        make_batch(live, "Sandbox wages", ["SUCCEEDED"])
    client = browser(second)

    page = words(client.get("/money-out/?environment=sandbox"))

    assert "Sandbox wages" in page
    assert "Practice wages" not in page
    assert public_id("ch", live.pk) in client.get("/money-out/send/").content.decode()
    assert public_id("ch", channel.pk) not in client.get("/money-out/send/").content.decode()
