"""What many rows are made of after the last word: by a worker, once, all or none, seen as it goes, refused in words."""

import json
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from celery import current_app
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import public_id
from audit.models import AuditEntry
from channels import kept_drafts, transfer
from channels.idempotency import RequestInProgress
from channels.models import IdempotencyKey, KeptDraft, MpesaChannel
from loyalty.models import Member, Program
from payments.models import Invoice, Payout, PayoutBatch
from payments.payouts import creating, drafts
from payments.payouts.checking import GivenRow
from tenants import progress, queue
from tenants.hosts import forget_hosts
from tenants.models import DueTask, Membership, Role, Tenant
from tests.factories import make_channel
from tests.pages.sent_money import SENDS_MONEY, make_batch
from tests.pages.test_invoices import HEADER, day, words
from tests.pages.test_member_lists import STATEMENT

MANY = kept_drafts.LARGE_ROWS + 1
HTMX = {"HX-Request": "true"}


@pytest.fixture
def channel(acme):
    return make_channel(
        acme, "600966", initiator_credential="a password", bill_manager_opted_in_at=timezone.now(), **SENDS_MONEY
    )


@pytest.fixture
def maker(acme, member_of):
    return member_of(acme, Role.MANAGER)


@pytest.fixture
def client(maker, browser):
    return browser(maker)


def within(tenant, query):
    with tenant_context(tenant):
        return query()


def upload_payouts(client, channel, rows=MANY):
    text = "phone,amount,name\n" + "".join(f"0712{row:06d},{100 + row},Casual\n" for row in range(rows))
    file = SimpleUploadedFile("Casuals.csv", text.encode())
    answer = client.post("/money-out/upload/", {"channel": public_id("ch", channel.pk), "file": file})
    return answer["Location"]


def upload_invoices(client, channel, rows=MANY):
    text = HEADER + "".join(f"A{row},Jane,0712{row:06d},Rent,August,{day()},H{row},9000,\n" for row in range(rows))
    file = SimpleUploadedFile("rent.csv", text.encode())
    return client.post("/invoices/upload/", {"channel": public_id("ch", channel.pk), "file": file})["Location"]


def upload_members(client, program, rows=MANY):
    pasted = "\n".join(f"0733{row:06d}, Person {row}" for row in range(rows))
    given = {"program": public_id("prog", program.pk), "pasted": pasted, "statement": STATEMENT}
    return client.post("/members/list/", given)["Location"]


@pytest.fixture
def owner(acme, member_of, browser):
    return browser(member_of(acme))


def upload_channels(client, rows=transfer.KIND.most_at_once + 1, **last):
    """`last` is written over the last row."""
    of_all = {"channel_type": "paybill", "environment": "sandbox"}
    given = [of_all | {"name": f"Shop {row}", "shortcode": str(600_500 + row)} for row in range(rows)]
    given[-1] |= last
    file = SimpleUploadedFile("channels.json", json.dumps(given).encode())
    return client.post("/channels/import/", {"file": file})["Location"]


@pytest.fixture
def program(acme):
    with tenant_context(acme):
        return Program.objects.create(code="vip", name="VIP", member_key="BY_PAYER")


def ask_again(page):
    return re.search(r'hx-get="([^"]+)"', page.content.decode())[1].replace("&amp;", "&")


# It works, for each kind


