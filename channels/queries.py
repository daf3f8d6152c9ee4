"""What doors show of channels. Nothing here needs a secret, so all of it works while a key is missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import models
from django.utils.translation import gettext as _

from audit.services import Actor
from channels.fields import UndecipherableSecret
from channels.mapping import AccountMapping, Match, check_rules, known_programs
from channels.models import MpesaChannel, RuleDraft
from channels.services import ChannelNotFound, callback_url
from tenants.errors import Invalid
from tenants.permissions import ROLES, Permission, permissions_of, require


def channels_of(*, actor: Actor) -> models.QuerySet[MpesaChannel]:
    require(actor, Permission.CHANNELS_READ)
    return MpesaChannel.objects.without_secrets()


def read_channel(*, channel_id: UUID, actor: Actor) -> MpesaChannel:
    """With the draft of its rules, if there is one: `draft_of` has it.

    :raises ChannelNotFound: if the business has none such.
    """
    channel = channels_of(actor=actor).select_related("rule_draft").filter(pk=channel_id).first()
    if channel is None:
        raise ChannelNotFound
    return channel


def draft_of(channel: MpesaChannel, *, actor: Actor) -> RuleDraft | None:
    """The draft of its rules, for who may change the channel."""
    return getattr(channel, "rule_draft", None) if Permission.CHANNELS_CHANGE in permissions_of(actor) else None


@dataclass(frozen=True, slots=True)
class SavedSecret:
    """What a door may show of a secret: never the secret."""

    saved: bool
    ends_in: str | None  # of keys, not of passwords
    saved_at: datetime | None
    proved_at: datetime | None
    refused_at: datetime | None = None  # while M-PESA's last word about it was no


def saved_secrets(channel: MpesaChannel) -> dict[str, SavedSecret]:
    """By column: consumer_key, consumer_secret, passkey, initiator_credential."""
    return {name: _saved_secret(channel.secret_notes.get(name, {})) for name in MpesaChannel.SECRETS}


def _saved_secret(note: dict[str, Any]) -> SavedSecret:
    dates = ("saved_at", "proved_at", "refused_at")
    return SavedSecret(
        bool(note),
        note.get("ends_in"),
        *(datetime.fromisoformat(note[date]) if note.get(date) else None for date in dates),
    )


def shown_callback_urls(channel: MpesaChannel, *, actor: Actor) -> dict[str, str] | None:
    """The addresses of payments, for who may register them: whoever knows them can pretend to be Safaricom."""
    if actor.role not in ROLES[Permission.CHANNELS_CHANGE]:
        return None
    try:
        return {
            "validation": callback_url(channel, "c2b-validation"),
            "confirmation": callback_url(channel, "c2b-confirmation"),
        }
    except UndecipherableSecret:
        return None  # a new path (`rotate_callback_token`) can be had without the old one


@dataclass(frozen=True, slots=True)
class MappingTrial:
    """What the rules make of one reference. `considered` holds every rule, the strongest first, and whether it fits."""

    winner: Match | None
    considered: list[tuple[Match, bool]]


def try_mapping(
    *, channel_id: UUID, account_reference: str, actor: Actor, rules: dict[str, str] | None = None
) -> MappingTrial:
    """Ask which rule wins for what a customer might type: of the channel's rules, or of a draft of them.

    :raises Invalid: if the draft can't be used.
    """
    channel = read_channel(channel_id=channel_id, actor=actor)
    if rules is not None and (problems := check_rules(rules, known_programs())):
        raise Invalid(_("These rules can't be used."), errors={"account_mapping": problems})
    return trial_of(channel.account_mapping if rules is None else rules, account_reference)


def trial_of(rules: Mapping[str, str], account_reference: str) -> MappingTrial:
    mapping = AccountMapping(rules)
    return MappingTrial(mapping.route(account_reference), list(mapping.consider(account_reference)))
