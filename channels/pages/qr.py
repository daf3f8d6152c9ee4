"""A QR code for a channel: the picture on the page, and files to print. Nothing is kept, so all of it is GET."""

import base64
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_safe

from channels import queries
from channels.forms.qr import QrForm
from channels.qr import Form, Paper, make_qr_code
from tenants.errors import DomainError
from tenants.pages.edges import actor_of, for_members
from tenants.permissions import Permission, require
from tenants.serializer_fields import id_in_url

_FILES = {
    "code.png": (Form.PNG, Paper.A5),
    "code.svg": (Form.SVG, Paper.A5),
    "poster-a5.pdf": (Form.PDF, Paper.A5),
    "poster-a4.pdf": (Form.PDF, Paper.A4),
}


@for_members
@require_safe
def qr(request: HttpRequest, channel_id: str) -> HttpResponse:
    actor = actor_of(request)
    require(actor, Permission.PAYMENTS_REQUEST)
    channel = queries.read_channel(channel_id=id_in_url("ch", channel_id), actor=actor)
    form = QrForm(request.GET if "amount" in request.GET else None)
    picture = query = ""
    if form.is_bound and form.is_valid():
        try:
            made = make_qr_code(actor=actor, channel_id=channel.pk, form=Form.PNG, paper=Paper.A5, **form.cleaned_data)
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            picture, query = base64.b64encode(made.content).decode(), urlencode(form.cleaned_data)
    context = {"channel": channel, "form": form, "picture": picture, "query": query}
    return render(request, "channels/qr.html", context, status=form.status)


@for_members
@require_safe
def qr_file(request: HttpRequest, channel_id: str, file: str) -> HttpResponse:
    form = QrForm(request.GET)
    if file not in _FILES or not form.is_valid():
        raise Http404
    kind, paper = _FILES[file]
    made = make_qr_code(
        actor=actor_of(request), channel_id=id_in_url("ch", channel_id), form=kind, paper=paper, **form.cleaned_data
    )
    return HttpResponse(
        made.content,
        content_type=made.content_type,
        headers={"Content-Disposition": f'attachment; filename="{made.name}"'},
    )


urlpatterns = [
    path("channels/<str:channel_id>/qr/", qr, name="channel-qr"),
    path("channels/<str:channel_id>/qr/<str:file>", qr_file, name="channel-qr-file"),
]