def test_many_payouts_are_made_by_a_worker_and_watched(acme, channel, maker, client, browser, run_due):
    checked = upload_payouts(client, channel)

    said = client.post(checked, {"reference": "Casuals, week 47"}, headers={"User-Agent": "Phone"})

    assert said["Location"] == checked  # the address that one comes back to
    page = client.get(checked)
    assert "The payouts are being made 0 of 201 rows. You can close this page and come back." in words(page)
    assert '<progress max="201" value="0" ' in page.content.decode()
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in page.content.decode()
    assert client.get(ask_again(page), headers=HTMX).status_code == 204
    assert "The payouts are being made : 0 of 201 rows." in words(client.get("/money-out/"))
    assert f'href="{checked}"' in client.get("/money-out/").content.decode()
    assert within(acme, PayoutBatch.objects.count) == 0
    within(acme, lambda: KeptDraft.objects.update(rows_done=120))
    assert '<progress max="201" value="120" ' in client.get(ask_again(page), headers=HTMX).content.decode()

    assert run_due() == 1

    done = browser(maker).get(ask_again(page), headers=HTMX)
    assert (done["HX-Refresh"], b"hx-get" in done.content) == ("true", False)
    batch = within(acme, PayoutBatch.objects.get)
    assert client.get(checked)["Location"] == f"/money-out/batches/{public_id('pbat', batch.pk)}/"
    assert (batch.reference, batch.payout_count, batch.total_amount) == ("Casuals, week 47", 201, 40_200)
    assert (batch.created_by, batch.created_by_id, batch.status) == (
        maker.user.email,
        maker.user_id,
        "AWAITING_APPROVAL",
    )
    rows = within(acme, lambda: list(Payout.objects.order_by("row").values_list("row", "receiver", "amount")))
    assert rows == [(2 + row, f"254712{row:06d}", 100 + row) for row in range(201)]
    entry = within(acme, AuditEntry.objects.get)
    assert (entry.action, entry.actor_id, entry.actor_role) == ("payout_batch.created", maker.user_id, "manager")
    assert (entry.actor_label, entry.address, entry.user_agent) == (maker.user.email, "127.0.0.1", "Phone")
    assert "being made" not in words(client.get("/money-out/"))
    assert within(acme, KeptDraft.objects.get).content == {}  # names and numbers are kept once


def test_many_invoices_are_made_by_a_worker(acme, channel, client, monkeypatch, run_due):
    monkeypatch.setattr("payments.invoices.send_pending", lambda **_: None)
    checked = upload_invoices(client, channel)

    assert client.post(checked)["Location"] == checked
    assert "The invoices are being made 0 of 201 rows." in words(client.get(checked))
    assert "The invoices are being made" in words(client.get("/invoices/"))
    assert within(acme, Invoice.objects.count) == 0
    run_due()

    assert "201 invoices are being handed to M-PESA." in words(client.get(checked, follow=True))
    made = within(acme, lambda: list(Invoice.objects.order_by("pk").values_list("external_reference", "amount")))
    assert made == [(f"A{row}", 9000) for row in range(201)]
    entry = within(acme, AuditEntry.objects.get)
    assert (entry.action, entry.after) == ("invoices.created", {"count": 201, "amount": 201 * 9000})


def test_many_members_are_enrolled_by_a_worker(acme, channel, program, client, run_due):
    checked = upload_members(client, program)

    assert client.post(checked)["Location"] == checked
    assert "The members are being enrolled 0 of 201 rows." in words(client.get(checked))
    assert "The members are being enrolled" in words(client.get("/members/"))
    assert within(acme, Member.objects.count) == 0
    run_due()

    assert "201 members are enrolled." in words(client.get(checked, follow=True))
    made = within(acme, lambda: list(Member.objects.order_by("phone_number").values_list("phone_number", "name")))
    assert made == [(f"254733{row:06d}", f"Person {row}") for row in range(201)]
    entry = within(acme, AuditEntry.objects.get)
    assert (entry.action, entry.after["members"], len(set(entry.after["codes"]))) == ("member.list_enrolled", 201, 201)


def test_many_channels_are_imported_by_a_worker(acme, owner, run_due):
    importing = upload_channels(owner)

    assert "The channels are being imported 0 of 21 rows." in words(owner.get(importing))
    assert "The channels are being imported : 0 of 21 rows." in words(owner.get("/channels/"))
    assert within(acme, MpesaChannel.objects.count) == 0
    assert run_due() == 1

    assert "21 channels are new. 0 were known." in words(owner.get(importing, follow=True))
    made = within(acme, lambda: list(MpesaChannel.objects.order_by("pk").values_list("name", "shortcode", "status")))
    assert made == [(f"Shop {row}", str(600_500 + row), "DRAFT") for row in range(21)]
    assert "being imported" not in words(owner.get("/channels/"))


def test_few_channels_are_imported_while_the_page_waits(acme, owner):
    importing = upload_channels(owner, rows=20)

    assert within(acme, MpesaChannel.objects.count) == 20
    assert owner.get(importing)["Location"] == "/channels/"
    assert not DueTask.objects.filter(task="channels.tasks.make_draft").exists()


