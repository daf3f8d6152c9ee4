"""Reports: a chart, the table behind it, and the same as a file."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from channels.pages.shown import shown_environment
from payments.forms.reports import PeriodForm
from payments.reports import chart
from payments.reports.downloads import LONG_DAYS, report_file, request_report_file
from payments.reports.period import Period, Preset, preset_period, read_period
from payments.reports.registry import make_report, reports_for
from tenants.errors import DomainError
from tenants.pages.edges import actor_of, for_members, for_members_only
from tenants.pages.files import hand_over

_ENDINGS = {"csv": "CSV", "xlsx": "XLSX", "pdf": "PDF"}
_USUAL = Preset.LAST_30_DAYS
_PRESETS = {
    Preset.TODAY: _("Today"),
    Preset.LAST_7_DAYS: _("7 days"),
    Preset.LAST_30_DAYS: _("30 days"),
    Preset.LAST_90_DAYS: _("90 days"),
    Preset.THIS_MONTH: _("This month"),
    Preset.LAST_MONTH: _("Last month"),
}


@for_members
@require_safe
def reports(request: HttpRequest) -> HttpResponse:
    return render(request, "payments/reports.html", {"reports": reports_for(actor=actor_of(request))})


@for_members
@require_safe
def report(request: HttpRequest, report_name: str) -> HttpResponse:
    now = timezone.now()
    period, form = _asked(request, now=now)
    table = make_report(
        actor=actor_of(request), name=report_name, environment=shown_environment(request), period=period
    )
    context: dict[str, Any] = {
        "table": table,
        "totals": list(zip(table.totals, table.columns, strict=True)),
        "chart": chart.draw(table),
        "form": form,
        "report_name": report_name,
        "reports": reports_for(actor=actor_of(request)),
        "presets": [
            (word, each := preset_period(preset, now=now), each == period) for preset, word in _PRESETS.items()
        ],
        "size": (chart.WIDTH, chart.HEIGHT),
        "endings": _ENDINGS.items(),
        "is_long": len(period.days) > LONG_DAYS,
    }
    return render(request, "payments/report.html", context, status=form.status)


@for_members_only  # each file that is taken is written down
@require_http_methods(["GET", "HEAD", "POST"])
def report_download(request: HttpRequest, report_name: str) -> HttpResponse:
    """`type` is csv, xlsx or pdf. A GET makes it at once; a POST, for a long time, in the background."""
    now = timezone.now()
    period, _form = _asked(request, now=now)
    ending = request.POST.get("type") or request.GET.get("type", "")
    asked: dict[str, Any] = {
        "actor": actor_of(request),
        "name": report_name,
        "environment": shown_environment(request),
        "period": period,
        "ending": ending if ending in _ENDINGS else "csv",
    }
    if request.method == "POST":
        return hand_over(request, request_report_file(**asked, now=now))
    return hand_over(request, report_file(**asked))


def _asked(request: HttpRequest, *, now: datetime) -> tuple[Period, PeriodForm]:
    """The days that the address asks for; the usual ones where it asks for none, or for what can't be."""
    usual = preset_period(_USUAL, now=now)
    if not {"since", "until"} & request.GET.keys():
        return usual, PeriodForm(initial={"since": usual.first, "until": usual.last})
    form = PeriodForm(request.GET)
    if form.is_valid():
        try:
            return read_period(form.cleaned_data["since"], form.cleaned_data["until"]), form
        except DomainError as refusal:
            form.refuse(refusal)
    return usual, form


urlpatterns = [
    path("reports/", reports, name="reports"),
    path("reports/<str:report_name>/", report, name="report"),
    path("reports/<str:report_name>/download/", report_download, name="report-download"),
]
