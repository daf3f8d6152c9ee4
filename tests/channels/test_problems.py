"""What a person has to know of a channel: noted, refreshed, dismissed, closed."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django_tenants.utils import tenant_context

from audit.ids import public_id
from audit.models import AuditEntry
from channels.models import Environment, Problem
from channels.problems import (
    ProblemClosed,
    ProblemNotFound,
    close_problem,
    dismiss_problem,
    note_problem,
    problems,
)
from tenants.errors import NotPermitted
from tenants.models import Role, TenantActivity
from tests.factories import make_channel

Kind = Problem.Kind
Health = TenantActivity.Health
NOON = datetime(2026, 8, 3, 9, 0, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)


@pytest.fixture
def channel(acme):
    channel = make_channel(acme, "600100", activated_at=NOON, verified_at=NOON, urls_registered_at=NOON)
    connection.set_tenant(acme)
    return channel


def note(channel, *, subject="Utility Account", sentence="It is nearly empty.", now=NOON, kind=Kind.LOW_FLOAT):
    note_problem(
        channel=channel, kind=kind, subject=subject, sentence=sentence, do_now="Top it up.", who="you", now=now
    )


def health():
    return TenantActivity.objects.get(tenant=connection.tenant).channel_health


def test_what_is_found_again_is_the_same_problem_with_the_words_of_now(channel):
    note(channel)
    note(channel, sentence="It is empty.", now=LATER)

    problem = Problem.objects.get()
    assert (problem.sentence, problem.do_now, problem.who) == ("It is empty.", "Top it up.", "you")
    assert (problem.opened_at, problem.seen_at, problem.closed_at) == (NOON, LATER, None)
    assert (problem.environment, problem.state) == (Environment.PRACTICE, "open")


def test_each_subject_has_a_problem_of_its_own(channel):
    note(channel)
    note(channel, subject="Working Account")
    close_problem(channel=channel, kind=Kind.LOW_FLOAT, subject="Utility Account", now=LATER)

    assert Problem.objects.get(closed_at=None).subject == "Working Account"


def test_what_is_wrong_again_after_it_was_well_is_a_new_problem(channel):
    note(channel)
    close_problem(channel=channel, kind=Kind.LOW_FLOAT, subject="Utility Account", now=LATER)
    note(channel, now=LATER + timedelta(hours=1))

    assert [problem.closed_at for problem in Problem.objects.order_by("pk")] == [LATER, None]


def test_closing_what_is_well_does_nothing(channel):
    close_problem(channel=channel, kind=Kind.SILENT, now=NOON)

    assert not Problem.objects.exists()


def test_operators_see_that_a_channel_needs_somebody_while_a_problem_is_open(channel, actor):
    note(channel)
    assert health() == Health.PROBLEM

    dismiss_problem(actor=actor(), problem_id=Problem.objects.get().pk, now=LATER)
    assert health() == Health.GOOD

    close_problem(channel=channel, kind=Kind.LOW_FLOAT, subject="Utility Account", now=LATER)
    note(channel)
    assert health() == Health.PROBLEM

    close_problem(channel=channel, kind=Kind.LOW_FLOAT, subject="Utility Account", now=LATER)
    assert health() == Health.GOOD


def test_a_dismissed_problem_stays_out_of_sight_until_it_was_well(channel, actor):
    note(channel)
    dismiss_problem(actor=actor(), problem_id=Problem.objects.get().pk, now=LATER)

    note(channel, now=LATER + timedelta(hours=1))

    problem = Problem.objects.get()
    assert (problem.state, problem.dismissed_at, problem.dismissed_by) == ("dismissed", LATER, "somebody@acme.example")
    assert problem.seen_at == LATER + timedelta(hours=1)
    entry = AuditEntry.objects.latest("sequence")
    assert (entry.action, entry.subject_id) == ("problem.dismissed", str(problem.pk))

    close_problem(channel=channel, kind=Kind.LOW_FLOAT, subject="Utility Account", now=LATER)
    note(channel, now=LATER + timedelta(hours=2))
    assert sorted(problem.state for problem in Problem.objects.all()) == ["closed", "open"]


def test_what_is_not_open_can_not_be_dismissed(channel, actor):
    note(channel)
    problem = Problem.objects.get()
    close_problem(channel=channel, kind=Kind.LOW_FLOAT, subject="Utility Account", now=NOON)

    with pytest.raises(ProblemClosed):
        dismiss_problem(actor=actor(), problem_id=problem.pk, now=LATER)

    problem.refresh_from_db()
    assert problem.dismissed_at is None


def test_a_clerk_sees_no_balances_and_dismisses_nothing(channel, actor):
    note(channel)
    note(channel, kind=Kind.CONNECTION, subject="passkey")
    seen = problems(actor=actor(Role.USER))

    assert [problem.subject for problem in seen] == ["passkey"]
    with pytest.raises(NotPermitted):
        dismiss_problem(actor=actor(Role.USER), problem_id=seen[0].pk, now=LATER)
    assert not Problem.objects.exclude(dismissed_at=None).exists()


def test_the_list_is_filtered_by_state_kind_and_environment(acme, channel, api):
    note(channel)
    note(channel, kind=Kind.CONNECTION, subject="passkey", sentence="The passkey is refused.")
    close_problem(channel=channel, kind=Kind.LOW_FLOAT, subject="Utility Account", now=LATER)
    client = api(acme)

    shown = client.get("/api/v1/problems/?state=open").json()["results"]

    assert shown == [
        {
            "id": shown[0]["id"],
            "channel_id": public_id("ch", channel.pk),
            "shortcode": "600100",
            "environment": "practice",
            "kind": "connection",
            "subject": "passkey",
            "state": "open",
            "sentence": "The passkey is refused.",
            "do_now": "Top it up.",
            "who": "you",
            "opened_at": "2026-08-03T12:00:00+03:00",
            "seen_at": "2026-08-03T12:00:00+03:00",
            "dismissed_at": None,
            "dismissed_by": "",
            "closed_at": None,
        }
    ]
    assert [row["kind"] for row in client.get("/api/v1/problems/?state=closed").json()["results"]] == ["low_float"]
    assert len(client.get("/api/v1/problems/?kind=low_float").json()["results"]) == 1
    assert len(client.get("/api/v1/problems/").json()["results"]) == 2
    assert client.get("/api/v1/problems/?environment=production").json()["results"] == []
    assert client.get("/api/v1/problems/?state=odd").status_code == 400


def test_a_problem_is_dismissed_through_the_api(acme, channel, api):
    note(channel)
    client = api(acme, Role.MANAGER)
    problem_id = client.get("/api/v1/problems/").json()["results"][0]["id"]

    answer = client.post(f"/api/v1/problems/{problem_id}/dismiss/")

    assert (answer.status_code, answer.json()["state"]) == (200, "dismissed")
    again = client.post(f"/api/v1/problems/{problem_id}/dismiss/")
    assert (again.status_code, again.json()["code"]) == (409, "problem_closed")


def test_the_rival_sees_and_dismisses_nothing(acme, rival, channel, api, actor):
    note(channel)
    problem = Problem.objects.get()

    answer = api(rival).post(f"/api/v1/problems/{public_id('prob', problem.pk)}/dismiss/")

    assert answer.status_code == 404
    assert api(rival).get("/api/v1/problems/").json()["results"] == []
    with tenant_context(rival), pytest.raises(ProblemNotFound):
        dismiss_problem(actor=actor(), problem_id=problem.pk, now=LATER)
    connection.set_tenant(acme)
    problem.refresh_from_db()
    assert problem.state == "open"
