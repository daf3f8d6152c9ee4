"""Files that were asked for: what is being made, what is ready to download; and the answer where one is asked for."""

from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from tenants import export
from tenants.files import MadeFile, files, kind_of, open_file
from tenants.models import PreparedFile
from tenants.pages.edges import actor_of, for_members, for_members_only
from tenants.pages.lists import newest_first
from tenants.pages.live import live_part
from tenants.permissions import Permission, permissions_of
from tenants.serializer_fields import id_in_url

_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pdf": "application/pdf",
    "zip": "application/zip",
}


def download(content: bytes, name: str) -> HttpResponse:
    return HttpResponse(content, content_type=_type_of(name), headers=_saved_as(name))


def hand_over(request: HttpRequest, file: MadeFile | PreparedFile) -> HttpResponse:
    """What was made at once, or the page on which the rest is watched."""
    if isinstance(file, MadeFile):
        return download(file.content, file.name)
    messages.success(request, _("The file is being made. You can close this page and come back."))
    return redirect("files")


def _type_of(name: str) -> str:
    return _TYPES[name.rpartition(".")[2]]


def _saved_as(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


@dataclass(frozen=True, slots=True)
class ShownFile:
    file: PreparedFile

    @property
    def title(self) -> str:
        return str(kind_of(self.file).title)

    @property
    def about(self) -> str:
        return kind_of(self.file).about(self.file.parameters)


@for_members
@require_safe
def file_list(request: HttpRequest) -> HttpResponse:
    """What is ready, the newest first, below what is being made. Asked by htmx it is the latter alone."""
    actor = actor_of(request)
    found = files(actor=actor)
    making = [ShownFile(file) for file in found.exclude(status=PreparedFile.Status.READY).order_by("pk")]
    waiting = str(len(making))
    part = live_part(
        request,
        "tenants/files_making.html",
        {"making": making},
        url=request.path,
        every_s=2 if making else 0,
        waiting=waiting,
    )
    if request.htmx:  # type: ignore[attr-defined]
        answer = part.answer(request)
        if request.GET.get("waiting") != waiting:
            answer["HX-Refresh"] = "true"  # one is ready, and stands below the piece
        return answer
    page = newest_first(request, found.filter(status=PreparedFile.Status.READY))
    context = {
        "making": making,
        "making_part": part.html,
        "page": page,
        "ready": [ShownFile(file) for file in page.rows],
        "may_take_all": Permission.DATA_READ in permissions_of(actor),
    }
    return render(request, "tenants/files.html", context)


@for_members
@require_POST
def all_data(request: HttpRequest) -> HttpResponse:
    """Everything of the business, to take along."""
    return hand_over(request, export.request_export(actor=actor_of(request), now=timezone.now()))


@for_members_only  # type: ignore[arg-type]  # a stream is a response too
@require_safe
def take(request: HttpRequest, file_id: str) -> HttpResponseBase:
    found, content = open_file(actor=actor_of(request), file_id=id_in_url("file", file_id))
    headers = _saved_as(found.name) | {
        "Content-Length": str(found.size),
        "Content-Encoding": "identity",  # its length is known, so nobody packs it on the way
    }
    return StreamingHttpResponse(content, content_type=_type_of(found.name), headers=headers)


urlpatterns = [
    path("files/", file_list, name="files"),
    path("files/all-data/", all_data, name="all-data"),
    path("files/<str:file_id>/", take, name="file-download"),
]
