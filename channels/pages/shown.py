"""Which environment the pages of a business show: one at a time, because practice money is not money."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Count, Q
from django.http import HttpRequest

from channels.models import Environment, MpesaChannel
from tenants.pages.edges import is_member, is_visitor

_IN_SESSION = "environment"


def environments_of(request: HttpRequest) -> list[str]:
    """Where the business has channels: real money first, once a live channel takes it, then the primary channel's
    environment. Asked once for each request."""
    known: list[str] | None = getattr(request, "environments", None)
    if known is None:
        is_live = Q(environment=Environment.PRODUCTION, status=MpesaChannel.Status.ACTIVE)
        rows = MpesaChannel.objects.values("environment").annotate(
            has_live=Count("pk", filter=is_live), primary=Count("pk", filter=Q(is_primary=True))
        )
        known = [row["environment"] for row in sorted(rows, key=_rank)]
        request.environments = known  # type: ignore[attr-defined]
    return known


def _rank(row: Mapping[str, Any]) -> tuple[bool, bool, str]:
    return not row["has_live"], not row["primary"], row["environment"]


def shown_environment(request: HttpRequest) -> str:
    """The environment that this person looks at: what `?environment=` asked for last, else the first there is."""
    choices = environments_of(request) or [Environment.PRACTICE]
    asked = request.GET.get("environment", "").upper()
    kept = request.session.get(_IN_SESSION)
    shown: str = kept if kept in choices else choices[0]
    if asked in choices and asked != shown:
        shown = request.session[_IN_SESSION] = asked
    return shown


def show(request: HttpRequest, environment: str) -> None:
    """Let this person look at an environment from now on: the one of the channel that they work on."""
    if shown_environment(request) != environment:
        request.session[_IN_SESSION] = environment


def page_context(request: HttpRequest) -> dict[str, Any]:
    """For templates of who is signed in to a business, or visits the demo; nothing is asked until a template does."""
    if not (is_member(request) or is_visitor(request)):
        return {}
    return {
        "environments": lambda: environments_of(request),
        "shown_environment": lambda: shown_environment(request),
    }
