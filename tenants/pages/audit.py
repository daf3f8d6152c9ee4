"""What people decided in this business: who, what and when."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils import timezone
from django.views.decorators.http import require_safe

from audit.models import AuditEntry
from tenants import audit_trail
from tenants.forms.audit import AuditFilterForm
from tenants.pages.audit_words import ACTOR_KINDS, AREAS, sentence_of
from tenants.pages.edges import actor_of, for_members
from tenants.pages.lists import newest_first

_NOTHING = "\N{EN DASH}"


@dataclass(frozen=True)
class _Row:
    entry: AuditEntry
    sentence: str
    actor_kind: str  # in words; empty for a person of the business
    changes: list[tuple[str, str, str]]  # a column, what it was, what it became


@for_members
@require_safe
def trail(request: HttpRequest) -> HttpResponse:
    form = AuditFilterForm(request.GET or None)
    chosen: dict[str, Any] = form.cleaned_data if form.is_valid() else {}
    entries = audit_trail.search(
        actor=actor_of(request),
        who=chosen.get("who", ""),
        things=AREAS[chosen["what"]][1] if chosen.get("what") else (),
        since=_start_of(chosen.get("from_date")),
        before=_start_of(chosen.get("to_date"), days_later=1),
    )
    page = newest_first(request, entries)
    context = {
        "form": form,
        "page": page,
        "rows": [_row(entry) for entry in page.rows],
        "is_filtered": any(chosen.get(name) for name in ("who", "what", "from_date", "to_date")),
    }
    return render(request, "tenants/audit.html", context, status=form.status)


def _start_of(day: date | None, *, days_later: int = 0) -> datetime | None:
    """When a day begins on the reader's clock."""
    if day is None:
        return None
    return timezone.make_aware(datetime.combine(day + timedelta(days=days_later), time.min))


def _row(entry: AuditEntry) -> _Row:
    kind = ACTOR_KINDS.get(entry.actor_kind)
    return _Row(
        entry=entry,
        sentence=sentence_of(entry.action, entry.subject_kind),
        actor_kind=str(kind) if kind else "",
        changes=[
            (name, _shown(entry.before.get(name)), _shown(entry.after.get(name)))
            for name in sorted({*entry.before, *entry.after})
            if entry.before.get(name) != entry.after.get(name)
        ],
    )


def _shown(value: Any) -> str:
    return _NOTHING if value in (None, "", [], {}) else str(value)


urlpatterns = [path("audit/", trail, name="audit-trail")]