def test_few_rows_are_made_while_the_page_waits(acme, channel, client):
    checked = upload_payouts(client, channel, rows=MANY - 1)

    made = client.post(checked, {"reference": ""})

    assert made["Location"].startswith("/money-out/batches/")
    assert within(acme, Payout.objects.count) == 200
    assert not DueTask.objects.filter(task="channels.tasks.make_draft").exists()
    assert client.get(checked)["Location"] == made["Location"]


def test_what_is_made_while_somebody_reads_it_is_told_to_be_in_the_list(acme, channel, maker, client, actor):
    checked = upload_payouts(client, channel, rows=1)
    client.post(checked, {"reference": ""})

    with tenant_context(acme), pytest.raises(kept_drafts.DraftGone, match="This is made already"):
        drafts.read_draft(actor=actor(Role.MANAGER), token=checked.split("/")[-2], now=timezone.now())


# Once, all or none


def test_pressed_twice_and_told_twice_it_is_made_once(acme, channel, maker, client, browser, run_due):
    checked = upload_payouts(client, channel)
    for reference in ("Casuals", "Casuals", "Another name"):
        assert client.post(checked, {"reference": reference})["Location"] == checked
    assert browser(maker).post(checked, {"reference": "Casuals"})["Location"] == checked
    assert DueTask.objects.count() == 1
    run_due()

    batch = within(acme, PayoutBatch.objects.get)
    within(acme, lambda: kept_drafts.make_asked(draft_id=KeptDraft.objects.get().pk, now=timezone.now()))
    again = client.post(checked, {"reference": "Casuals"})

    assert again["Location"] == f"/money-out/batches/{public_id('pbat', batch.pk)}/"
    assert (batch.reference, within(acme, PayoutBatch.objects.count)) == ("Casuals", 1)
    assert within(acme, Payout.objects.count) == 201


@pytest.fixture
def asked_for(committed, actor, member_of):
    """A business in which somebody has said the last word on 1,200 payouts, and who that is."""
    tenant = committed("kilimo")
    channel = make_channel(tenant, "600966", **SENDS_MONEY)
    who = replace(actor(Role.MANAGER), id=member_of(tenant, Role.MANAGER).user_id)
    rows = [GivenRow(row, {"phone_number": f"0712{row:06d}", "amount": 100}) for row in range(1, 1_201)]
    draft = drafts.Draft(rows=rows, channel_id=channel.pk, kind="PHONE", purpose="BUSINESS")
    with tenant_context(tenant):
        token = drafts.keep_draft(actor=who, draft=draft, now=timezone.now())
        drafts.create_from_draft(actor=who, token=token, reference="Casuals", now=timezone.now())
    return tenant


def test_a_worker_that_is_killed_half_way_leaves_nothing_and_the_next_makes_all(asked_for, run_due, monkeypatch):
    kept = Payout.objects.bulk_create
    calls = []

    def die(rows):
        calls.append(len(rows))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return kept(rows)

    monkeypatch.setattr(creating.Payout.objects, "bulk_create", die)
    with pytest.raises(KeyboardInterrupt):
        run_due()
    assert calls == [500, 500]
    with tenant_context(asked_for):
        assert (PayoutBatch.objects.count(), Payout.objects.count()) == (0, 0)
        assert (AuditEntry.objects.count(), IdempotencyKey.objects.count()) == (0, 0)
        assert KeptDraft.objects.get().made is None
    assert run_due() == 0  # it is still leased

    monkeypatch.setattr(creating.Payout.objects, "bulk_create", kept)
    DueTask.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    assert run_due() == 1
    with tenant_context(asked_for):
        batch = PayoutBatch.objects.get()
        assert (batch.payout_count, batch.payouts.count(), batch.total_amount) == (1_200, 1_200, 120_000)
        assert (AuditEntry.objects.count(), IdempotencyKey.objects.count()) == (1, 1)


