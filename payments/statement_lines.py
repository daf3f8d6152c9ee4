"""Keeping what M-PESA lists, line by line, as evidence: each line once, however often it is listed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import connection

from audit.ids import new_id
from channels.models import MpesaChannel
from payments.models import StatementLine

COMPLETED = "Completed"  # M-PESA's word for a movement that took place; other lines moved nothing
_AT_ONCE = 10_000

_INSERT = """
    INSERT INTO payments_statementline (id, channel_id, source, created_at, receipt, account, details, paid_in,
                                        withdrawn, balance, party, account_reference, status, completed_at, line_hash)
    SELECT given.id, %s, %s, %s, given.receipt, given.account, given.details, given.paid_in,
           given.withdrawn, given.balance, given.party, given.account_reference, given.status, given.completed_at,
           given.line_hash
      FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::numeric[], %s::numeric[], %s::numeric[],
                  %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::bytea[])
           AS given (id, receipt, account, details, paid_in, withdrawn, balance, party, account_reference, status,
                     completed_at, line_hash)
        ON CONFLICT (channel_id, source, receipt, line_hash) DO NOTHING
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One movement as M-PESA lists it. Amounts are KES with two decimals, and not negative, except for the balance."""

    receipt: str
    completed_at: datetime
    paid_in: Decimal = Decimal("0.00")
    withdrawn: Decimal = Decimal("0.00")
    balance: Decimal | None = None  # after it
    account: str = ""
    details: str = ""
    party: str = ""
    account_reference: str = ""
    status: str = COMPLETED

    def sign(self) -> bytes:
        """What tells this line from the others of its receipt, however the spaces and capitals are.

        A list that knows no balance (Pull) may give its time by either of two clocks, so that does not count.
        """
        said = [self.receipt, f"{self.paid_in:.2f}", f"{self.withdrawn:.2f}"]
        if self.balance is not None:
            words = " ".join(f"{self.details} {self.status}".split()).casefold()
            said += [f"{self.balance:.2f}", self.completed_at.isoformat(), words]
        return hashlib.sha256("\n".join(said).encode()).digest()


def keep_lines(*, channel: MpesaChannel, source: StatementLine.Source, lines: Sequence[Line], now: datetime) -> int:
    """Keep the lines that are not here yet, in the caller's commit; returns how many those are.

    Of lines of the same second, the one that is given first comes first for good.
    """
    kept = 0
    with connection.cursor() as cursor:
        for start in range(0, len(lines), _AT_ONCE):
            part = lines[start : start + _AT_ONCE]
            cursor.execute(
                _INSERT,
                [
                    *(channel.pk, source.value, now),
                    [new_id() for _ in part],
                    [line.receipt for line in part],
                    [line.account for line in part],
                    [line.details for line in part],
                    [line.paid_in for line in part],
                    [line.withdrawn for line in part],
                    [line.balance for line in part],
                    [line.party for line in part],
                    [line.account_reference for line in part],
                    [line.status for line in part],
                    [line.completed_at for line in part],
                    [line.sign() for line in part],
                ],
            )
            kept += cursor.rowcount
    return kept
