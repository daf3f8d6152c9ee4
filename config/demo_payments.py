"""A business with as many payments as one likes, to see pages and reports at full size: `./tuzo demo --payments N`.

The rows are made by the database, in a few statements, and agree with each other as if the services had written them:
payments, day totals, outcomes, points and balances. They lie in the last 91 days, more on Fridays and Saturdays, more
at noon and in the evening. The same number of payments is always the same business, made once.
"""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django_tenants.utils import tenant_context

from channels.models import Environment, MpesaChannel
from channels.services import create_channel
from config.demo import ACTOR, BY_REFERENCE, PASSWORD, provision_at_once
from loyalty.accrual import AccrualTerms
from loyalty.models import Member, PaymentOutcome, PointsEntry
from loyalty.services import create_program
from payments.models import DayTotal, Payment
from payments.services import NAIROBI
from tenants.hosts import url_of_tenant
from tenants.models import Tenant, TenantActivity
from tenants.services import open_tenant

DAYS = 91
MOST = 10_000_000
_ENVIRONMENT = Environment.PRACTICE.value
_VIPS = 200
_CHANNELS: tuple[tuple[str, str, MpesaChannel.Kind, dict[str, str]], ...] = (
    ("Soko PayBill", "888001", MpesaChannel.Kind.PAYBILL, {"default": "soko", "VIP*": "soko_vip"}),
    ("Soko Westlands till", "888002", MpesaChannel.Kind.TILL, {"default": "soko"}),
    ("Soko market stall", "888003", MpesaChannel.Kind.TILL, {}),
)
_CHANNEL_WEIGHTS = (10, 7, 3)
_DAY_WEIGHTS = (10, 10, 10, 10, 13, 14, 6)  # Monday first
_HOUR_WEIGHTS = {7: 3, 8: 5, 9: 5, 10: 5, 11: 6, 12: 9, 13: 9, 14: 6, 15: 5, 16: 6, 17: 8, 18: 10, 19: 9, 20: 5, 21: 2}
# fmt: off
_FIRST_NAMES = [
    "JOHN", "MARY", "PETER", "GRACE", "JAMES", "FAITH", "DAVID", "MERCY", "JOSEPH", "JANE", "SAMUEL", "ANN", "DANIEL",
    "ESTHER", "BRIAN", "RUTH", "KEVIN", "LUCY", "DENNIS", "ALICE", "VICTOR", "ROSE", "COLLINS", "CAROLINE", "MOSES",
    "SARAH", "ELIJAH", "AGNES", "HASSAN", "AMINA", "ABDI", "FATUMA", "OMONDI", "AKINYI", "KIPTOO", "CHEBET",
]
_LAST_NAMES = [
    "KAMAU", "WANJIRU", "OTIENO", "ACHIENG", "MUTUA", "NDUTA", "KIPROP", "CHEPKEMOI", "MWANGI", "NJERI", "HUSSEIN",
    "BARASA", "NEKESA", "MAINA",
]
# fmt: on

