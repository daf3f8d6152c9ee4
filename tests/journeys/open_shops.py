"""Fills an empty database, which another process's DATABASE_URL names, with businesses.

Each has one PayBill, whose payers are members by what they type, at a point per shilling.
"""

import json
import sys

from django.core.management import call_command
from django_tenants.utils import tenant_context

from loyalty.models import AccrualRule, Program
from tests.conftest import make_tenant
from tests.factories import make_channel

# `python -c COMMAND 3` makes three, and prints them as JSON.
COMMAND = "import django; django.setup(); from tests.journeys.open_shops import main; main()"


def main() -> None:
    call_command("migrate_schemas", shared=True, verbosity=0)
    json.dump([_open_shop(number) for number in range(int(sys.argv[1]))], sys.stdout)


def _open_shop(number: int) -> dict[str, str]:
    tenant = make_tenant(f"shop-{number}")
    shortcode = str(600_100 + number)
    channel = make_channel(tenant, shortcode, account_mapping={"default": "regulars"})
    with tenant_context(tenant):
        program = Program.objects.create(code="regulars", name="Regulars", member_key=Program.MemberKey.BY_REFERENCE)
        AccrualRule.objects.create(program=program, points=1, per_kes=1)
    return {"schema": tenant.schema_name, "shortcode": shortcode, "token": channel.callback_token}
