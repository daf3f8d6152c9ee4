"""A business's own host."""

from django.urls import include, path

from channels.urls import business_urlpatterns as channels_pages
from config.urls_api import api_patterns
from config.views import broken, health, not_found
from loyalty.urls import business_urlpatterns as loyalty_pages
from payments.urls import business_urlpatterns as payments_pages
from tenants.urls import business_urlpatterns

urlpatterns = [
    path("health/", health),
    path("api/v1/", include(api_patterns)),
    path("", include(business_urlpatterns)),
    path("", include(payments_pages)),
    path("", include(channels_pages)),
    path("", include(loyalty_pages)),
]

handler404 = not_found
handler500 = broken
