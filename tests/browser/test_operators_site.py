"""The operators' site in a real browser: the way in, and each page behind it.

Every page is looked at on a phone and on a desk, in English and in Swahili, light and dark, and each pair of these
comes together once: four walks instead of eight.
"""

from base64 import b32decode
from collections.abc import Iterator

import pytest
from django.db import connection
from django_otp.oath import totp

from tests.browser.visit import Visit
from tests.pages.operators_site import PASSWORD, furnish_operators, new_operator, pages_of_operators

PHONE, DESK = 360, 1280
PAIRWISE = [(PHONE, "light", "sw"), (PHONE, "dark", "en"), (DESK, "light", "en"), (DESK, "dark", "sw")]


@pytest.fixture(scope="module")
def operators_house(house):
    connection.set_schema_to_public()
    furnish_operators(house.cast.tenant)
    return house


def walk(chromium, house, *, width: int, language: str, theme: str) -> Iterator[tuple[str, Visit]]:
    """A window on each page in turn, as somebody sees it who becomes an operator today."""
    user = new_operator(language=language, theme=theme)
    visit = Visit(chromium, width=width, language=language, theme=theme)
    page, home = visit.page, f"{house.platform}/operators/"
    page.goto(home)
    yield "login", visit
    sign_in(page, user.email, "a wrong pass phrase")
    yield "login refused", visit
    sign_in(page, user.email, PASSWORD)
    yield "second_factor_set_up", visit
    key = b32decode(page.locator("code.key").inner_text())
    page.fill("[name=code]", f"{totp(key):06d}")
    send(page, "main button")
    yield "recovery_codes", visit
    page.click("main a.button")
    for each in pages_of_operators(house.cast.tenant):
        response = page.goto(house.platform + each.path)
        assert response is not None
        assert response.status == 200, each
        for name, text in each.written.items():
            page.fill(f"main [name={name}]", text)
        if each.written:
            send(page, f"main form:has([name={name}]) button")
        yield str(each), visit
    page.click("header details.person > summary")
    send(page, "form[action$='/logout/'] button")
    yield "logout", visit
    page.goto(home)
    sign_in(page, user.email, PASSWORD)
    yield "second_factor", visit
    visit.close()


def sign_in(page, email: str, password: str) -> None:
    page.fill("[name=username]", email)
    page.fill("[name=password]", password)
    send(page, "main button")


def send(page, button: str) -> None:
    """Press it, and wait for the page that comes."""
    with page.expect_navigation():
        page.click(button)


@pytest.mark.parametrize(("width", "theme", "language"), PAIRWISE)
def test_pages_of_operators_are_sound_for_eyes_ears_and_fingers(chromium, operators_house, width, theme, language):
    wrong = {}
    for name, visit in walk(chromium, operators_house, width=width, language=language, theme=theme):
        assert visit.page.locator("html").get_attribute("lang") == language
        if complaints := visit.look_around():
            wrong[name] = complaints

    assert wrong == {}
