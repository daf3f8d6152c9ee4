import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config import demo_shop
from tenants.demo import demo_business
from tenants.hosts import url_of_tenant

_PATIENCE_S = 120


class Command(BaseCommand):
    help = "Make the demo shop that visitors of the landing page look around in, with the workers and the simulator."

    def add_arguments(self, parser: CommandParser) -> None:
        kind = parser.add_mutually_exclusive_group()
        kind.add_argument("--remove", action="store_true", help="delete it instead, with all that is in it")
        kind.add_argument("--rebuild", action="store_true", help="delete it first, and make it anew")

    def handle(self, *args: Any, **options: Any) -> None:
        if (options["remove"] or options["rebuild"]) and demo_shop.remove():
            self.stdout.write("The demo shop is removed.")
        if options["remove"]:
            return
        demo_shop.promise()
        deadline = time.monotonic() + _PATIENCE_S
        while (shop := demo_business()) is None:
            if time.monotonic() > deadline:
                raise CommandError("It is not made yet. It goes on in the background: do workers and simulator run?")
            time.sleep(1)
        self.stdout.write(f"The demo shop is open: {url_of_tenant(shop)}")
