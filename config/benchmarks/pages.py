"""What every page of a business costs with many payments: queries, and the server's time.

The pages are those that an administrator can walk to from the home page by following links, one of each kind, and
the second page of each list. Times are the median of several visits in this process, from request to answer.
"""

import re
import time
from collections.abc import Iterator
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

from config.benchmarks import stage
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


def run(*, payments: int) -> list[Line]:
    """A line for each page, in the order in which one comes to it."""
    with stage.bench_database():
        for _line in make_payments(count=payments, now=timezone.now()):
            pass
        connection.set_schema_to_public()  # type: ignore[attr-defined]
        place = Membership.objects.select_related("tenant", "user").get(user__email=f"owner@soko-{payments}.example")
        settings.DEBUG = False  # which would keep every query
        client = Client(SERVER_NAME=host_of_tenant(place.tenant), raise_request_exception=True)
        client.get(f"/hand-over/{sessions.hand_over(place, now=timezone.now())}/")
        return [_measure(client, address) for address in _walk(client)]


def _walk(client: Client) -> Iterator[str]:
    """The address of each page that can be walked to, once for each kind; lists also further back."""
    seen, waiting = {_route("/")}, ["/"]
    for address in waiting:
        response = client.get(address)
        if not _is_page(response):
            continue
        yield address
        for link in _LINK.findall(response.content.decode()):
            target = urljoin(address, unescape(link))
            if urlsplit(target).netloc or len(waiting) >= _MOST_PAGES:
                continue
            route = _route(target)
            if route and route not in seen:
                seen.add(route)
                waiting.append(target)


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


def _measure(client: Client, address: str) -> Line:
    connection.set_schema_to_public()  # type: ignore[attr-defined]
    with CaptureQueriesContext(connection) as captured:
        client.get(address)
    queries = sum(not query["sql"].startswith("SET search_path") for query in captured)
    took = []
    for _visit in range(_VISITS):
        began = time.perf_counter()
        client.get(address)
        took.append((time.perf_counter() - began) * 1000)
    milliseconds = median(took)
    return Line(
        _route(address),
        f"{queries} queries, {milliseconds:.0f} ms",
        f"≤ {_QUERIES}, ≤ {_MILLISECONDS} ms",
        queries <= _QUERIES and milliseconds <= _MILLISECONDS,
    )