def test_others_see_how_far_it_is_and_that_somebody_works_on_it_before_the_commit(asked_for, run_due, monkeypatch):
    monkeypatch.setattr(progress, "_NOTE_EVERY_S", 0)
    kept, seen = Payout.objects.bulk_create, []

    def look(rows):
        made = kept(rows)
        with progress.ThreadPoolExecutor(1) as other:
            seen.append(other.submit(_as_others_see_it, asked_for).result())
        return made

    monkeypatch.setattr(creating.Payout.objects, "bulk_create", look)
    run_due()

    assert [(batches, payouts) for batches, payouts, *_ in seen] == [(0, 0)] * 3  # never half made
    counts = [rows_done for *_, rows_done, _ in seen]
    assert counts == sorted(counts)
    assert 0 < counts[-1] <= 1_200
    assert all(timedelta(seconds=50) < lease <= timedelta(minutes=1) for *_, lease in seen)


def _as_others_see_it(tenant):
    try:
        with tenant_context(tenant):
            lease = DueTask.objects.get(task="channels.tasks.make_draft").leased_until - timezone.now()
            return PayoutBatch.objects.count(), Payout.objects.count(), KeptDraft.objects.get().rows_done, lease
    finally:
        connection.close()


def test_two_workers_at_once_make_it_once(asked_for, in_threads):
    with tenant_context(asked_for):
        draft_id = KeptDraft.objects.get().pk

    def work():
        with tenant_context(asked_for):
            kept_drafts.make_asked(draft_id=draft_id, now=timezone.now())

    ends = in_threads(work, work)

    assert all(end is None or isinstance(end, RequestInProgress) for end in ends)
    with tenant_context(asked_for):
        assert (PayoutBatch.objects.count(), Payout.objects.count()) == (1, 1_200)
        assert KeptDraft.objects.get().refusal == {}


def test_what_breaks_is_tried_again(acme, channel, client, run_due, monkeypatch):
    checked = upload_payouts(client, channel)
    client.post(checked, {"reference": ""})
    whole = creating.enqueue

    def breaks(*_args, **_more):
        raise OSError("the disk is full")

    monkeypatch.setattr(creating, "enqueue", breaks)
    with pytest.raises(OSError, match="full"):
        run_due()
    assert "The payouts are being made" in words(client.get(checked))
    assert within(acme, Payout.objects.count) == 0

    monkeypatch.setattr(creating, "enqueue", whole)
    DueTask.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    run_due()
    assert within(acme, Payout.objects.count) == 201


# Refused


def test_a_refusal_stands_beside_the_field_and_another_word_may_be_said(acme, channel, client, run_due):
    checked = upload_payouts(client, channel)
    within(acme, lambda: make_batch(channel, "Casuals", ["SUCCEEDED"]))
    client.post(checked, {"reference": "Casuals"}, headers={"Accept-Language": "sw"})
    part = ask_again(client.get(checked))
    run_due()

    assert client.get(part, headers=HTMX)["HX-Refresh"] == "true"
    page = client.get(checked)
    assert page.status_code == 200
    assert "Tayari kuna kundi “Casuals”." in words(page)  # in the language of who said it
    assert 'value="Casuals"' in page.content.decode()
    assert within(acme, PayoutBatch.objects.count) == 1
    assert client.post(checked, {"reference": "Casuals 2"})["Location"] == checked
    assert "Casuals" not in words(client.get(checked))
    run_due()
    assert within(acme, lambda: PayoutBatch.objects.get(reference="Casuals 2").payouts.count()) == 201


def test_channels_of_which_one_can_not_be_used_say_which_and_a_mended_file_is_taken(acme, owner, run_due):
    importing = upload_channels(owner, shortcode="1")
    part = ask_again(owner.get(importing))
    run_due()

    assert owner.get(part, headers=HTMX)["HX-Refresh"] == "true"
    page = owner.get(importing)
    assert page.status_code == 200
    assert "There is a problem Channel 21: shortcode: Enter 5 to 7 digits, like 247247." in words(page)
    assert 'action="/channels/import/" enctype="multipart/form-data"' in page.content.decode()
    assert within(acme, MpesaChannel.objects.count) == 0

    mended = upload_channels(owner)
    run_due()
    assert "21 channels are new." in words(owner.get(mended, follow=True))


