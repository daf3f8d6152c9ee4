"""What M-PESA kept of payments, and what it took for payouts."""

from collections.abc import Sequence
from decimal import Decimal

from django.db.models import Sum
from django.db.models.functions import Coalesce

from payments.models import Payout
from payments.reports.period import Period
from payments.reports.takings import NOTHING, channel_names, sums_by_channel
from tenants.spreadsheets import Cell


def fees(environment: str, period: Period) -> Sequence[Sequence[Cell]]:
    """Of each channel: what came in, its charges, what was sent out, its charges, and all charges together.

    A payout counts in the period in which the money moved, by M-PESA's clock, or else in which we knew that it had.
    """
    came_in = sums_by_channel(environment, period)
    payouts = Payout.objects.annotate(at=Coalesce("completed_at", "finished_at")).filter(
        environment=environment, status=Payout.Status.SUCCEEDED, at__gte=period.start, at__lt=period.end
    )
    sums = payouts.order_by().values("channel_id").annotate(sent=Sum("amount"), kept=Coalesce(Sum("charge"), NOTHING))
    went_out = {row["channel_id"]: (Decimal(row["sent"]).quantize(NOTHING), row["kept"]) for row in sums}
    rows = []
    for key, name in channel_names(environment):
        taken, kept_in = (came_in[key]["taken"], came_in[key]["kept"]) if key in came_in else (NOTHING, NOTHING)
        sent, kept_out = went_out.get(key, (NOTHING, NOTHING))
        rows.append((name, taken, kept_in, sent, kept_out, kept_in + kept_out))
    return rows
