from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_safe

from tenants import demo
from tenants.hosts import url_of_tenant


@require_safe
def front(request: HttpRequest) -> HttpResponse:
    """What one finds at the platform's address."""
    shop = demo.demo_business()
    return render(request, "tenants/front.html", {"demo_url": url_of_tenant(shop) if shop else ""})


urlpatterns = [path("", front, name="front")]
