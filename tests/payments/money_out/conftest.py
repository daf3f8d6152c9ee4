"""Payouts and reversals of acme's, released, and an M-PESA that does as it is told."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django_tenants.utils import tenant_context

from channels.models import MpesaChannel
from payments.money_out.payouts import reserve_batch
from tenants.models import Tenant
from tests.factories import make_channel
from tests.payments.money_out.making import make_batch
from tests.payments.money_out.mpesa import ScriptedClient, script

NOON = datetime(2036, 1, 7, 9, 0, tzinfo=UTC)  # later than the database's clock, by which work is promised “now”


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> datetime:
        self.now += timedelta(**by)
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def channel(in_acme: Tenant) -> MpesaChannel:
    made = make_channel(
        in_acme,
        "600966",
        consumer_key="key",
        consumer_secret="secret",
        initiator_name="apiop",
        initiator_credential="password",
        secret_notes={"initiator_credential": {}},
    )
    from django.db import connection

    connection.set_tenant(in_acme)
    return made


@pytest.fixture
def client(channel: MpesaChannel, monkeypatch: pytest.MonkeyPatch) -> ScriptedClient:
    made = ScriptedClient()
    script(monkeypatch, channel, made)
    return made


@pytest.fixture
def released(channel: MpesaChannel) -> Callable[..., Any]:
    """`released(100, 250)` → payouts of those amounts in one batch, reserved at noon."""

    def make(*amounts: int, **columns: Any) -> Any:
        batch = make_batch(channel, *amounts, now=NOON, **columns)
        reserve_batch(batch=batch, now=NOON)
        payouts = list(batch.payouts.order_by("row"))
        return payouts[0] if len(payouts) == 1 else payouts

    return make


__all__ = ["NOON", "Clock", "tenant_context"]
