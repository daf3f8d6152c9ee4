"""Each page of the list in a real browser: on phones and desks, in both languages, light and dark."""

from collections.abc import Iterator

import pytest
from django.urls import reverse

from tenants.models import Role, User
from tests.browser.visit import Visit
from tests.pages.catalogue_of_pages import PAGES, PLATFORM, Page

PHONE, DESK = 360, 1280
FIRST_VIEW_KB, SCRIPT_KB = 80, 30
WHOLE_PAGES = [page for page in PAGES if not page.asked_by_htmx]


def address(page: Page, house) -> str:
    return (house.platform if page.urlconf == PLATFORM else house.business) + page.path(house.cast)


def most_trusted(page: Page) -> Role:
    return Role.ORG_ADMIN if Role.ORG_ADMIN in page.roles else page.roles[0]


def go_to(page: Page, house, visit: Visit) -> None:
    response = visit.page.goto(address(page, house))
    assert response is not None
    assert response.status == 200, page
    if written := page.written(house.cast):
        for name, text in written.items():
            visit.page.fill(f"[name={name}]", text)
        with visit.page.expect_navigation():
            visit.page.press(f"[name={name}]", "Enter")
        assert visit.page.locator(f"form[action$='{reverse(page.route, urlconf=page.urlconf)}']").count() == 1, page


def pages_seen(
    chromium, house, *, width: int, language: str, theme: str, has_cache: bool = True
) -> Iterator[tuple[str, Visit]]:
    """A window on each page in turn, for strangers and for the most trusted role that may see it."""
    for role in (None, *Role):
        visit = Visit(chromium, width=width, language=language, theme=theme, has_cache=has_cache)
        if role:
            place = house.cast.places[role]
            User.objects.filter(pk=place.user_id).update(language=language, theme=theme)
            visit.page.goto(house.step_into(place))
        for page in WHOLE_PAGES:
            if (role is None and page.roles) or (role and (not page.roles or most_trusted(page) != role)):
                continue
            go_to(page, house, visit)
            yield f"{page} for {role or 'strangers'}", visit
        visit.close()


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "sw"])
def test_pages_are_sound_for_eyes_ears_and_fingers(chromium, house, language, theme, width):
    wrong = {}
    for page, visit in pages_seen(chromium, house, width=width, language=language, theme=theme):
        assert visit.page.locator("html").get_attribute("lang") == language
        if complaints := visit.look_around():
            wrong[page] = complaints

    assert wrong == {}


def test_nothing_runs_off_the_screen_where_a_desk_is_magnified_four_times(chromium, house):
    wide = {}
    for page, visit in pages_seen(chromium, house, width=DESK // 4, language="sw", theme="light"):
        if scrolled := visit.scrolls_sideways():
            wide[page] = scrolled

    assert wide == {}


def test_the_first_view_of_a_page_is_light(chromium, house):
    heavy = {}
    for page, visit in pages_seen(chromium, house, width=PHONE, language="en", theme="dark", has_cache=False):
        visit.page.wait_for_load_state("networkidle")
        weights = visit.weight()
        scripts = sum(size for path, size in weights.items() if path.endswith(".js"))
        if sum(weights.values()) > FIRST_VIEW_KB * 1024 or scripts > SCRIPT_KB * 1024:
            heavy[page] = weights
        assert any("/css/tuzo" in path and size > 1000 for path, size in weights.items()), weights  # nothing is kept

    assert heavy == {}


def test_what_is_wrong_with_a_page_is_heard(chromium, house):
    visit = Visit(chromium)
    visit.page.goto(f"{house.platform}/sign-in/")

    visit.page.evaluate("""() => {
      const image = document.createElement("img");
      image.src = "http://elsewhere.localhost.example/x.png";
      image.setAttribute("style", "width: 900px; display: block");
      image.width = 900;
      document.querySelector("main").append(image);
      console.error("a complaint");
    }""")
    visit.page.wait_for_timeout(100)

    found = " ".join(visit.look_around())
    for part in ("policy: img-src", "console: a complaint", "axe image-alt"):
        assert part in found
    visit.close()
