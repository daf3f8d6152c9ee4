"""The API's wiring: who is calling, how lists are paged, and the one shape of every error.

Rooms never import this module; REST framework finds it by the settings.
"""

import logging
import math
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.core.exceptions import ValidationError as InvalidValue
from django.db import DataError, InterfaceError, OperationalError, connection
from django.http import Http404
from rest_framework import exceptions
from rest_framework.authentication import SessionAuthentication
from rest_framework.pagination import CursorPagination
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken

from tenants.actors import note_member
from tenants.errors import DomainError
from tenants.models import User
from tenants.tokens import UnusableToken, membership_of

if TYPE_CHECKING:  # views import this module through the settings
    from rest_framework.views import APIView


logger = logging.getLogger(__name__)


class TenantTokenAuthentication(JWTAuthentication):
    """`Authorization: Bearer <access token>`: on the platform host the token decides the business; on a business's
    host it must be that business's, or there is nothing here (404)."""

    def authenticate(self, request: Request) -> tuple[User, Any] | None:  # type: ignore[override]
        header = self.get_header(request)
        raw_token = self.get_raw_token(header) if header else None
        if raw_token is None:
            return None
        token = self.get_validated_token(raw_token)
        try:
            membership = membership_of(token)
        except UnusableToken as error:
            raise exceptions.AuthenticationFailed(error.detail, code=error.code) from None
        host_tenant = request._request.tenant  # type: ignore[attr-defined]
        if host_tenant is None:
            connection.set_tenant(membership.tenant)  # type: ignore[attr-defined]
        elif host_tenant.pk != membership.tenant_id:
            raise Http404
        note_member(request._request, membership)
        return membership.user, token


class TenantSessionAuthentication(SessionAuthentication):
    """The session of a business's own pages; it needs the CSRF token like every form."""

    def authenticate(self, request: Request) -> tuple[User, None] | None:
        host_tenant = request._request.tenant  # type: ignore[attr-defined]
        if host_tenant is None:
            return None
        found = super().authenticate(request)
        # TenantSessionMiddleware looked at the session already, and noted whose place it was opened for.
        if found is None or not hasattr(request._request, "membership"):
            return None
        return request._request.membership.user, None


class IsMemberOfTenant(BasePermission):
    """Lets in whoever authentication placed in a business. What they may do there, the services decide."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        return request.successful_authenticator is not None and hasattr(request._request, "membership")


class CursorPages(CursorPagination):
    """`{"next": url|null, "previous": url|null, "results": […]}`; `?page_size=` up to 200.

    A view names its order in `ordering`; without one the newest come first.
    """

    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        """A page of rows.

        :raises NotFound: for a cursor that no answer of ours gave.
        """
        try:
            return super().paginate_queryset(queryset, request, view)
        except (InvalidValue, ValueError, DataError):
            raise exceptions.NotFound(self.invalid_cursor_message) from None

    def get_ordering(self, request: Request, queryset: Any, view: Any) -> tuple[str, ...]:
        return tuple(getattr(view, "ordering", ("-id",)))


def problem_response(error: Exception, context: dict[str, Any]) -> Response | None:
    """Every refusal as `application/problem+json`: `code`, `detail`, `errors`, `request_id` (RFC 9457).

    `errors` maps a field to its sentences. Anything unexpected is not answered here: it is a defect, and is reported.
    """
    request = context["request"]
    headers: dict[str, str] = {}
    errors: dict[str, Any] = {}
    if isinstance(error, DomainError):
        status, code, detail, errors = error.status, error.code, error.detail, error.errors
    elif isinstance(error, Http404):
        status, code, detail = 404, "not_found", "There is no such thing here."
    elif isinstance(error, PermissionDenied):
        status, code, detail = 403, "not_permitted", "You may not do this."
    elif isinstance(error, exceptions.ValidationError):
        status, code = error.status_code, "invalid"
        detail = "Some of what was sent can't be used."
        errors = error.detail if isinstance(error.detail, dict) else {"non_field_errors": error.detail}
    elif isinstance(error, exceptions.APIException):
        status = error.status_code
        code, detail = _code_and_detail(error)
        if error_headers := getattr(error, "auth_header", None):
            headers["WWW-Authenticate"] = error_headers
    elif isinstance(error, OperationalError | InterfaceError):
        logger.error("The database did not answer %s %s.", request.method, request.path, exc_info=error)
        status, code = 503, "unavailable"
        detail = "We are interrupted for a moment. Send the same again in a few seconds."
        headers["Retry-After"] = "5"
    else:
        return None
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(math.ceil(wait))
    body = {
        "type": "about:blank",
        "status": status,
        "code": code,
        "detail": detail,
        "errors": errors,
        "request_id": getattr(request._request, "request_id", ""),
    }
    return Response(body, status=status, headers=headers, content_type="application/problem+json")


def _code_and_detail(error: exceptions.APIException) -> tuple[str, str]:
    if isinstance(error, InvalidToken):
        return "token_not_valid", "This token is not valid, or has expired. Sign in again."
    codes = error.get_codes()
    return (codes if isinstance(codes, str) else error.default_code), str(error.detail)
