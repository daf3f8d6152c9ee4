from django.urls import path

from payments import api

api_urlpatterns = [
    path("payments/", api.PaymentList.as_view()),
    path("payments/<str:payment_id>/", api.PaymentDetail.as_view()),
    path("payment-requests/", api.PaymentRequestList.as_view()),
    path("payment-requests/<str:request_id>/", api.PaymentRequestDetail.as_view()),
    path("quarantine/", api.QuarantineList.as_view()),
    path("quarantine/<str:callback_id>/redrive/", api.QuarantineRedrive.as_view()),
]
