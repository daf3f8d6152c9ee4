"""What is known of a channel's balances about a time: readings that M-PESA gave, and the lines of statements."""

from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db import connection

from audit.ids import first_id_at
from channels.models import MpesaChannel
from payments.balance_proof import Basis, Movements, Proof, Reading, prove_readings
from payments.models import BalanceQuery

_AT_MOST = timedelta(hours=24)  # before the time begins, or after it ends
_NEAR = timedelta(minutes=1)  # to a reading, whose clock is not the payments'
_LONGEST_UNDER_WAY = timedelta(days=14)

# Of each account in the file: what it held before its first line, what its lines moved, what it held after the last.
_STATEMENT = """
    SELECT min(completed_at), max(completed_at),
           (array_agg(balance - paid_in + withdrawn ORDER BY completed_at, id))[1],
           sum(paid_in),
           sum(withdrawn) FILTER (WHERE details !~* '\\mcharges?\\M'),
           sum(withdrawn) FILTER (WHERE details ~* '\\mcharges?\\M'),
           (array_agg(balance ORDER BY completed_at DESC, id DESC))[1]
      FROM payments_statementline
     WHERE channel_id = %(channel)s AND source = 'STATEMENT' AND balance IS NOT NULL AND lower(status) = 'completed'
       AND completed_at >= %(start)s AND completed_at < %(end)s
     GROUP BY account
"""
# A top-up of the channel's own is money that stays. What is open may have moved by now or not.
_MOVEMENTS = """
    WITH moved (came, went, charge, untold, at) AS (
        SELECT amount, 0, coalesce(charge, 0), 0, paid_at FROM payments_payment
         WHERE environment = %(environment)s AND channel_id = %(channel)s
           AND paid_at >= %(first)s AND paid_at <= %(last)s
         UNION ALL
        SELECT 0, amount, coalesce(charge, 0), CASE WHEN charge IS NULL THEN fee_estimate ELSE 0 END, completed_at
          FROM payments_payout
         WHERE environment = %(environment)s AND channel_id = %(channel)s AND status = 'SUCCEEDED'
           AND id >= %(first_id)s AND completed_at >= %(first)s AND completed_at <= %(last)s
           AND NOT (kind = 'TOP_UP' AND receiver = ANY(%(own)s))
         UNION ALL
        SELECT 0, amount, coalesce(charge, 0), 0, completed_at FROM payments_reversal
         WHERE environment = %(environment)s AND channel_id = %(channel)s AND status = 'SUCCEEDED'
           AND id >= %(first_id)s AND completed_at >= %(first)s AND completed_at <= %(last)s
    ), still_open (amount) AS (
        SELECT amount FROM payments_payout
         WHERE environment = %(environment)s AND channel_id = %(channel)s AND id >= %(first_id)s
           AND status IN ('SENDING', 'ACCEPTED', 'UNKNOWN', 'NEEDS_REVIEW') AND sending_at <= %(last)s
         UNION ALL
        SELECT amount FROM payments_reversal
         WHERE environment = %(environment)s AND channel_id = %(channel)s AND id >= %(first_id)s
           AND status IN ('SENDING', 'ACCEPTED', 'UNKNOWN', 'NEEDS_REVIEW') AND sending_at <= %(last)s
    )
    SELECT coalesce(sum(came) FILTER (WHERE at > %(since)s AND at <= %(until)s), 0),
           coalesce(sum(went) FILTER (WHERE at > %(since)s AND at <= %(until)s), 0),
           coalesce(sum(charge) FILTER (WHERE at > %(since)s AND at <= %(until)s), 0),
           coalesce(sum(untold) FILTER (WHERE at > %(since)s AND at <= %(until)s), 0),
           coalesce(sum(came + went) FILTER (
               WHERE at <= %(since)s + %(near)s OR at >= %(until)s - %(near)s), 0)
           + coalesce((SELECT sum(amount) FROM still_open), 0)
      FROM moved
"""


def prove_balances(*, channel: MpesaChannel, start: datetime, end: datetime) -> Proof | None:
    """The proof of a time from the lines of statements, where they tell balances, or else from readings about it."""
    return _from_statement(channel, start, end) or _from_readings(channel, start, end)


def _from_statement(channel: MpesaChannel, start: datetime, end: datetime) -> Proof | None:
    rows = _select(_STATEMENT, channel=channel.pk, start=start, end=end)
    if not rows:
        return None
    since, until, opening, money_in, money_out, charges, closing = zip(*rows, strict=True)
    return Proof(
        basis=Basis.STATEMENT,
        since=min(since),
        until=max(until),
        opening=_sum(opening),
        money_in=_sum(money_in),
        money_out=_sum(money_out),
        charges=_sum(charges),
        closing=_sum(closing),
    )


def _from_readings(channel: MpesaChannel, start: datetime, end: datetime) -> Proof | None:
    readings = [
        reading
        for as_at, accounts in BalanceQuery.objects.filter(
            channel=channel,
            status=BalanceQuery.Status.ANSWERED,
            as_at__gte=start - _AT_MOST,
            as_at__lte=end + _AT_MOST,
        )
        .order_by("as_at")
        .values_list("as_at", "accounts")
        if (reading := _reading(as_at, accounts))
    ]
    if len(readings) < 2:
        return None
    before = max((reading for reading in readings if reading.as_at <= start), default=readings[0], key=_when)
    after = min((reading for reading in readings if reading.as_at >= end), default=readings[-1], key=_when)
    return prove_readings(before, after, _movements(channel, before.as_at, after.as_at))


def _when(reading: Reading) -> datetime:
    return reading.as_at


def _reading(as_at: datetime | None, accounts: dict[str, dict[str, str]]) -> Reading | None:
    """None if an amount makes no sense; accounts in other currencies don't count."""
    try:
        held = {name: Decimal(of["current"]) for name, of in accounts.items() if of.get("currency", "KES") == "KES"}
    except (KeyError, InvalidOperation):
        return None
    return Reading(as_at, held) if as_at and held else None


def _movements(channel: MpesaChannel, since: datetime, until: datetime) -> Movements:
    ((money_in, money_out, charges, untold, uncertain),) = _select(
        _MOVEMENTS,
        channel=channel.pk,
        environment=channel.environment,
        own=sorted(channel.shortcodes),
        since=since,
        until=until,
        near=_NEAR,
        first=since - _NEAR,
        last=until + _NEAR,
        first_id=first_id_at(since - _LONGEST_UNDER_WAY),
    )
    return Movements(money_in, money_out, charges, uncertain, untold)


def _select(sql: str, **values: Any) -> list[tuple[Any, ...]]:
    """Rows of a cursor, which have no types."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


def _sum(amounts: tuple[Decimal | None, ...]) -> Decimal:
    return sum((amount for amount in amounts if amount is not None), Decimal("0.00"))
