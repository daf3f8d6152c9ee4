from django.apps import AppConfig


class ConfigConfig(AppConfig):
    name = "config"
    verbose_name = "House wiring"

    def ready(self) -> None:
        from config import api_docs, celery, checks  # noqa: F401  each registers itself
        from config.demo_shop import promise_a_customer
        from tenants.signals import demo_visited

        demo_visited.connect(promise_a_customer, dispatch_uid="config.demo_shop")
