from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from config import demo, demo_payments


class Command(BaseCommand):
    help = "Play the demonstration's two stories on the simulator, or make a business with very many payments."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--payments", type=int, metavar="N", help="make a business with N payments instead")

    def handle(self, *args: Any, **options: Any) -> None:
        count = options["payments"]
        if count is None:
            self._tell_stories()
        elif not 1 <= count <= demo_payments.MOST:
            raise CommandError(f"Make between 1 and {demo_payments.MOST:,} payments.")
        else:
            for line in demo_payments.make_payments(count=count, now=timezone.now()):
                self.stdout.write(f"  {line}")

    def _tell_stories(self) -> None:
        for business in demo.BUSINESSES:
            self.stdout.write(f"  {business.story.sentence}")
            try:
                lines = demo.tell(business.story, business)
            except demo.StoryUntold as problem:
                raise CommandError(str(problem)) from None
            for line in lines:
                self.stdout.write(f"    {line}")
