"""The rules that a channel had before, from its audit trail: to look at, and to go back to."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from audit.models import AuditEntry
from audit.services import Actor
from channels.models import MpesaChannel
from channels.queries import read_channel
from tenants.errors import NotFound
from tenants.permissions import Permission, require

SHOWN = 10


@dataclass(frozen=True, slots=True)
class EarlierRules:
    """In force until `until`, when `changed_by` put others in their place. `key` is the audit entry's."""

    key: UUID
    until: datetime
    changed_by: str
    rules: dict[str, str]


def earlier_rules(*, channel_id: UUID, actor: Actor) -> list[EarlierRules]:
    """The last `SHOWN` sets of rules that are no longer in force, the newest first.

    :raises ChannelNotFound: if the business has none such.
    """
    require(actor, Permission.CHANNELS_CHANGE)
    channel = read_channel(channel_id=channel_id, actor=actor)
    return [_read(entry) for entry in _changes(channel).order_by("-sequence")[:SHOWN]]


def rules_before(*, channel_id: UUID, key: UUID, actor: Actor) -> EarlierRules:
    """One of them.

    :raises NotFound: if the channel has none such.
    """
    require(actor, Permission.CHANNELS_CHANGE)
    channel = read_channel(channel_id=channel_id, actor=actor)
    entry = _changes(channel).filter(pk=key).first()
    if entry is None:
        raise NotFound(_("There are no such rules."))
    return _read(entry)


def _changes(channel: MpesaChannel) -> QuerySet[AuditEntry]:
    about = AuditEntry.objects.filter(subject_kind=channel._meta.label_lower, subject_id=str(channel.pk))
    return about.filter(action="channel.changed", before__has_key="account_mapping")


def _read(entry: AuditEntry) -> EarlierRules:
    return EarlierRules(entry.pk, entry.occurred_at, entry.actor_label, entry.before["account_mapping"])
