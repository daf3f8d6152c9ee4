"""What operators may look up of the platform's own trail; and the manner of every page of theirs: look, don't touch."""

from functools import cached_property
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest

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

    Whom the site lets in may look at everything on it.
    """

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


def chosen_ids(queryset: QuerySet[Any]) -> list[UUID]:
    """The rows that an action is for: one page of them, also where a whole list was asked for."""
    return list(queryset.order_by("pk").values_list("pk", flat=True)[: ReadOnlyAdmin.list_per_page])


class PlatformAuditEntryAdmin(ReadOnlyAdmin):
    list_display = ("sequence", "occurred_at", "action", "actor_label", "subject_label", "reason")
    list_filter = ("actor_kind",)
    search_fields = ("=action", "actor_label", "subject_label", "=subject_id")
    search_help_text = "An action in full (business.suspended), or part of an actor's or a subject's name."
    ordering = ("-sequence",)


PAGES = {PlatformAuditEntry: PlatformAuditEntryAdmin}
