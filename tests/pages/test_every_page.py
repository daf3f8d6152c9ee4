"""What holds on each page of ours, for each role, in both languages and both themes."""

import gzip
from functools import cache
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tenants.models import Role
from tests.isolation.routes import routes_of
from tests.pages.asked import asked_in
from tests.pages.catalogue_of_pages import BUSINESS, NOT_PAGES, PAGES, PLATFORM, Page
from tests.pages.markup import Markup

FIRST_VIEW_KB, SCRIPT_KB, STYLE_KB, FRAGMENT_KB = 80, 30, 20, 2
QUERIES = 12
VIEWS = [(page, role) for page in PAGES for role in (page.roles or (None,))]
ALL_LANGUAGES_AND_THEMES = [("en", ""), ("en", "dark"), ("sw", ""), ("sw", "light")]


def test_every_page_is_in_the_list():
    known = {page.route for page in PAGES} | NOT_PAGES
    routes = {
        route.name
        for urlconf in (PLATFORM, BUSINESS)
        for route in routes_of(urlconf)
        if not route.is_api and not route.is_operators and route.pattern != "health/"
    }
    assert routes == known, "Tell tests/pages/catalogue_of_pages.py about the new page, or drop what is gone."


def open_page(page: Page, role: Role | None, cast, browser, *, language="en", theme=""):
    place = cast.places[role] if role else None
    host = "localhost" if page.urlconf == PLATFORM else f"{cast.tenant.slug}.localhost"
    client = browser(place, host=host)
    if place:
        type(place.user).objects.filter(pk=place.user_id).update(language=language, theme=theme)
    client.cookies["tuzo-language"], client.cookies["tuzo-theme"] = language, theme
    path = page.path(cast)
    headers = {"HX-Request": "true"} if page.asked_by_htmx else {}
    connection.set_schema_to_public()
    with CaptureQueriesContext(connection) as queries:
        written = page.written(cast)
        response = client.post(path, written) if written else client.get(path, headers=headers)
    return response, asked_in(queries)


@cache
def weight(asset: str) -> int:
    """Bytes of a static file as they travel."""
    return len(gzip.compress(Path(finders.find(asset)).read_bytes()))


@pytest.mark.parametrize(("page", "role"), VIEWS, ids=lambda each: str(each) if each else "stranger")
def test_a_page_is_sound(page, role, cast, browser):
    for language, theme in ALL_LANGUAGES_AND_THEMES:
        response, asked = open_page(page, role, cast, browser, language=language, theme=theme)

        assert response.status_code == 200, response.content.decode()
        text = response.content.decode()
        markup = Markup(text)
        assert markup.problems() == []
        assert len(asked) <= QUERIES, asked
        if page.asked_by_htmx:
            assert len(gzip.compress(text.encode())) <= FRAGMENT_KB * 1024
            assert "<html" not in text
            continue
        assert (markup.language, markup.theme, markup.headings) == (language, theme, 1)
        scripts = sum(weight(asset) for asset in markup.assets if asset.endswith(".js"))
        styles = sum(weight(asset) for asset in markup.assets if asset.endswith(".css"))
        everything = sum(map(weight, markup.assets)) + len(gzip.compress(text.encode()))
        assert scripts <= SCRIPT_KB * 1024
        assert styles <= STYLE_KB * 1024
        assert everything <= FIRST_VIEW_KB * 1024


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_page_has_a_policy_without_loopholes(page, cast, browser):
    response, _ = open_page(page, page.roles[0] if page.roles else None, cast, browser)

    policy = dict(part.strip().partition(" ")[::2] for part in response["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in response["Content-Security-Policy"]
    assert "*." not in policy["script-src"] + policy["style-src"] + policy["connect-src"] + policy["img-src"]


@pytest.mark.parametrize("page", [page for page in PAGES if page.roles], ids=str)
def test_a_page_of_a_business_is_for_its_people(page, cast, browser, rival, member_of):
    path = page.path(cast)

    stranger = browser(host="acme.localhost").get(path)
    assert (stranger.status_code, stranger["Location"]) == (302, f"/sign-in/?next={path}")
    for role in set(Role) - set(page.roles):
        assert browser(cast.places[role]).get(path).status_code == 403
    foreigner = browser(member_of(rival))
    foreigner.defaults["SERVER_NAME"] = "acme.localhost"
    assert foreigner.get(path).status_code == 302
