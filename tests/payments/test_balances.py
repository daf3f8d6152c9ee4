from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import public_id
from audit.services import system_actor
from channels.models import Environment, MpesaChannel, Problem
from channels.signals import channel_activated
from payments import questions, rounds
from payments.balances import BALANCES, ask_balance
from payments.models import BalanceQuery
from payments.tasks import ask_balance_again
from tenants.models import DueTask, InboundCallback, Role
from tests.factories import make_channel
from tests.practice import make_simulator_unreachable

SYSTEM = system_actor("test")
URL = "/api/v1/balances/"
SAVED = {"initiator_credential": {"ends_in": None, "saved_at": "2026-11-21T09:00:00+03:00", "proved_at": None}}


def ask(acme, channel, **given):
    with tenant_context(acme):
        return ask_balance(actor=SYSTEM, channel_id=channel.pk, now=timezone.now(), **given)


def again(acme, question):
    with tenant_context(acme):
        question.refresh_from_db()
    return question


def open_problems(acme):
    with tenant_context(acme):
        rows = Problem.objects.filter(closed_at=None).order_by("kind", "subject")
        return [(problem.kind, problem.subject) for problem in rows]


@pytest.fixture
def answer(acme, body, deliver):
    """`answer(question)` → M-PESA's answer to it, as the hooks take it in."""

    def give(question, payload="result_balance.json", **columns):
        with tenant_context(acme):
            channel = MpesaChannel.objects.get(pk=question.channel_id)
        return deliver(channel, body(payload), InboundCallback.Kind.RESULT, about=question.pk, **columns)

    return give


@pytest.fixture
def paybill(acme):
    return make_channel(acme, "600966", initiator_name="apiop", initiator_credential="secret", secret_notes=SAVED)


def test_every_account_that_m_pesa_tells_is_kept_with_its_time(acme, connected, hear, run_due):
    channel = connected()
    question = ask(acme, channel)
    assert question.status == "PENDING"

    run_due()
    delivery = hear(channel)

    assert delivery.state == "APPLIED"
    answered = again(acme, question)
    assert (answered.status, answered.result_code) == ("ANSWERED", "0")
    assert timezone.now() - answered.as_at < timedelta(minutes=1)
    assert {"Working Account", "Utility Account", "Charges Paid Account"} <= set(answered.accounts)
    utility = answered.accounts["Utility Account"]
    assert set(utility) == {"currency", "current", "available", "reserved", "uncleared"}
    assert (utility["currency"], Decimal(utility["available"]) >= 0) == ("KES", True)


def test_amounts_are_kept_as_m_pesa_writes_them(acme, paybill, answer):
    question = ask(acme, paybill)

    answer(question)

    accounts = again(acme, question).accounts
    assert accounts["Charges Paid Account"] == {
        "currency": "KES",
        "current": "-220.00",
        "available": "-220.00",
        "reserved": "0.00",
        "uncleared": "0.00",
    }
    assert question.as_at.isoformat() == "2020-01-20T13:48:25+00:00"


def test_while_a_question_waits_no_second_one_is_put(acme, paybill):
    first, second = ask(acme, paybill), ask(acme, paybill)

    assert first.pk == second.pk
    with tenant_context(acme):
        assert BalanceQuery.objects.count() == 1


def test_an_account_below_its_float_is_a_problem_until_it_is_filled(acme, paybill, answer):
    with tenant_context(acme):
        MpesaChannel.objects.update(low_float={"Utility Account": 50_000, "Working Account": 40_000, "Gold": 1})

    answer(ask(acme, paybill))

    assert open_problems(acme) == [("LOW_FLOAT", "Utility Account")]
    with tenant_context(acme):
        problem = Problem.objects.get()
        assert problem.sentence == "The Utility Account holds KES 49,217.00, less than the KES 50,000 that it should."
        MpesaChannel.objects.update(low_float={"Utility Account": 49_217})
    answer(ask(acme, paybill))
    assert open_problems(acme) == []


