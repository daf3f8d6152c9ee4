"""The demo's pages, for visitors: open without signing in, and only to look at."""

import re
from collections import Counter
from html import unescape
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import resolve

from tenants import limits
from tenants.hosts import forget_hosts
from tenants.models import AttemptCount, Role, Tenant
from tests.pages.asked import asked_in
from tests.pages.catalogue_of_pages import BUSINESS, PAGES
from tests.pages.markup import Markup
from tests.pages.test_every_page import QUERIES

FORM = re.compile(r'<form[^>]*method="post"[^>]*>', re.IGNORECASE)
LINK = re.compile(r'href="((?:/(?!static/)|\?)[^"]*)"')
OF_PEOPLE = [page for page in PAGES if page.urlconf == BUSINESS and page.roles]


@pytest.fixture
def demo(acme):
    Tenant.objects.filter(pk=acme.pk).update(is_demo=True)
    forget_hosts()
    acme.refresh_from_db()
    return acme


@pytest.fixture
def visitor():
    return Client(SERVER_NAME="acme.localhost")


@pytest.mark.parametrize("page", OF_PEOPLE, ids=str)
def test_a_visitor_sees_pages_on_which_nothing_can_be_done(page, demo, cast, visitor):
    path, headers = page.path(cast), {"HX-Request": "true"} if page.asked_by_htmx else {}
    connection.set_schema_to_public()
    with CaptureQueriesContext(connection) as queries:
        answer = visitor.get(path, headers=headers)

    text = answer.content.decode()
    is_closed = answer.status_code == 403
    assert is_closed or answer.status_code == 200, text
    assert [form for form in FORM.findall(text) if 'action="/look/"' not in form] == []
    assert "hx-post" not in text
    assert len(asked_in(queries)) <= QUERIES
    if is_closed or not page.asked_by_htmx:
        assert Markup(text).problems() == []
        assert "All names, numbers and payments here are invented." in text
        assert "http://localhost:8000/sign-up/" in text
    if is_closed:
        assert "This is a demo to look around in. Open your own business to do this." in text


def test_whoever_follows_the_links_of_the_demo_is_never_turned_away(demo, cast, visitor):
    """And finds what there is to see. Each kind of address is followed once or twice."""
    to_do, seen, kinds = ["/"], set(), Counter()
    while to_do:
        path = to_do.pop()
        answer = visitor.get(path)
        assert answer.status_code == 200, (path, answer.status_code)
        if "html" not in answer["Content-Type"]:
            continue
        for link in LINK.findall(answer.content.decode()):
            address = urlsplit(urljoin(path, unescape(link)))
            kind = (resolve(address.path).url_name, tuple(sorted(parse_qs(address.query))))
            found = f"{address.path}?{address.query}"
            if found not in seen and kinds[kind] < 2:
                kinds[kind] += 1
                seen.add(found)
                to_do.append(found)
    assert {"payment", "member", "payout", "reversal", "channel", "report", "reconciliation-day"} <= {
        name for name, _ in kinds
    }


def test_another_business_has_no_visitors(demo, rival):
    stranger = Client(SERVER_NAME="rival.localhost")

    for path in ("/", "/payments/", "/channels/"):
        for answer in (stranger.get(path), stranger.post(path)):
            assert (answer.status_code, answer["Location"]) == (302, f"/sign-in/?next={path}")


@pytest.mark.parametrize("status", ["SUSPENDED", "CLOSED"])
def test_a_demo_out_of_service_has_no_visitors(demo, visitor, status):
    Tenant.objects.filter(pk=demo.pk).update(status=status)
    forget_hosts()

    assert visitor.get("/")["Location"] == "/sign-in/?next=/"


def test_people_of_the_demo_work_in_it_and_read_that_it_is_one(demo, browser, member_of):
    page = browser(member_of(demo, Role.MANAGER)).get("/programs/").content.decode()

    assert "All names, numbers and payments here are invented." in page
    assert "/programs/new/" in page
    assert "A visitor" not in page


def test_a_visitor_finds_the_way_out_and_no_more_of_a_person(demo, visitor):
    page = visitor.get("/").content.decode()

    assert 'href="http://localhost:8000/sign-up/"' in page
    assert 'href="http://localhost:8000/"' in page
    assert 'href="/sign-in/"' in page
    assert '"/you/"' not in page
    assert "/sign-out/" not in page
    assert not visitor.cookies.get("sessionid")


def test_an_address_that_looks_too_often_waits(demo, visitor):
    limits.count_attempt("demo", who="127.0.0.1")
    AttemptCount.objects.filter(door="demo").update(count=limits.DEMO_VIEWS_PER_HOUR - 1)

    assert visitor.get("/").status_code == 200
    answer = visitor.get("/payments/")
    assert answer.status_code == 429
    assert "Too many attempts. Try again later." in answer.content.decode()
    assert visitor.get("/payments/", REMOTE_ADDR="10.9.8.7").status_code == 200


def test_the_front_page_leads_to_a_demo_that_there_is(acme):
    platform = Client(SERVER_NAME="localhost")
    assert "Look around in a demo shop" not in platform.get("/").content.decode()

    Tenant.objects.filter(pk=acme.pk).update(is_demo=True)
    page = platform.get("/").content.decode()
    assert '<a class="button quiet" href="http://acme.localhost:8000/">Look around in a demo shop</a>' in page

    Tenant.objects.filter(pk=acme.pk).update(status="CLOSED")
    assert "Look around in a demo shop" not in platform.get("/").content.decode()
