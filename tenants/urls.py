from django.urls import path

from tenants import api, audit_api, views

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
    path("", views.front, name="front"),
    path("sign-in/", views.sign_in_page, name="sign-in"),
    path("sign-in/business/", views.choose_business, name="choose-business"),
    path("invitations/<str:token>/", views.accept_invitation, name="accept-invitation"),
]

# Pages of a business's own host.
business_urlpatterns = [
    path("", views.home, name="home"),
    path("sign-in/", views.sign_in_page, name="sign-in"),
    path("sign-out/", views.sign_out, name="sign-out"),
    path("hand-over/<str:token>/", views.hand_over, name="hand-over"),
]
