"""After the faults: everything runs, nothing strikes, and what was begun comes to its end in a bounded time."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from tests.faults.house import House
from tests.faults.people import Firm, Refused

_PULL_TAKES_S = 60
_LOOK_EVERY_S = 1.0

# What is not at its end, of one business; a review is an end: it is in a person's queue.
_OPEN = """
    SELECT (SELECT count(*) FROM {schema}.payments_payout
             WHERE status IN ('RESERVED', 'SENDING', 'ACCEPTED', 'UNKNOWN')) AS payouts,
           (SELECT count(*) FROM {schema}.payments_reversal
             WHERE status IN ('RESERVED', 'SENDING', 'ACCEPTED', 'UNKNOWN')) AS reversals,
           (SELECT count(*) FROM {schema}.payments_paymentrequest WHERE status = 'PENDING') AS requests,
           (SELECT count(*) FROM {schema}.payments_pull WHERE status = 'PENDING') AS pulls,
           (SELECT count(*) FROM {schema}.payments_payoutbatch AS batch WHERE batch.status = 'RELEASED'
               AND NOT EXISTS (SELECT FROM {schema}.payments_payout
                                WHERE batch_id = batch.id AND status NOT IN ('SUCCEEDED', 'FAILED'))) AS batches,
           (SELECT count(*) FROM {schema}.payments_payment AS payment
             WHERE NOT EXISTS (SELECT FROM {schema}.loyalty_paymentoutcome AS outcome
                                WHERE payment_id = payment.id
                                  AND (payment.reversed_at IS NULL OR outcome.status = 'REVERSED'))) AS unjudged
"""

_OPEN_MONEY = """
    SELECT '{kind}', kept.id, kept.status, kept.sending_at, kept.accepted_at, kept.due_at, kept.checks, kept.not_found,
           kept.result_code, kept.result_desc, now() AS now,
           array(SELECT ROW(query.asked_at, query.status, query.result_code, query.result_desc, query.found)::text
                   FROM {schema}.payments_statusquery AS query WHERE query.{kind}_id = kept.id ORDER BY query.id)
      FROM {schema}.payments_{kind} AS kept
     WHERE kept.status IN ('RESERVED', 'SENDING', 'ACCEPTED', 'UNKNOWN') LIMIT 20
"""
_PROMISES = """
    SELECT task, arguments, due_at, leased_until, generation, attempts, last_error
      FROM public.tenants_duetask WHERE task LIKE 'payments.%' ORDER BY due_at LIMIT 20
"""


def settle(house: House, firms: Sequence[Firm], *, since: datetime, seconds: float, is_patient: bool) -> list[str]:
    """Wait until all is at its end; returns what is not after `seconds`, a sentence each.

    Unless `is_patient`, leases of work that dead workers held end now instead of in a minute or two.
    """
    deadline = time.monotonic() + seconds
    if not is_patient:
        _end_leases(house)
    left = _wait(house, firms, deadline)
    try:
        for firm in firms:
            pull(firm, since=since)
    except Refused as problem:
        left.append(str(problem))
    left = left or _wait(house, firms, deadline + _PULL_TAKES_S)
    return [*left, *_open_money(house, firms)] if left else []


def pull(firm: Firm, *, since: datetime) -> None:
    """Have M-PESA list a channel's payments, so that those whose confirmation was lost are found.

    :raises Refused: if it can't be done, although nothing is in the way.
    """
    window = {"from": (since - timedelta(minutes=1)).isoformat(), "until": datetime.now(UTC).isoformat()}
    asked = None
    deadline = time.monotonic() + _PULL_TAKES_S
    while time.monotonic() < deadline:
        asked = asked or firm.maker.post("pulls/", {"channel": firm.channel_id, **window}, known=("pull_in_progress",))
        if asked:
            asked = firm.maker.get(f"pulls/{asked['id']}/")
            if asked["status"] == "done":
                return
            if asked["status"] == "failed":
                raise Refused(f"A Pull failed although nothing was in its way: {asked}")
        time.sleep(0.5)
    raise Refused(f"A Pull did not end within {_PULL_TAKES_S} s: {asked}")


def _open_money(house: House, firms: Sequence[Firm]) -> list[str]:
    """What is known of the payouts and reversals that are not at their end, and of the promises to see to them."""
    rows = [
        row
        for firm in firms
        for kind in ("payout", "reversal")
        for row in house.rows(_OPEN_MONEY.format(schema=firm.schema, kind=kind))
    ]
    return [str(row) for row in (*rows, *house.rows(_PROMISES))]


def _wait(house: House, firms: Sequence[Firm], deadline: float) -> list[str]:
    while left := _left(house, firms):
        if time.monotonic() > deadline:
            return [f"{name}: {count} not at their end" for name, count in left.items()]
        time.sleep(_LOOK_EVERY_S)
    return []


def _left(house: House, firms: Sequence[Firm]) -> Mapping[str, Any]:
    try:
        if requests.get(f"{house.api.removesuffix('api/v1/')}health/", timeout=5).status_code != 200:
            return {"web process": 1}
    except requests.RequestException:
        return {"web process": 1}
    counted: dict[str, int] = {"journal": len(house.journal), "deliveries": not house.settled_deliveries()}
    with house.database() as connection:
        ((pending,),) = connection.execute(
            "SELECT count(*) FROM tenants_inboundcallback WHERE state = 'PENDING'"
        ).fetchall()
        counted["inbox"] = pending
        for firm in firms:
            (found,) = connection.execute(_OPEN.format(schema=firm.schema)).fetchall()
            for name, count in found._asdict().items():
                counted[name] = counted.get(name, 0) + count
    return {name: count for name, count in counted.items() if count}


def _end_leases(house: House) -> None:
    with house.database() as connection:
        connection.execute("UPDATE tenants_duetask SET leased_until = now() WHERE leased_until > now()")
