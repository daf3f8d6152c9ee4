from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config import demo


class Command(BaseCommand):
    help = "Play the demonstration's two stories on the simulator and show what becomes of them."

    def handle(self, *args: Any, **options: Any) -> None:
        for business in demo.BUSINESSES:
            self.stdout.write(f"  {business.story.sentence}")
            try:
                lines = demo.tell(business.story, business)
            except demo.StoryUntold as problem:
                raise CommandError(str(problem)) from None
            for line in lines:
                self.stdout.write(f"    {line}")
