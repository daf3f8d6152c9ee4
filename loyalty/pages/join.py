"""Joining by oneself, on the business's host, signed in nowhere: a number is typed here, and agreed to by a link."""

import io

import segno
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from channels.msisdn import mask
from loyalty import joining
from loyalty.forms.joining import AgreeForm, JoinForm
from loyalty.services import get_program
from tenants.actors import client_address
from tenants.errors import DomainError
from tenants.pages.edges import actor_of, for_members
from tenants.serializer_fields import id_in_url


@never_cache
@require_http_methods(["GET", "POST"])
def join(request: HttpRequest) -> HttpResponse:
    """Ask for a link; `?program=` chooses one of several. Whoever has lost theirs gets another here."""
    programs = joining.programs_to_join()
    if not programs:
        return render(request, "loyalty/join_closed.html", status=404)
    form = JoinForm(request.POST or None, programs=programs, initial={"program": request.GET.get("program", "")})
    if request.method == "POST" and form.is_valid():
        given = dict(form.cleaned_data)
        try:
            joining.ask_for_link(
                program_code=given.pop("program"), address=client_address(request), now=timezone.now(), **given
            )
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            return redirect("join-sent")
    return render(request, "loyalty/join.html", {"form": form, "is_one": len(programs) == 1}, status=form.status)


@never_cache
@require_safe
def join_sent(request: HttpRequest) -> HttpResponse:
    """The same for everybody: nothing here tells whose number is a member's."""
    return render(request, "loyalty/join_sent.html")


@never_cache
@require_http_methods(["GET", "POST"])
def join_by_link(request: HttpRequest, token: str) -> HttpResponse:
    """Look at what one agrees to, then agree. Looking uses nothing up: phones open links to preview them."""
    now = timezone.now()
    try:
        link = joining.link_behind(token=token, now=now)
    except joining.LinkGone as refusal:
        return render(request, "loyalty/join_gone.html", {"detail": refusal.detail}, status=refusal.status)
    form = AgreeForm(request.POST if request.method == "POST" else None, initial={"name": link.name})
    if request.method == "POST" and form.is_valid():
        try:
            member = joining.join(token=token, name=form.cleaned_data["name"], now=now)
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            return redirect("own-page", joining.own_page_of(member))
    context = {"form": form, "link": link, "number": mask(link.phone_number)}
    response = render(request, "loyalty/join_by_link.html", context, status=form.status)
    response["X-Robots-Tag"] = "noindex"
    return response


@for_members
@require_safe
def join_code(request: HttpRequest, program_id: str) -> HttpResponse:
    """A code to print and hang up: scanned, it opens the page where one joins."""
    program = get_program(actor=actor_of(request), program_id=id_in_url("prog", program_id))
    picture = io.BytesIO()
    address = request.build_absolute_uri(f"{reverse('join')}?program={program.code}")
    segno.make(address, error="m", micro=False).save(picture, kind="svg", scale=10, border=4, dark="#000", light="#fff")
    return HttpResponse(
        picture.getvalue(),
        content_type="image/svg+xml",
        headers={"Content-Disposition": f'attachment; filename="join-{program.code}.svg"'},
    )


urlpatterns = [
    path("join/", join, name="join"),
    path("join/sent/", join_sent, name="join-sent"),
    path("join/<str:token>/", join_by_link, name="join-by-link"),
    path("programs/<str:program_id>/join.svg", join_code, name="program-join-code"),
]
