"""Which environment the pages of a business show: one at a time, because practice money is not money."""

from typing import Any

from django.db.models import Count, Q
from django.http import HttpRequest

from channels.models import Environment, MpesaChannel

_IN_SESSION = "environment"


def environments_of(request: HttpRequest) -> list[str]:
    """Where the business has channels, the primary channel's environment first. Asked once for each request."""
    known: list[str] | None = getattr(request, "environments", None)
    if known is None:
        rows = MpesaChannel.objects.values("environment").annotate(primary=Count("pk", filter=Q(is_primary=True)))
        known = list(rows.order_by("-primary", "environment").values_list("environment", flat=True))
        request.environments = known  # type: ignore[attr-defined]
    return known


def shown_environment(request: HttpRequest) -> str:
    """The environment that this person looks at: what `?environment=` asked for last, else the primary channel's."""
    choices = environments_of(request) or [Environment.PRACTICE]
    asked = request.GET.get("environment", "").upper()
    if asked in choices and asked != request.session.get(_IN_SESSION):
        request.session[_IN_SESSION] = asked
    kept = request.session.get(_IN_SESSION)
    return kept if kept in choices else choices[0]


def page_context(request: HttpRequest) -> dict[str, Any]:
    """For templates of who is signed in to a business; nothing is asked until a template does."""
    if getattr(request, "membership", None) is None:
        return {}
    return {
        "environments": lambda: environments_of(request),
        "shown_environment": lambda: shown_environment(request),
    }