# A UUIDv7 of the given time: its milliseconds, then chance.
_UUID7 = """
    CREATE OR REPLACE FUNCTION pg_temp.uuid7(at timestamptz) RETURNS uuid LANGUAGE sql VOLATILE AS $$
        SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
                   PLACING substring(int8send((extract(epoch FROM at) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
               52, 1), 53, 1), 'hex')::uuid
    $$
"""
# Person number `who` is an enrolled member if the number is low; others come with a masked number.
_PAYMENTS = """
    INSERT INTO payments_payment (id, channel_id, receipt, environment, payer, payer_name, amount, account_reference,
                                  routed_to, source, paid_at, created_at, charge)
    SELECT pg_temp.uuid7(paid_at), (%(channels)s::uuid[])[channel],
           'D' || upper(lpad(to_hex(number * 2654435761 %% 68719476736), 9, '0')),
           %(environment)s,
           CASE WHEN who < %(members)s THEN '2547' || lpad(who::text, 8, '0')
                ELSE '2547 ***** ' || lpad((who %% 1000)::text, 3, '0') END,
           (%(first_names)s::text[])[1 + who %% cardinality(%(first_names)s::text[])]
               || CASE WHEN who %% 3 = 0
                       THEN ' ' || (%(last_names)s::text[])[1 + who %% cardinality(%(last_names)s::text[])] ELSE '' END,
           amount, reference,
           CASE WHEN channel = 1 AND reference LIKE 'VIP%%' THEN 'soko_vip' WHEN channel < 3 THEN 'soko' ELSE '' END,
           'CONFIRMATION', paid_at, paid_at + interval '2 seconds',
           CASE WHEN channel > 1 THEN round(amount * 0.0055, 2) END
      FROM (SELECT number, who, channel,
                   CASE WHEN paid_at > %(now)s THEN paid_at - interval '7 days' ELSE paid_at END AS paid_at,
                   least(greatest(round(exp(5.5 + bell)::numeric, -1), 10), 250000) AS amount,
                   CASE WHEN channel > 1 THEN ''
                        WHEN kind < 0.12 THEN 'VIP' || lpad((who %% %(vips)s)::text, 3, '0')
                        WHEN kind < 0.55 THEN 'INV-' || number
                        WHEN kind < 0.8 THEN 'SHOP'
                        ELSE 'TABLE ' || (1 + who %% 30) END AS reference
              FROM (SELECT number,
                           floor(power(random(), 2) * %(people)s)::int AS who,
                           (%(channel_choice)s::int[])[1 + floor(random() * 20)::int] AS channel,
                           %(first_day)s::timestamptz
                               + interval '1 day' * (%(day_choice)s::int[])[1 + floor(random() * %(day_count)s)::int]
                               + interval '1 hour' * (%(hour_choice)s::int[])[1 + floor(random() * %(hour_count)s)::int]
                               + interval '1 hour' * random() AS paid_at,
                           (random() + random() + random() + random() - 2) * 1.6 AS bell,
                           random() AS kind
                      FROM generate_series(1, %(count)s::bigint) AS number
                    OFFSET 0) AS chance) AS made
"""
_MEMBERS = """
    INSERT INTO loyalty_member (id, program_id, environment, code, name, phone_number, phone_hash, consented_at,
                                points_balance, stamps, is_active, joined_at)
    SELECT pg_temp.uuid7(%(first_day)s::timestamptz), %(soko)s, %(environment)s, 'S' || lpad(who::text, 6, '0'),
           initcap((%(first_names)s::text[])[1 + who %% cardinality(%(first_names)s::text[])]),
           '2547' || lpad(who::text, 8, '0'),
           encode(sha256(('2547' || lpad(who::text, 8, '0'))::bytea), 'hex'), %(first_day)s, 0, 0, true, %(first_day)s
      FROM generate_series(0, %(members)s - 1) AS who
     UNION ALL
    SELECT pg_temp.uuid7(%(first_day)s::timestamptz), %(vip)s, %(environment)s, 'VIP' || lpad(who::text, 3, '0'),
           '', '', '', NULL, 0, 0, true, %(first_day)s
      FROM generate_series(0, %(vips)s - 1) AS who
"""
_OUTCOMES = """
    INSERT INTO loyalty_paymentoutcome (payment_id, status, program_id, member_id, points, gave_stamp, decided_at)
    SELECT payment.id,
           CASE WHEN program IS NULL THEN 'NO_PROGRAM' WHEN points = 0 THEN 'NOTHING'
                WHEN member.id IS NULL THEN 'WAITING' ELSE 'EARNED' END,
           program, CASE WHEN points > 0 THEN member.id END,
           CASE WHEN member.id IS NULL THEN 0 ELSE points END, false, payment.created_at + interval '1 second'
      FROM (SELECT *, CASE routed_to WHEN 'soko' THEN %(soko)s::uuid WHEN 'soko_vip' THEN %(vip)s::uuid END AS program,
                   floor(amount * CASE routed_to WHEN 'soko_vip' THEN 2 ELSE 1 END / 100)::bigint AS points
              FROM payments_payment) AS payment
      LEFT JOIN loyalty_member AS member
        ON member.program_id = program
       AND coalesce(nullif(member.phone_number, ''), member.code)
           = CASE routed_to WHEN 'soko' THEN payer ELSE account_reference END
"""
_ENTRIES = """
    INSERT INTO loyalty_pointsentry (id, member_id, payment_id, points, balance_after, kind, note, created_at)
    SELECT pg_temp.uuid7(decided_at), member_id, payment_id, points,
           sum(points) OVER (PARTITION BY member_id ORDER BY decided_at, payment_id), 'EARN', '', decided_at
      FROM loyalty_paymentoutcome
     WHERE points > 0
"""
_BALANCES = """
    UPDATE loyalty_member AS member
       SET points_balance = earned.points
      FROM (SELECT member_id, sum(points) AS points FROM loyalty_pointsentry GROUP BY member_id) AS earned
     WHERE member.id = earned.member_id
"""
_DAY_TOTALS = """
    INSERT INTO payments_daytotal (id, channel_id, date, payment_count, amount, charges)
    SELECT gen_random_uuid(), channel_id, (paid_at AT TIME ZONE 'Africa/Nairobi')::date, count(*), sum(amount),
           coalesce(sum(charge), 0)
      FROM payments_payment
     GROUP BY 2, 3
"""
_STATEMENTS = {
    "payments": _PAYMENTS,
    "day totals": _DAY_TOTALS,
    "members": _MEMBERS,
    "outcomes": _OUTCOMES,
    "points": _ENTRIES,
    "balances": _BALANCES,
}
_GROWN = (Payment, DayTotal, Member, PaymentOutcome, PointsEntry)


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
            values = _chances(count, now=now) | _make_channels(now=now) | _make_programs()
            yield from _fill(cursor, values)
            newest = Payment.objects.order_by("-paid_at").values_list("paid_at", flat=True).first()
            TenantActivity.objects.filter(tenant=tenant).update(last_payment_at=newest)
        with connection.cursor() as cursor:
            for model in _GROWN:
                cursor.execute(f"VACUUM (ANALYZE) {connection.ops.quote_name(model._meta.db_table)}")
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


