"""The connection doctor, against a simulator process, as a worker does its work."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import new_id, public_id
from channels import doctor, runs, services
from channels.daraja.products import PRODUCTS
from channels.models import ChannelRun, MpesaChannel, Problem
from channels.steps import Finding, Step
from tenants.errors import NotPermitted
from tenants.models import DueTask, InboundCallback, Role
from tests.channels.conftest import ADMIN, initiator_of, keys_of
from tests.practice import make_simulator_unreachable

Kind = ChannelRun.Kind


@pytest.fixture(autouse=True)
def _without_other_rooms(monkeypatch):
    monkeypatch.setattr(doctor, "_added", {})


@pytest.fixture
def organisation(simulator):
    return simulator.open()


@pytest.fixture
def well(create, organisation, run_of):
    """An active channel without an initiator, of which nothing is wrong."""
    channel = create(**keys_of(organisation))
    run_of(channel, Kind.VERIFY)
    run_of(channel, Kind.REGISTER_URLS)
    return services.activate_channel(channel_id=channel.pk, actor=ADMIN, now=timezone.now())


def states(run):
    return {entry["key"]: entry["state"] for entry in run.steps}


def step_of(run, key):
    return next(step for step in run.steps if step["key"] == key)


def open_problems():
    return {problem.subject: problem.sentence for problem in Problem.objects.filter(closed_at=None)}


def test_a_channel_that_works_has_no_problem(well, run_of):
    run = run_of(well, Kind.DOCTOR)

    assert run.status == ChannelRun.Status.DONE
    assert states(run) == {
        "credentials": "ok",
        "access_token": "ok",
        "products": "ok",
        "organisation_name": "ok",
        "registration": "ok",
        "validation": "ok",
        "passkey": "ok",
        "certificate": "skipped",
        "pull": step_of(run, "pull")["state"],
        "account_balance": "skipped",
    }
    assert step_of(run, "products")["meaning"] == "Your Daraja app has every product."
    assert open_problems() == {}


def test_looking_moves_no_money_and_rings_no_phone(well, run_of, simulator):
    run_of(well, Kind.DOCTOR)

    assert simulator.control("GET", f"/deliveries?shortcode={well.shortcode}")["deliveries"] == []


def test_every_step_is_taken_although_some_find_something(create, organisation, run_of):
    channel = create(**keys_of(organisation) | {"passkey": "0" * 64})

    run = run_of(channel, Kind.DOCTOR)

    assert run.status == ChannelRun.Status.DONE
    assert (states(run)["registration"], states(run)["passkey"]) == ("failed", "failed")
    assert open_problems() == {
        "registration": "Our addresses are not registered, so Safaricom does not report this channel's payments here.",
        "passkey": step_of(run, "passkey")["meaning"],
    }
    problem = Problem.objects.get(subject="registration")
    assert (problem.kind, problem.do_now, problem.who) == ("CONNECTION", "Register this channel's URLs.", "you")
    assert (channel.verified_at, channel.status) == (None, MpesaChannel.Status.CONFIGURED)


def test_a_problem_closes_when_its_step_is_well(well, organisation, run_of):
    services.change_channel(channel_id=well.pk, actor=ADMIN, now=timezone.now(), passkey="0" * 64)
    run_of(well, Kind.DOCTOR)
    assert list(open_problems()) == ["passkey"]

    services.change_channel(channel_id=well.pk, actor=ADMIN, now=timezone.now(), passkey=organisation["passkey"])
    run_of(well, Kind.DOCTOR)

    assert open_problems() == {}
    assert Problem.objects.get().closed_at is not None


def test_refused_keys_are_one_problem_and_nothing_else_is_asked(well, run_of):
    services.change_channel(channel_id=well.pk, actor=ADMIN, now=timezone.now(), consumer_secret="of another app")

    run = run_of(well, Kind.DOCTOR)

    assert states(run)["access_token"] == "failed"
    assert [states(run)[key] for key in ("products", "organisation_name", "passkey")] == ["skipped"] * 3
    assert list(open_problems()) == ["access_token"]


def test_a_fault_that_passes_neither_opens_nor_closes_a_problem(well, run_of, settings):
    services.change_channel(channel_id=well.pk, actor=ADMIN, now=timezone.now(), passkey="0" * 64)
    run_of(well, Kind.DOCTOR)
    before = open_problems()
    make_simulator_unreachable(settings)

    run = run_of(well, Kind.DOCTOR)

    assert states(run)["access_token"] == "failed"
    assert list(before) == ["passkey"]
    assert open_problems() == before


def test_a_product_that_is_needed_and_missing_is_a_problem(create, simulator, run_of):
    organisation = simulator.open(products=["stk", "c2b_v2", "organisation_query", "account_balance", "b2c"])
    channel = create(**keys_of(organisation), **initiator_of(organisation))

    run = run_of(channel, Kind.DOCTOR)

    step = step_of(run, "products")
    assert (step["state"], step["meaning"]) == (
        "failed",
        "Your Daraja app lacks what this channel uses: Transaction Status.",
    )


def test_a_product_that_is_missing_and_not_needed_is_only_told(create, simulator, run_of):
    organisation = simulator.open(
        products=[
            *("stk", "c2b_v1", "c2b_v2", "account_balance", "transaction_status", "organisation_query", "b2c"),
            *("b2pochi", "b2b", "tax_remittance", "reversal", "qr", "b2b_express"),
        ]
    )
    channel = create(**keys_of(organisation))

    run = run_of(channel, Kind.DOCTOR)

    assert step_of(run, "products")["meaning"] == (
        "It has what this channel uses. It lacks: M-Pesa Ratiba, Bill Manager, Pull Transactions."
    )
    assert "products" not in open_problems()


def test_every_product_has_a_name_and_a_call():
    assert len({call.path for call in PRODUCTS.values()}) == len(PRODUCTS) == 12


def test_rules_that_m_pesa_never_asks_about_are_a_problem(well, run_of):
    services.change_channel(channel_id=well.pk, actor=ADMIN, now=timezone.now(), minimum_amount=100)
    run_of(well, Kind.DOCTOR)
    assert list(open_problems()) == ["validation"]

    InboundCallback.objects.create(
        tenant=connection.tenant,
        channel_id=well.pk,
        kind=InboundCallback.Kind.C2B_VALIDATION,
        body=b"{}",
        state=InboundCallback.State.APPLIED,
        received_at=datetime(2026, 8, 3, 12, 30, tzinfo=ZoneInfo("Africa/Nairobi")),
        due_at=timezone.now(),
    )
    run = run_of(well, Kind.DOCTOR)

    assert step_of(run, "validation")["meaning"] == (
        "M-PESA asks before it takes a payment; the last time on 3 August 2026 at 12:30."
    )
    assert open_problems() == {}


def test_the_balance_shows_whether_the_initiator_works(create, simulator, organisation, run_of, receiver):
    wrong = initiator_of(organisation) | {"initiator_credential": "not the password"}
    channel = create(**keys_of(organisation), **wrong)
    run = run_of(channel, Kind.DOCTOR)
    assert run.status == ChannelRun.Status.PENDING
    assert "sealed with key" in step_of(run, "certificate")["meaning"]

    assert runs.apply_result(receiver.result()) is True

    run.refresh_from_db()
    assert run.status == ChannelRun.Status.DONE
    assert states(run)["account_balance"] == "failed"
    assert "account_balance" in open_problems()


def test_a_room_above_adds_what_it_knows(well, run_of):
    doctor.add_step(
        "float", Step("Look at the float", lambda channel, run: Finding("failed", meaning="Empty.", who="you"))
    )
    doctor.add_step(
        "told_elsewhere",
        Step("Look again", lambda channel, run: Finding("failed", meaning="Empty.", who="you"), is_problem=False),
    )

    run = run_of(well, Kind.DOCTOR)

    assert (states(run)["float"], states(run)["told_elsewhere"]) == ("failed", "failed")
    assert open_problems() == {"float": "Empty."}


def test_a_channel_in_service_is_examined_every_night(well, run_due):
    tenant, now = connection.tenant, timezone.now()
    tomorrow = (now.astimezone(ZoneInfo("Africa/Nairobi")) + timedelta(days=1)).date()

    runs.examine_nightly(channel_id=well.pk, now=now)

    promised = DueTask.objects.get(task="channels.tasks.examine_channel")
    night = promised.due_at.astimezone(ZoneInfo("Africa/Nairobi"))
    assert (night.date(), 1 <= night.hour < 5) == (tomorrow, True)
    run_due()
    connection.set_tenant(tenant)
    run = ChannelRun.objects.get(kind=Kind.DOCTOR)
    assert (run.status, run.requested_by["label"]) == ("DONE", "connection doctor")


def test_a_channel_that_was_switched_off_is_not_examined_any_more(well):
    services.deactivate_channel(channel_id=well.pk, actor=ADMIN, now=timezone.now())
    DueTask.objects.all().delete()  # the visit that was promised when it was activated takes place now

    runs.examine_nightly(channel_id=well.pk, now=timezone.now())

    assert not ChannelRun.objects.filter(kind=Kind.DOCTOR).exists()
    assert not DueTask.objects.filter(task="channels.tasks.examine_channel").exists()


def test_a_visit_at_night_gives_way_to_a_run_that_is_under_way(well):
    runs.request_run(channel_id=well.pk, kind=Kind.VERIFY, actor=ADMIN, now=timezone.now())

    runs.examine_nightly(channel_id=well.pk, now=timezone.now())

    assert not ChannelRun.objects.filter(kind=Kind.DOCTOR).exists()
    assert DueTask.objects.filter(task="channels.tasks.examine_channel").exists()


def test_the_visits_are_spread_over_the_night():
    noon = datetime(2026, 8, 3, 12, 0, tzinfo=ZoneInfo("Africa/Nairobi"))
    nights = {doctor.next_night(MpesaChannel(pk=new_id()), now=noon + timedelta(seconds=1)) for _ in range(50)}

    assert len(nights) > 20


def test_a_manager_has_a_channel_examined_and_reads_what_was_found(acme, well, api, run_due):
    client = api(acme, Role.MANAGER)

    answer = client.post(f"/api/v1/mpesa-channels/{public_id('ch', well.pk)}/doctor/")

    assert (answer.status_code, answer.json()["kind"], answer.json()["state"]) == (202, "doctor", "pending")
    run_due()
    run = client.get(f"/api/v1/mpesa-channels/{public_id('ch', well.pk)}/runs/{answer.json()['id']}/").json()
    assert (run["state"], run["verified"], run["registered"], run["error"]) == ("done", None, None, None)
    assert [step["state"] for step in run["steps"]].count("ok") >= 6


def test_a_clerk_has_nothing_examined(well, actor):
    with pytest.raises(NotPermitted):
        runs.request_run(channel_id=well.pk, kind=Kind.DOCTOR, actor=actor(Role.USER), now=timezone.now())

    assert not ChannelRun.objects.filter(kind=Kind.DOCTOR).exists()


def test_the_rival_can_not_have_acmes_channel_examined(acme, rival, well, api):
    answer = api(rival).post(f"/api/v1/mpesa-channels/{public_id('ch', well.pk)}/doctor/")

    assert answer.status_code == 404
    with tenant_context(acme):
        assert not ChannelRun.objects.filter(kind=Kind.DOCTOR).exists()
