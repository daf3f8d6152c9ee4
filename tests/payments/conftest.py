"""Channels of acme and rival, and Daraja's deliveries to them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone
from django_tenants.utils import tenant_context

from channels.models import MpesaChannel
from payments import drain
from tenants.models import InboundCallback, Tenant
from tests.factories import make_channel
from tests.practice import Receiver, Simulator

PAYLOADS = Path(__file__).parent.parent / "payloads" / "daraja"
Kind = InboundCallback.Kind


@pytest.fixture
def acme_paybill(acme: Tenant) -> MpesaChannel:
    return make_channel(acme, "600966", account_mapping={"default": "regulars", "VIP*": "vip"})


@pytest.fixture
def rival_paybill(rival: Tenant) -> MpesaChannel:
    return make_channel(rival, "600967")


@pytest.fixture
def body() -> Callable[..., bytes]:
    """`body("c2b_confirmation_masked.json", TransAmount="7.00")` → a documented payload with other values."""

    def read(name: str, **changes: Any) -> bytes:
        return json.dumps(json.loads((PAYLOADS / name).read_bytes()) | changes).encode()

    return read


@pytest.fixture
def deliver(acme: Tenant) -> Callable[..., InboundCallback]:
    """Put a delivery into acme's inbox (or `tenant=`) and apply what is due; returns the delivery as it then stands."""

    def put(
        channel: MpesaChannel,
        raw: bytes,
        kind: Kind = Kind.C2B_CONFIRMATION,
        *,
        tenant: Tenant | None = None,
        **columns: Any,
    ) -> InboundCallback:
        tenant = tenant or acme
        now = timezone.now()
        row = InboundCallback.objects.create(
            tenant=tenant,
            channel_id=channel.pk,
            kind=kind,
            body=raw,
            **{"received_at": now, "due_at": now, "address_is_listed": True} | columns,
        )
        with tenant_context(tenant):
            drain.apply_pending(now=timezone.now())
        row.refresh_from_db()
        return row

    return put


@pytest.fixture
def connected(acme: Tenant, simulator: Simulator) -> Callable[..., MpesaChannel]:
    """`connected()` → acme's active PayBill with an API operator, whose keys the simulator knows."""

    def connect(**columns: Any) -> MpesaChannel:
        opened = simulator.open()
        saved = {"ends_in": None, "saved_at": "2026-11-21T09:00:00+03:00", "proved_at": None}
        secrets = {
            "consumer_key": opened["consumer_key"],
            "consumer_secret": opened["consumer_secret"],
            "passkey": opened["passkey"],
            "initiator_credential": opened["initiator_password"],
        }
        return make_channel(
            acme,
            opened["shortcode"],
            initiator_name=opened["initiator_name"],
            secret_notes=dict.fromkeys(secrets, saved),
            **secrets,
            **columns,
        )

    return connect


@pytest.fixture
def hear(
    acme: Tenant, receiver: Receiver, deliver: Callable[..., InboundCallback], run_due: Callable[[], int]
) -> Callable[[MpesaChannel], InboundCallback]:
    """`hear(channel)` → the next result of the simulator's, put into acme's inbox as the hooks do, and applied with
    what follows."""
    heard = 0

    def take_in(channel: MpesaChannel) -> InboundCallback:
        nonlocal heard
        path, raw = receiver.arrival(heard)
        heard += 1
        kind, about = path.split("/")[3:5]
        row = deliver(channel, raw, Kind(kind.upper()), about=UUID(about))
        run_due()
        return row

    return take_in
