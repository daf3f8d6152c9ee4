from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from django.views.decorators.http import require_safe


@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """200 when this process can reach PostgreSQL; for load balancers and `./tuzo up`."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"status": "ok"})


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith("/api/"):
        return _problem(request, 404, "not_found", "There is no such thing here.")
    return defaults.page_not_found(request, exception)


def broken(request: HttpRequest) -> HttpResponse:
    if request.path.startswith("/api/"):
        return _problem(request, 500, "defect", "Something is wrong on our side. It is noted; try again later.")
    return defaults.server_error(request)


def _problem(request: HttpRequest, status: int, code: str, detail: str) -> HttpResponse:
    """Where REST framework had no part in the answer, in the shape of `config.api.problem_response`."""
    body = {"type": "about:blank", "status": status, "code": code, "detail": detail, "errors": {}}
    body["request_id"] = getattr(request, "request_id", "")
    return JsonResponse(body, status=status, content_type="application/problem+json")
