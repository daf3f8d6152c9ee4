"""The API: one base URL, the same on the platform host and on every business's host."""

from django.urls import include, path

import channels.urls
import loyalty.urls
import payments.urls
import tenants.urls

api_patterns = [
    path("", include(tenants.urls.api_urlpatterns)),
    path("", include(channels.urls.api_urlpatterns)),
    path("", include(payments.urls.api_urlpatterns)),
    path("", include(loyalty.urls.api_urlpatterns)),
]
