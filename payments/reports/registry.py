"""Which reports there are. This room's are in `takings` and `fees`; rooms above register theirs when Django starts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from audit.services import Actor
from payments.reports.fees import fees
from payments.reports.period import Period
from payments.reports.table import Column, Kind, ReportTable
from payments.reports.takings import takings_by_channel, takings_by_day, takings_by_hour, takings_by_program
from payments.reports.writing import file_kind
from tenants.errors import NotFound
from tenants.files import register_kind
from tenants.permissions import ROLES, Permission, require
from tenants.spreadsheets import Cell

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

Rows = Sequence[Sequence[Cell]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    name: str  # in addresses: "takings-by-day"
    title: "_StrOrPromise"
    about: "_StrOrPromise"  # a sentence for the list of reports
    permission: Permission
    columns: Sequence[Column]
    charted: int
    rows: Callable[[str, Period], Rows]  # of one environment
    note: "_StrOrPromise" = ""  # what a reader of the figures has to know

    def table(self, environment: str, period: Period) -> ReportTable:
        """Of the present business."""
        return ReportTable(
            title=self.title,
            environment=environment,
            period=period,
            columns=self.columns,
            rows=self.rows(environment, period),
            charted=self.charted,
            note=self.note,
        )


_reports: dict[str, Report] = {}


def register_report(report: Report) -> None:
    _reports[report.name] = report
    register_kind(file_kind(report))


def report_named(name: str) -> Report:
    """:raises NotFound: if there is none of that name."""
    report = _reports.get(name)
    if report is None:
        raise NotFound(gettext("There is no such report."))
    return report


def reports_for(*, actor: Actor) -> list[Report]:
    """The reports that the actor may make, in the order in which they are listed."""
    return [report for report in _reports.values() if actor.role in ROLES[report.permission]]


def make_report(*, actor: Actor, name: str, environment: str, period: Period) -> ReportTable:
    """Make a report of one environment of the present business.

    :raises NotFound: if there is none of that name.
    :raises NotPermitted: if the actor may not see what it shows.
    """
    report = report_named(name)
    require(actor, report.permission)
    return report.table(environment, period)


_DAY = Column(_("Day"), Kind.DATE)
_CHANNEL = Column(_("Channel"))
_COUNT = Column(_("Payments"), Kind.COUNT)
_PAID = Column(_("Paid"), Kind.MONEY)
_REVERSED = Column(_("Given back"), Kind.MONEY)
_CHARGES = Column(_("M-PESA charges, as far as told"), Kind.MONEY)
_LEFT = Column(_("Left over, as far as told"), Kind.MONEY)
_NOT_TOLD = _("M-PESA tells its charges later, and some never: what it has not told is in no sum.")

register_report(
    Report(
        name="takings-by-day",
        title=_("Takings by day"),
        about=_("What customers paid each day, what was given back and what M-PESA kept."),
        permission=Permission.PAYMENTS_READ,
        columns=(_DAY, _COUNT, _PAID, _REVERSED, _CHARGES, _LEFT),
        charted=2,
        rows=takings_by_day,
        note=_NOT_TOLD,
    )
)
register_report(
    Report(
        name="takings-by-channel",
        title=_("Takings by channel"),
        about=_("What each PayBill and till brought."),
        permission=Permission.PAYMENTS_READ,
        columns=(_CHANNEL, _COUNT, _PAID, _REVERSED, _CHARGES, _LEFT),
        charted=2,
        rows=takings_by_channel,
        note=_NOT_TOLD,
    )
)
register_report(
    Report(
        name="takings-by-program",
        title=_("Takings by program"),
        about=_("Where the account numbers that customers typed sent their payments."),
        permission=Permission.PAYMENTS_READ,
        columns=(Column(_("Program")), _COUNT, _PAID, _REVERSED),
        charted=2,
        rows=takings_by_program,
    )
)
register_report(
    Report(
        name="takings-by-hour",
        title=_("Takings by hour"),
        about=_("At which hours of the day customers pay."),
        permission=Permission.PAYMENTS_READ,
        columns=(Column(_("Hour")), _COUNT, _PAID, _REVERSED),
        charted=2,
        rows=takings_by_hour,
    )
)
register_report(
    Report(
        name="fees",
        title=_("Fees"),
        about=_("What M-PESA kept of payments and took for payouts, as far as it has said."),
        permission=Permission.PAYOUTS_READ,
        columns=(
            _CHANNEL,
            _PAID,
            Column(_("Charges on payments, as far as told"), Kind.MONEY),
            Column(_("Sent out"), Kind.MONEY),
            Column(_("Charges on payouts, as far as told"), Kind.MONEY),
            Column(_("All charges, as far as told"), Kind.MONEY),
        ),
        charted=5,
        rows=fees,
        note=_NOT_TOLD,
    )
)
