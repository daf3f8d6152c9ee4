from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_safe


@require_safe
def front(request: HttpRequest) -> HttpResponse:
    """What one finds at the platform's address."""
    return render(request, "tenants/front.html")


urlpatterns = [path("", front, name="front")]
