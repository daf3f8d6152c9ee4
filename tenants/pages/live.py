"""A piece of a page that asks for itself again, and is sent again only when it has changed.

The view of such a piece serves htmx alone (`answer`); the page that holds it puts the same piece in (`str(part)`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import timezone

# How often an open page asks: seldom where it takes long, so that one that was left open costs little.
_PACES_S = ((timedelta(seconds=30), 2), (timedelta(minutes=2), 5))
_SLOWEST_S = 15


@dataclass(frozen=True)
class LivePart:
    """`html` is the piece with its wrapper, `version` what it shows in 16 characters."""

    html: str
    version: str

    def answer(self, request: HttpRequest) -> HttpResponse:
        """What htmx gets: nothing, if the browser shows this version already."""
        if request.GET.get("seen") == self.version:
            return HttpResponse(status=204)
        return HttpResponse(self.html)


def live_part(
    request: HttpRequest,
    template: str,
    context: Mapping[str, Any],
    *,
    url: str,
    every_s: int = 0,
    version: str = "",
    **parameters: str,
) -> LivePart:
    """Render `template` as a piece that asks `url`, with `parameters`, again every so many seconds; 0 stops it.

    Give a `version` where the piece holds something that differs each time, as the token in a form does.
    """
    content = render_to_string(template, dict(context), request)
    shown = sha256(f"{every_s} {version or content}".encode()).hexdigest()[:16]  # another pace is sent, too
    wrapper = {
        "content": content,
        "key": template.rpartition("/")[2].partition(".")[0],
        "url": f"{url}?{urlencode({**parameters, 'seen': shown})}",
        "every_s": every_s,
    }
    return LivePart(html=render_to_string("parts/live.html", wrapper), version=shown)


def slowing_part(
    request: HttpRequest, template: str, context: Mapping[str, Any], *, url: str, version: str = ""
) -> LivePart:
    """The same for what never ends: it asks less and less often, the longer its page is open."""
    now = timezone.now()
    opened_at = _opened_at(request, now=now)
    return live_part(
        request,
        template,
        context,
        url=url,
        every_s=pace_s(now - opened_at),
        version=version,
        opened=f"{opened_at.timestamp():.0f}",
    )


def pace_s(age: timedelta) -> int:
    """How long to wait before asking again about what was begun so long ago."""
    return next((pace for until, pace in _PACES_S if age < until), _SLOWEST_S)


def _opened_at(request: HttpRequest, *, now: datetime) -> datetime:
    """When the page around a piece was opened, as the piece says itself; else it is being opened."""
    try:
        opened_at = datetime.fromtimestamp(int(request.GET.get("opened", "")), UTC)
    except (ValueError, OverflowError, OSError):
        return now
    return min(opened_at, now)
