from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django_tenants.utils import tenant_context

from loyalty.reports import find_unequal_balances, find_unequal_totals
from tenants.models import Tenant


class Command(BaseCommand):
    help = "Check in every business that points are the sum of the ledger's entries, and that reports tell the same."

    def handle(self, *args: Any, **options: Any) -> None:
        tenants = Tenant.objects.exclude(status=Tenant.Status.PROVISIONING).order_by("slug")
        count = wrong = 0
        for tenant in tenants:
            count += 1
            with tenant_context(tenant):
                for problem in find_unequal_balances():
                    wrong += 1
                    self.stdout.write(
                        f"{tenant.slug}: member {problem.code} holds {problem.balance} points,"
                        f" the entries sum to {problem.sum_of_entries}."
                    )
                for unequal in find_unequal_totals():
                    wrong += 1
                    self.stdout.write(
                        f"{tenant.slug}: the members of program {unequal.program_id} hold {unequal.sum_of_balances}"
                        f" points in {unequal.environment}, the totals by day sum to {unequal.total}."
                    )
        if wrong:
            raise CommandError(f"Members and programs whose points their entries don't explain: {wrong}.")
        self.stdout.write(f"The points of {count} businesses agree with their entries.")
