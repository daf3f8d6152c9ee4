"""What matches on a day, and what does not: our records set beside what M-PESA lists, by receipt, in the database.

Receipts are looked for on the days around, too, so that a movement about midnight is not missing on either side.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection

from audit.ids import first_id_at, public_id
from channels.models import MpesaChannel
from payments.balance_evidence import prove_balances
from payments.balance_proof import Basis, Proof
from payments.coverage import Stretch, covers, joined
from payments.models import Pull, ReconciliationItem
from payments.services import NAIROBI
from tenants.sentences import say

Kind = ReconciliationItem.Kind

# M-PESA may list a payment so much later than it was made; a Pull says nothing of what is younger.
LISTED_AFTER = timedelta(minutes=15)
_LONGEST_UNDER_WAY = timedelta(days=14)  # a payout or reversal that ends today was made since then


@dataclass(frozen=True, slots=True)
class Found:
    """Something that does not match. Amounts in KES; `theirs` is negative for money that went out."""

    kind: Kind
    subject: str
    ours: Decimal | None
    theirs: Decimal | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Tally:
    count: int
    amount: Decimal  # KES


@dataclass(frozen=True, slots=True)
class Comparison:
    """`is_proved`: M-PESA's word on the whole day is here, and speaks of each of our payments."""

    found: Sequence[Found]
    tallies: Mapping[str, Tally]  # as `ReconciliationDay.sources` names them
    proof: Proof | None
    is_proved: bool


def compare(*, channel: MpesaChannel, day: date, now: datetime) -> Comparison:
    """Compare all that is known of a channel's day, by Kenya's clock, up to now."""
    start = datetime.combine(day, time(), tzinfo=NAIROBI)
    end = min(start + timedelta(days=1), now)
    about = _About(channel, start, end)
    pulled = _pulled(about)
    statement_in, statement_out = _covered_by_statement(about)
    missing, unproved = _unlisted_payments(about, joined([*pulled, *statement_in]))
    proof = prove_balances(channel=channel, start=start, end=end)
    found = [*_listed_otherwise(about), *missing, *_unlisted_payouts(about, statement_out), *_unproved_requests(about)]
    if proof and not proof.holds:
        found.append(Found(Kind.BALANCE, proof.basis.value, proof.expected_closing, proof.closing, proof.sentence))
    is_listed = bool(statement_in) or covers(pulled, start=start, end=end - LISTED_AFTER)
    is_proved = (is_listed and not unproved.count) or _is_balanced(about, proof)
    return Comparison(found, {**_tallies(about), "unproved": unproved}, proof, is_proved)


def _is_balanced(about: "_About", proof: Proof | None) -> bool:
    """Do readings from before to after show that all that moved is known? A statement's lines show only that none of
    them is missing."""
    return (
        proof is not None
        and proof.basis == Basis.BALANCES
        and proof.holds
        and proof.since <= about.start
        and proof.until >= about.end - LISTED_AFTER
    )


@dataclass(frozen=True, slots=True)
class _About:
    channel: MpesaChannel
    start: datetime
    end: datetime  # not included

    def select(self, sql: str, **more: Any) -> list[tuple[Any, ...]]:
        """Rows of a cursor, which have no types."""
        values = {
            "channel": self.channel.pk,
            "environment": self.channel.environment,
            "start": self.start,
            "end": self.end,
            "first_id": first_id_at(self.start - _LONGEST_UNDER_WAY),
            "first_id_today": first_id_at(self.start),
            "end_id": first_id_at(self.end),
        }
        with connection.cursor() as cursor:
            cursor.execute(sql, values | more)
            return list(cursor.fetchall())


# -- What M-PESA lists, and we have otherwise or not ------------------------------------------------------------------

