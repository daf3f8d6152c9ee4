import random
from collections.abc import Callable

import pytest
from rest_framework.test import APIClient

from audit.services import system_actor
from tenants import provisioning, queue, services
from tenants.models import DueTask, Membership, Role, Tenant, User
from tenants.tasks import provision_tenant

SIGN_UP = {
    "business_name": "Mama Mboga",
    "business_type": "shop",
    "owner_name": "Wanjiku Kamau",
    "email": "Wanjiku@Mboga.example",
    "phone": "0712 345 678",
    "password": "a long pass phrase",
}


@pytest.fixture
def visitor() -> Callable[..., APIClient]:
    """`visitor()` → a client of the API that is not signed in, at an address that nobody else calls from."""

    def make(*, host: str = "localhost", address: str = "") -> APIClient:
        address = address or f"10.{random.randrange(256)}.{random.randrange(256)}.{random.randrange(256)}"
        return APIClient(SERVER_NAME=host, REMOTE_ADDR=address)

    return make


@pytest.fixture
def sign_up() -> dict[str, str]:
    return dict(SIGN_UP)


@pytest.fixture
def person() -> Callable[..., User]:
    """`person("a@b.example", {acme: Role.USER})` → somebody with places, whose password is “a long pass phrase”."""

    def make(email: str, places: dict[Tenant, Role] | None = None) -> User:
        user = User.objects.create_user(email=email, password="a long pass phrase", name=email.partition("@")[0])
        for tenant, role in (places or {}).items():
            Membership.objects.create(user=user, tenant=tenant, role=role)
        return user

    return make


@pytest.fixture
def new_business() -> Callable[..., Tenant]:
    """A sign-up by Wanjiku of Mama Mboga, before anything is made in the background."""

    def make(**changes: str) -> Tenant:
        given = SIGN_UP | {"business_type": "SHOP"} | changes
        return services.open_tenant(actor=system_actor("test"), **given)

    return make


@pytest.fixture(autouse=True)
def only_our_steps(monkeypatch: pytest.MonkeyPatch) -> dict[str, provisioning.Step]:
    """The rooms above add steps to sign-up; here are only ours, and those that a test adds."""
    steps = {"schema": provisioning._steps["schema"]}
    monkeypatch.setattr(provisioning, "_steps", steps)
    return steps


@pytest.fixture
def provision() -> Callable[[], None]:
    """Work on the only sign-up that waits, as a worker would."""

    def run() -> None:
        row = DueTask.objects.get(task=provision_tenant.name)
        DueTask.objects.filter(pk=row.pk).update(due_at=row.created_at)
        queue.perform(task=provision_tenant, due_task_id=row.pk, tenant_id=row.tenant_id)

    return run
