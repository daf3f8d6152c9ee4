from django.urls import path

from loyalty import api

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
