"""A business with as many payments as one likes, to see pages and reports at full size: `./tuzo demo --payments N`.

The rows are made by the database, in a few statements (`config.demo_rows`), and agree with each other as if the
services had written them. They lie in the last 91 days, more on Fridays and Saturdays, more at noon and in the evening.
Some customers pay often and most seldom; a fifth of them are members. Some payments were given back, wages are paid
every third day, and the outbox and the audit trail are as long as such a business's. The same number of payments is
always the same business, made once.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django_tenants.utils import tenant_context

import audit.services
from channels.models import Environment, MpesaChannel
from channels.services import create_channel
from config import demo_rows
from config.demo import ACTOR, BY_REFERENCE, PASSWORD, provision_at_once
from loyalty.accrual import AccrualTerms
from loyalty.models import Program
from loyalty.services import create_program
from payments.models import Payment
from payments.services import NAIROBI
from tenants.hosts import url_of_tenant
from tenants.models import Tenant, TenantActivity
from tenants.services import open_tenant

DAYS = 91
MOST = 10_000_000
_ENVIRONMENT = Environment.PRACTICE.value
_VIPS = 200
_BATCHES = 20
_PAYOUTS = 10_000
_CHANNELS: tuple[tuple[str, str, MpesaChannel.Kind, dict[str, str]], ...] = (
    ("Soko PayBill", "888001", MpesaChannel.Kind.PAYBILL, {"default": "soko", "VIP*": "soko_vip"}),
    ("Soko Westlands till", "888002", MpesaChannel.Kind.TILL, {"default": "soko"}),
    ("Soko market stall", "888003", MpesaChannel.Kind.TILL, {}),
)
_CHANNEL_WEIGHTS = (10, 7, 3)
_DAY_WEIGHTS = (10, 10, 10, 10, 13, 14, 6)  # Monday first
_HOUR_WEIGHTS = {7: 3, 8: 5, 9: 5, 10: 5, 11: 6, 12: 9, 13: 9, 14: 6, 15: 5, 16: 6, 17: 8, 18: 10, 19: 9, 20: 5, 21: 2}
# fmt: off
FIRST_NAMES = [
    "JOHN", "MARY", "PETER", "GRACE", "JAMES", "FAITH", "DAVID", "MERCY", "JOSEPH", "JANE", "SAMUEL", "ANN", "DANIEL",
    "ESTHER", "BRIAN", "RUTH", "KEVIN", "LUCY", "DENNIS", "ALICE", "VICTOR", "ROSE", "COLLINS", "CAROLINE", "MOSES",
    "SARAH", "ELIJAH", "AGNES", "HASSAN", "AMINA", "ABDI", "FATUMA", "OMONDI", "AKINYI", "KIPTOO", "CHEBET",
]
_LAST_NAMES = [
    "KAMAU", "WANJIRU", "OTIENO", "ACHIENG", "MUTUA", "NDUTA", "KIPROP", "CHEPKEMOI", "MWANGI", "NJERI", "HUSSEIN",
    "BARASA", "NEKESA", "MAINA",
]
# fmt: on

_DECISIONS = 10_000
_MESSAGES = 100_000


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """Who pays: so many people, of whom the first so many are members; `vips` are known by what they type."""

    people: int
    members: int
    vips: int


def make_payments(*, count: int, now: datetime) -> Iterator[str]:
    """Make the business with `count` payments, unless it is there; tells each step when it is done."""
    connection.set_schema_to_public()  # type: ignore[attr-defined]
    tenant = Tenant.objects.filter(slug=f"soko-{count}").first() or _open(count)
    if tenant.status == Tenant.Status.PROVISIONING:
        provision_at_once(tenant)
    with tenant_context(tenant):
        if Payment.objects.exists():
            yield f"{tenant.business_name} is there already."
            return
        with transaction.atomic(), connection.cursor() as cursor:
            people = max(count // 30, 20)
            channels, (soko, vip) = _make_channels(now=now), _make_programs()
            yield from invent(
                cursor,
                demo_rows.STATEMENTS,
                count=count,
                days=DAYS,
                now=now,
                crowd=Crowd(people=people, members=people // 5, vips=_VIPS),
                channels=channels,
                soko=soko,
                vip=vip,
            )
            yield _decide(min(count // 10, _DECISIONS))
            newest = Payment.objects.order_by("-paid_at").values_list("paid_at", flat=True).first()
            TenantActivity.objects.filter(tenant=tenant).update(last_payment_at=newest)
        with connection.cursor() as cursor:
            for table in connection.introspection.table_names(cursor):
                cursor.execute(f"VACUUM (ANALYZE) {connection.ops.quote_name(table)}")
    yield f"{tenant.business_name} is ready: owner@{tenant.slug}.example at {url_of_tenant(tenant)}"


def _open(count: int) -> Tenant:
    return open_tenant(
        actor=ACTOR,
        business_name=f"Soko {count:,}",
        owner_name="Wambui Mwangi",
        email=f"owner@soko-{count}.example",
        phone="0712000001",
        business_type=Tenant.BusinessType.SHOP,
        password=PASSWORD,
        slug=f"soko-{count}",
    )


def _make_channels(*, now: datetime) -> list[UUID]:
    """Their identifiers, in the order of `_CHANNELS`. The mappings name programs that are made right after."""
    made = []
    for name, shortcode, kind, mapping in _CHANNELS:
        channel = create_channel(
            environment=_ENVIRONMENT, actor=ACTOR, now=now, name=name, shortcode=shortcode, kind=kind
        )
        MpesaChannel.objects.filter(pk=channel.pk).update(account_mapping=mapping)
        made.append(channel.pk)
    return made


def _make_programs() -> tuple[Program, Program]:
    doubled = AccrualTerms(multiplier=Decimal(2))
    soko = create_program(actor=ACTOR, code="soko", name="Soko", accrual=AccrualTerms())
    vip = create_program(actor=ACTOR, code="soko_vip", name="Soko VIP", member_key=BY_REFERENCE, accrual=doubled)
    return soko, vip


def invent(
    cursor: CursorWrapper,
    statements: Mapping[str, str],
    *,
    count: int,
    days: int,
    now: datetime,
    crowd: Crowd,
    channels: Sequence[UUID],
    soko: Program,
    vip: Program,
) -> Iterator[str]:
    """Fill the present business, which has no payments yet, with `count` of the last `days` until `now`, and all that
    follows from them, by statements of `demo_rows`; tells each step when it is done.

    The first channel is a PayBill that sends `VIP…` to the program `vip`. It and the second send the rest to `soko`;
    a third has no program.
    """
    values = _chances(count, days=days, now=now, channels=len(channels)) | {
        "people": crowd.people,
        "members": crowd.members,
        "vips": crowd.vips,
        "channels": list(channels),
        "soko": soko.pk,
        "soko_code": soko.code,
        "vip": vip.pk,
        "vip_code": vip.code,
        "messages": min(count, _MESSAGES),
        "requests": max(count // 50, 1),
        "batches": _BATCHES,
        "batch_size": max(min(count // 10, _PAYOUTS) // _BATCHES, 1),
    }
    cursor.execute(demo_rows.UUID7)
    for what, statement in statements.items():
        began = time.monotonic()
        cursor.execute(statement, values)
        rows = cursor.rowcount
        if table := demo_rows.COUNTED.get(what):
            cursor.execute(f"ANALYZE {connection.ops.quote_name(table)}")
        yield f"{what}: {rows:,} rows in {time.monotonic() - began:.1f} s"


def _chances(count: int, *, days: int, now: datetime, channels: int) -> dict[str, Any]:
    """What the statements choose from: a value stands in its list as often as it weighs."""
    today = now.astimezone(NAIROBI).replace(hour=0, minute=0, second=0, microsecond=0)
    first_day = today - timedelta(days=days - 1)
    day_choice = [day for day in range(days) for _ in range(_DAY_WEIGHTS[(first_day + timedelta(days=day)).weekday()])]
    hours = [hour for hour, weight in _HOUR_WEIGHTS.items() for _ in range(weight)]
    weights = enumerate(_CHANNEL_WEIGHTS[:channels], start=1)
    channel_choice = [number for number, weight in weights for _ in range(weight)]
    return {
        "count": count,
        "now": now,
        "first_day": first_day,
        "environment": _ENVIRONMENT,
        "channel_choice": channel_choice,
        "channel_count": len(channel_choice),
        "day_choice": day_choice,
        "day_count": len(day_choice),
        "hour_choice": hours,
        "hour_count": len(hours),
        "first_names": FIRST_NAMES,
        "last_names": _LAST_NAMES,
    }


def _decide(number: int) -> str:
    """So many rows of the audit trail, each chained to the one before; returns what was done."""
    began = time.monotonic()
    programs = list(Program.objects.all())
    for turn in range(number):
        audit.services.record(
            actor=ACTOR, action="program.changed", subject=programs[turn % len(programs)], after={"turn": turn}
        )
    return f"audit trail: {number:,} rows in {time.monotonic() - began:.1f} s"
