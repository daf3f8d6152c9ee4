"""Members by the list: given, looked at, enrolled; and all of them as a file."""

from collections.abc import Sequence

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from audit.ids import read_public_id
from channels import kept_drafts
from channels.pages import making
from channels.pages.shown import shown_environment
from loyalty import member_lists, services
from loyalty.forms.member_lists import MemberListForm
from tenants.errors import DomainError
from tenants.forms.base import PageForm
from tenants.pages.edges import actor_of, for_members
from tenants.pages.files import download
from tenants.permissions import Permission, require
from tenants.spreadsheets import csv_bytes

_SHOWN_ROWS = 100


@for_members
@require_http_methods(["GET", "POST"])
def members_upload(request: HttpRequest) -> HttpResponse:
    """All of the list can be used, or every row that can't is told what to mend."""
    actor = actor_of(request)
    require(actor, Permission.MEMBERS_CHANGE)
    programs = services.programs_of(actor=actor).filter(is_active=True).order_by("name")
    form = MemberListForm(request.POST or None, request.FILES or None, programs=programs)
    problems: Sequence[member_lists.RowProblem] = ()
    if request.method == "POST" and form.is_valid():
        try:
            given = member_lists.MemberList(
                program_id=read_public_id("prog", form.cleaned_data["program"]),
                environment=shown_environment(request),
                rows=member_lists.read_list(form.list_file),
                statement=form.cleaned_data["statement"],
            )
            token = member_lists.keep_list(actor=actor, given=given, now=timezone.now())
        except member_lists.UnusableRows as refusal:
            problems = refusal.problems
            form.refuse(refusal)
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            return redirect("members-check", token)
    context = {
        "form": form,
        "problems": problems[:_SHOWN_ROWS],
        "not_shown": len(problems[_SHOWN_ROWS:]),
        "columns": [("phone", True), ("name", False), ("code", False), ("consent", False)],
    }
    return render(request, "loyalty/members_upload.html", context, status=form.status)


@for_members
@require_http_methods(["GET", "POST"])
def members_check(request: HttpRequest, draft: str) -> HttpResponse:
    """Who would be enrolled. Only the button here does it, once; then how far that is."""
    actor, now = actor_of(request), timezone.now()
    kept = kept_drafts.find(member_lists.KIND, draft, actor=actor, now=now)
    back = ("members", _("Members"))
    if followed := making.follow(request, kept, kind=member_lists.KIND, back=back, lead_on=_to_members):
        return followed
    form = PageForm(making.last_word(request, kept))
    if request.method == "POST" and form.is_valid():
        try:
            kept = member_lists.enrol_kept(actor=actor, token=draft, now=now)
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            return making.led_on(request, kept, lead_on=_to_members)
    elif refused := making.refused_before(request, kept):
        form.refuse(refused)
    given, found = member_lists.check_kept(actor=actor, token=draft, now=now)
    context = {
        "form": form,
        "given": given,
        "found": found,
        "shown": found.new[:_SHOWN_ROWS],
        "not_shown": len(found.new[_SHOWN_ROWS:]),
    }
    return render(request, "loyalty/members_check.html", context, status=form.status)


def _to_members(request: HttpRequest, number: int) -> HttpResponse:
    if number:
        sentence = ngettext("%(number)s member is enrolled.", "%(number)s members are enrolled.", number)
        messages.success(request, sentence % {"number": f"{number:,}"})
    else:
        messages.info(request, _("Everybody in the list is a member already."))
    return redirect("members")


@for_members
@require_POST
def members_export(request: HttpRequest) -> HttpResponse:
    """By POST: that somebody took the numbers along is written down."""
    environment = shown_environment(request)
    lines = member_lists.export_members(actor=actor_of(request), environment=environment)
    return download(csv_bytes(lines), f"members-{environment.lower()}.csv")


urlpatterns = [
    path("members/list/", members_upload, name="members-upload"),
    path("members/list/<str:draft>/", members_check, name="members-check"),
    path("members/export/", members_export, name="members-export"),
]
