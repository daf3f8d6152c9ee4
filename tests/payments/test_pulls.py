"""Pull against a simulator process, as a worker does it."""

import itertools
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
import requests
from django.db import connection
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import public_id
from channels import runs, services
from channels.daraja.errors import DarajaUnavailable, Reason
from channels.daraja.pulling import Pulling, PullPage, PullRow
from channels.models import ChannelRun, MpesaChannel, Problem
from payments import pulls
from payments.coverage import Stretch, covers, first_gap, joined
from payments.models import DayTotal, Payment, Pull, StatementLine
from payments.pulls import NotRegisteredForPull, PullInProgress
from tenants.errors import Invalid, NotFound, NotPermitted
from tenants.models import DueTask, InboundCallback, Role
from tests.factories import make_channel

Status = Pull.Status
NOW = timezone.now


@pytest.fixture
def shop(acme, simulator, actor, run_due):
    """A PayBill of acme's at the simulator, verified with its nominated number, and active."""
    organisation = simulator.open()
    with tenant_context(acme):
        channel = services.create_channel(
            name="Shop",
            kind="PAYBILL",
            environment="PRACTICE",
            shortcode=organisation["shortcode"],
            consumer_key=organisation["consumer_key"],
            consumer_secret=organisation["consumer_secret"],
            passkey=organisation["passkey"],
            nominated_number="0722000000",
            account_mapping={},
            actor=actor(),
            now=NOW(),
        )
        run = runs.request_run(channel_id=channel.pk, kind=ChannelRun.Kind.VERIFY, actor=actor(), now=NOW())
        run_due()
        connection.set_tenant(acme)
        run.refresh_from_db()
        assert run.status == ChannelRun.Status.DONE, run.steps
        hour_ago = NOW() - timedelta(hours=1)
        MpesaChannel.objects.filter(pk=channel.pk).update(
            status="ACTIVE", activated_at=hour_ago, urls_registered_at=hour_ago, account_mapping={"VIP*": "vip"}
        )
        DueTask.objects.all().delete()
        yield MpesaChannel.objects.get(pk=channel.pk)


@pytest.fixture
def pay(simulator):
    """`pay(shop, 150, "VIP1")` → the receipt of a payment at the simulator whose confirmation never comes."""

    def make(channel, amount, account_reference="VIP1", phone="254712345678"):
        body = {
            "shortcode": channel.shortcode,
            "account_reference": account_reference,
            "amount": amount,
            "phone_number": phone,
        }
        answer = requests.post(f"{simulator.url}/phone/payments", json=body, timeout=20)
        assert answer.ok, answer.text
        return answer.json()["receipt"]

    return make


def ask(channel, actor, run_due, *, since=timedelta(hours=1), before=timedelta(0)):
    now = NOW()
    pull = pulls.request_pull(
        actor=actor, channel_id=channel.pk, window_from=now - since, window_until=now - before, now=now
    )
    assert pull.status == Status.PENDING
    tenant = connection.tenant
    run_due()
    connection.set_tenant(tenant)
    pull.refresh_from_db()
    return pull


def row(receipt, *, paid_at=None, amount="100.00", **columns):
    values = {"account_reference": "VIP1", "msisdn": "712345678", "sender": "MPESA", "transaction_type": "c2b"}
    return PullRow(
        receipt=receipt,
        paid_at=(paid_at or NOW()).replace(microsecond=0),
        amount=Decimal(amount),
        organisation_name="Acme",
        **values | columns,
    )


@pytest.fixture
def listed(monkeypatch):
    """`listed(page, …)` → what Daraja answers instead; an error is raised where it stands.

    Returns the windows asked."""
    windows = []

    def answer(*pages):
        left = list(pages)

        def pull(self, *, shortcode, start, end):
            windows.append((start, end))
            while left:
                page = left.pop(0)
                if isinstance(page, Exception):
                    raise page
                yield page

        monkeypatch.setattr(Pulling, "pull", pull)
        return windows

    return answer


@pytest.fixture
def registered(acme, actor):
    """A channel of acme's for which M-PESA lists payments; what it lists, `listed` says."""
    channel = make_channel(
        acme,
        "600966",
        account_mapping={"VIP*": "vip"},
        pull_registered_at=NOW(),
        activated_at=NOW() - timedelta(days=5),
        consumer_key="a key of acme's",
        consumer_secret="a secret of acme's",
    )
    with tenant_context(acme):
        yield channel


