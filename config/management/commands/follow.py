from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config import demo


class Command(BaseCommand):
    help = "Show what became of a payment: recorded, points, message."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("receipt")
        parser.add_argument("--shortcode", required=True, help="the number that was paid")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            lines = demo.follow_paid(shortcode=options["shortcode"], receipt=options["receipt"])
        except demo.StoryUntold as problem:
            raise CommandError(str(problem)) from None
        for line in lines:
            self.stdout.write(f"  {line}")
