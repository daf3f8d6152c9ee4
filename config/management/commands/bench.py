from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.benchmarks import apply, ingest, pages, payouts
from config.benchmarks.table import as_text

_BENCHMARKS = {"ingest": ingest, "apply": apply, "payouts": payouts}


class Command(BaseCommand):
    help = "Measure against the budgets of the design; every line is a ratio or a time from this one run."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("which", choices=sorted([*_BENCHMARKS, "pages"]))
        parser.add_argument("--seconds", type=int, default=10, help="how long each rate is taken")
        parser.add_argument("--payments", type=int, default=pages.PAYMENTS, help="how many `pages` has to show")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["which"] == "pages":
            lines = pages.run(payments=options["payments"])
        else:
            lines = _BENCHMARKS[options["which"]].run(seconds=options["seconds"])
        self.stdout.write(as_text(lines))
        missed = sum(line.is_kept is False for line in lines)
        if missed:
            raise CommandError(f"Budgets that were missed: {missed}.")