# One receipt may have several lines: for the charge, or for both sides of a transfer between the channel's accounts.
_LISTED_OTHERWISE = """
    WITH listed AS (
        SELECT receipt,
               coalesce(sum(paid_in) FILTER (WHERE source = 'STATEMENT'), 0) AS came,
               coalesce(sum(withdrawn) FILTER (WHERE source = 'STATEMENT' AND details !~* '\\mcharges?\\M'), 0) AS went,
               coalesce(max(paid_in) FILTER (WHERE source = 'PULL'), 0) AS pulled
          FROM payments_statementline
         WHERE channel_id = %(channel)s AND completed_at >= %(start)s AND completed_at < %(end)s
           AND lower(status) = 'completed'
         GROUP BY receipt
    ), sent AS (
        SELECT receipt, amount::numeric FROM payments_payout
         WHERE channel_id = %(channel)s AND status = 'SUCCEEDED' AND receipt <> ''
         UNION ALL
        SELECT receipt, amount::numeric FROM payments_reversal
         WHERE channel_id = %(channel)s AND status = 'SUCCEEDED' AND receipt <> ''
    )
    SELECT listed.receipt, came, went, pulled, payment.amount, sent.amount
      FROM listed
      LEFT JOIN payments_payment AS payment
        ON payment.channel_id = %(channel)s AND payment.receipt = listed.receipt
      LEFT JOIN sent ON sent.receipt = listed.receipt
     WHERE CASE
           WHEN payment.amount IS NOT NULL
           THEN (came > 0 AND payment.amount NOT IN (came, came - went)) OR (pulled > 0 AND pulled <> payment.amount)
           WHEN sent.amount IS NOT NULL THEN went > 0 AND went <> sent.amount
           ELSE pulled > 0 OR came <> went
           END
"""


def _listed_otherwise(about: _About) -> list[Found]:
    return [_judge(*row) for row in about.select(_LISTED_OTHERWISE)]


def _judge(
    receipt: str, came: Decimal, went: Decimal, pulled: Decimal, paid: Decimal | None, sent: Decimal | None
) -> Found:
    """What is wrong with one receipt of M-PESA's: what `came` and `went` by the statement and was `pulled`, beside the
    payment that we have of it, or the payout or reversal."""
    if paid is not None:
        theirs = pulled if came in (0, paid) else came
        return Found(
            Kind.DIFFERS,
            receipt,
            paid,
            theirs,
            say(
                "M-PESA lists KES %(theirs)s for %(receipt)s; we have KES %(ours)s.",
                theirs=f"{theirs:,.2f}",
                receipt=receipt,
                ours=f"{paid:,.2f}",
            ),
        )
    if sent is not None:
        return Found(
            Kind.DIFFERS,
            receipt,
            -sent,
            -went,
            say(
                "M-PESA lists KES %(theirs)s sent for %(receipt)s; we have KES %(ours)s.",
                theirs=f"{went:,.2f}",
                receipt=receipt,
                ours=f"{sent:,.2f}",
            ),
        )
    theirs = (came - went) or pulled
    facts = {"amount": f"{abs(theirs):,.2f}", "receipt": receipt}
    sentence = (
        say("M-PESA lists KES %(amount)s that came in under %(receipt)s, and there is no such payment here.", **facts)
        if theirs > 0
        else say(
            "M-PESA lists KES %(amount)s that went out under %(receipt)s, and nothing here was sent under it.", **facts
        )
    )
    return Found(Kind.MISSING_HERE, receipt, None, theirs, sentence)


# -- What we have, and M-PESA does not list ---------------------------------------------------------------------------

