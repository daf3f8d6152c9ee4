"""Balances and reconciliation on pages: what is there, what does not match, and what people do about it."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import public_id
from audit.models import AuditEntry
from channels.models import MpesaChannel
from payments import statements
from payments.models import (
    BalanceQuery,
    Payment,
    Pull,
    ReconciliationDay,
    ReconciliationItem,
    StatementFile,
    StatementLine,
    StatusQuery,
)
from tenants import progress
from tenants.models import DueTask, Role
from tests.factories import make_channel
from tests.pages.asked import asked_in
from tests.pages.sent_money import SENDS_MONEY
from tests.pages.test_money_out import within, words, words_of_piece

STATEMENT = """Short Code:,600966
Receipt No.,Completion Time,Details,Transaction Status,Paid In,Withdrawn,Balance,Other Party Info,A/C No.
SGE1AB23CD,2026-11-20 10:13:00,Pay Bill,Completed,750.00,,750.00,254708374149 - JANE DOE,INV-204
"""


@pytest.fixture
def channel(acme) -> MpesaChannel:
    return make_channel(
        acme,
        "600966",
        initiator_credential="a password",
        low_float={"Utility Account": 50_000},
        pull_registered_at=timezone.now(),
        **SENDS_MONEY,
    )


@pytest.fixture
def manager(acme, member_of, browser):
    return browser(member_of(acme, Role.MANAGER))


@pytest.fixture
def administrator(acme, member_of, browser):
    return browser(member_of(acme, Role.ORG_ADMIN))


def tasks():
    return sorted(DueTask.objects.values_list("task", flat=True))


def make_balance(channel, status="ANSWERED", **more):
    amounts = {"currency": "KES", "current": "49217.00", "available": "49217.00", "reserved": "120.00"}
    now = timezone.now()
    return BalanceQuery.objects.create(
        channel=channel,
        environment=channel.environment,
        status=status,
        accounts={"Utility Account": amounts | {"uncleared": "0.00"}} if status == "ANSWERED" else {},
        requested_by="by itself",
        asked_at=now,
        as_at=now,
        **more,
    )


@pytest.fixture
def day(acme, channel):
    with tenant_context(acme):
        return ReconciliationDay.objects.create(
            channel=channel,
            environment=channel.environment,
            date="2026-11-20",
            status="DIFFERS",
            sources={
                "payments": {"count": 12, "amount": "18400.00"},
                "statement": {"count": 13, "amount": "19150.00"},
            },
            counted_at=timezone.now(),
        )


@pytest.fixture
def item(acme, day):
    with tenant_context(acme):
        return ReconciliationItem.objects.create(
            day=day,
            kind="MISSING_HERE",
            subject="SGE1AB23CD",
            theirs=Decimal(750),
            sentence="M-PESA lists SGE1AB23CD, and it was never reported here.",
            found_at=timezone.now(),
        )


def of_day(day):
    return f"/reconciliation/days/{public_id('rec', day.pk)}/"


def of_item(item):
    return f"/reconciliation/items/{public_id('rit', item.pk)}/"


# Balances


def test_an_account_that_runs_low_says_so(acme, channel, manager):
    with tenant_context(acme):
        make_balance(channel)

    page = words(manager.get("/balances/"))

    assert "Utility Account KES 49,217.00 Low KES 120.00 KES 50,000" in page


def test_m_pesa_is_asked_once_and_the_page_waits_for_its_answer(acme, channel, manager):
    asked = manager.post(f"/balances/{public_id('ch', channel.pk)}/ask/")
    again = manager.post(f"/balances/{public_id('ch', channel.pk)}/ask/")

    assert asked["Location"] == again["Location"] == "/balances/"
    question = within(acme, BalanceQuery.objects.get)
    assert question.status == "PENDING"
    waiting = manager.get("/balances/").content.decode()
    assert "M-PESA is being asked." in waiting
    assert 'hx-trigger="every 2s"' in waiting
    with tenant_context(acme):
        BalanceQuery.objects.update(status="UNANSWERED")
    ended = manager.get("/balances/").content.decode()
    assert "M-PESA did not answer the question of" in ended
    assert "hx-trigger" not in ended


def test_a_channel_without_an_operator_is_not_asked(acme, manager):
    channel = make_channel(acme, "600966")

    page = words(manager.get("/balances/"))
    refused = manager.post(f"/balances/{public_id('ch', channel.pk)}/ask/")

    assert "M-PESA tells it only to an API operator." in page
    assert "Ask now" not in page
    assert refused.status_code == 409
    assert within(acme, BalanceQuery.objects.count) == 0


def test_an_administrator_says_when_to_warn(acme, channel, administrator, manager):
    with tenant_context(acme):
        make_balance(channel)
    address = f"/balances/{public_id('ch', channel.pk)}/low-float/"

    assert 'value="50000"' in administrator.get(address).content.decode()
    wrong = administrator.post(address, {"account_0": "much"})
    assert "Enter whole shillings in digits, like 50000." in words(wrong)
    assert administrator.post(address, {"account_0": "20000"})["Location"] == "/balances/"

    assert within(acme, MpesaChannel.objects.get).low_float == {"Utility Account": 20_000}
    assert manager.get(address).status_code == 403
    administrator.post(address, {"account_0": ""})
    assert within(acme, MpesaChannel.objects.get).low_float == {}


# Days


def test_a_day_shows_its_sources_side_by_side_and_what_does_not_match(day, item, manager):
    days, page = words(manager.get("/reconciliation/")), words(manager.get(of_day(day)))

    assert "20 Nov 2026 12 KES 18,400.00 1 Differs" in days
    assert "Payments in our records 12 KES 18,400.00" in page
    assert "In the statement, paid in 13 KES 19,150.00" in page
    assert "Missing here SGE1AB23CD" in page
    assert "KES 750.00" in page


def test_what_does_not_match_is_shown_kind_by_kind(acme, day, item, manager):
    its = of_day(day)
    assert "All kinds" not in words(manager.get(its))
    with tenant_context(acme):
        for number in range(3):
            ReconciliationItem.objects.create(
                day=day,
                kind="MISSING_THERE",
                subject=f"SGE1AB23X{number}",
                ours=Decimal(100),
                sentence="M-PESA does not list it.",
                found_at=timezone.now(),
            )

    everything, some = words(manager.get(its)), words(manager.get(f"{its}?kind=MISSING_HERE"))
    assert "All kinds Missing here (1) Missing at M-PESA (3)" in everything
    assert everything.count("M-PESA does not list it.") == 3
    assert ("M-PESA does not list it." in some, "SGE1AB23CD" in some) == (False, True)
    assert words(manager.get(f"{its}?kind=NOTHING")).count("M-PESA does not list it.") == 3


def test_days_are_of_one_channel_and_go_back_in_time(acme, channel, day, manager):
    other = make_channel(acme, "600977", name="Westlands", is_primary=False)
    with tenant_context(acme):
        for number in range(1, 33):
            ReconciliationDay.objects.create(
                channel=other,
                environment=other.environment,
                date=day_before(number),
                status="AGREES",
                counted_at=timezone.now(),
            )

    first = manager.get(f"/reconciliation/?channel={public_id('ch', other.pk)}").content.decode()

    assert first.count("Agrees") == 31
    assert "Differs" not in first
    assert f"before={day_before(31)}" in first
    second = words(manager.get(f"/reconciliation/?channel={public_id('ch', other.pk)}&before={day_before(31)}"))
    assert second.count("Agrees") == 1


def day_before(number):
    return (timezone.now().date() - timedelta(days=number)).isoformat()


def test_an_item_is_settled_with_a_note(acme, day, item, manager):
    without = manager.post(of_item(item), {"note": " "})
    assert "Write what you found." in words(without)
    assert within(acme, ReconciliationItem.objects.get).settled_at is None

    settled = manager.post(of_item(item), {"note": "Paid to the old till"})

    assert settled["Location"] == of_day(day)
    assert "Nothing: there is nothing to do here." in words(manager.get(of_day(day)))
    assert "Paid to the old till" in words(manager.get(f"{of_day(day)}?settled=1"))
    found = within(acme, ReconciliationItem.objects.get)
    assert (found.note, bool(found.settled_at)) == ("Paid to the old till", True)
    assert within(acme, ReconciliationDay.objects.get).status == "SETTLED"
    again = manager.post(of_item(item), {"note": "Twice"})
    assert again.status_code == 409


def test_what_m_pesa_lists_is_recorded_as_a_payment(acme, channel, item, manager):
    with tenant_context(acme):
        StatementLine.objects.create(
            channel=channel,
            source="STATEMENT",
            receipt="SGE1AB23CD",
            paid_in=Decimal(750),
            party="254708374149 - JANE DOE",
            status="Completed",
            completed_at=timezone.now() - timedelta(days=1),
            line_hash=b"x" * 32,
            created_at=timezone.now() - timedelta(hours=1),
        )

    assert "Record the payment" in words(manager.get(of_item(item)))
    manager.post(f"{of_item(item)}record/")

    payment = within(acme, Payment.objects.get)
    assert (payment.receipt, payment.amount, payment.payer_name) == ("SGE1AB23CD", Decimal(750), "JANE DOE")
    # Its page says where it is from, until M-PESA itself confirms it
    its = f"/payments/{public_id('pay', payment.pk)}/"
    with CaptureQueriesContext(connection) as queries:
        said = words(manager.get(its))
    assert len(asked_in(queries)) <= 12
    assert "From a statement. M-PESA itself has not confirmed it." in said
    assert said.index("A statement was loaded that lists it.") < said.index("recorded it from a statement.")
    with tenant_context(acme):
        StatusQuery.objects.update(status="ANSWERED", result_code="2032", answered_at=timezone.now())
    said = words(manager.get(its))
    assert "M-PESA itself knows nothing of this receipt. Look for it on the M-PESA portal" in said
    with tenant_context(acme):
        found = {"ReceiptNo": "SGE1AB23CD", "TransactionStatus": "Completed", "Amount": "750.00"}
        StatusQuery.objects.update(result_code="0", found=found)
    said = words(manager.get(its))
    assert "has not confirmed" not in said
    assert "knows nothing" not in said


def test_a_day_is_counted_again_when_asked(acme, day, manager):
    manager.post(f"{of_day(day)}recount/")

    assert tasks() == ["payments.tasks.recount_day"]


# Evidence


def test_a_statement_is_loaded_and_its_days_are_counted(acme, channel, manager):
    given = {"channel": public_id("ch", channel.pk), "file": SimpleUploadedFile("s.csv", STATEMENT.encode())}

    assert "columns, among others and in any order: Receipt No. Completion Time Paid In Withdrawn" in words(
        manager.get("/reconciliation/statement/")
    )
    loaded = manager.post("/reconciliation/statement/", given)

    assert loaded["Location"] == "/reconciliation/"
    assert "The statement has 1 line, 1 of them new." in words(manager.get("/reconciliation/"))
    assert within(acme, StatementLine.objects.get).receipt == "SGE1AB23CD"
    assert tasks() == ["payments.tasks.recount_day"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("600966", "600111"), "This is the statement of 600111, not of 600966."),
        (("750.00,,", "seven,,"), "3 paid_in This is not an amount in shillings, like 1,250.00."),
        (("Receipt No.", "Number"), "There is no row with the columns"),
    ],
)
def test_a_statement_that_can_not_be_used_leaves_nothing(acme, channel, manager, change, sentence):
    file = SimpleUploadedFile("s.csv", STATEMENT.replace(*change).encode())

    response = manager.post("/reconciliation/statement/", {"channel": public_id("ch", channel.pk), "file": file})

    assert response.status_code == 400
    assert sentence in words(response)
    assert within(acme, StatementLine.objects.count) == 0


def large_statement(last="SGE0002499,2026-11-20 10:13:00,Pay Bill,Completed,750.00,,,254708374149 - JANE DOE,INV"):
    head = STATEMENT.splitlines()[:2]
    rows = [
        f"SGE{n:07},2026-11-20 10:13:00,Pay Bill,Completed,750.00,,,254708374149 - JANE DOE,INV" for n in range(2499)
    ]
    return SimpleUploadedFile("november.csv", "\n".join([*head, *rows, last]).encode())


def give_large(manager, channel, **more):
    given = manager.post(
        "/reconciliation/statement/", {"channel": public_id("ch", channel.pk), "file": large_statement(**more)}
    )
    assert given["Location"].startswith("/reconciliation/statement/stf_")
    return given["Location"]


def test_a_large_statement_is_read_while_nobody_looks_and_its_progress_is_found_again(
    acme, channel, manager, run_due, monkeypatch
):
    seen = []

    def look(*args, **more):
        seen.append(words_of_piece(manager.get(its_page, headers={"HX-Request": "true"})))
        connection.set_tenant(acme)  # the page set another
        return keep_lines(*args, **more)

    its_page = give_large(manager, channel)
    page = manager.get(its_page).content.decode()
    assert "The statement is being read" in page
    assert 'hx-trigger="every 2s"' in page
    assert "november.csv" in words(manager.get("/reconciliation/statement/"))
    assert within(acme, StatementLine.objects.count) == 0

    keep_lines = statements.keep_lines
    monkeypatch.setattr(statements, "keep_lines", look)
    monkeypatch.setattr(progress, "_NOTE_EVERY_S", 0)
    run_due()
    assert within(acme, StatementLine.objects.count) == 2500
    assert "2,500 of 2,500 rows." in seen[0]
    finished = manager.get(its_page, headers={"HX-Request": "true"})
    assert finished["HX-Refresh"] == "true"
    assert "The statement has 2,500 lines, 2,500 of them new." in words(manager.get(its_page))
    with tenant_context(acme):
        file = StatementFile.objects.get()
        assert (file.status, file.content, file.rows_done, file.new_count) == ("LOADED", None, 2500, 2500)
        assert [entry.action for entry in AuditEntry.objects.order_by("sequence")] == [
            "statement.given",
            "statement.loaded",
        ]
        assert len(set(AuditEntry.objects.values_list("actor_label", flat=True))) == 1


def test_a_large_statement_that_can_not_be_used_says_what_to_mend_and_leaves_nothing(acme, channel, manager, run_due):
    its_page = give_large(
        manager, channel, last="SGE0002499,2026-11-20 10:13:00,Pay Bill,Completed,seven,,,JANE DOE,INV"
    )
    run_due()
    page = words(manager.get(its_page))
    assert "1 row can't be used, so nothing was loaded." in page
    assert "2502 paid_in This is not an amount in shillings, like 1,250.00." in page
    assert within(acme, StatementLine.objects.count) == 0
    assert within(acme, lambda: StatementFile.objects.get().content) is None


def test_a_worker_that_died_over_a_statement_is_followed_by_another(acme, channel, manager, run_due, monkeypatch):
    give_large(manager, channel)

    def die(*args, **more):
        raise KeyboardInterrupt

    keep_lines = statements.keep_lines
    monkeypatch.setattr(statements, "keep_lines", die)
    with pytest.raises(KeyboardInterrupt), transaction.atomic():
        run_due()
    connection.set_schema_to_public()
    monkeypatch.setattr(statements, "keep_lines", keep_lines)
    DueTask.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    run_due()
    assert within(acme, StatementLine.objects.count) == 2500
    assert within(acme, lambda: StatementFile.objects.get().status) == "LOADED"


def test_large_statements_are_a_few_at_a_time(acme, channel, manager):
    for _number in range(5):
        give_large(manager, channel)
    refused = manager.post(
        "/reconciliation/statement/", {"channel": public_id("ch", channel.pk), "file": large_statement()}
    )
    assert refused.status_code == 409
    assert "Other statements are being read." in words(refused)
    assert within(acme, StatementFile.objects.count) == 5


def test_a_large_statement_is_no_clerks_and_no_rivals(acme, rival, channel, manager, browser, member_of):
    its_page = give_large(manager, channel)
    assert browser(member_of(acme, Role.USER)).get(its_page).status_code == 403
    assert browser(member_of(rival)).get(its_page).status_code == 404


def test_m_pesa_is_asked_for_a_window(acme, channel, manager):
    until = timezone.localtime().replace(second=0, microsecond=0)
    window = {"window_from": f"{until - timedelta(hours=3):%Y-%m-%dT%H:%M}", "window_until": f"{until:%Y-%m-%dT%H:%M}"}
    given = {"channel": public_id("ch", channel.pk)} | window

    asked = manager.post("/reconciliation/pulls/", given)
    twice = manager.post("/reconciliation/pulls/", given)

    assert asked["Location"] == "/reconciliation/pulls/"
    pull = within(acme, Pull.objects.get)
    assert pull.window_from == until - timedelta(hours=3)
    assert "Another Pull of this channel is under way." in words(twice)
    page = manager.get("/reconciliation/pulls/").content.decode()
    assert "Reading" in page
    assert 'hx-trigger="every 2s"' in page


def test_what_is_older_than_two_days_is_not_asked_for(acme, channel, manager):
    given = {
        "channel": public_id("ch", channel.pk),
        "window_from": "2026-01-01T00:00",
        "window_until": "2026-01-01T01:00",
    }

    response = manager.post("/reconciliation/pulls/", given)

    assert "M-PESA lists only the last 48 hours." in words(response)
    assert within(acme, Pull.objects.count) == 0


# Who sees what


def test_a_clerk_sees_no_balances_and_no_reconciliation(acme, channel, day, item, member_of, browser):
    client = browser(member_of(acme, Role.USER))

    for path in ("/balances/", "/reconciliation/", "/reconciliation/pulls/", of_day(day), of_item(item)):
        assert client.get(path).status_code == 403, path
    assert client.post(f"/balances/{public_id('ch', channel.pk)}/ask/").status_code == 403
    assert client.post(of_item(item), {"note": "x"}).status_code == 403
    assert client.post("/reconciliation/pulls/").status_code == 403


def test_rival_finds_nothing_of_acmes_books(rival, acme, channel, day, item, member_of, browser):
    client = browser(member_of(rival))
    of_channel = f"/balances/{public_id('ch', channel.pk)}"

    for path in (of_day(day), of_item(item), f"{of_channel}/low-float/"):
        assert client.get(path).status_code == 404, path
    for path in (of_item(item), f"{of_item(item)}record/", f"{of_day(day)}recount/", f"{of_channel}/ask/"):
        assert client.post(path, {"note": "x"}).status_code == 404, path
    assert within(acme, ReconciliationItem.objects.get).settled_at is None
