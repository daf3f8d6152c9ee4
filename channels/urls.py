from django.urls import URLPattern, path

from channels import api
from channels.sms import api as sms_api

_CHANNEL = "mpesa-channels/<str:channel_id>/"

api_urlpatterns: list[URLPattern] = [
    path("mpesa-channels/", api.ChannelList.as_view()),
    path(_CHANNEL, api.ChannelDetail.as_view()),
    path(f"{_CHANNEL}verify/", api.ChannelVerify.as_view()),
    path(f"{_CHANNEL}register-urls/", api.ChannelRegisterUrls.as_view()),
    path(f"{_CHANNEL}activate/", api.ChannelActivate.as_view()),
    path(f"{_CHANNEL}deactivate/", api.ChannelDeactivate.as_view()),
    path(f"{_CHANNEL}rotate-callback-token/", api.ChannelRotateCallbackToken.as_view()),
    path(f"{_CHANNEL}try-mapping/", api.ChannelTryMapping.as_view()),
    path(f"{_CHANNEL}runs/<str:run_id>/", api.ChannelRunDetail.as_view()),
    *sms_api.api_urlpatterns,
]