_COVERED_BY_STATEMENT = """
    SELECT min(completed_at), max(completed_at),
           bool_or(paid_in > 0 AND EXISTS (
               SELECT 1 FROM payments_payment AS payment
                WHERE payment.channel_id = %(channel)s AND payment.receipt = line.receipt)),
           bool_or(withdrawn > 0 AND (EXISTS (
               SELECT 1 FROM payments_payout AS payout
                WHERE payout.channel_id = %(channel)s AND payout.receipt = line.receipt AND payout.receipt <> '')
           OR line.receipt IN (
               SELECT receipt FROM payments_reversal WHERE channel_id = %(channel)s AND receipt <> '')))
      FROM payments_statementline AS line
     WHERE channel_id = %(channel)s AND source = 'STATEMENT'
       AND completed_at >= %(start)s AND completed_at < %(end)s
     GROUP BY account, created_at  -- which all lines of one file share
"""
_UNLISTED_PAYMENTS = """
    WITH unlisted AS MATERIALIZED (
        SELECT receipt, amount,
               EXISTS (SELECT 1
                         FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS looked_at (start, "end")
                        WHERE payment.paid_at BETWEEN looked_at.start AND looked_at.end) AS is_covered
          FROM payments_payment AS payment
         WHERE environment = %(environment)s AND channel_id = %(channel)s
           AND paid_at >= %(start)s AND paid_at < %(end)s
           AND NOT EXISTS (
               SELECT 1 FROM payments_statementline AS line
                WHERE line.channel_id = %(channel)s AND line.receipt = payment.receipt AND line.paid_in > 0
                  AND lower(line.status) = 'completed'
                  AND line.completed_at >= %(start)s - interval '1 day'
                  AND line.completed_at < %(end)s + interval '1 day')
    )
    SELECT receipt, amount, 1 FROM unlisted WHERE is_covered
     UNION ALL
    SELECT '', coalesce(sum(amount), 0), count(*) FROM unlisted WHERE NOT is_covered
"""
_UNLISTED_PAYOUTS = """
    SELECT sent.receipt, sent.amount
      FROM (SELECT channel_id, receipt, amount, completed_at FROM payments_payout
             WHERE environment = %(environment)s AND status = 'SUCCEEDED'
               AND id >= %(first_id)s AND id < %(end_id)s
             UNION ALL
            SELECT channel_id, receipt, amount, completed_at FROM payments_reversal
             WHERE environment = %(environment)s AND status = 'SUCCEEDED'
               AND id >= %(first_id)s AND id < %(end_id)s) AS sent
     WHERE sent.channel_id = %(channel)s AND sent.receipt <> ''
       AND EXISTS (SELECT 1 FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS looked_at (start, "end")
                    WHERE sent.completed_at BETWEEN looked_at.start AND looked_at.end)
       AND NOT EXISTS (
           SELECT 1 FROM payments_statementline AS line
            WHERE line.channel_id = %(channel)s AND line.source = 'STATEMENT' AND line.receipt = sent.receipt)
"""
_UNPROVED_REQUESTS = """
    SELECT id, amount
      FROM payments_paymentrequest
     WHERE environment = %(environment)s AND channel_id = %(channel)s AND status = 'SUCCEEDED' AND payment_id IS NULL
       AND id >= %(first_id_today)s AND id < %(end_id)s
"""


def _pulled(about: _About) -> list[Stretch]:
    """The time that Pulls have read to the end, without its last minutes, in which more may have been listed since."""
    done = Pull.objects.filter(
        channel=about.channel, status=Pull.Status.DONE, window_from__lt=about.end, window_until__gt=about.start
    ).values_list("window_from", "window_until", "created_at")
    stretches = (Stretch(start, min(end, begun - LISTED_AFTER)) for start, end, begun in done)
    return [stretch for stretch in stretches if stretch.start < stretch.end]


def _covered_by_statement(about: _About) -> tuple[list[Stretch], list[Stretch]]:
    """From the first to the last line of the day that each file brought, of the accounts in which our payments are
    found, and of those in which what we sent is: a statement of another account says nothing of them, and two files say
    nothing of the time between them."""
    rows = about.select(_COVERED_BY_STATEMENT)
    return (
        [Stretch(start, end) for start, end, has_payments, _ in rows if has_payments],
        [Stretch(start, end) for start, end, _, has_payouts in rows if has_payouts],
    )


def _unlisted_payments(about: _About, looked_at: Sequence[Stretch]) -> tuple[list[Found], Tally]:
    """Payments that M-PESA does not list where it should; and how many others it does not speak of at all."""
    *missing, (_, amount, count) = about.select(_UNLISTED_PAYMENTS, **_as_arrays(looked_at))
    found = [
        Found(
            Kind.MISSING_THERE,
            receipt,
            paid,
            None,
            say(
                "We have KES %(amount)s under %(receipt)s; M-PESA does not list it.",
                amount=f"{paid:,.2f}",
                receipt=receipt,
            ),
        )
        for receipt, paid, _ in missing
    ]
    return found, Tally(count, amount)


