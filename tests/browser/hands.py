"""How somebody works a page: by pointing at things, or with nothing but a keyboard."""

import time
from collections.abc import Callable
from typing import Protocol

from playwright.sync_api import Locator, Page

_PATIENCE_S = 60.0
_LOOK_AGAIN_S = 2.0
_MOST_TABS = 150


class Hands(Protocol):
    """`page` is the window that they work in."""

    page: Page

    def press(self, role: str, name: str) -> None:
        """Press a button or follow a link, once it is there."""

    def write(self, label: str, text: str) -> None:
        """Put something into a field of a form."""

    def choose(self, label: str) -> None:
        """Choose one of several answers."""

    def open_more(self) -> None:
        """Open the rest of a phone's navigation."""


class Pointer:
    """A finger, or a mouse."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def press(self, role: str, name: str) -> None:
        _named(self.page, role, name).click()

    def write(self, label: str, text: str) -> None:
        self.page.get_by_label(label, exact=True).fill(text)

    def choose(self, label: str) -> None:
        self.page.get_by_label(label).check()

    def open_more(self) -> None:
        self.page.locator("details.more > summary").click()


class Keyboard:
    """Tab, Enter and letters. What Tab does not come to can't be worked."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def press(self, role: str, name: str) -> None:
        self._go_to(_named(self.page, role, name))
        self.page.keyboard.press("Enter")

    def write(self, label: str, text: str) -> None:
        self._go_to(self.page.get_by_label(label, exact=True))
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.type(text)

    def choose(self, label: str) -> None:
        """Answers of one question are one stop: Tab comes to the first, arrows go on."""
        wanted = self.page.get_by_label(label)
        name = wanted.get_attribute("name")
        self._go_to(self.page.locator(f'input[name="{name}"]').first)
        self.page.keyboard.press("Space")
        while not wanted.is_checked():
            self.page.keyboard.press("ArrowDown")

    def open_more(self) -> None:
        self._go_to(self.page.locator("details.more > summary"))
        self.page.keyboard.press("Enter")

    def _go_to(self, target: Locator) -> None:
        target.wait_for()
        for _tab in range(_MOST_TABS):
            if target.evaluate("element => element === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"Tab does not come to {target} on {self.page.url}")


def _named(page: Page, role: str, name: str) -> Locator:
    """The first that is shown: a place in the navigation stands there for phones and for desks."""
    return page.get_by_role(role, name=name, exact=True).locator("visible=true").first  # type: ignore[arg-type]


def wait_to_see(page: Page, text: str, *, reload: bool) -> None:
    """Return once the page shows the text. `reload` is for windows without scripts, where people look again."""
    _wait(page, lambda: page.get_by_text(text).locator("visible=true").count() > 0, text, reload=reload)


def _wait(page: Page, is_there: Callable[[], bool], what: str, *, reload: bool) -> None:
    give_up_at = time.monotonic() + _PATIENCE_S
    look_again_at = time.monotonic() + _LOOK_AGAIN_S
    while not is_there():
        assert time.monotonic() < give_up_at, f"“{what}” is not on {page.url}:\n{page.locator('main').inner_text()}"
        page.wait_for_timeout(100)
        if reload and time.monotonic() > look_again_at:
            page.reload()
            look_again_at = time.monotonic() + _LOOK_AGAIN_S
