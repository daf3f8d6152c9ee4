"""Programs: what payments give, in words and in rules."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from channels.pages.shown import shown_environment
from loyalty import queries, services
from loyalty.forms.programs import NewProgramForm, ProgramForm
from loyalty.joining import programs_to_join
from tenants.errors import DomainError
from tenants.pages.edges import actor_of, for_members
from tenants.permissions import Permission, permissions_of, require
from tenants.serializer_fields import id_in_url


@for_members
@require_safe
def programs(request: HttpRequest) -> HttpResponse:
    """All of them: a business has a handful."""
    actor = actor_of(request)
    rows = list(services.programs_of(actor=actor).order_by("-is_active", "name"))
    counts = queries.member_counts(actor=actor, environment=shown_environment(request))
    context = {
        "programs": [(program, counts.get(program.pk, 0)) for program in rows],
        "joinable": programs_to_join(),
        "may_change": Permission.LOYALTY_CHANGE in permissions_of(actor),
    }
    return render(request, "loyalty/programs.html", context)


@for_members
@require_http_methods(["GET", "POST"])
def program_new(request: HttpRequest) -> HttpResponse:
    require(actor_of(request), Permission.LOYALTY_CHANGE)
    form = NewProgramForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            program = services.create_program(actor=actor_of(request), **form.services())
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(
                request,
                _("“%(program)s” is open. Send payments to it by your channels' account rules.") % {"program": program},
            )
            return redirect("programs")
    return render(request, "loyalty/program_new.html", {"form": form}, status=form.status)


@for_members
@require_http_methods(["GET", "POST"])
def program(request: HttpRequest, program_id: str) -> HttpResponse:
    require(actor_of(request), Permission.LOYALTY_CHANGE)
    found = services.get_program(actor=actor_of(request), program_id=id_in_url("prog", program_id))
    form = ProgramForm(request.POST or None, initial=ProgramForm.values_of(found))
    if request.method == "POST" and form.is_valid():
        try:
            services.change_program(actor=actor_of(request), program_id=found.pk, **form.services())
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, _("Saved. The next payment is judged by the new rules."))
            return redirect("programs")
    return render(request, "loyalty/program.html", {"form": form, "program": found}, status=form.status)


@for_members
@require_POST
def program_switch(request: HttpRequest, program_id: str) -> HttpResponse:
    """On or off, as the pressed button says."""
    is_active = request.POST.get("is_active") == "yes"
    changed = services.change_program(
        actor=actor_of(request), program_id=id_in_url("prog", program_id), is_active=is_active
    )
    sentence = (
        _("“%(program)s” is on: payments earn again.")
        if is_active
        else _("“%(program)s” is off: payments earn nothing in it. Members and points stay.")
    )
    messages.success(request, sentence % {"program": changed})
    return redirect("programs")


urlpatterns = [
    path("programs/", programs, name="programs"),
    path("programs/new/", program_new, name="program-new"),
    path("programs/<str:program_id>/", program, name="program"),
    path("programs/<str:program_id>/switch/", program_switch, name="program-switch"),
]
