"""What every page of a business costs with many payments: queries, and the server's time.

The pages are those that an administrator can walk to from the home page by following links, one of each kind, with the
second page of each list; the live pieces among them, as an open page asks for them again; and what no link leads to
(`asked`): searches, filters, the longest reports. Times are the median of several visits in this process, from request
to answer; how much of it PostgreSQL took is said beside it. The slowest come first.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from statistics import median
from typing import Any
from urllib.parse import urljoin, urlsplit

from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import Resolver404, resolve
from django.utils import timezone
from django_tenants.utils import tenant_context

from config.benchmarks import stage
from config.benchmarks.asked import asked_for
from config.benchmarks.table import Line
from config.demo_payments import make_payments
from tenants import sessions
from tenants.hosts import host_of_tenant
from tenants.models import Membership

PAYMENTS = 100_000
_QUERIES = 12
_MILLISECONDS = 60
_VISITS = 5
_MOST_PAGES = 300
_IDENTIFIER = re.compile(r"[a-z]+_[0-9a-z]{26}")
_LINK = re.compile(r'<a\s[^>]*?href="([^"#]+)"')
_PIECE = re.compile(r'\shx-get="([^"]+)"')


@dataclass(frozen=True)
class Visit:
    what: str
    address: str
    is_piece: bool = False  # asked for by htmx

    @property
    def headers(self) -> dict[str, str]:
        return {"HX-Request": "true"} if self.is_piece else {}


@dataclass(frozen=True)
class Cost:
    what: str
    queries: int
    milliseconds: float
    in_database: float  # of them

    @property
    def line(self) -> Line:
        return Line(
            self.what,
            f"{self.queries} queries, {self.milliseconds:.0f} ms ({self.in_database:.0f} in PostgreSQL)",
            f"≤ {_QUERIES}, ≤ {_MILLISECONDS} ms",
            self.queries <= _QUERIES and self.milliseconds <= _MILLISECONDS,
        )


def run(*, payments: int) -> list[Line]:
    """A line for each page, the slowest first."""
    with stage.bench_database():
        for _line in make_payments(count=payments, now=timezone.now()):
            pass
        return measure(f"owner@soko-{payments}.example")


def measure(email: str) -> list[Line]:
    """The pages of that person's business."""
    connection.set_schema_to_public()  # type: ignore[attr-defined]
    place = Membership.objects.select_related("tenant", "user").get(user__email=email)
    settings.DEBUG = False  # which would keep every query
    client = Client(SERVER_NAME=host_of_tenant(place.tenant), raise_request_exception=True)
    client.get(f"/hand-over/{sessions.hand_over(place, now=timezone.now())}/")
    with tenant_context(place.tenant):
        asked = [Visit(what, address) for what, address in asked_for(now=timezone.now())]
    costs = [_measure(client, visit) for visit in [*_walk(client), *asked]]
    return [cost.line for cost in sorted(costs, key=lambda cost: -cost.milliseconds)]


def _walk(client: Client) -> Iterator[Visit]:
    """Each page that can be walked to, once for each kind, lists also further back; and each live piece on them."""
    seen, waiting = {_route("/")}, [Visit("home", "/")]
    for visit in waiting:
        response = client.get(visit.address, headers=visit.headers)
        if not _is_page(response):
            continue
        yield visit
        page = response.content.decode()
        found = [(link, False) for link in _LINK.findall(page)] + [(piece, True) for piece in _PIECE.findall(page)]
        for link, is_piece in found:
            target = urljoin(visit.address, unescape(link))
            what = _route(target)
            if is_piece:  # as if something had changed, so that it is sent
                what, target = f"{what}, again" if what else "", re.sub(r"(?<=[?&])seen=\w+", "seen=0", target)
            if what and what not in seen and not urlsplit(target).netloc and len(waiting) < _MOST_PAGES:
                seen.add(what)
                waiting.append(Visit(what, target, is_piece))


def _route(address: str) -> str:
    """What names the page: its route with what is no identifier in it, and that it is further back in a list.

    Empty if it is none of ours.
    """
    parts = urlsplit(address)
    try:
        found = resolve(parts.path, urlconf=settings.ROOT_URLCONF)
    except Resolver404:
        return ""
    kinds = [str(value) for value in found.kwargs.values() if not _IDENTIFIER.fullmatch(str(value))]
    name = " ".join([found.url_name or "", *kinds])
    return f"{name}, further back" if "older=" in parts.query else name


def _is_page(response: Any) -> bool:
    is_html = response.headers.get("Content-Type", "").startswith("text/html")
    return response.status_code == 200 and is_html and not response.streaming


def _measure(client: Client, visit: Visit) -> Cost:
    """:raises RuntimeError: if the page can't be seen; a refusal is quick."""
    connection.set_schema_to_public()  # type: ignore[attr-defined]
    with CaptureQueriesContext(connection) as captured:
        response = client.get(visit.address, headers=visit.headers)
    if not _is_page(response):
        raise RuntimeError(f"{visit.address} answers {response.status_code}.")
    asked = [query for query in captured if not query["sql"].startswith("SET search_path")]
    took = []
    for _visit in range(_VISITS):
        began = time.perf_counter()
        client.get(visit.address, headers=visit.headers)
        took.append((time.perf_counter() - began) * 1000)
    return Cost(
        visit.what,
        queries=len(asked),
        milliseconds=median(took),
        in_database=sum(float(query["time"]) for query in asked) * 1000,
    )
