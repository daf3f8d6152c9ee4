from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django_tenants.utils import tenant_context

from channels.fields import reseal, sealed_fields
from tenants.models import Tenant


class Command(BaseCommand):
    """After a new key was put in front of ENCRYPTION_KEYS: when this has run, the old ones may go."""

    help = (
        "Encrypts every stored secret of every business with the first key of ENCRYPTION_KEYS. "
        "May be broken off, run again, and run while people work."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        fields = [
            field
            for name in settings.TENANT_APPS
            for model in apps.get_app_config(name).get_models()
            for field in sealed_fields(model)
        ]
        resealed, unreadable = 0, []
        for tenant in Tenant.objects.order_by("pk").iterator(chunk_size=100):
            with tenant_context(tenant):
                for field in fields:
                    for pk, could_be_read in reseal(field):
                        if could_be_read:
                            resealed += 1
                        else:
                            unreadable.append(f"{tenant.slug}: {field.model._meta.db_table}.{field.column} of {pk}")
        self.stdout.write(f"{resealed} secrets were encrypted with the newest key.")
        if unreadable:
            raise CommandError(
                "\n".join([f"{len(unreadable)} can't be read with any key of ENCRYPTION_KEYS:", *unreadable])
            )
