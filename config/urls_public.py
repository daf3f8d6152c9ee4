"""The platform host."""

from django.urls import include, path

from config import api_docs
from config.admin import site
from config.urls_api import api_patterns
from config.views import broken, health, not_found
from tenants.urls import platform_urlpatterns

urlpatterns = [
    path("health/", health),
    path("api/v1/", include(api_patterns)),
    path("api/v1/schema/", api_docs.schema, name="api-schema"),
    path("api/v1/docs/", api_docs.page, name="api-docs"),
    path("operators/", site.urls),
    path("", include(platform_urlpatterns)),
]

handler404 = not_found
handler500 = broken
