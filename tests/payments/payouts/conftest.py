"""A channel that can send money, and batches of payouts from it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from audit.services import Actor
from channels.models import MpesaChannel
from payments.models import PayoutBatch
from payments.payouts import batches
from payments.payouts.checking import GivenRow
from payments.payouts.creating import create_batch
from tenants.models import Role, Tenant
from tenants.reauthentication import Proof
from tests.factories import make_channel

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
SENDS_MONEY = {
    "initiator_name": "testapi",
    "initiator_credential": "a password",
    "secret_notes": {"initiator_credential": {"ends_in": None, "saved_at": None, "proved_at": None}},
}


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def acme_paybill(acme: Tenant) -> MpesaChannel:
    return make_channel(acme, "600966", **SENDS_MONEY)


@pytest.fixture
def maker(actor: Callable[..., Actor]) -> Actor:
    return actor(Role.MANAGER)


@pytest.fixture
def second(actor: Callable[..., Actor]) -> Actor:
    return actor(Role.MANAGER)


@pytest.fixture
def proof() -> Callable[..., Proof]:
    """`proof(actor)` → what `prove_again` would have given them just now."""

    def give(actor: Actor, at: datetime | None = None) -> Proof:
        assert actor.id is not None
        return Proof(actor.id, at or NOW)

    return give


@pytest.fixture
def make_batch(acme_paybill: MpesaChannel, in_acme: Tenant, maker: Actor) -> Callable[..., PayoutBatch]:
    """`make_batch(500, 750)` → a batch of these amounts to 0712345678, 0712345679, …"""

    def make(*amounts: int, by: Actor | None = None, **more: Any) -> PayoutBatch:
        rows = [
            GivenRow(number, {"phone_number": f"07123456{77 + number:02}", "amount": amount})
            for number, amount in enumerate(amounts, start=1)
        ]
        return create_batch(**{"actor": by or maker, "rows": rows, "now": NOW} | more)

    return make


@pytest.fixture
def release(proof: Callable[..., Proof]) -> Callable[..., PayoutBatch]:
    def do(batch: PayoutBatch, by: Actor, at: datetime = NOW) -> PayoutBatch:
        return batches.release_batch(actor=by, batch_id=batch.pk, proof=proof(by, at), now=at)

    return do
