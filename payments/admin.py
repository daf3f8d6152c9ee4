"""The inbox, for operators: what Daraja delivered, why some of it was not used, and a way to apply that again."""

import json
from datetime import datetime, time, timedelta
from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from audit.admin import ReadOnlyAdmin, chosen_ids
from audit.ids import first_id_at
from audit.redaction import mask_phone_numbers, without_secrets
from payments.quarantine import redrive_callbacks
from tenants.models import InboundCallback

_SHOWN_BYTES = 64 * 1024


class ReceivedFilter(admin.SimpleListFilter):
    """Days by our clock. The key carries the time of receipt, so the large table is read by its primary key."""

    title = "received"
    parameter_name = "received"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("0", gettext("today")),
            ("1", gettext("since yesterday")),
            ("6", gettext("in the last 7 days")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[InboundCallback]) -> QuerySet[InboundCallback]:
        if self.value() is None:
            return queryset
        first_day = timezone.localdate() - timedelta(days=int(self.value() or 0))
        return queryset.filter(pk__gte=first_id_at(timezone.make_aware(datetime.combine(first_day, time.min))))


class InboundCallbackAdmin(ReadOnlyAdmin):
    label = _("Deliveries")
    icon = "download"
    list_display = ("received_at", "tenant", "kind_code", "state_code", "reason", "dedup_key")
    list_filter = (ReceivedFilter, "state", "kind", "reason")
    list_select_related = ("tenant",)
    search_fields = ("=tenant__slug",)
    search_help_text = _("A business's web address in full.")
    ordering = ("-id",)
    fields = (
        *("received_at", "tenant", "channel_id", "kind", "state", "reason", "error", "dedup_key"),
        *("address", "address_is_listed", "headers_as_text", "body_as_text", "attempts", "due_at", "applied_at", "id"),
    )
    actions = ("apply_again",)

    def heading(self, row: InboundCallback) -> str:
        return row.kind

    @admin.display(description="kind", ordering="kind")
    def kind_code(self, callback: InboundCallback) -> str:
        return callback.kind

    @admin.display(description="state", ordering="state")
    def state_code(self, callback: InboundCallback) -> str:
        return callback.state

    @admin.display(description="headers")
    def headers_as_text(self, callback: InboundCallback) -> SafeString:
        return format_html("<pre>{}</pre>", without_secrets(json.dumps(callback.headers, indent=2, ensure_ascii=False)))

    @admin.display(description="body")
    def body_as_text(self, callback: InboundCallback) -> SafeString:
        """As it came, with phone numbers masked; what is not text shows as �."""
        text = bytes(callback.body[:_SHOWN_BYTES]).decode("utf-8", errors="replace")
        return format_html("<pre>{}</pre>", mask_phone_numbers(text))

    @admin.action(description=_("Apply again"))
    def apply_again(self, request: HttpRequest, queryset: QuerySet[InboundCallback]) -> None:
        count = redrive_callbacks(actor=request.actor, callback_ids=chosen_ids(queryset))  # type: ignore[attr-defined]
        said = ngettext(
            "%(count)s delivery will be applied again.", "%(count)s deliveries will be applied again.", count
        )
        messages.success(request, said % {"count": count})


PAGES: dict[type[Model], type[ReadOnlyAdmin]] = {InboundCallback: InboundCallbackAdmin}
