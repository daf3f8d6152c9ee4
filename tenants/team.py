"""What pages show of a business's people beside the lists of `tenants.people`."""

from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from audit.services import Actor
from tenants import people
from tenants.errors import NotFound
from tenants.models import Invitation, Membership, Role
from tenants.permissions import Permission, require

_INVITATIONS_SHOWN = 100


def invitations(*, actor: Actor) -> QuerySet[Invitation]:
    """The newest open invitations, expired ones too: they can be sent again."""
    return people.open_invitations(actor=actor).order_by("-pk")[:_INVITATIONS_SHOWN]


def person(*, actor: Actor, membership_id: UUID) -> Membership:
    """One place in the present business, with its person.

    :raises NotFound: if there is no such person here.
    """
    place = people.members(actor=actor).filter(pk=membership_id).first()
    if place is None:
        raise NotFound(_("There is no such person in this business."))
    return place


def is_last_administrator(*, actor: Actor, place: Membership) -> bool:
    """Would nobody be left to administrate without them?"""
    require(actor, Permission.TEAM_READ)
    if place.role != Role.ORG_ADMIN or not place.is_active:
        return False
    others = people.members(actor=actor).exclude(pk=place.pk)
    return not others.filter(role=Role.ORG_ADMIN, is_active=True, user__is_active=True).exists()