def _unlisted_payouts(about: _About, looked_at: Sequence[Stretch]) -> list[Found]:
    rows = about.select(_UNLISTED_PAYOUTS, **_as_arrays(looked_at)) if looked_at else []
    return [
        Found(
            Kind.MISSING_THERE,
            receipt,
            -Decimal(sent),
            None,
            say(
                "We have KES %(amount)s sent under %(receipt)s; M-PESA's statement does not list it.",
                amount=f"{sent:,.2f}",
                receipt=receipt,
            ),
        )
        for receipt, sent in rows
    ]


def _unproved_requests(about: _About) -> list[Found]:
    return [
        Found(
            Kind.REQUEST_UNPROVED,
            public_id("preq", request_id),
            Decimal(amount),
            None,
            say(
                "M-PESA says that a request for KES %(amount)s was paid, and has reported no payment for it.",
                amount=f"{amount:,}",
            ),
        )
        for request_id, amount in about.select(_UNPROVED_REQUESTS)
    ]


def _as_arrays(stretches: Sequence[Stretch]) -> dict[str, list[datetime]]:
    return {"starts": [stretch.start for stretch in stretches], "ends": [stretch.end for stretch in stretches]}


# -- Totals -----------------------------------------------------------------------------------------------------------

_TALLIES = """
    SELECT 'callbacks', count(*), coalesce(sum(amount), 0) FROM payments_payment
     WHERE environment = %(environment)s AND channel_id = %(channel)s AND source IN ('CONFIRMATION', 'STK')
       AND paid_at >= %(start)s AND paid_at < %(end)s
     UNION ALL
    SELECT 'payments', count(*), coalesce(sum(amount), 0) FROM payments_payment
     WHERE environment = %(environment)s AND channel_id = %(channel)s AND paid_at >= %(start)s AND paid_at < %(end)s
     UNION ALL
    SELECT 'requests', count(*), coalesce(sum(amount), 0) FROM payments_paymentrequest
     WHERE environment = %(environment)s AND channel_id = %(channel)s AND status = 'SUCCEEDED'
       AND id >= %(first_id_today)s AND id < %(end_id)s
     UNION ALL
    SELECT CASE source WHEN 'PULL' THEN 'pull' ELSE 'statement' END, count(*), coalesce(sum(paid_in), 0)
      FROM payments_statementline
     WHERE channel_id = %(channel)s AND completed_at >= %(start)s AND completed_at < %(end)s AND paid_in > 0
       AND lower(status) = 'completed'
     GROUP BY source
     UNION ALL
    SELECT 'charges', count(*), coalesce(sum(withdrawn), 0)
      FROM payments_statementline
     WHERE channel_id = %(channel)s AND completed_at >= %(start)s AND completed_at < %(end)s AND withdrawn > 0
       AND source = 'STATEMENT' AND lower(status) = 'completed' AND details ~* '\\mcharges?\\M'
     UNION ALL
    SELECT 'payouts', count(*), coalesce(sum(amount), 0) FROM payments_payout
     WHERE environment = %(environment)s AND channel_id = %(channel)s AND status = 'SUCCEEDED'
       AND id >= %(first_id)s AND id < %(end_id)s AND completed_at >= %(start)s AND completed_at < %(end)s
     UNION ALL
    SELECT 'reversals', count(*), coalesce(sum(amount), 0) FROM payments_reversal
     WHERE environment = %(environment)s AND channel_id = %(channel)s AND status = 'SUCCEEDED'
       AND id >= %(first_id)s AND id < %(end_id)s AND completed_at >= %(start)s AND completed_at < %(end)s
"""


def _tallies(about: _About) -> dict[str, Tally]:
    return {name: Tally(count, Decimal(amount)) for name, count, amount in about.select(_TALLIES)}
