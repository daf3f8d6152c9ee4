from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from channels.practice import PracticeUnavailable
from config import demo, demo_shop

_AFTER_THE_STORIES = timedelta(seconds=20)  # the demo shop is made while nobody waits for it


class Command(BaseCommand):
    help = "Bring every schema up to date; outside production, make the demonstration businesses too."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--without-demo", action="store_true", help="only the schemas")

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate_schemas", interactive=False, verbosity=0)
        if options["without_demo"] or settings.IN_PRODUCTION:
            return
        try:
            demo.make_demo(now=timezone.now())
        except PracticeUnavailable as problem:
            raise CommandError(f"The demonstration needs the simulator: {problem.detail}") from None
        demo_shop.promise(due_at=timezone.now() + _AFTER_THE_STORIES)
        width = max(len(name) for name, _ in demo.sign_ins())
        for name, place in demo.sign_ins():
            self.stdout.write(f"  {name:<{width}}  {place}")
