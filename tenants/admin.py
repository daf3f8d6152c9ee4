"""What operators may look up of the public tables, and the decisions they take about a business."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.timezone import localtime
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from audit.admin import ReadOnlyAdmin, chosen_ids
from audit.redaction import without_secrets
from tenants import services
from tenants.errors import DomainError
from tenants.forms.base import PageForm
from tenants.models import (
    CallbackRoute,
    Domain,
    DueTask,
    Invitation,
    Membership,
    ProductionShortcode,
    Tenant,
    TenantActivity,
    User,
)
from tenants.operators import run_tasks_now


@dataclass(frozen=True)
class Step:
    """A decision about a business, as a page offers it; whether it can be taken the service says."""

    label: Promise
    take: Callable[..., Tenant]
    consequence: Promise
    action: str  # which says in `services.POSSIBLE_IN` where it is offered
    done: Promise


STEPS = {
    "activate": Step(
        label=_("Put into service"),
        take=services.activate_tenant,
        consequence=_("Its trial ends."),
        action="business.activated",
        done=_("%(business)s is in service."),
    ),
    "suspend": Step(
        label=_("Suspend"),
        take=services.suspend_tenant,
        consequence=_("Its people can read and export, and change nothing. Its money is still recorded."),
        action="business.suspended",
        done=_("%(business)s is suspended."),
    ),
    "reactivate": Step(
        label=_("Reactivate"),
        take=services.reactivate_tenant,
        consequence=_("It goes on as what it was before it was suspended."),
        action="business.reactivated",
        done=_("%(business)s goes on."),
    ),
    "close": Step(
        label=_("Close for good"),
        take=services.close_tenant,
        consequence=_("This can't be undone. Its people can read and export. Money that still arrives is recorded."),
        action="business.closed",
        done=_("%(business)s is closed."),
    ),
}


class ReasonForm(PageForm):
    reason = forms.CharField(
        label=_("Reason"),
        max_length=500,
        required=False,
        widget=forms.Textarea({"rows": 4}),
        help_text=_("The business reads it, and it stays in the audit trail."),
    )


class TenantAdmin(ReadOnlyAdmin):
    label = _("Businesses")
    icon = "balances"
    in_bar = True
    list_display = ("business_name", "slug", "state", "plan", "channel_health", "last_payment_at", "created_at")
    list_filter = ("status", "activity__channel_health", "plan", "business_type", "is_demo")
    list_select_related = ("activity",)
    search_fields = ("business_name", "slug", "email", "domains__domain")
    search_help_text = _("Part of a name, a web address or an e-mail address.")
    ordering = ("-id",)
    fields = (
        *("business_name", "slug", "hosts", "business_type", "email", "phone", "plan", "status", "status_reason"),
        "is_demo",
        *("channels_active", "channel_health", "last_payment_at", "related", "provisioning_steps", "schema_name"),
        *("id", "created_at"),
    )

    @admin.display(description="state", ordering="status")
    def state(self, tenant: Tenant) -> str:
        return str(tenant.get_status_display()).partition(":")[0]

    @admin.display(description="channels", ordering="activity__channel_health")
    def channel_health(self, tenant: Tenant) -> str:
        activity = _activity_of(tenant)
        return activity.get_channel_health_display() if activity else ""

    @admin.display(description="active channels")
    def channels_active(self, tenant: Tenant) -> int:
        activity = _activity_of(tenant)
        return activity.channels_active if activity else 0

    @admin.display(description="last payment", ordering="activity__last_payment_at")
    def last_payment_at(self, tenant: Tenant) -> str:
        activity = _activity_of(tenant)
        last = activity.last_payment_at if activity else None
        return date_format(localtime(last), "DATETIME_FORMAT") if last else gettext("none yet")

    @admin.display(description="host names")
    def hosts(self, tenant: Tenant) -> str:
        return ", ".join(Domain.objects.filter(tenant=tenant).order_by("-is_primary").values_list("domain", flat=True))

    @admin.display(description="look up")
    def related(self, tenant: Tenant) -> SafeString:
        links = [
            (_("People"), "membership"),
            (_("Invitations"), "invitation"),
            (_("Deliveries"), "inboundcallback"),
            (_("Work that is due"), "duetask"),
            (_("Callback routes"), "callbackroute"),
        ]
        return format_html_join(
            " · ",
            '<a href="{}?tenant__id__exact={}">{}</a>',
            ((reverse(f"admin:tenants_{model}_changelist"), tenant.pk, label) for label, model in links),
        )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.step_view)
        return [path("<uuid:tenant_id>/step/<slug:step>/", view, name="tenants_tenant_step"), *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        tenant = self.get_object(request, object_id)
        steps = {
            key: step for key, step in STEPS.items() if tenant and tenant.status in services.POSSIBLE_IN[step.action]
        }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "steps": steps})

    def step_view(self, request: HttpRequest, tenant_id: UUID, step: str) -> HttpResponse:
        """Ask for the reason, then take the step."""
        if step not in STEPS:
            raise Http404
        tenant, chosen = get_object_or_404(Tenant, pk=tenant_id), STEPS[step]
        form = ReasonForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                chosen.take(actor=request.actor, tenant=tenant, reason=form.cleaned_data["reason"])  # type: ignore[attr-defined]
            except DomainError as refusal:
                form.refuse(refusal)
            else:
                messages.success(request, chosen.done % {"business": tenant})
                return HttpResponseRedirect(reverse("admin:tenants_tenant_change", args=[tenant.pk]))
        context = {
            **self.admin_site.each_context(request),
            "title": f"{chosen.label}: {tenant}",
            "tenant": tenant,
            "step": chosen,
            "form": form,
        }
        return TemplateResponse(request, "admin/tenants/tenant/step.html", context)


def _activity_of(tenant: Tenant) -> TenantActivity | None:
    return getattr(tenant, "activity", None)


class UserAdmin(ReadOnlyAdmin):
    label = _("People")
    icon = "person"
    list_display = ("email", "name", "is_active", "is_staff", "last_login", "created_at")
    list_filter = ("is_staff", "is_active")
    search_fields = ("email", "name")
    search_help_text = _("Part of a name or an e-mail address.")
    ordering = ("-id",)
    fields = ("email", "name", "phone", "language", "is_active", "is_staff", "last_login", "created_at", "id")


class MembershipAdmin(ReadOnlyAdmin):
    label = _("Places in businesses")
    icon = "team"
    list_display = ("user", "tenant", "role", "is_active", "created_at")
    list_filter = ("role", "is_active")
    list_select_related = ("user", "tenant")
    search_fields = ("user__email", "=tenant__slug")
    search_help_text = _("Part of an e-mail address, or a business's web address in full.")
    ordering = ("-id",)
    fields = ("user", "tenant", "role", "is_active", "created_at", "id")

    def heading(self, row: Membership) -> str:
        return f"{row.user} · {row.tenant}"


class InvitationAdmin(ReadOnlyAdmin):
    label = _("Invitations")
    icon = "messages"
    list_display = ("email", "tenant", "role", "invited_by", "expires_at", "accepted_at", "revoked_at")
    list_select_related = ("tenant",)
    search_fields = ("email", "=tenant__slug")
    search_help_text = _("Part of an e-mail address, or a business's web address in full.")
    ordering = ("-id",)
    fields = ("email", "tenant", "role", "invited_by", "expires_at", "accepted_at", "revoked_at", "created_at", "id")

    def heading(self, row: Invitation) -> str:
        return row.email


class ProductionShortcodeAdmin(ReadOnlyAdmin):
    label = _("Live numbers")
    icon = "phone"
    list_display = ("shortcode", "tenant", "verified_at")
    list_select_related = ("tenant",)
    ordering = ("shortcode",)
    fields = ("shortcode", "tenant", "channel_id", "verified_at")


class CallbackRouteAdmin(ReadOnlyAdmin):
    """A list without pages: a route's key is the hash of a token."""

    label = _("Callback routes")
    icon = "channels"
    list_display = ("tenant", "channel_id", "created_at", "expires_at", "rules")
    list_display_links = None
    list_select_related = ("tenant",)
    search_fields = ("=tenant__slug",)
    search_help_text = _("A business's web address in full.")
    ordering = ("-created_at",)


