"""What the business owes its members: points that they hold and rewards that nobody has collected."""

from collections.abc import Sequence

from django.db.models import Count, Q, Sum
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from audit.ids import first_id_at
from loyalty.models import Member, PointsEntry, Program, Reward
from payments.reports.period import Period
from payments.reports.registry import Report
from payments.reports.table import Column, Kind
from tenants.permissions import Permission
from tenants.spreadsheets import Cell


def points_liability(environment: str, period: Period) -> Sequence[Sequence[Cell]]:
    """Of each program: what is held now, and what was earned, spent and otherwise changed in the period."""
    members = Member.objects.filter(environment=environment).order_by().values("program_id")
    held = {row["program_id"]: row for row in members.annotate(members=Count("pk"), points=Sum("points_balance"))}
    ready = Reward.objects.filter(member__environment=environment, status=Reward.Status.READY).order_by()
    waiting = dict(ready.values_list("member__program_id").annotate(rewards=Count("pk")))
    entries = PointsEntry.objects.filter(
        member__environment=environment, pk__gte=first_id_at(period.start), pk__lt=first_id_at(period.end)
    ).order_by()
    earned, spent = Q(kind=PointsEntry.Kind.EARN), Q(kind=PointsEntry.Kind.REDEEM)
    changed = {
        row["member__program_id"]: (row["earned"], -row["spent"], row["other"])
        for row in entries.values("member__program_id").annotate(
            earned=Coalesce(Sum("points", filter=earned), 0),
            spent=Coalesce(Sum("points", filter=spent), 0),
            other=Coalesce(Sum("points", filter=~(earned | spent)), 0),
        )
    }
    return [
        (
            program.name,
            held[program.pk]["members"] if program.pk in held else 0,
            int(held[program.pk]["points"]) if program.pk in held else 0,
            *map(int, changed.get(program.pk, (0, 0, 0))),
            waiting.get(program.pk, 0),
        )
        for program in Program.objects.only("name").order_by("name")
    ]


REPORT = Report(
    name="points-liability",
    title=_("Points that members hold"),
    about=_(
        "What you owe your members: points now, what was earned and spent in the period, rewards not yet given out."
    ),
    permission=Permission.LOYALTY_READ,
    columns=(
        Column(_("Program")),
        Column(_("Members"), Kind.COUNT),
        Column(_("Points held now"), Kind.COUNT),
        Column(_("Earned"), Kind.COUNT),
        Column(_("Spent"), Kind.COUNT),
        Column(_("Corrected and taken back"), Kind.COUNT),
        Column(_("Rewards to give out"), Kind.COUNT),
    ),
    charted=2,
    rows=points_liability,
)
