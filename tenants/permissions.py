"""What each role may do: one table, asked by every door, and the one place where a business's state closes doors.

A service that changes or shows something of a business calls `require(actor, …)` first. Reading and exporting stay
open in a suspended or closed business; changing does not.

A visitor of the demo is nobody's role: whoever opens its pages without signing in is one, there and nowhere else, and
only reads.
"""

from enum import StrEnum

from django.db import connection
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.models import AuditRow
from audit.services import Actor
from tenants.errors import Conflict, NotPermitted
from tenants.models import Role, Tenant


class Permission(StrEnum):
    BUSINESS_READ = "business.read"
    BUSINESS_CHANGE = "business.change"
    TEAM_READ = "team.read"
    TEAM_CHANGE = "team.change"
    CHANNELS_READ = "channels.read"
    CHANNELS_CHANGE = "channels.change"
    PAYMENTS_READ = "payments.read"
    PAYMENTS_REQUEST = "payments.request"
    PAYMENTS_SETTLE = "payments.settle"
    PAYOUTS_READ = "payouts.read"
    PAYOUTS_CREATE = "payouts.create"
    PAYOUTS_APPROVE = "payouts.approve"
    PAYOUTS_RELEASE = "payouts.release"
    PAYOUTS_POLICY = "payouts.policy"
    REVERSALS_REQUEST = "reversals.request"
    REVERSALS_APPROVE = "reversals.approve"
    BALANCES_READ = "balances.read"
    MPESA_ASK = "mpesa.ask"
    CALLBACKS_REDRIVE = "callbacks.redrive"
    LOYALTY_READ = "loyalty.read"
    LOYALTY_CHANGE = "loyalty.change"
    MEMBERS_CHANGE = "members.change"
    AUDIT_READ = "audit.read"
    DATA_READ = "data.read"


# What each is called for people, as in "may …".
LABELS: dict[Permission, Promise] = {
    Permission.BUSINESS_READ: gettext_lazy("see the business's details"),
    Permission.BUSINESS_CHANGE: gettext_lazy("change the business's settings"),
    Permission.TEAM_READ: gettext_lazy("see the team"),
    Permission.TEAM_CHANGE: gettext_lazy("invite people and change their roles"),
    Permission.CHANNELS_READ: gettext_lazy("see channels and problems"),
    Permission.CHANNELS_CHANGE: gettext_lazy("change channels"),
    Permission.PAYMENTS_READ: gettext_lazy("see payments"),
    Permission.PAYMENTS_REQUEST: gettext_lazy("ask customers to pay"),
    Permission.PAYMENTS_SETTLE: gettext_lazy("settle what does not agree with M-PESA"),
    Permission.PAYOUTS_READ: gettext_lazy("see payouts"),
    Permission.PAYOUTS_CREATE: gettext_lazy("prepare payouts"),
    Permission.PAYOUTS_APPROVE: gettext_lazy("approve payouts"),
    Permission.PAYOUTS_RELEASE: gettext_lazy("release payouts"),
    Permission.PAYOUTS_POLICY: gettext_lazy("set limits for payouts"),
    Permission.REVERSALS_REQUEST: gettext_lazy("ask that payments be given back"),
    Permission.REVERSALS_APPROVE: gettext_lazy("approve that payments are given back"),
    Permission.BALANCES_READ: gettext_lazy("see balances and reconciliation"),
    Permission.MPESA_ASK: gettext_lazy("ask M-PESA about balances and payments"),
    Permission.CALLBACKS_REDRIVE: gettext_lazy("apply again what was put aside"),
    Permission.LOYALTY_READ: gettext_lazy("see programs, members and messages"),
    Permission.LOYALTY_CHANGE: gettext_lazy("change programs and correct points"),
    Permission.MEMBERS_CHANGE: gettext_lazy("enrol members and redeem points"),
    Permission.AUDIT_READ: gettext_lazy("read the audit trail"),
    Permission.DATA_READ: gettext_lazy("export all data"),
}

_ADMIN, _MANAGER, _USER = Role.ORG_ADMIN, Role.MANAGER, Role.USER
VISITOR = "visitor"  # an actor's role in the demo, never a membership's