# -- At the simulator -------------------------------------------------------------------------------------------------


def test_verification_with_the_nominated_number_registers_for_pull(shop):
    assert shop.nominated_number == "254722000000"
    assert shop.pull_registered_at is not None


def test_app_without_the_product_is_verified_all_the_same(acme, simulator, actor, run_due):
    organisation = simulator.open()
    simulator.faults(organisation["shortcode"], {"fault": "product_missing", "on": ["pull_register"]})
    with tenant_context(acme):
        channel = services.create_channel(
            name="Shop", kind="PAYBILL", environment="PRACTICE", nominated_number="0722000000",
            actor=actor(), now=NOW(),
            shortcode=organisation["shortcode"], consumer_key=organisation["consumer_key"],
            consumer_secret=organisation["consumer_secret"],
        )  # fmt: skip
        run = runs.request_run(channel_id=channel.pk, kind=ChannelRun.Kind.VERIFY, actor=actor(), now=NOW())
        run_due()
        connection.set_tenant(acme)
        run.refresh_from_db()
        channel.refresh_from_db()

    step = next(step for step in run.steps if step["key"] == "pull")
    assert (step["state"], run.status, channel.status) == ("warning", "DONE", "VERIFIED")
    assert channel.pull_registered_at is None


def test_payments_whose_confirmations_were_lost_are_recorded_once(shop, pay, simulator, actor, run_due):
    simulator.faults(shop.shortcode, {"fault": "callback_lost", "on": ["c2b-confirmation"]})
    receipts = {pay(shop, 150), pay(shop, 250, "shoes")}

    first = ask(shop, actor(), run_due)
    second = ask(shop, actor(), run_due)

    assert (first.status, first.row_count, first.new_count) == (Status.DONE, 2, 2)
    assert (second.status, second.row_count, second.new_count) == (Status.DONE, 2, 0)
    payments = {payment.receipt: payment for payment in Payment.objects.all()}
    assert payments.keys() == receipts
    assert {payment.payer for payment in payments.values()} == {"254712345678"}
    assert sorted((p.amount, p.account_reference, p.routed_to, p.source) for p in payments.values()) == [
        (Decimal("150.00"), "VIP1", "vip", "PULL"),
        (Decimal("250.00"), "shoes", "", "PULL"),
    ]
    assert abs(max(p.paid_at for p in payments.values()) - NOW()) < timedelta(minutes=1)
    assert DayTotal.objects.get().payment_count == 2
    assert DayTotal.objects.get().amount == Decimal("400.00")
    lines = StatementLine.objects.filter(source="PULL")
    assert {line.receipt for line in lines} == receipts
    assert lines.count() == 2


@pytest.mark.parametrize("fault", ["pull_nothing_500", "pull_kenyan_time"])
def test_other_ways_of_answering_make_no_difference(shop, pay, simulator, actor, run_due, fault):
    simulator.faults(
        shop.shortcode, {"fault": "callback_lost", "on": ["c2b-confirmation"]}, {"fault": fault, "on": ["pull_query"]}
    )
    receipt = pay(shop, 150)

    pull = ask(shop, actor(), run_due, since=timedelta(hours=40))

    assert (pull.status, pull.new_count) == (Status.DONE, 1)
    payment = Payment.objects.get(receipt=receipt)
    assert abs(payment.paid_at - NOW()) < timedelta(minutes=1)


def test_a_late_confirmation_of_a_pulled_payment_changes_nothing(registered, listed, actor, run_due, deliver, body):
    listed(PullPage((row("RKTQDM7W6S", amount="10.00"),)))
    ask(registered, actor(), run_due)

    late = deliver(
        registered,
        body("c2b_confirmation_masked.json", TransID="RKTQDM7W6S", TransAmount="10.00", BusinessShortCode="600966"),
    )

    connection.set_tenant(late.tenant)
    assert late.state == InboundCallback.State.APPLIED
    payment = Payment.objects.get()
    assert (payment.source, payment.amount) == ("PULL", Decimal("10.00"))
    assert DayTotal.objects.get().payment_count == 1


