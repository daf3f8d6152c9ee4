"""A piece of a page that asks for itself again, and is sent again only when it has changed.

The view of such a piece serves htmx alone (`answer`); the page that holds it puts the same piece in (`str(part)`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string


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
    shown = sha256((version or content).encode()).hexdigest()[:16]
    wrapper = {
        "content": content,
        "key": template.rpartition("/")[2].partition(".")[0],
        "url": f"{url}?{urlencode({**parameters, 'seen': shown})}",
        "every_s": every_s,
    }
    return LivePart(html=render_to_string("parts/live.html", wrapper), version=shown)
