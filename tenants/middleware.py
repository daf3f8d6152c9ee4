"""From host to schema, for every request, and back to no schema at all after it."""

from collections.abc import Callable

from django.conf import settings
from django.contrib.auth import logout
from django.core.exceptions import DisallowedHost
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.http.request import split_domain_port

from tenants.actors import note_member
from tenants.hosts import is_platform_host, tenant_of_host
from tenants.models import Tenant
from tenants.sessions import is_foreign, place_in_session


class TenantMiddleware:
    """Sets the schema by the host: the platform's, a business's, or 404.

    `request.tenant` is None on the platform host. No header, path or body is looked at.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        connection.set_schema_to_public()  # type: ignore[attr-defined]
        try:
            host, _ = split_domain_port(request.get_host())  # lower case, without a final dot
        except DisallowedHost:
            return HttpResponseNotFound()
        tenant: Tenant | None = None
        if is_platform_host(host):
            request.urlconf = settings.PUBLIC_SCHEMA_URLCONF
        else:
            tenant = tenant_of_host(host)
            if tenant is None:
                return HttpResponseNotFound()
            connection.set_tenant(tenant)  # type: ignore[attr-defined]
        request.tenant = tenant  # type: ignore[attr-defined]
        try:
            return self.get_response(request)
        finally:
            connection.set_schema_to_public()  # type: ignore[attr-defined]


class TenantSessionMiddleware:
    """A session is good on the host it was made for, while its holder's place there is open; else it ends here.

    Sets `request.membership` and `request.actor` for people of a business who are signed in on its host.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.session.session_key:
            if is_foreign(request):
                logout(request)
            elif request.tenant is not None:  # type: ignore[attr-defined]
                if membership := place_in_session(request):
                    note_member(request, membership)
                else:
                    logout(request)
        return self.get_response(request)
