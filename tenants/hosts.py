"""Which business a host name belongs to: in memory, so that a warm request asks the database nothing.

The cache is refreshed when a `Tenant` or `Domain` row changes: a trigger notifies, `tenants.changes` listens and calls
`forget_hosts`. Where nobody listens (a command, a test), `MAXIMUM_AGE_S` bounds how old an answer can be.
"""

import threading
import time
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection

from tenants.models import Domain, Tenant

MAXIMUM_AGE_S = 60.0
_MAXIMUM_HOSTS = 20_000

_lock = threading.Lock()
_tenants: dict[str, tuple[float, Tenant | None]] = {}
_generation = 0


def is_platform_host(host: str) -> bool:
    return host in {settings.TUZO_PLATFORM_HOST, "127.0.0.1", "testserver"}


def tenant_of_host(host: str) -> Tenant | None:
    """The business that `host` (lower case, without port) belongs to, or None."""
    known = _tenants.get(host)
    if known and known[0] > time.monotonic():
        return known[1]
    generation = _generation
    connection.set_schema_to_public()  # type: ignore[attr-defined]
    domain = Domain.objects.select_related("tenant").filter(domain=host).first()
    tenant = domain.tenant if domain else None
    with _lock:
        if generation == _generation:  # else it changed while we read
            if len(_tenants) >= _MAXIMUM_HOSTS:
                _tenants.clear()
            _tenants[host] = (time.monotonic() + MAXIMUM_AGE_S, tenant)
    return tenant


def forget_hosts() -> None:
    """Ask the database again, from the next request on."""
    global _generation
    with _lock:
        _generation += 1
        _tenants.clear()


def host_of_tenant(tenant: Tenant) -> str:
    """The business's primary host name, without port."""
    return str(Domain.objects.filter(tenant=tenant, is_primary=True).values_list("domain", flat=True).get())


def url_of_tenant(tenant: Tenant) -> str:
    """Where a business's own pages begin: `https://acme.tuzo.example/`, reached the same way as the platform."""
    platform = urlsplit(settings.TUZO_PUBLIC_URL)
    port = f":{platform.port}" if platform.port else ""
    return f"{platform.scheme}://{host_of_tenant(tenant)}{port}/"
