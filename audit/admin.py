"""What operators may look up of the platform's own trail; and the manner of every page of theirs: look, don't touch."""

from functools import cached_property
from typing import Any, NoReturn
from uuid import UUID

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from audit.models import PlatformAuditEntry


class CappedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts up to 10,000 rows, so that a list of a large table costs no more than that."""

    LIMIT = 10_000

    @cached_property
    def count(self) -> int:
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]
        return rows[: self.LIMIT].count()


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that operators look up and never edit: whatever changes something is an action that calls a service.

    Whom the site lets in may look at everything on it. `label`, `icon` and `in_bar` are its place in the navigation,
    as `tenants.pages.shell.Place` has them.
    """

    label: Promise
    icon = "more"
    in_bar = False
    list_per_page = 50
    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.admin_site.has_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.admin_site.has_permission(request)

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        if self.list_display_links is None:
            raise Http404
        return super().change_view(request, object_id, *args, **kwargs)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        context["title"] = self.heading(context["original"])
        return super().render_change_form(request, context, *args, **kwargs)

    def heading(self, row: Any) -> str:
        """What a row's own page is called."""
        return str(row)

    def history_view(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Nothing is edited here, so there is no history of edits; what operators decide is in the audit trail."""
        raise Http404


def chosen_ids(queryset: QuerySet[Any]) -> list[UUID]:
    """The rows that an action is for: one page of them, also where a whole list was asked for."""
    return list(queryset.order_by("pk").values_list("pk", flat=True)[: ReadOnlyAdmin.list_per_page])


class PlatformAuditEntryAdmin(ReadOnlyAdmin):
    label = _("Audit trail")
    icon = "audit"
    list_display = ("sequence", "occurred_at", "action", "actor_label", "subject_label", "reason")
    list_filter = ("actor_kind",)
    search_fields = ("=action", "actor_label", "subject_label", "=subject_id")
    search_help_text = _("An action in full (business.suspended), or part of an actor's or a subject's name.")
    ordering = ("-sequence",)
    fields = (
        *("sequence", "occurred_at", "action", "reason", "actor_kind", "actor_label", "actor_role", "actor_id"),
        *("address", "user_agent", "subject_kind", "subject_label", "subject_id", "before", "after"),
        *("previous_hash", "entry_hash", "id"),
    )

    def heading(self, row: PlatformAuditEntry) -> str:
        return row.action


PAGES = {PlatformAuditEntry: PlatformAuditEntryAdmin}