class DueTaskAdmin(ReadOnlyAdmin):
    label = _("Work that is due")
    icon = "waiting"
    list_display = ("task", "tenant", "due_at", "attempts", "beginning_of_error")
    list_select_related = ("tenant",)
    search_fields = ("task", "=tenant__slug")
    search_help_text = _("Part of a task's name, or a business's web address in full.")
    ordering = ("due_at",)
    fields = ("task", "tenant", "arguments", "due_at", "leased_until", "attempts", "error", "created_at", "id")
    actions = ("run_now",)

    def heading(self, row: DueTask) -> str:
        return row.task

    @admin.display(description="last error")
    def beginning_of_error(self, task: DueTask) -> str:
        return Truncator(self.error(task)).chars(100)

    @admin.display(description="last error")
    def error(self, task: DueTask) -> str:
        return without_secrets(task.last_error)

    @admin.action(description=_("Run now"))
    def run_now(self, request: HttpRequest, queryset: QuerySet[DueTask]) -> None:
        count = run_tasks_now(actor=request.actor, task_ids=chosen_ids(queryset))  # type: ignore[attr-defined]
        said = ngettext("%(count)s task will run now.", "%(count)s tasks will run now.", count)
        messages.success(request, said % {"count": count})


PAGES: dict[type[Model], type[ReadOnlyAdmin]] = {
    Tenant: TenantAdmin,
    User: UserAdmin,
    Membership: MembershipAdmin,
    Invitation: InvitationAdmin,
    ProductionShortcode: ProductionShortcodeAdmin,
    CallbackRoute: CallbackRouteAdmin,
    DueTask: DueTaskAdmin,
}
