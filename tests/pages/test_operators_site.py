"""What holds on each page of the operators' site, in both languages and with a theme."""

import re
from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django_otp.plugins.otp_totp.models import TOTPDevice

from config.admin import site
from tests.isolation.routes import routes_of
from tests.pages.asked import asked_in
from tests.pages.markup import Markup
from tests.pages.operators_site import (
    NOT_PAGES,
    PLATFORM,
    WAY_IN,
    OperatorPage,
    closed_pages,
    furnish_operators,
    new_operator,
    pages_of_operators,
)
from tests.pages.test_every_page import QUERIES
from tests.pages.test_swahili import words


@pytest.fixture
def tenant(cast):
    connection.set_schema_to_public()
    furnish_operators(cast.tenant)
    return cast.tenant


@pytest.fixture
def operator_who_reads(db) -> Callable[..., Client]:
    """`operator_who_reads("sw")` → a client of an operator who gave both factors."""

    def make(language: str, theme: str = "") -> Client:
        user = new_operator(language=language, theme=theme)
        device = TOTPDevice.objects.create(user=user, name="Authenticator", key="ab" * 20)
        client = Client(SERVER_NAME="localhost")
        client.force_login(user)
        session = client.session
        session["otp_device_id"] = device.persistent_id
        session.save()
        return client

    return make


def open_page(client: Client, page: OperatorPage):
    with CaptureQueriesContext(connection) as queries:
        response = client.post(page.path, page.written) if page.written else client.get(page.path)
    return response, asked_in(queries)


def test_every_page_of_operators_is_in_the_list(tenant):
    known = {page.route for page in (*pages_of_operators(tenant), *closed_pages())} | WAY_IN | NOT_PAGES
    routes = {route.name for route in routes_of(PLATFORM) if route.is_operators}
    assert routes - {""} == known, "Tell tests/pages/operators_site.py about the new page, or drop what is gone."


@pytest.mark.parametrize(("language", "theme"), [("en", ""), ("en", "dark"), ("sw", ""), ("sw", "light")])
def test_a_page_of_operators_is_sound(tenant, operator_who_reads, language, theme):
    client = operator_who_reads(language, theme)

    for page in pages_of_operators(tenant):
        response, asked = open_page(client, page)

        assert response.status_code == 200, page
        markup = Markup(response.content.decode())
        assert markup.problems() == [], page
        assert (markup.language, markup.theme, markup.headings) == (language, theme, 1), page
        assert not any(asset.startswith("admin/") for asset in markup.assets), page
        assert page.written or len(asked) <= QUERIES, (page, asked)
        assert "script-src 'self';" in response["Content-Security-Policy"], page
        assert "unsafe" not in response["Content-Security-Policy"], page


def test_what_is_not_offered_is_closed(tenant, operator_who_reads):
    client = operator_who_reads("en")

    assert {client.get(page.path).status_code for page in closed_pages()} == {403, 404}


def test_a_list_has_its_own_search_and_says_when_nothing_was_chosen(tenant, operator_who_reads):
    client = operator_who_reads("en")

    text = client.get("/operators/tenants/tenant/?status__exact=TRIAL").content.decode()
    answer = client.post("/operators/tenants/duetask/", {"action": "run_now", "index": "0"}, follow=True)

    assert '<form class="search" method="get"' in text
    assert 'name="q"' in text
    assert '<input type="hidden" name="status__exact" value="TRIAL">' in text
    assert "Items must be selected" in words(answer)


def test_the_navigation_is_the_one_list_of_lists(tenant, operator_who_reads):
    client = operator_who_reads("en")

    assert client.get("/operators/tenants/")["Location"] == "/operators/"
    links = re.findall(r'<a href="(/operators/[^"]*)"[^>]*><svg', client.get("/operators/").content.decode())
    lists = [
        reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_changelist", PLATFORM) for model in site._registry
    ]
    assert set(links) == {"/operators/", "/operators/search/", *lists}


def test_operators_read_the_language_that_they_chose(tenant, operator_who_reads):
    reader = operator_who_reads("sw")

    start, businesses = words(reader.get("/operators/")), words(reader.get("/operators/tenants/tenant/"))

    assert "Biashara zenye njia ya malipo inayohitaji mtu" in start
    assert "Needs somebody" not in start
    assert "Jina la biashara" in businesses
    assert "Business name" not in businesses
