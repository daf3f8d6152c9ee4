"""How pages look to a person: language, theme, time zone.

What somebody chose stands on their `User`, and in cookies for the pages before they have signed in. Without a choice
the browser decides the language and the theme, and Kenya's clock the time.
"""

from collections.abc import Callable
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers

from tenants.models import Theme, User

THEME_COOKIE = "tuzo-theme"
_LANGUAGES = frozenset(code for code, _ in settings.LANGUAGES)
_API = "/api/"


class PreferencesMiddleware:
    """Sets language and time zone for the request, and `request.theme`. The API speaks English and UTC."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith(_API):
            return self.get_response(request)
        user = request.user if isinstance(request.user, User) else None
        language = _language(request, user)
        request.theme = _theme(request, user)  # type: ignore[attr-defined]
        with translation.override(language), timezone.override(time_zone_of(user)):
            response = self.get_response(request)
        response.headers.setdefault("Content-Language", language)
        patch_vary_headers(response, ["Cookie", "Accept-Language"])
        return response


def _language(request: HttpRequest, user: User | None) -> str:
    if user and user.language in _LANGUAGES:
        return user.language
    return translation.get_language_from_request(request)


def _theme(request: HttpRequest, user: User | None) -> str:
    """`light`, `dark`, or empty: as the device has it."""
    theme = (user and user.theme) or request.COOKIES.get(THEME_COOKIE, "")
    return theme if theme in Theme.values else ""


def time_zone_of(user: User | None) -> ZoneInfo:
    """The person's clock; the house's for strangers, and where the machine doesn't know theirs."""
    try:
        return ZoneInfo(user.time_zone if user else settings.TIME_ZONE)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo(settings.TIME_ZONE)


def is_language(code: str) -> bool:
    return code in _LANGUAGES


def choose_look(user: User | None, *, language: str | None = None, theme: str | None = None) -> None:
    """Keep what a person chose on their account; None leaves it. Who is not signed in has none."""
    if user is None:
        return
    if language is not None:
        user.language = language
    if theme is not None:
        user.theme = theme
    user.save(update_fields=["language", "theme"])


def remember_look(response: HttpResponse, *, language: str | None = None, theme: str | None = None) -> None:
    """Keep it in this browser too, for the pages before signing in."""
    for name, value in ((settings.LANGUAGE_COOKIE_NAME, language), (THEME_COOKIE, theme)):
        if value:
            response.set_cookie(
                name,
                value,
                max_age=settings.LANGUAGE_COOKIE_AGE,
                samesite="Lax",
                secure=settings.LANGUAGE_COOKIE_SECURE,
                httponly=True,
            )
        elif value == "":
            response.delete_cookie(name, samesite="Lax")
