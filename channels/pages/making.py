"""What became of a draft's last word: how far it is, and on to what was made of it.

A view of a draft asks `follow` first, at the one address that the draft has from the check on: whoever closed the page
comes back to it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from channels import kept_drafts
from channels.kept_drafts import DraftKind
from channels.models import KeptDraft
from channels.pages.shown import show, shown_environment
from tenants.errors import DomainError
from tenants.pages.edges import actor_of
from tenants.pages.live import live_part, pace_s

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

LeadOn = Callable[[HttpRequest, Any], HttpResponse]  # to what was made, which is what the kind's `make` returned


@dataclass(frozen=True, slots=True)
class Line:
    """Something that is being made, where people look for what comes of it."""

    title: "_StrOrPromise"
    draft: KeptDraft
    url: str


def follow(
    request: HttpRequest, draft: KeptDraft, *, kind: DraftKind, back: tuple[str, str], lead_on: LeadOn
) -> HttpResponse | None:
    """The answer for a draft whose last word was said; None if it is to be checked. Asked by htmx it is the piece that
    says how far it is. `back` is the route and the name of the list in which it will stand."""
    show(request, draft.environment)
    is_being_made = draft.made is None and not draft.is_open
    if not is_being_made and not request.htmx:  # type: ignore[attr-defined]
        return None if draft.is_open else lead_on(request, draft.made)
    if request.method == "POST":
        return redirect(request.path)
    context = {"draft": draft, "title": kind.title, "back": back, "is_being_made": is_being_made}
    part = live_part(
        request,
        "channels/making_progress.html",
        context,
        url=request.path,
        every_s=pace_s(timezone.now() - draft.asked_at) if draft.asked_at and is_being_made else 0,
    )
    if request.htmx:  # type: ignore[attr-defined]
        answer = part.answer(request)
        if not is_being_made:
            answer["HX-Refresh"] = "true"  # to what was made, or to why nothing was
        return answer
    return render(request, "channels/making.html", context | {"part": part.html})


def led_on(request: HttpRequest, draft: KeptDraft, *, lead_on: LeadOn) -> HttpResponse:
    """The answer to a last word: on to what was made, or to where one sees how far it is."""
    return redirect(request.path) if draft.made is None else lead_on(request, draft.made)


def last_word(request: HttpRequest, draft: KeptDraft) -> Mapping[str, Any] | None:
    """What a form of the last word is filled with: what is said now, or what was said when nothing came of it."""
    if request.method == "POST":
        return request.POST
    return draft.asked["said"] if draft.refusal else None


def refused_before(request: HttpRequest, draft: KeptDraft) -> DomainError | None:
    """Why nothing came of the last word before, for who comes to see; who says another one hears of that."""
    return kept_drafts.refusal_of(draft) if request.method != "POST" else None


def lines(request: HttpRequest, kind: DraftKind, *, route: str) -> list[Line]:
    """What is being made of a kind, for `channels/being_made.html`. `route` is that of its drafts."""
    found = kept_drafts.being_made(
        kind, actor=actor_of(request), environment=shown_environment(request), now=timezone.now()
    )
    return [Line(kind.title, draft, reverse(route, args=[draft.asked["token"]])) for draft in found]
