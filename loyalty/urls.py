from django.urls import path
from django.utils.translation import gettext_lazy as _

from loyalty import api
from loyalty.pages import customers, home, join, member_lists, members, own, programs, rewards
from tenants.pages.home import register_needs
from tenants.pages.shell import Place, register
from tenants.permissions import Permission

api_urlpatterns = [
    path("programs/", api.ProgramList.as_view()),
    path("programs/<str:program_id>/", api.ProgramDetail.as_view()),
    path("members/", api.MemberList.as_view()),
    path("members/<str:member_id>/", api.MemberDetail.as_view()),
    path("members/<str:member_id>/points-entries/", api.PointsEntryList.as_view()),
    path("members/<str:member_id>/adjust-points/", api.PointsAdjustment.as_view()),
    path("members/<str:member_id>/redeem-points/", api.PointsRedemption.as_view()),
    path("members/<str:member_id>/claim-payment/", api.PaymentClaim.as_view()),
    path("waiting-payments/", api.WaitingPaymentList.as_view()),
    path("rewards/", api.RewardList.as_view()),
    path("rewards/<str:reward_id>/collect/", api.RewardCollection.as_view()),
]

# Pages of a business's own host.
business_urlpatterns = [
    *customers.urlpatterns,
    *programs.urlpatterns,
    *member_lists.urlpatterns,  # before members, whose addresses begin alike
    *members.urlpatterns,
    *rewards.urlpatterns,
    *own.urlpatterns,
    *join.urlpatterns,
]

register(
    Place("customers", _("Customers"), "person", Permission.LOYALTY_READ, order=35),
    Place("members", _("Members"), "members", Permission.LOYALTY_READ, order=40, in_bar=True),
    Place("programs", _("Programs"), "programs", Permission.LOYALTY_READ, order=110),
)
register_needs("points", home.points_needs)
