import pytest
from django_tenants.utils import tenant_context

from audit.models import AuditRow
from audit.services import Actor, system_actor
from tenants.errors import NotPermitted
from tenants.models import Role, Tenant
from tenants.permissions import (
    LABELS,
    VISITOR,
    BusinessClosed,
    NotOperator,
    OnlyToLookAt,
    Permission,
    permissions_of,
    require,
    require_operator,
)

#                       administrator, manager, user, visitor of the demo
TABLE = {
    "business.read":        (True,  True,  True,  True),
    "business.change":      (True,  False, False, False),
    "team.read":            (True,  True,  False, False),
    "team.change":          (True,  False, False, False),
    "channels.read":        (True,  True,  True,  True),
    "channels.change":      (True,  False, False, False),
    "payments.read":        (True,  True,  True,  True),
    "payments.request":     (True,  True,  True,  False),
    "payments.settle":      (True,  True,  False, False),
    "payouts.read":         (True,  True,  False, True),
    "payouts.create":       (True,  True,  False, False),
    "payouts.approve":      (True,  True,  False, False),
    "payouts.release":      (True,  True,  False, False),
    "payouts.policy":       (True,  False, False, False),
    "reversals.request":    (True,  True,  False, False),
    "reversals.approve":    (True,  True,  False, False),
    "balances.read":        (True,  True,  False, True),
    "mpesa.ask":            (True,  True,  False, False),
    "callbacks.redrive":    (True,  True,  False, False),
    "loyalty.read":         (True,  True,  True,  True),
    "loyalty.change":       (True,  True,  False, False),
    "members.change":       (True,  True,  True,  False),
    "audit.read":           (True,  False, False, False),
    "data.read":            (True,  False, False, False),
}  # fmt: skip
ROLES = ("org_admin", "manager", "user", "visitor")
CELLS = [(permission, role, may) for permission, row in TABLE.items() for role, may in zip(ROLES, row, strict=True)]
STATES = {"PROVISIONING": False, "TRIAL": True, "ACTIVE": True, "SUSPENDED": False, "CLOSED": False}


def test_a_refusal_says_in_words_what_the_role_lacks(in_acme, actor):
    with pytest.raises(NotPermitted) as refused:
        require(actor(Role.USER), Permission.PAYOUTS_APPROVE)

    sentence = "Your role in this business does not let you approve payouts. Ask an administrator."
    assert refused.value.detail == sentence
    assert {str(LABELS[permission]) for permission in Permission if "." in LABELS[permission]} == set()
    assert len({str(label) for label in LABELS.values()}) == len(Permission)


def test_a_suspended_business_says_so_in_words(acme, actor):
    acme.status = Tenant.Status.SUSPENDED

    with tenant_context(acme), pytest.raises(BusinessClosed) as refused:
        require(actor(Role.ORG_ADMIN), Permission.PAYOUTS_CREATE)

    assert refused.value.detail == "This business is suspended: you can read and export, but not change anything."


def test_the_table_here_names_every_permission_and_role():
    assert {str(permission) for permission in Permission} == set(TABLE)
    assert {*Role.values, VISITOR} == set(ROLES)
    assert set(Tenant.Status.values) == set(STATES)


@pytest.mark.parametrize(("permission", "role", "may"), CELLS)
def test_each_role_may_do_what_the_table_says_and_nothing_else(acme, permission, role, may):
    acme.is_demo = role == VISITOR
    somebody = Actor(kind=AuditRow.ActorKind.PERSON, label="somebody", role=role)

    with tenant_context(acme):
        if may:
            require(somebody, Permission(permission))
        else:
            with pytest.raises(OnlyToLookAt if role == VISITOR else NotPermitted):
                require(somebody, Permission(permission))
        assert (permission in permissions_of(somebody)) is may


def test_a_visitor_only_reads():
    assert all(permission.endswith(".read") for permission, row in TABLE.items() if row[ROLES.index(VISITOR)])


@pytest.mark.parametrize("permission", TABLE)
@pytest.mark.parametrize("role", ["", "super_admin", "owner", "visitor"])
def test_any_other_role_may_do_nothing_in_a_business(in_acme, permission, role):
    stranger = Actor(kind=AuditRow.ActorKind.PERSON, label="stranger", role=role)

    with pytest.raises(NotPermitted):
        require(stranger, Permission(permission))
    assert permissions_of(stranger) == []


@pytest.mark.parametrize("permission", TABLE)
@pytest.mark.parametrize(("state", "is_open"), STATES.items())
def test_reading_stays_open_in_every_state_and_changing_only_in_service(acme, actor, permission, state, is_open):
    acme.status = state
    administrator = actor(Role.ORG_ADMIN)

    with tenant_context(acme):
        if is_open or permission.endswith(".read"):
            require(administrator, Permission(permission))
            assert permission in permissions_of(administrator)
        else:
            with pytest.raises(BusinessClosed):
                require(administrator, Permission(permission))
            assert permission not in permissions_of(administrator)


@pytest.mark.parametrize("permission", TABLE)
def test_the_platform_itself_is_let_through(in_acme, permission):
    require(system_actor("a job"), Permission(permission))


@pytest.mark.parametrize(
    ("kind", "role", "may"),
    [
        ("OPERATOR", "super_admin", True),
        ("SYSTEM", "", True),
        ("OPERATOR", "", False),
        ("PERSON", "super_admin", False),
        ("PERSON", "org_admin", False),
        ("KEY", "super_admin", False),
    ],
)
def test_what_is_the_operators_is_nobody_elses(kind, role, may):
    somebody = Actor(kind=AuditRow.ActorKind(kind), label="somebody", role=role)

    if may:
        require_operator(somebody)
    else:
        with pytest.raises(NotOperator):
            require_operator(somebody)
