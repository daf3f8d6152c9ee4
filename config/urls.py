"""A business's own host."""

from django.urls import include, path

from config.urls_api import api_patterns
from config.views import broken, health, not_found
from tenants.urls import business_urlpatterns

urlpatterns = [
    path("health/", health),
    path("api/v1/", include(api_patterns)),
    path("", include(business_urlpatterns)),
]

handler404 = not_found
handler500 = broken
