"""The API's description (OpenAPI) at `/api/v1/schema/`, and the page that renders it at `/api/v1/docs/`."""

from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

_REFUSAL = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}

schema = SpectacularAPIView.as_view()
# The "split" view loads its script from its own address, as our Content-Security-Policy wants it.
page = SpectacularSwaggerSplitView.as_view(template_name="api_docs.html", url_name="api-schema")


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "config.api.TenantTokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "An access token of `/api/v1/auth/token/`. It is good for one person in one business.",
        }


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "config.api.TenantSessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": settings.SESSION_COOKIE_NAME,
            "description": "The session of a business's own pages, on its own host. Changes need the CSRF token too.",
        }


def describe_refusals(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Every operation refuses in one shape, also with a status that it does not name."""
    for operations in result["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if status.isdecimal() and int(status) >= 400:
                    response["content"] = _REFUSAL
            operation["responses"]["default"] = {"description": "Refused: `code` says why.", "content": _REFUSAL}
    return result