# -- Windows, refusals, breaking off ----------------------------------------------------------------------------------


def test_a_pull_that_breaks_off_has_failed_and_keeps_what_it_read(registered, listed, actor, run_due):
    listed(PullPage((row("SAA1"), row("SAA2"))), DarajaUnavailable("No answer in time.", reason=Reason.SLOW))

    pull = ask(registered, actor(), run_due)

    assert (pull.status, pull.error_code, pull.row_count, pull.new_count) == (Status.FAILED, "slow", 2, 2)
    assert pull.error
    assert Payment.objects.count() == 2
    problem = Problem.objects.get()
    assert (problem.kind, problem.closed_at) == ("PULL_FAILED", None)
    assert problem.sentence == f"M-PESA did not list this channel's payments. {pull.error}"

    listed(PullPage((row("SAA1"), row("SAA3"))))
    good = ask(registered, actor(), run_due)

    assert (good.status, good.new_count) == (Status.DONE, 1)
    problem.refresh_from_db()
    assert problem.closed_at is not None


def test_a_row_that_makes_no_sense_fails_the_pull_and_the_others_are_recorded(registered, listed, actor, run_due):
    listed(PullPage((row("SAA1"),), ("amount is not a positive amount in shillings.",)))

    pull = ask(registered, actor(), run_due)

    assert (pull.status, pull.error_code, pull.row_count, pull.new_count) == (Status.FAILED, "unreadable_rows", 2, 1)
    assert pull.error == (
        "1 of the rows can't be read, the rest is recorded. The first: amount is not a positive amount in shillings."
    )


def test_fetching_a_pull_again_after_a_crash_counts_each_payment_once(registered, listed, actor):
    listed(PullPage((row("SAA1"),)), PullPage((row("SAA2"),)))
    pull = pulls.request_pull(
        actor=actor(), channel_id=registered.pk, window_from=NOW() - timedelta(hours=1), window_until=NOW(), now=NOW()
    )
    pulls.fetch(pull_id=pull.pk, now=NOW())
    Pull.objects.update(status=Status.PENDING, finished_at=None)

    listed(PullPage((row("SAA1"),)), PullPage((row("SAA2"),)))
    pulls.fetch(pull_id=pull.pk, now=NOW())

    pull.refresh_from_db()
    assert (pull.status, pull.row_count, pull.new_count) == (Status.DONE, 2, 2)


def test_a_long_window_is_read_in_pieces_without_a_gap(registered, listed, actor, run_due):
    windows = listed()

    ask(registered, actor(), run_due, since=timedelta(hours=4))

    assert [end - start for start, end in windows][:2] == [timedelta(minutes=89, seconds=59)] * 2
    assert all(later[0] - earlier[1] == timedelta(seconds=1) for earlier, later in itertools.pairwise(windows))


def test_a_masked_payer_stays_as_it_came(registered, listed, actor, run_due):
    listed(PullPage((row("SAA1", msisdn="2547 ***** 126"),)))

    ask(registered, actor(), run_due)

    assert Payment.objects.get().payer == "2547 ***** 126"


@pytest.mark.parametrize(
    ("start", "end", "field"),
    [
        (timedelta(hours=49), timedelta(hours=1), "from"),
        (timedelta(hours=1), timedelta(hours=2), "until"),
        (timedelta(hours=-1), timedelta(hours=-2), "from"),
    ],
)
def test_only_windows_of_the_last_48_hours_are_taken(registered, actor, start, end, field):
    now = NOW()
    with pytest.raises(Invalid) as refused:
        pulls.request_pull(
            actor=actor(), channel_id=registered.pk, window_from=now - start, window_until=now - end, now=now
        )

    assert list(refused.value.errors) == [field]
    assert not Pull.objects.exists()


def test_who_may_not_ask_and_what_can_not_be_asked(registered, acme, actor):
    now = NOW()
    window = {"window_from": now - timedelta(hours=1), "window_until": now, "now": now}
    other = make_channel(acme, "600977")
    connection.set_tenant(acme)

    with pytest.raises(NotPermitted):
        pulls.request_pull(actor=actor(Role.USER), channel_id=registered.pk, **window)
    with pytest.raises(NotRegisteredForPull):
        pulls.request_pull(actor=actor(), channel_id=other.pk, **window)
    pulls.request_pull(actor=actor(), channel_id=registered.pk, **window)
    with pytest.raises(PullInProgress):
        pulls.request_pull(actor=actor(), channel_id=registered.pk, **window)

    assert Pull.objects.count() == 1


