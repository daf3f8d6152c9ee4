"""Reports to take along: at once, or, over a long time, made in the background."""

from datetime import datetime

from audit.services import Actor
from payments.reports.period import Period
from payments.reports.registry import report_named
from payments.reports.writing import kind_name, parameters_of
from tenants.files import MadeFile, ask_for, make_now
from tenants.models import PreparedFile

LONG_DAYS = 366  # of a period; a report of more is not made while somebody waits for the page


def report_file(*, actor: Actor, name: str, environment: str, period: Period, ending: str) -> MadeFile:
    """`ending` is csv, xlsx or pdf.

    :raises NotFound: if there is no report of that name.
    """
    return make_now(
        actor=actor,
        kind=kind_name(report_named(name)),
        parameters=parameters_of(environment, period, ending),
        name=_saved_as(name, environment, period, ending),
    )


def request_report_file(
    *, actor: Actor, name: str, environment: str, period: Period, ending: str, now: datetime
) -> PreparedFile:
    """The same, made by a worker.

    :raises NotFound: if there is no report of that name.
    :raises TooManyFiles: as `ask_for`.
    """
    return ask_for(
        actor=actor,
        kind=kind_name(report_named(name)),
        parameters=parameters_of(environment, period, ending),
        name=_saved_as(name, environment, period, ending),
        now=now,
    )


def _saved_as(name: str, environment: str, period: Period, ending: str) -> str:
    return f"{name}-{environment.lower()}-{period.first}-{period.last}.{ending}"