ROLES: dict[Permission, frozenset[str]] = {
    Permission.BUSINESS_READ: frozenset({_ADMIN, _MANAGER, _USER, VISITOR}),
    Permission.BUSINESS_CHANGE: frozenset({_ADMIN}),
    Permission.TEAM_READ: frozenset({_ADMIN, _MANAGER}),
    Permission.TEAM_CHANGE: frozenset({_ADMIN}),
    Permission.CHANNELS_READ: frozenset({_ADMIN, _MANAGER, _USER, VISITOR}),
    Permission.CHANNELS_CHANGE: frozenset({_ADMIN}),
    Permission.PAYMENTS_READ: frozenset({_ADMIN, _MANAGER, _USER, VISITOR}),
    Permission.PAYMENTS_REQUEST: frozenset({_ADMIN, _MANAGER, _USER}),
    Permission.PAYMENTS_SETTLE: frozenset({_ADMIN, _MANAGER}),
    Permission.PAYOUTS_READ: frozenset({_ADMIN, _MANAGER, VISITOR}),
    Permission.PAYOUTS_CREATE: frozenset({_ADMIN, _MANAGER}),
    Permission.PAYOUTS_APPROVE: frozenset({_ADMIN, _MANAGER}),
    Permission.PAYOUTS_RELEASE: frozenset({_ADMIN, _MANAGER}),
    Permission.PAYOUTS_POLICY: frozenset({_ADMIN}),
    Permission.REVERSALS_REQUEST: frozenset({_ADMIN, _MANAGER}),
    Permission.REVERSALS_APPROVE: frozenset({_ADMIN, _MANAGER}),
    Permission.BALANCES_READ: frozenset({_ADMIN, _MANAGER, VISITOR}),
    Permission.MPESA_ASK: frozenset({_ADMIN, _MANAGER}),
    Permission.CALLBACKS_REDRIVE: frozenset({_ADMIN, _MANAGER}),
    Permission.LOYALTY_READ: frozenset({_ADMIN, _MANAGER, _USER, VISITOR}),
    Permission.LOYALTY_CHANGE: frozenset({_ADMIN, _MANAGER}),
    Permission.MEMBERS_CHANGE: frozenset({_ADMIN, _MANAGER, _USER}),
    Permission.AUDIT_READ: frozenset({_ADMIN}),
    Permission.DATA_READ: frozenset({_ADMIN}),
}

# Everything else changes something, and is refused while the business is not open for changes.
_READS = frozenset(permission for permission in Permission if permission.endswith(".read"))
_OPEN_FOR_CHANGES = frozenset({Tenant.Status.TRIAL, Tenant.Status.ACTIVE})
_SHUT: dict[Tenant.Status, Promise] = {
    Tenant.Status.PROVISIONING: gettext_lazy("still being made"),
    Tenant.Status.SUSPENDED: gettext_lazy("suspended"),
    Tenant.Status.CLOSED: gettext_lazy("closed"),
}


class BusinessClosed(Conflict):
    code = "business_not_open"


class OnlyToLookAt(NotPermitted):
    """A visitor of the demo wants to do something, or to see what is not for visitors."""

    code = "only_to_look_at"

    def __init__(self) -> None:
        super().__init__(_("This is a demo to look around in. Open your own business to do this."))


class NotOperator(NotPermitted):
    code = "operators_only"


def require(actor: Actor, permission: Permission, *, scope: str = "") -> None:
    """Let the actor pass, in the present tenant, or say why not.

    `scope` names the single thing that is about to be done, where links can be made for it. Who comes by a link has no
    role: they pass where that is the very thing their link is for, and nowhere else.

    :raises NotPermitted: if the actor's role does not carry the permission, or their link is for something else.
    :raises OnlyToLookAt: likewise, for a visitor.
    :raises BusinessClosed: if it would change something and the business is suspended, closed or still being made.
    """
    if actor.kind == AuditRow.ActorKind.SYSTEM:
        return
    if actor.kind == AuditRow.ActorKind.LINK:
        if not scope or actor.scope != scope:
            raise NotPermitted(_("This link is for something else."))
    elif not _carries(actor, permission):
        if actor.role == VISITOR:
            raise OnlyToLookAt
        raise NotPermitted(
            _("Your role in this business does not let you %(what)s. Ask an administrator.")
            % {"what": LABELS[permission]}
        )
    if permission not in _READS:
        require_open(connection.tenant)  # type: ignore[attr-defined]  # django-tenants' connection


def _carries(actor: Actor, permission: Permission) -> bool:
    if actor.role == VISITOR and not connection.tenant.is_demo:  # type: ignore[attr-defined]
        return False
    return actor.role in ROLES[permission]


def require_open(tenant: Tenant) -> None:
    """Let a change pass that needs no role: taking up an invitation.

    :raises BusinessClosed: if the business is suspended, closed or still being made.
    """
    if tenant.status not in _OPEN_FOR_CHANGES:
        raise BusinessClosed(
            _("This business is %(status)s: you can read and export, but not change anything.")
            % {"status": _SHUT[Tenant.Status(tenant.status)]}
        )


def require_operator(actor: Actor) -> None:
    """Let an operator of the platform pass, or the platform itself.

    :raises NotOperator: if it is anybody else, whatever they are in a business.
    """
    is_operator = actor.kind == AuditRow.ActorKind.OPERATOR and actor.role == "super_admin"
    if not is_operator and actor.kind != AuditRow.ActorKind.SYSTEM:
        raise NotOperator("Only an operator of the platform may do this.")


def permissions_of(actor: Actor) -> list[Permission]:
    """What the actor may do now, in the present tenant, in the order of the table."""
    is_open = connection.tenant.status in _OPEN_FOR_CHANGES  # type: ignore[attr-defined]
    return [
        permission for permission in Permission if _carries(actor, permission) and (is_open or permission in _READS)
    ]


def abilities_of(role: Role) -> list[Promise]:
    """What a role may do, in words, in the order of the table."""
    return [LABELS[permission] for permission, roles in ROLES.items() if role in roles]
