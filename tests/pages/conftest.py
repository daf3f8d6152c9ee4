from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from tenants import sessions
from tenants.models import Membership, Tenant
from tests.pages.catalogue_of_pages import Cast, furnish


@pytest.fixture
def cast(acme: Tenant) -> Cast:
    return furnish(acme)


@pytest.fixture
def browser() -> Callable[..., Client]:
    """`browser(place)` → a client signed in there; `browser(host="localhost")` → a stranger's."""

    def make(place: Membership | None = None, *, host: str = "", **headers: str) -> Client:
        connection.set_schema_to_public()
        client = Client(SERVER_NAME=host or (f"{place.tenant.slug}.localhost" if place else "localhost"), **headers)
        if place:
            client.get(f"/hand-over/{sessions.hand_over(place, now=timezone.now())}/")
        return client

    return make
