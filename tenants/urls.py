from django.urls import path
from django.utils.translation import gettext_lazy as _

from tenants import api, audit_api
from tenants.pages import (
    audit,
    files,
    front,
    home,
    invitations,
    look,
    password,
    profile,
    settings,
    sign_in,
    sign_up,
    team,
)
from tenants.pages.shell import Place, register
from tenants.permissions import Permission

api_urlpatterns = [
    path("merchants/", api.SignUp.as_view(), name="merchants"),
    path("merchants/progress/<str:token>/", api.SignUpProgress.as_view(), name="merchant-progress"),
    path("auth/token/", api.TokenDoor.as_view(), name="token"),
    path("auth/refresh/", api.TokenRefresh.as_view(), name="token-refresh"),
    path("auth/revoke/", api.TokenRevoke.as_view(), name="token-revoke"),
    path("me/", api.Me.as_view(), name="me"),
    path("team/", api.Team.as_view(), name="team"),
    path("team/invitations/", api.Invitations.as_view(), name="invitations"),
    path("team/invitations/accept/", api.InvitationAccept.as_view(), name="invitation-accept"),
    path("team/invitations/<str:invitation_id>/resend/", api.InvitationResend.as_view(), name="invitation-resend"),
    path("team/invitations/<str:invitation_id>/revoke/", api.InvitationRevoke.as_view(), name="invitation-revoke"),
    path("team/<str:membership_id>/", api.TeamMember.as_view(), name="team-member"),
    path("audit-entries/", audit_api.AuditEntries.as_view(), name="audit-entries"),
]

# Pages of the platform host.
platform_urlpatterns = [
    *front.urlpatterns,
    *sign_up.urlpatterns,
    *sign_in.shared_urlpatterns,
    *sign_in.platform_urlpatterns,
    *password.urlpatterns,
    *invitations.urlpatterns,
    *look.urlpatterns,
]

# Pages of a business's own host.
business_urlpatterns = [
    *home.urlpatterns,
    *sign_in.shared_urlpatterns,
    *sign_in.business_urlpatterns,
    *profile.urlpatterns,
    *team.urlpatterns,
    *audit.urlpatterns,
    *settings.urlpatterns,
    *files.urlpatterns,
    *look.urlpatterns,
]

register(
    Place("home", _("Home"), "home", Permission.BUSINESS_READ, order=10, in_bar=True),
    Place("people", _("Team"), "team", Permission.TEAM_READ, order=800),
    Place("business-settings", _("Settings"), "settings", Permission.BUSINESS_CHANGE, order=810),
    Place("audit-trail", _("Audit trail"), "audit", Permission.AUDIT_READ, order=820),
    # Everybody may look; what is shown depends on what they may see.
    Place("files", _("Files"), "download", Permission.BUSINESS_READ, order=105),
)
