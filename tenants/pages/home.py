from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_safe

from tenants.pages.edges import for_members


@for_members
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    return render(request, "tenants/home.html")


urlpatterns = [path("", home, name="home")]