def _make_channels(*, now: datetime) -> dict[str, Any]:
    """Their identifiers, in the order of `_CHANNELS`. The mappings name programs that are made right after."""
    made = []
    for name, shortcode, kind, mapping in _CHANNELS:
        channel = create_channel(
            environment=_ENVIRONMENT, actor=ACTOR, now=now, name=name, shortcode=shortcode, kind=kind
        )
        MpesaChannel.objects.filter(pk=channel.pk).update(account_mapping=mapping)
        made.append(channel.pk)
    return {"channels": made}


def _make_programs() -> dict[str, Any]:
    doubled = AccrualTerms(multiplier=Decimal(2))
    soko = create_program(actor=ACTOR, code="soko", name="Soko", accrual=AccrualTerms())
    vip = create_program(actor=ACTOR, code="soko_vip", name="Soko VIP", member_key=BY_REFERENCE, accrual=doubled)
    return {"soko": soko.pk, "vip": vip.pk}


def _chances(count: int, *, now: datetime) -> dict[str, Any]:
    """What the statements choose from: a value stands in its list as often as it weighs."""
    today = now.astimezone(NAIROBI).replace(hour=0, minute=0, second=0, microsecond=0)
    first_day = today - timedelta(days=DAYS - 1)
    days = [day for day in range(DAYS) for _ in range(_DAY_WEIGHTS[(first_day + timedelta(days=day)).weekday()])]
    hours = [hour for hour, weight in _HOUR_WEIGHTS.items() for _ in range(weight)]
    people = max(count // 10, 20)
    return {
        "count": count,
        "now": now,
        "first_day": first_day,
        "environment": _ENVIRONMENT,
        "people": people,
        "members": people // 10,
        "vips": _VIPS,
        "channel_choice": [number for number, weight in enumerate(_CHANNEL_WEIGHTS, start=1) for _ in range(weight)],
        "day_choice": days,
        "day_count": len(days),
        "hour_choice": hours,
        "hour_count": len(hours),
        "first_names": _FIRST_NAMES,
        "last_names": _LAST_NAMES,
    }


def _fill(cursor: CursorWrapper, values: dict[str, Any]) -> Iterator[str]:
    cursor.execute(_UUID7)
    for what, statement in _STATEMENTS.items():
        began = time.monotonic()
        cursor.execute(statement, values)
        yield f"{what}: {cursor.rowcount:,} rows in {time.monotonic() - began:.1f} s"
