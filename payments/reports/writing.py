"""A report as a file: CSV, XLSX or PDF."""

from datetime import date
from typing import IO, TYPE_CHECKING

from django.utils import timezone
from django.utils.formats import date_format

from payments.reports import pdf
from payments.reports.period import Period
from tenants.files import FileKind, Parameters
from tenants.progress import Progress
from tenants.spreadsheets import write_csv, write_xlsx
from tenants.templatetags.tuzo import environment as environment_words

if TYPE_CHECKING:
    from payments.reports.registry import Report


def file_kind(report: "Report") -> FileKind:
    """What is asked for by `parameters_of`."""

    def write(file: IO[bytes], parameters: Parameters, progress: Progress) -> None:
        table = report.table(parameters["environment"], _period(parameters))
        progress.expect(len(table.rows))
        match parameters["type"]:
            case "pdf":
                file.write(pdf.pdf_bytes(table, now=timezone.now()))
            case "xlsx":
                lines = table.lines
                write_xlsx(file, lines, sheet=str(table.title), bold=frozenset({0, len(lines) - 1}))
            case _:
                write_csv(file, table.lines)
        progress.finish()

    return FileKind(name=kind_name(report), title=report.title, permission=report.permission, write=write, about=_about)


def kind_name(report: "Report") -> str:
    return f"report-{report.name}"


def parameters_of(environment: str, period: Period, ending: str) -> Parameters:
    return {
        "environment": environment,
        "since": period.first.isoformat(),
        "until": period.last.isoformat(),
        "type": ending,
    }


def _period(parameters: Parameters) -> Period:
    return Period(date.fromisoformat(parameters["since"]), date.fromisoformat(parameters["until"]))


def _about(parameters: Parameters) -> str:
    period = _period(parameters)
    days = " \N{EN DASH} ".join(date_format(day, "j M Y") for day in (period.first, period.last))
    word = environment_words(parameters["environment"])["word"]
    return f"{word} · {days} · {parameters['type'].upper()}"
