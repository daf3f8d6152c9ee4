"""Rows that many tests need, made in one line."""

from typing import Any

from django.db import connection
from django_tenants.utils import tenant_context

from audit.ids import new_id
from channels.models import Environment, MpesaChannel
from tenants.models import CallbackRoute, Tenant, TenantActivity
from tenants.routes import hash_token


def make_channel(tenant: Tenant, shortcode: str, **columns: Any) -> MpesaChannel:
    """An active practice channel with its callback route; its token is `channel.callback_token`."""
    with tenant_context(tenant):
        channel = MpesaChannel.objects.create(
            **{
                "name": f"PayBill {shortcode}",
                "shortcode": shortcode,
                "kind": MpesaChannel.Kind.PAYBILL,
                "environment": Environment.PRACTICE,
                "status": MpesaChannel.Status.ACTIVE,
                "callback_token": f"{new_id().hex}",
                "passkey": "a passkey",
                "is_primary": not MpesaChannel.objects.exists(),
            }
            | columns
        )
    connection.set_schema_to_public()
    CallbackRoute.objects.create(
        token_hash=hash_token(channel.callback_token),
        tenant=tenant,
        channel_id=channel.pk,
        rules={"shortcodes": sorted(channel.shortcodes), "is_open": True},
    )
    TenantActivity.objects.get_or_create(tenant=tenant)
    return channel
