"""The people of the business: who is here, who is invited, what each may do."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from tenants import people, team
from tenants.errors import DomainError
from tenants.forms.team import InviteForm, RoleForm
from tenants.models import Role
from tenants.pages.edges import actor_of, for_members, place_of
from tenants.pages.lists import newest_first
from tenants.permissions import Permission, abilities_of, permissions_of, require
from tenants.serializer_fields import id_in_url


@for_members
@require_safe
def members(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    page = newest_first(request, people.members(actor=actor))
    context = {
        "page": page,
        "invitations": team.invitations(actor=actor),
        "may_change": Permission.TEAM_CHANGE in permissions_of(actor),
        "now": timezone.now(),
    }
    return render(request, "tenants/team.html", context)


@for_members
@require_http_methods(["GET", "POST"])
def invite(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    require(actor, Permission.TEAM_CHANGE)
    form = InviteForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            invitation = people.invite(
                actor=actor,
                email=form.cleaned_data["email"],
                role=Role(form.cleaned_data["role"]),
                now=timezone.now(),
            )
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, _("An invitation is on its way to %(email)s.") % {"email": invitation.email})
            return redirect("people")
    return render(request, "tenants/team_invite.html", {"form": form}, status=form.status)


@for_members
@require_POST
def resend_invitation(request: HttpRequest, invitation_id: str) -> HttpResponse:
    invitation = people.resend_invitation(
        actor=actor_of(request), invitation_id=id_in_url("inv", invitation_id), now=timezone.now()
    )
    messages.success(request, _("The invitation is on its way to %(email)s once more.") % {"email": invitation.email})
    return redirect("people")


@for_members
@require_POST
def withdraw_invitation(request: HttpRequest, invitation_id: str) -> HttpResponse:
    invitation = people.revoke_invitation(
        actor=actor_of(request), invitation_id=id_in_url("inv", invitation_id), now=timezone.now()
    )
    messages.success(request, _("The invitation of %(email)s opens nothing any more.") % {"email": invitation.email})
    return redirect("people")


@for_members
@require_http_methods(["GET", "POST"])
def person(request: HttpRequest, membership_id: str) -> HttpResponse:
    """What one person may do here; for administrators also the way to change it."""
    actor, key = actor_of(request), id_in_url("mbr", membership_id)
    place = team.person(actor=actor, membership_id=key)
    form = RoleForm(request.POST or None, initial={"role": place.role})
    if request.method == "POST" and form.is_valid():
        try:
            people.change_member(actor=actor, membership_id=key, role=Role(form.cleaned_data["role"]))
        except DomainError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, _("Saved."))
            is_oneself = place.pk == place_of(request).pk
            return redirect("home" if is_oneself else "people")
    context = {
        "form": form,
        "place": place,
        "is_oneself": place.pk == place_of(request).pk,
        "is_last": team.is_last_administrator(actor=actor, place=place),
        "may_change": Permission.TEAM_CHANGE in permissions_of(actor),
        "abilities": abilities_of(Role(place.role)),
    }
    return render(request, "tenants/team_person.html", context, status=form.status)


@for_members
@require_POST
def close_place(request: HttpRequest, membership_id: str) -> HttpResponse:
    place = people.change_member(
        actor=actor_of(request), membership_id=id_in_url("mbr", membership_id), is_active=False
    )
    messages.success(request, _("%(name)s can't sign in here any more.") % {"name": place.user.get_full_name()})
    return redirect("people")


@for_members
@require_POST
def reopen_place(request: HttpRequest, membership_id: str) -> HttpResponse:
    place = people.change_member(actor=actor_of(request), membership_id=id_in_url("mbr", membership_id), is_active=True)
    messages.success(request, _("%(name)s can sign in again.") % {"name": place.user.get_full_name()})
    return redirect("people")


urlpatterns = [
    path("team/", members, name="people"),
    path("team/invite/", invite, name="invite-person"),
    path("team/invitations/<str:invitation_id>/resend/", resend_invitation, name="resend-invitation"),
    path("team/invitations/<str:invitation_id>/withdraw/", withdraw_invitation, name="withdraw-invitation"),
    path("team/<str:membership_id>/", person, name="person"),
    path("team/<str:membership_id>/close/", close_place, name="close-place"),
    path("team/<str:membership_id>/reopen/", reopen_place, name="reopen-place"),
]
