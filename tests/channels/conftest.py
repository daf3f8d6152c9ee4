"""A simulator process that channels are connected to, a place for its deliveries, and channels of acme."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from audit.ids import new_id
from audit.models import AuditRow
from audit.services import Actor
from channels import mapping, runs, services
from channels.models import ChannelRun, MpesaChannel
from tenants.models import Role
from tests.practice import Simulator

CONTROL_TOKEN = "the tests' control token"
ADMIN = Actor(kind=AuditRow.ActorKind.PERSON, id=new_id(), label="amina@acme.example", role=Role.ORG_ADMIN)
PROGRAMS = {"loyalty", "vip_account", "gold_tier"}


@pytest.fixture(autouse=True)
def _known_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "_program_directory", lambda: PROGRAMS)


CreateChannel = Callable[..., MpesaChannel]


@pytest.fixture
def create(in_acme: object) -> CreateChannel:
    """`create(shortcode="600966")` → a draft PayBill of acme's for practice, or whatever is given."""

    def make(**details: Any) -> MpesaChannel:
        return services.create_channel(
            **{"name": "Shop", "kind": "PAYBILL", "environment": "PRACTICE", "actor": ADMIN, "now": timezone.now()}
            | details
        )

    return make


def keys_of(organisation: dict[str, Any]) -> dict[str, str]:
    """What a business copies from the Daraja portal."""
    return {
        "shortcode": organisation["shortcode"],
        "store_number": organisation["store_number"],
        "consumer_key": organisation["consumer_key"],
        "consumer_secret": organisation["consumer_secret"],
        "passkey": organisation["passkey"],
    }


def initiator_of(organisation: dict[str, Any]) -> dict[str, str]:
    return {
        "initiator_name": organisation["initiator_name"],
        "initiator_credential": organisation["initiator_password"],
    }


@pytest.fixture
def connected(create: CreateChannel, simulator: Simulator) -> CreateChannel:
    """`connected()` → a configured PayBill of acme whose keys the simulator knows; without an initiator."""

    def make(**details: Any) -> MpesaChannel:
        return create(**keys_of(simulator.open()) | details)

    return make


RunOf = Callable[..., ChannelRun]


@pytest.fixture
def run_of(run_due: Callable[[], int]) -> RunOf:
    """`run_of(channel, Kind.VERIFY)` → the run as it stands when the worker has done what is due."""

    def carry_out(channel: MpesaChannel, kind: ChannelRun.Kind) -> ChannelRun:
        tenant = connection.tenant
        run = runs.request_run(channel_id=channel.pk, kind=kind, actor=ADMIN, now=timezone.now())
        run_due()
        connection.set_tenant(tenant)
        run.refresh_from_db()
        channel.refresh_from_db()
        return run

    return carry_out
