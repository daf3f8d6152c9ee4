"""Which environment the pages of a business show: one at a time, because practice money is not money."""

from typing import Any

from django.db.models import Count, Q
from django.http import HttpRequest

from channels.models import Environment, MpesaChannel
from tenants.pages.edges import is_member, is_visitor

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
    kept = request.session.get(_IN_SESSION)
    shown: str = kept if kept in choices else choices[0]
    if asked in choices and asked != shown:
        shown = request.session[_IN_SESSION] = asked
    return shown


def page_context(request: HttpRequest) -> dict[str, Any]:
    """For templates of who is signed in to a business, or visits the demo; nothing is asked until a template does."""
    if not (is_member(request) or is_visitor(request)):
        return {}
    return {
        "environments": lambda: environments_of(request),
        "shown_environment": lambda: shown_environment(request),
    }
