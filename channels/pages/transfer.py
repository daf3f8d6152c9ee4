"""Channels to files and back."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from channels import kept_drafts, transfer
from channels.forms.transfer import ImportForm
from channels.pages import making
from channels.pages.shown import shown_environment
from channels.presets import PRESETS
from tenants.errors import DomainError
from tenants.forms.base import PageForm
from tenants.pages.edges import actor_of, for_members
from tenants.permissions import Permission, require


@for_members
@require_http_methods(["GET", "POST"])
def channels_transfer(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    require(actor, Permission.CHANNELS_CHANGE)
    form = ImportForm(request.POST, request.FILES) if request.method == "POST" else ImportForm()
    if form.is_bound and form.is_valid():
        environment = shown_environment(request)
        try:
            token = transfer.import_file(
                form.cleaned_data["file"], actor=actor, environment=environment, now=timezone.now()
            )
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            return redirect("channels-import", token)
    return _transfer(request, form)


@for_members
@require_safe
def channels_import(request: HttpRequest, draft: str) -> HttpResponse:
    """How far an import is; then on to the channels, or why there are none and the form for a mended file."""
    kept = kept_drafts.find(transfer.KIND, draft, actor=actor_of(request), now=timezone.now())
    back = ("channels", _("Channels"))
    if followed := making.follow(request, kept, kind=transfer.KIND, back=back, lead_on=_to_channels):
        return followed
    refused = PageForm({})
    if refusal := kept_drafts.refusal_of(kept):
        refused.refuse(refusal)
    return _transfer(request, ImportForm(), refused=refused)


def _to_channels(request: HttpRequest, done: dict[str, int]) -> HttpResponse:
    added = ngettext("%(n)s channel is new.", "%(n)s channels are new.", done["created"]) % {"n": done["created"]}
    kept = ngettext("%(n)s was known.", "%(n)s were known.", done["changed"]) % {"n": done["changed"]}
    messages.success(request, f"{added} {kept}")
    return redirect("channels")


def _transfer(request: HttpRequest, form: ImportForm, *, refused: PageForm | None = None) -> HttpResponse:
    context = {"form": form, "problems": refused or form, "presets": ", ".join(PRESETS)}
    return render(request, "channels/transfer.html", context, status=form.status)


@for_members
@require_safe
def export_json(request: HttpRequest) -> HttpResponse:
    rows = transfer.export_rows(actor=actor_of(request))
    return _file(transfer.as_json(rows), "application/json", "channels.json")


@for_members
@require_safe
def export_csv(request: HttpRequest) -> HttpResponse:
    rows = transfer.export_rows(actor=actor_of(request))
    return _file("\ufeff" + transfer.as_csv(rows), "text/csv; charset=utf-8", "channels.csv")


def _file(content: str, content_type: str, name: str) -> HttpResponse:
    disposition = f'attachment; filename="{name}"'
    return HttpResponse(content, content_type=content_type, headers={"Content-Disposition": disposition})


urlpatterns = [
    path("channels/import/", channels_transfer, name="channels-transfer"),
    path("channels/import/<str:draft>/", channels_import, name="channels-import"),
    path("channels/export.json", export_json, name="channels-export-json"),
    path("channels/export.csv", export_csv, name="channels-export-csv"),
]
