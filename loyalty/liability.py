"""What the business owes its members: points that they hold and rewards that nobody has collected."""

from collections.abc import Sequence

from django.db.models import Count, Q, Sum
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from loyalty.models import Member, PointsTotal, Program, Reward
from payments.reports.period import Period
from payments.reports.registry import Report
from payments.reports.table import Column, Kind
from tenants.permissions import Permission
from tenants.spreadsheets import Cell


def points_liability(environment: str, period: Period) -> Sequence[Sequence[Cell]]:
    """Of each program: what is held now, and what was earned, spent and otherwise changed in the period."""
    members = Member.objects.filter(environment=environment).order_by().values_list("program_id")
    counts = dict(members.annotate(members=Count("pk")))
    ready = Reward.objects.filter(member__environment=environment, status=Reward.Status.READY).order_by()
    waiting = dict(ready.values_list("member__program_id").annotate(rewards=Count("pk")))
    within = Q(date__range=(period.first, period.last))
    totals = PointsTotal.objects.filter(environment=environment).order_by().values_list("program_id")
    points = {
        program_id: [int(number) for number in numbers]
        for program_id, *numbers in totals.annotate(
            held=Sum("earned") - Sum("spent") + Sum("corrected"),
            earned_then=Coalesce(Sum("earned", filter=within), 0),
            spent_then=Coalesce(Sum("spent", filter=within), 0),
            corrected_then=Coalesce(Sum("corrected", filter=within), 0),
        )
    }
    return [
        (program.name, counts.get(program.pk, 0), *points.get(program.pk, (0, 0, 0, 0)), waiting.get(program.pk, 0))
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
