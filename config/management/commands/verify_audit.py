from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django_tenants.utils import schema_context, tenant_context

from audit.services import Verification, verify_chain
from tenants.models import Tenant


class Command(BaseCommand):
    help = (
        "Check that no audit trail was changed since it was written: the platform's and every business's. Prints for"
        " each how many rows hold and the last one's hash. Keep that elsewhere: nothing else shows that a trail was cut"
        " off at its end."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", metavar="SLUG", help="only this business's trail")

    def handle(self, *args: Any, **options: Any) -> None:
        tenants = Tenant.objects.order_by("slug")
        if options["tenant"]:
            tenants = tenants.filter(slug=options["tenant"])
            if not tenants:
                raise CommandError(f"No business is called {options['tenant']}.")
        broken = 0
        if not options["tenant"]:
            with schema_context("public"):
                broken += self._report("the platform", verify_chain())
        for tenant in tenants:
            with tenant_context(tenant):
                if _has_trail():
                    broken += self._report(tenant.slug, verify_chain())
                else:
                    broken += self._without_trail(tenant)
        if broken:
            raise CommandError(f"{broken} of the audit trails {'does' if broken == 1 else 'do'} not hold.")

    def _report(self, name: str, found: Verification) -> bool:
        if found.problem:
            self.stdout.write(f"{name}: BROKEN after {found.rows} rows {found.head}: {found.problem}")
        else:
            self.stdout.write(f"{name}: {found.rows} rows {found.head}".rstrip())
        return bool(found.problem)

    def _without_trail(self, tenant: Tenant) -> bool:
        is_being_made = tenant.status == Tenant.Status.PROVISIONING
        state = "is being made" if is_being_made else "BROKEN: its trail is missing"
        self.stdout.write(f"{tenant.slug}: {state}")
        return not is_being_made


def _has_trail() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('audit_auditentry') IS NOT NULL")
        return bool(cursor.fetchone()[0])
