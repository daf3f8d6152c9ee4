from django.apps import AppConfig


class ConfigConfig(AppConfig):
    name = "config"
    verbose_name = "House wiring"

    def ready(self) -> None:
        from config import api_docs, celery, checks  # noqa: F401  each registers itself
