"""A business's own host."""

from django.urls import include, path

from config.urls_api import api_patterns
from config.views import health
from tenants.urls import business_urlpatterns

urlpatterns = [
    path("health/", health),
    path("api/v1/", include(api_patterns)),
    path("", include(business_urlpatterns)),
]
