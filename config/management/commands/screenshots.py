"""Pictures of the main pages, for the README and to look at: `./tuzo screenshots`."""

import os
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import requests
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.utils import timezone

from config.demo import ACME
from tenants import sessions
from tenants.hosts import url_of_tenant
from tenants.models import Membership

_SIZES = {360: 740, 1280: 860}  # px: width and height
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# The name of the picture, where the page begins, and the links to follow from there: the first that fits each.
_PLATFORM = [("front", "/", ""), ("sign-up", "/sign-up/", ""), ("sign-in", "/sign-in/", "")]
_BUSINESS = [
    ("home", "/", ""),
    ("payments", "/payments/", ""),
    ("payment", "/payments/", "a[href^='/payments/pay_']"),
    ("counter", "/counter/", ""),
    ("ask", "/ask/", ""),
    ("customers", "/customers/", ""),
    ("members", "/members/", ""),
    ("member", "/members/", "a[href^='/members/mem_']"),
    ("programs", "/programs/", ""),
    ("practice", "/practice/", ""),
    ("setup", "/setup/", ""),
    ("go-live", "/go-live/", ""),
    ("channels", "/channels/", ""),
    ("channel", "/channels/", "a[href^='/channels/ch_']"),
    ("mapping", "/channels/", "a[href^='/channels/ch_'], a[href$='/rules/']"),
    ("money-out", "/money-out/", ""),
    ("balances", "/balances/", ""),
    ("reconciliation", "/reconciliation/", ""),
    ("report", "/reports/takings-by-day/", ""),
    ("team", "/team/", ""),
    ("audit", "/audit/", ""),
    ("settings", "/settings/", ""),
    ("files", "/files/", ""),
]


class Command(BaseCommand):
    help = "Take pictures of the main pages of the demo that ./tuzo up runs, on a phone and on a desk."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--folder", type=Path, default=settings.BASE_DIR / "docs" / "screenshots")
        parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="these pages alone: home payments")

    def handle(self, *args: Any, **options: Any) -> None:
        program = next(filter(None, map(shutil.which, _BROWSERS)), None)
        if program is None:
            raise CommandError("There is no chromium here: apt-get install chromium.")
        try:
            requests.get(f"{settings.TUZO_PUBLIC_URL}/health/", timeout=5)
        except requests.RequestException:
            raise CommandError(
                f"Nothing answers at {settings.TUZO_PUBLIC_URL}: start ./tuzo up in another terminal first."
            ) from None
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # Playwright keeps a loop running in this thread
        options["folder"].mkdir(parents=True, exist_ok=True)
        for width, height in _SIZES.items():
            count = self._take(program, width, height, options["folder"], set(options["only"]))
            self.stdout.write(f"  {count} pictures of {width} px in {options['folder']}")

    def _take(self, program: str, width: int, height: int, folder: Path, only: set[str]) -> int:
        from playwright.sync_api import sync_playwright  # for developers: not among what runs the platform

        place = _owner()
        business = url_of_tenant(place.tenant)
        step = sessions.hand_over(place, now=timezone.now())
        count = 0
        with sync_playwright() as playwright:
            sandbox = [] if os.geteuid() else ["--no-sandbox"]
            browser = playwright.chromium.launch(executable_path=program, args=["--disable-gpu", *sandbox])
            context = browser.new_context(
                viewport={"width": width, "height": height},
                device_scale_factor=2 if width < 600 else 1,
                locale="en",
                color_scheme="light",
                reduced_motion="reduce",
            )
            page = context.new_page()
            page.goto(f"{business}hand-over/{step}/")
            shots = [(settings.TUZO_PUBLIC_URL, *shot) for shot in _PLATFORM] + [(business, *s) for s in _BUSINESS]
            for host, name, path, link in shots:
                if only and name not in only:
                    continue
                answer = page.goto(urljoin(host, path))
                for selector in filter(None, link.split(", ")):
                    found = page.locator(f"main {selector}").first
                    if not found.count():
                        raise CommandError(f"{page.url} has no link {selector}.")
                    answer = page.goto(urljoin(page.url, found.get_attribute("href") or ""))
                if answer is None or answer.status != 200:
                    raise CommandError(f"{page.url} answers {answer and answer.status}.")
                page.screenshot(path=folder / f"{name}-{width}.png")
                count += 1
            browser.close()
        return count


def _owner() -> Membership:
    connection.set_schema_to_public()  # type: ignore[attr-defined]
    place = Membership.objects.select_related("tenant", "user").filter(user__email=ACME.email).first()
    if place is None:
        raise CommandError("The demo businesses are not there: start ./tuzo up in another terminal first.")
    return place