def test_an_account_that_nobody_watches_any_more_is_no_problem(acme, paybill, answer):
    with tenant_context(acme):
        MpesaChannel.objects.update(low_float={"Utility Account": 50_000})
    answer(ask(acme, paybill))
    assert open_problems(acme) == [("LOW_FLOAT", "Utility Account")]

    with tenant_context(acme):
        MpesaChannel.objects.update(low_float={})
    answer(ask(acme, paybill))

    assert open_problems(acme) == []


def test_a_refused_question_is_a_problem_until_one_is_answered(acme, paybill, answer):
    question = ask(acme, paybill)

    answer(question, "result_balance_locked.json")

    assert (again(acme, question).status, question.result_code, question.accounts) == ("FAILED", "8006", {})
    assert open_problems(acme) == [("BALANCE_FAILED", "")]
    answer(ask(acme, paybill))
    assert open_problems(acme) == []


def test_a_question_that_can_not_be_put_fails_with_a_sentence(acme, connected, settings, run_due):
    channel = connected()
    make_simulator_unreachable(settings)
    question = ask(acme, channel)

    run_due()

    assert again(acme, question).status == "FAILED"
    assert question.result_desc != ""
    assert open_problems(acme) == [("BALANCE_FAILED", "")]


def test_a_question_that_is_never_answered_is_a_problem_and_a_late_answer_still_counts(acme, paybill, answer):
    question = ask(acme, paybill)
    with tenant_context(acme):
        BalanceQuery.objects.update(asked_at=timezone.now() - timedelta(hours=1))
        questions.give_up(now=timezone.now())

    assert again(acme, question).status == "UNANSWERED"
    assert open_problems(acme) == [("BALANCE_FAILED", "")]
    answer(question)
    assert again(acme, question).status == "ANSWERED"
    assert open_problems(acme) == []


def test_an_old_answer_says_nothing_of_the_present(acme, paybill, answer):
    with tenant_context(acme):
        MpesaChannel.objects.update(low_float={"Utility Account": 50_000})
        old = BalanceQuery.objects.create(
            channel=paybill, environment="PRACTICE", requested_by="x", asked_at=timezone.now(), status="UNANSWERED"
        )
    answer(ask(acme, paybill), "result_balance_locked.json")

    answer(old)

    assert again(acme, old).status == "ANSWERED"
    assert open_problems(acme) == [("BALANCE_FAILED", "")]


def test_an_answer_to_another_channel_changes_nothing(acme, paybill, body, deliver):
    other = make_channel(acme, "600970")
    question = ask(acme, paybill)

    row = deliver(other, body("result_balance.json"), InboundCallback.Kind.RESULT, about=question.pk)

    assert (row.state, row.reason) == ("QUARANTINED", "UNMATCHED_REQUEST")
    assert again(acme, question).status == "PENDING"


# -- By itself --------------------------------------------------------------------------------------------------------


def promises():
    return list(DueTask.objects.filter(task=ask_balance_again.name).values_list("due_at", flat=True))


def test_an_active_channel_is_asked_about_every_hour(acme, paybill):
    now = timezone.now()
    with tenant_context(acme):
        rounds.ask_balance(channel_id=paybill.pk, now=now)

        assert BalanceQuery.objects.get().requested_by == "by itself"
    assert promises() == [now + timedelta(hours=1)]


def test_it_begins_when_the_channel_becomes_active(acme, paybill):
    with tenant_context(acme):
        channel_activated.send(sender=MpesaChannel, channel=paybill)

        assert not BalanceQuery.objects.exists()
    (due_at,) = promises()
    assert timedelta(minutes=59) < due_at - timezone.now() < timedelta(minutes=61)


@pytest.mark.parametrize(
    "columns", [{"status": "SUSPENDED"}, {"environment": Environment.SANDBOX}, {"status": "VERIFIED"}]
)
def test_it_ends_where_nobody_needs_it(acme, columns):
    channel = make_channel(acme, "600971", initiator_name="x", secret_notes=SAVED, **columns)
    with tenant_context(acme):
        rounds.ask_balance(channel_id=channel.pk, now=timezone.now())

        assert not BalanceQuery.objects.exists()
    assert promises() == []


def test_a_channel_without_an_api_operator_is_looked_at_again_and_not_asked_about(acme):
    channel = make_channel(acme, "600972")
    with tenant_context(acme):
        rounds.ask_balance(channel_id=channel.pk, now=timezone.now())

        assert not BalanceQuery.objects.exists()
    assert len(promises()) == 1


def test_the_installation_may_leave_it_to_people(acme, paybill, settings):
    settings.BALANCE_EVERY = timedelta(0)
    with tenant_context(acme):
        rounds.ask_balance(channel_id=paybill.pk, now=timezone.now())

        assert not BalanceQuery.objects.exists()
    assert promises() == []


# -- Through the API --------------------------------------------------------------------------------------------------


def test_a_balance_is_asked_for_followed_and_listed(acme, paybill, api, answer):
    client = api(acme, Role.MANAGER)

    asked = client.post(URL, {}, format="json")

    assert (asked.status_code, asked.json()["status"], asked.json()["accounts"]) == (202, "pending", {})
    with tenant_context(acme):
        answer(BalanceQuery.objects.get())
    shown = client.get(f"{URL}{asked.json()['id']}/").json()
    assert (shown["status"], shown["as_at"], shown["reason"]) == ("answered", "2020-01-20T16:48:25+03:00", "")
    assert shown["accounts"]["Utility Account"]["available"] == "49217.00"
    client.post(URL, {"channel": public_id("ch", paybill.pk)}, format="json")
    assert [row["status"] for row in client.get(URL).json()["results"]] == ["pending", "answered"]
    newest = client.get(f"{URL}?newest=true").json()["results"]
    assert [row["id"] for row in newest] == [asked.json()["id"]]


def test_a_channel_without_an_api_operator_can_not_be_asked_about(acme, api):
    make_channel(acme, "600973")

    refused = api(acme).post(URL, {}, format="json")

    assert (refused.status_code, refused.json()["code"]) == (409, "no_initiator")
    with tenant_context(acme):
        assert not BalanceQuery.objects.exists()


def test_a_user_neither_asks_nor_sees(acme, paybill, api):
    client = api(acme, Role.USER)

    assert client.post(URL, {}, format="json").status_code == 403
    assert client.get(URL).status_code == 403


def test_the_rival_sees_nothing(acme, paybill, rival, api):
    question = ask(acme, paybill)
    make_channel(rival, "600974", initiator_name="x", secret_notes=SAVED)
    client = api(rival)

    assert client.get(URL).json()["results"] == []
    assert client.get(f"{URL}{public_id('bal', question.pk)}/").status_code == 404
    assert client.post(URL, {"channel": public_id("ch", paybill.pk)}, format="json").status_code == 404


def test_the_float_of_an_account_is_set_and_checked(acme, paybill, api):
    client, url = api(acme), f"/api/v1/mpesa-channels/{public_id('ch', paybill.pk)}/"

    changed = client.patch(url, {"low_float": {"Utility Account": 5000}}, format="json")

    assert (changed.status_code, changed.json()["low_float"]) == (200, {"Utility Account": 5000})
    for wrong in ({"Utility Account": 0}, {"": 5}, {"Utility Account": "many"}, {"Utility Account": True}, [], "x"):
        refused = client.patch(url, {"low_float": wrong}, format="json")
        assert (refused.status_code, list(refused.json()["errors"])) == (400, ["low_float"]), wrong
    with tenant_context(acme):
        assert MpesaChannel.objects.get(pk=paybill.pk).low_float == {"Utility Account": 5000}


def test_balances_are_a_kind_of_question():
    assert BALANCES in questions.kinds()
