"""Every page of the operators' site: those of each registered model by themselves, the others by a line.

A model that is registered anew needs a row in `furnish_operators`, and nothing else.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.admin.utils import quote
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

import audit.services
from audit.ids import new_id
from audit.models import AuditRow
from audit.services import Actor
from config.admin import site
from tenants.models import (
    CallbackRoute,
    DueTask,
    InboundCallback,
    ProductionShortcode,
    Tenant,
    TenantActivity,
    User,
)
from tenants.sentences import say

PLATFORM = settings.PUBLIC_SCHEMA_URLCONF
PASSWORD = "a long pass phrase"
LISTED_PAYMENT = "RKTQDM7W6S"


@dataclass(frozen=True)
class OperatorPage:
    """`route` as the resolver has it; `written` is put into the form there, and what answers it is the page."""

    route: str
    arguments: dict[str, Any] = field(default_factory=dict)
    query: str = ""
    written: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return reverse(f"admin:{self.route}", urlconf=PLATFORM, kwargs=self.arguments) + self.query

    def __str__(self) -> str:
        return f"{self.path} {self.written or ''}".strip()


# On the way in; `tests/browser/test_operators_site.py` goes it.
WAY_IN = {"login", "second_factor", "second_factor_set_up", "logout"}

# What leads elsewhere, or answers scripts that no page of ours has.
NOT_PAGES = {"app_list", "jsi18n", "autocomplete", "view_on_site"}


def closed_pages() -> list[OperatorPage]:
    """What Django routes for each model, and nobody may open."""
    return [page for model in site._registry for page in _pages_of(model) if not _may_be_opened(page.route, model)]


def pages_of_operators(tenant: Tenant) -> list[OperatorPage]:
    """What operators see behind both factors, where `tenant` is furnished."""
    return [
        OperatorPage("index"),
        OperatorPage("search"),
        OperatorPage("search", written={"text": "UKL7H4X000"}),
        OperatorPage("search", written={"text": "?"}),
        OperatorPage("password_change"),
        OperatorPage("password_change", written={"old_password": "x", "new_password1": "1", "new_password2": "2"}),
        OperatorPage("password_change_done"),
        OperatorPage("tenants_tenant_step", {"tenant_id": tenant.pk, "step": "suspend"}),
        OperatorPage("tenants_tenant_step", {"tenant_id": tenant.pk, "step": "close"}),
        OperatorPage("tenants_tenant_changelist", query="?q=nobody-is-called-this"),
        OperatorPage("tenants_tenant_changelist", query="?q=kilimo&status__exact=TRIAL"),
        *(page for model in site._registry for page in _pages_of(model) if _may_be_opened(page.route, model)),
    ]


def _pages_of(model: Any) -> Iterator[OperatorPage]:
    base = f"{model._meta.app_label}_{model._meta.model_name}"
    row = model._default_manager.order_by("pk").last()
    assert row is not None, f"Give operators a {model._meta.verbose_name} to look at, in furnish_operators."
    yield OperatorPage(f"{base}_changelist")
    yield OperatorPage(f"{base}_add")
    for kind in ("change", "delete", "history"):
        yield OperatorPage(f"{base}_{kind}", {"object_id": quote(row.pk)})


def _may_be_opened(route: str, model: Any) -> bool:
    model_admin, kind = site._registry[model], route.rpartition("_")[2]
    if kind in {"add", "delete"}:
        return bool(getattr(model_admin, f"has_{kind}_permission")(None))
    return kind == "changelist" or (kind == "change" and model_admin.list_display_links is not None)


def new_operator(*, language: str, theme: str) -> User:
    """One who has a password, and no second factor yet."""
    user = User.objects.create_superuser(
        email=f"operator-{new_id().hex[-8:]}@tuzo.example", password=PASSWORD, name="Olive Operator"
    )
    user.language, user.theme = language, theme
    user.save()
    return user


def furnish_operators(tenant: Tenant) -> None:
    """What `furnish` leaves out of what operators look up: a row of each, and something that needs them."""
    now = timezone.now()
    ProductionShortcode.objects.create(shortcode="174379", tenant=tenant, channel_id=new_id(), verified_at=now)
    CallbackRoute.objects.create(
        token_hash=b"\xff" * 32, tenant=tenant, channel_id=new_id(), rules={"is_open": True, "shortcode": "600100"}
    )
    DueTask.objects.create(
        tenant=tenant,
        task="payments.tasks.acknowledge_invoice_payment",
        arguments={"channel_id": str(new_id())},
        fingerprint=b"\x02" * 32,
        due_at=now + timedelta(hours=1),
        attempts=3,
        last_error="RuntimeError: " + "what went wrong is told at some length " * 4,
    )
    TenantActivity.objects.filter(tenant=tenant).update(
        channel_health="PROBLEM", channels_active=2, last_payment_at=now
    )
    for state, reason in (("QUARANTINED", "FOREIGN_SHORTCODE"), ("APPLIED", "")):
        InboundCallback.objects.create(
            tenant=tenant,
            kind=InboundCallback.Kind.C2B_CONFIRMATION,
            body=b'{"TransID": "%s", "MSISDN": "254712345678", "BillRefNumber": "INV-204"}' % LISTED_PAYMENT.encode(),
            headers={"content-type": "application/json", "user-agent": "Apache-HttpClient/4.5.13 (Java/1.8.0_252)"},
            address="196.201.214.200",
            received_at=now,
            due_at=now,
            state=state,
            reason=reason,
            error=say("It names %(shortcode)s, which is not yours.", shortcode="600000") if reason else "",
            dedup_key=LISTED_PAYMENT,
        )
    with transaction.atomic():
        audit.services.record(
            actor=Actor(
                kind=AuditRow.ActorKind.OPERATOR, id=new_id(), label="operator@tuzo.example", role="super_admin"
            ),
            action="business.suspended",
            subject=tenant,
            before={"status": "TRIAL"},
            after={"status": "SUSPENDED"},
            reason="Its papers have expired.",
        )
