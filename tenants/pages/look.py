from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path
from django.views.decorators.http import require_POST

from tenants.models import Theme, User
from tenants.pages.edges import next_url
from tenants.preferences import choose_look, is_language, remember_look


@require_POST
def look(request: HttpRequest) -> HttpResponse:
    """Another language, or light or dark, for who presses; then back to the page they were on."""
    language, theme = request.POST.get("language"), request.POST.get("theme")
    language = language if language and is_language(language) else None
    theme = theme if theme in {"", *Theme.values} else None
    choose_look(request.user if isinstance(request.user, User) else None, language=language, theme=theme)
    response = HttpResponseRedirect(next_url(request))
    remember_look(response, language=language, theme=theme)
    return response


urlpatterns = [path("look/", look, name="look")]
