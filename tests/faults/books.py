"""Both books as they stand after a run: M-PESA's, which are the truth, and ours."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from tests.faults.house import House
from tests.faults.people import Firm

Row = Any  # a named tuple of the columns that a query names
Entry = Mapping[str, Any]  # of the simulator's ledger


@dataclass(frozen=True)
class Delivered:
    """Deliveries of one content. `failed` may have reached us all the same: their answer was lost."""

    kind: str
    answered: int
    failed: int
    faults: frozenset[str]


@dataclass(frozen=True)
class Theirs:
    """The simulator's books, of the channels of the run."""

    payments: Sequence[Entry]
    orders: Sequence[Entry]
    deliveries: Mapping[tuple[str, bytes], Delivered]  # by kind and SHA-256 of the body


@dataclass(frozen=True)
class Ours:
    """Our books, of the businesses of the run; each row says its channel's shortcode."""

    payments: Sequence[Row]
    payouts: Sequence[Row]
    reversals: Sequence[Row]
    requests: Sequence[Row]
    day_totals: Sequence[Row]
    members: Sequence[Row]
    reviews: Sequence[Row]
    inbox: Sequence[Row]


def read_theirs(house: House, firms: Sequence[Firm]) -> Theirs:
    payments: list[Entry] = []
    orders: list[Entry] = []
    for firm in firms:
        ledger = house.control("GET", f"/ledger?shortcode={firm.shortcode}")
        payments += ledger["payments"]
        orders += [order for order in ledger["orders"] if order["shortcode"] == firm.shortcode]
    return Theirs(payments, orders, _delivered(house, {firm.shortcode for firm in firms}))


def _delivered(house: House, shortcodes: set[str]) -> Mapping[tuple[str, bytes], Delivered]:
    answered: Counter[tuple[str, bytes]] = Counter()
    failed: Counter[tuple[str, bytes]] = Counter()
    faults: dict[tuple[str, bytes], set[str]] = {}
    for each in house.deliveries():
        if each["shortcode"] not in shortcodes or each["kind"] == "c2b-validation":
            continue
        key = each["kind"], sha256(each["body"].encode()).digest()
        faults.setdefault(key, set()).add(each["fault"])
        answered[key] += each["state"] == "answered"
        failed[key] += each["state"] == "failed"
    return {key: Delivered(key[0], answered[key], failed[key], frozenset(struck)) for key, struck in faults.items()}


_OF_CHANNEL = "JOIN {schema}.channels_mpesachannel AS channel ON channel.id = kept.channel_id"
_QUERIES = {
    "payments": f"""
        SELECT channel.shortcode, kept.receipt, kept.amount, kept.account_reference, kept.source,
               kept.reversed_at IS NOT NULL AS is_reversed, outcome.status AS outcome
          FROM {{schema}}.payments_payment AS kept {_OF_CHANNEL}
          LEFT JOIN {{schema}}.loyalty_paymentoutcome AS outcome ON outcome.payment_id = kept.id
    """,
    "payouts": f"""
        SELECT channel.shortcode, replace(kept.id::text, '-', '') AS id, batch.reference AS batch, kept.row, kept.kind,
               kept.status, kept.receiver, kept.amount, kept.account_reference, kept.receipt, kept.checks,
               kept.sending_at IS NOT NULL AS was_sent, kept.decided_by, kept.review, kept.result_code,
               kept.result_desc, batch.status AS batch_status,
               ARRAY(SELECT entry.kind || ' ' || entry.amount FROM {{schema}}.payments_payoutentry AS entry
                      WHERE entry.payout_id = kept.id ORDER BY entry.id) AS entries
          FROM {{schema}}.payments_payout AS kept {_OF_CHANNEL}
          JOIN {{schema}}.payments_payoutbatch AS batch ON batch.id = kept.batch_id
    """,
    "reversals": f"""
        SELECT channel.shortcode, replace(kept.id::text, '-', '') AS id, kept.status, kept.amount, kept.receipt,
               kept.checks, kept.sending_at IS NOT NULL AS was_sent, kept.decided_by, kept.review,
               payment.receipt AS payment_receipt
          FROM {{schema}}.payments_reversal AS kept {_OF_CHANNEL}
          JOIN {{schema}}.payments_payment AS payment ON payment.id = kept.payment_id
    """,
    "requests": f"""
        SELECT channel.shortcode, kept.id, kept.status, kept.amount, kept.phone_number, kept.account_reference,
               kept.checks, coalesce(payment.receipt, '') AS receipt
          FROM {{schema}}.payments_paymentrequest AS kept {_OF_CHANNEL}
          LEFT JOIN {{schema}}.payments_payment AS payment ON payment.id = kept.payment_id
    """,
    "day_totals": f"""
        SELECT channel.shortcode, sum(kept.payment_count)::int AS payment_count, sum(kept.amount) AS amount,
               sum(kept.reversed_count)::int AS reversed_count, sum(kept.reversed_amount) AS reversed_amount
          FROM {{schema}}.payments_daytotal AS kept {_OF_CHANNEL}
         GROUP BY channel.shortcode
    """,
    "members": """
        SELECT '{shortcode}' AS shortcode, member.code, member.points_balance::int AS balance,
               coalesce((SELECT sum(entry.points)::int FROM {schema}.loyalty_pointsentry AS entry
                          WHERE entry.member_id = member.id), 0) AS entries
          FROM {schema}.loyalty_member AS member
    """,
    "reviews": f"""
        SELECT channel.shortcode, kept.subject FROM {{schema}}.channels_problem AS kept {_OF_CHANNEL}
         WHERE kept.kind = 'REVIEW' AND kept.closed_at IS NULL
    """,
}
_INBOX = """
    SELECT inbox.id, inbox.kind, sha256(inbox.body) AS body_hash, inbox.state, inbox.reason, inbox.error,
           inbox.about IS NOT NULL AS is_about
      FROM tenants_inboundcallback AS inbox
      LEFT JOIN tenants_tenant AS tenant ON tenant.id = inbox.tenant_id
     WHERE tenant.schema_name = ANY(%s) AND inbox.kind <> 'C2B_VALIDATION'
"""


def read_ours(house: House, firms: Sequence[Firm]) -> Ours:
    found: dict[str, list[Row]] = {name: [] for name in _QUERIES}
    with house.database() as connection:
        for firm in firms:
            for name, query in _QUERIES.items():
                found[name] += connection.execute(query.format(schema=firm.schema, shortcode=firm.shortcode)).fetchall()
        inbox = connection.execute(_INBOX, ([firm.schema for firm in firms],)).fetchall()
    return Ours(inbox=inbox, **found)