# -- By itself --------------------------------------------------------------------------------------------------------


def test_by_itself_a_pull_begins_where_none_has_read(registered):
    now = NOW()
    done = {"channel": registered, "environment": "PRACTICE", "status": Status.DONE, "created_at": now}
    ago = {hours: now - timedelta(hours=hours) for hours in (40, 20, 10, 5, 1)}
    Pull.objects.create(window_from=now - timedelta(hours=48), window_until=ago[20], **done)
    Pull.objects.create(window_from=ago[5], window_until=ago[1], **done)
    Pull.objects.create(window_from=ago[20], window_until=now, **done | {"status": Status.FAILED})

    pulls.pull_what_is_unread(channel=registered, now=now)

    pull = Pull.objects.get(status=Status.PENDING)
    assert (pull.window_from, pull.window_until) == (ago[20] - pulls.OVERLAP, now)
    assert pull.requested_by == "every quarter of an hour"


def test_by_itself_nothing_is_read_from_before_the_channel_was_active(registered):
    now = NOW()
    registered.activated_at = now - timedelta(hours=2)

    pulls.pull_what_is_unread(channel=registered, now=now)
    pulls.pull_what_is_unread(channel=registered, now=now)

    assert Pull.objects.get().window_from == now - timedelta(hours=2)


def test_by_itself_nothing_is_asked_where_nothing_is_listed(registered):
    registered.pull_registered_at = None

    pulls.pull_what_is_unread(channel=registered, now=NOW())

    assert not Pull.objects.exists()


# -- The API ----------------------------------------------------------------------------------------------------------


def test_the_api_asks_and_shows(registered, acme, rival, api, listed, run_due):
    listed(PullPage((row("SAA1"),)))
    connection.set_schema_to_public()
    client, now = api(acme), NOW()
    channel = public_id("ch", registered.pk)

    asked = client.post(
        "/api/v1/pulls/",
        {"channel": channel, "from": (now - timedelta(hours=2)).isoformat(), "until": now.isoformat()},
        format="json",
    )
    run_due()

    assert asked.status_code == 202, asked.content
    assert (asked.json()["status"], asked.json()["channel_id"]) == ("pending", channel)
    shown = client.get(f"/api/v1/pulls/{asked.json()['id']}/").json()
    assert (shown["status"], shown["row_count"], shown["new_count"], shown["error"]) == ("done", 1, 1, "")
    assert datetime.fromisoformat(shown["window_from"]) == now - timedelta(hours=2)
    assert [pull["id"] for pull in client.get("/api/v1/pulls/").json()["results"]] == [shown["id"]]
    connection.set_schema_to_public()
    other = api(rival)
    assert other.get("/api/v1/pulls/").json()["results"] == []
    assert other.get(f"/api/v1/pulls/{shown['id']}/").status_code == 404


def test_rival_cannot_pull_acmes_channel(registered, rival, actor):
    now = NOW()
    with tenant_context(rival), pytest.raises(NotFound):
        pulls.request_pull(
            actor=actor(), channel_id=registered.pk, window_from=now - timedelta(hours=1), window_until=now, now=now
        )


# -- Coverage ---------------------------------------------------------------------------------------------------------


def test_stretches_that_touch_are_one():
    at = [datetime(2026, 8, 1, hour) for hour in range(10)]  # noqa: DTZ001 - any times will do
    given = [Stretch(at[4], at[6]), Stretch(at[0], at[2]), Stretch(at[2], at[3]), Stretch(at[1], at[2])]

    assert joined(given) == [Stretch(at[0], at[3]), Stretch(at[4], at[6])]
    assert first_gap(given, since=at[1]) == at[3]
    assert first_gap(given, since=at[8]) == at[8]
    assert first_gap([], since=at[0]) == at[0]
    assert covers(given, start=at[0], end=at[3])
    assert not covers(given, start=at[2], end=at[5])
