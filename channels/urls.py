from django.urls import URLPattern

from channels.api import channels, problems, qr, runs
from channels.sms import api as sms_api

api_urlpatterns: list[URLPattern] = [
    *channels.urlpatterns,
    *runs.urlpatterns,
    *problems.urlpatterns,
    *qr.urlpatterns,
    *sms_api.api_urlpatterns,
]