def test_a_program_that_was_switched_off_meanwhile_enrols_nobody(acme, channel, program, client, run_due):
    checked = upload_members(client, program)
    client.post(checked)
    within(acme, lambda: Program.objects.update(is_active=False))
    run_due()

    assert "There is no such program." in words(client.get(checked))
    within(acme, lambda: Program.objects.update(is_active=True))
    assert "There is no such program." in words(client.get(checked))  # so it was, when it was asked for
    assert "Enrol these 201 members" in words(client.get(checked))
    assert within(acme, Member.objects.count) == 0


def test_invoices_that_can_not_be_sent_any_more_say_why(acme, channel, client, run_due):
    checked = upload_invoices(client, channel)
    client.post(checked)
    within(acme, lambda: type(channel).objects.update(bill_manager_opted_in_at=None))
    run_due()
    within(acme, lambda: type(channel).objects.update(bill_manager_opted_in_at=timezone.now()))

    page = words(client.get(checked))
    assert "Turn on Bill Manager for" in page
    assert "Send 201 invoices" in page
    assert within(acme, Invoice.objects.count) == 0


@pytest.mark.parametrize("change", [{"role": Role.USER}, {"is_active": False}])
def test_who_lost_the_right_meanwhile_makes_nothing(acme, channel, maker, client, member_of, browser, run_due, change):
    checked = upload_payouts(client, channel)
    client.post(checked, {"reference": ""})
    Membership.objects.filter(pk=maker.pk).update(**change)
    run_due()

    assert client.get(checked).status_code == (403 if "role" in change else 302)
    assert within(acme, PayoutBatch.objects.count) == 0
    assert within(acme, AuditEntry.objects.count) == 0
    colleague = browser(member_of(acme, Role.MANAGER))
    assert "Your role in this business does not let you prepare payouts." in words(colleague.get(checked))


def test_a_business_that_was_suspended_meanwhile_makes_nothing(acme, channel, client, run_due):
    checked = upload_payouts(client, channel)
    client.post(checked, {"reference": ""})
    Tenant.objects.filter(pk=acme.pk).update(status="SUSPENDED")
    forget_hosts()
    run_due()

    assert "This business is suspended" in words(client.get(checked))
    assert within(acme, PayoutBatch.objects.count) == 0


def test_what_waited_for_more_than_a_day_is_gone_and_is_not_made(acme, channel, client, run_due):
    checked = upload_payouts(client, channel)
    client.post(checked, {"reference": ""})
    kept = within(acme, KeptDraft.objects.get)
    assert timedelta(hours=23) < kept.expires_at - timezone.now() <= timedelta(days=1)
    within(acme, lambda: KeptDraft.objects.update(expires_at=timezone.now()))
    run_due()

    assert client.get(checked).status_code == 404
    assert within(acme, PayoutBatch.objects.count) == 0
    assert not DueTask.objects.filter(task="channels.tasks.make_draft").exists()


# Who sees it


def test_rival_and_clerk_see_nothing_of_what_is_being_made(acme, rival, channel, client, member_of, browser, run_due):
    checked = upload_payouts(client, channel)
    client.post(checked, {"reference": ""})
    theirs, clerk = browser(member_of(rival)), browser(member_of(acme, Role.USER))

    assert [theirs.get(checked).status_code, theirs.get(checked, headers=HTMX).status_code] == [404, 404]
    assert theirs.post(checked, {"reference": ""}).status_code == 404
    assert "being made" not in words(theirs.get("/money-out/"))
    assert clerk.get(checked).status_code == 403
    run_due()
    assert theirs.get(checked).status_code == 404
    assert within(rival, PayoutBatch.objects.count) == 0


def test_work_of_another_business_is_not_found(acme, rival, channel, client):
    checked = upload_payouts(client, channel)
    client.post(checked, {"reference": ""})
    row = DueTask.objects.get()

    with pytest.raises(queue.WrongTenant):
        queue.perform(task=current_app.tasks[row.task], due_task_id=row.pk, tenant_id=rival.pk)
    within(rival, lambda: kept_drafts.make_asked(draft_id=row.arguments["draft_id"], now=timezone.now()))
    assert within(acme, PayoutBatch.objects.count) == 0
