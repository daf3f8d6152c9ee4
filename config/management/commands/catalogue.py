from typing import Any

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Bring locale/sw up to date with the sentences in code and templates, and compile it."

    def handle(self, *args: Any, **options: Any) -> None:
        from config import catalogue  # Babel is a package of development

        waiting = catalogue.bring_up_to_date()
        for sentence in waiting:
            self.stdout.write(sentence)
        self.stdout.write(f"{len(waiting)} sentences have no Swahili yet." if waiting else "All of it is in Swahili.")
