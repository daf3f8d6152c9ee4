"""A visitor of the demo: every route × method with the demo's own identifiers changes nothing and shows no other's."""

import pytest
from django.db import connection

from tenants.hosts import forget_hosts
from tenants.models import DueTask, Tenant
from tests.isolation.belongings import fingerprint
from tests.isolation.conftest import Caller
from tests.isolation.sweep import ON_THE_PLATFORM_ONLY, Answer, Sweep, is_open


def as_for_a_visitor(answer: Answer) -> bool:
    """Nothing of the API; on pages whatever is not looking is refused with a page that says why."""
    if is_open(answer.route):
        return True
    if answer.route.is_api:
        return answer.status == (404 if answer.route.pattern in ON_THE_PLATFORM_ONLY else 401)
    if answer.method in {"GET", "HEAD", "OPTIONS"}:
        return answer.status in {200, 403, 404, 405} or (answer.status == 302 and not answer.leads_to_sign_in)
    return answer.status == 403 and "Open your own business to do this." in answer.text


@pytest.fixture
def sweep(acmes, rivals, caplog) -> Sweep:
    caplog.set_level("ERROR", logger="django.request")
    connection.set_schema_to_public()
    Tenant.objects.filter(pk=acmes.tenant.pk).update(is_demo=True)
    forget_hosts()
    sweep = Sweep(Caller("acme.localhost"), acmes, rivals)
    sweep.routes = [route for route in sweep.routes if not (route.is_api and is_open(route))]  # the same everywhere
    return sweep


def test_a_visitor_of_the_demo_changes_nothing_whatever_they_send(sweep, acmes):
    before = fingerprint(acmes.tenant)

    wrong = [
        str(answer)
        for answer in sweep.answers(owners=[acmes])
        if not as_for_a_visitor(answer) or (answer.status >= 500 and answer.status != 503)
    ]

    assert wrong == []
    connection.set_schema_to_public()
    DueTask.objects.filter(task="config.tasks.let_a_customer_pay").delete()  # looking keeps the demo alive
    after = fingerprint(acmes.tenant)
    assert [name for name in before if before[name] != after.get(name)] == []


def test_a_visitor_of_the_demo_finds_nothing_of_another_business(sweep):
    assert sweep.problems(as_for_a_visitor) == []
