from django.apps import AppConfig


class TenantsConfig(AppConfig):
    name = "tenants"
    verbose_name = "Businesses"

    def ready(self) -> None:
        from tenants.export import ALL_DATA
        from tenants.files import register_kind

        register_kind(ALL_DATA)
