"""All data of the business, to take along."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from tenants import export
from tenants.models import DataExport
from tenants.pages.edges import actor_of, for_members, host_tenant
from tenants.pages.lists import newest_first
from tenants.serializer_fields import id_in_url


@for_members
@require_http_methods(["GET", "POST"])
def exports(request: HttpRequest) -> HttpResponse:
    """What was made and is being made. Asked by htmx it is the list alone, which asks again until all is ready."""
    actor = actor_of(request)
    if request.method == "POST":
        export.request_export(actor=actor, now=timezone.now())
        messages.success(request, _("All data is being put together. You can close this page and come back."))
        return redirect("exports")
    page = newest_first(request, export.exports(actor=actor))
    context = {"page": page, "is_busy": any(each.status != DataExport.Status.READY for each in page.rows)}
    template = "tenants/export_list.html" if request.htmx else "tenants/export.html"  # type: ignore[attr-defined]
    return render(request, template, context)


@for_members  # type: ignore[arg-type]  # a stream is a response too
@require_safe
def download(request: HttpRequest, export_id: str) -> HttpResponseBase:
    found, content = export.open_export(actor=actor_of(request), export_id=id_in_url("exp", export_id))
    tenant = host_tenant(request)
    name = f"{tenant.slug if tenant else 'tuzo'}-{timezone.localdate(found.created_at):%Y-%m-%d}.zip"
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Length": str(found.size),
        "Content-Encoding": "identity",  # a ZIP does not get smaller
    }
    return StreamingHttpResponse(content, content_type="application/zip", headers=headers)


urlpatterns = [
    path("export/", exports, name="exports"),
    path("export/<str:export_id>/", download, name="export-download"),
]
