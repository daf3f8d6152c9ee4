"""Chromium, and a house with a business in it that other connections see."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from playwright.sync_api import Browser, sync_playwright

from tenants import sessions
from tenants.models import Membership
from tests.conftest import forget_everything_but_the_cast, make_tenant
from tests.pages.catalogue_of_pages import Cast, furnish
from tests.processes import free_port, web_process

# Playwright keeps a loop running in this thread; Django would refuse to ask its database beside it.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
_NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def launch() -> Iterator[Callable[..., Browser]]:
    """Starts a Chromium, with more arguments if need be."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("There is no chromium here: .ci/run installs it.")
        pytest.skip("There is no chromium here: apt-get install chromium.")
    with sync_playwright() as playwright:
        usual = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
        yield lambda *more: playwright.chromium.launch(executable_path=found, args=[*usual, *more])


@pytest.fixture(scope="session")
def chromium(launch: Callable[..., Browser]) -> Iterator[Browser]:
    browser = launch()
    yield browser
    browser.close()


@dataclass(frozen=True)
class House:
    """The web server as `./tuzo up` starts it, with one business; both hosts are at `port`."""

    port: int
    cast: Cast

    @property
    def platform(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def business(self) -> str:
        return f"http://{self.cast.tenant.slug}.localhost:{self.port}"

    def step_into(self, place: Membership) -> str:
        """The address that signs this person in, once."""
        connection.set_schema_to_public()
        return f"{self.business}/hand-over/{sessions.hand_over(place, now=timezone.now())}/"


@pytest.fixture(scope="module")
def house(
    chromium: Browser, django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    port = free_port()
    process = web_process(tmp_path_factory.mktemp("web"), port, TUZO_PUBLIC_URL=f"http://localhost:{port}")
    with django_db_blocker.unblock():
        try:
            cast = furnish(make_tenant("kilimo", business_name="Kilimo Fresh"))
            process.start()
            process.wait_for(f"http://localhost:{port}/health/")
            yield House(port, cast)
        finally:
            process.stop()
            connection.close()
            forget_everything_but_the_cast()


@pytest.fixture(autouse=True)
def _database_is_open(django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield
