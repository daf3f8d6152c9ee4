"""The draft of a channel's rules: one for all who may change the channel, until one of them publishes or drops it.

Whoever changes, publishes or drops it says by a mark what their page showed, and is refused if the rules in force or
the draft are others by now: nobody undoes what they have not seen. A draft decides nothing, so the audit trail knows of
publishing alone. Why it is so: docs/adr/0025.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from audit.services import Actor
from channels.mapping import Difference, check_rules, differences, known_programs, with_changes_of
from channels.models import MpesaChannel, RuleDraft
from channels.queries import draft_of, read_channel
from channels.rule_history import rules_before
from channels.services import change_channel, lock_channel, lock_to_change
from tenants.errors import Conflict, Invalid
from tenants.permissions import Permission, require


class RulesChanged(Conflict):
    code = "rules_changed_meanwhile"


class NoDraft(Conflict):
    code = "no_draft"


def mark_of(*shown: Any) -> str:
    """What a form carries of what its page showed (JSON): another one as soon as any of it is changed."""
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Editing:
    """A channel's rules as they are worked on: those of the draft, or where there is none those in force."""

    channel: MpesaChannel
    draft: RuleDraft | None
    programs: Mapping[str, str]  # names by codes

    @property
    def rules(self) -> dict[str, str]:
        return dict(self.draft.rules if self.draft else self.channel.account_mapping)

    @property
    def based_on(self) -> dict[str, str]:
        return dict(self.draft.based_on if self.draft else self.channel.account_mapping)

    @property
    def mark(self) -> str:
        """Another one as soon as anything of it is changed."""
        return mark_of(self.channel.account_mapping, self.draft and self.draft.rules)

    @property
    def changes(self) -> list[Difference]:
        """What publishing would change."""
        return differences(self.channel.account_mapping, self.rules)

    @property
    def changes_beneath(self) -> list[Difference]:
        """What others have put in force since the draft was begun, or last took over what they had."""
        return differences(self.based_on, self.channel.account_mapping)

    @property
    def problems(self) -> list[str]:
        """Why the draft can't be put in force as it is."""
        return check_rules(self.rules, self.programs) if self.draft else []


def editing_of(*, channel_id: UUID, actor: Actor) -> Editing:
    """The rules as they are worked on; for who may not change the channel, those in force.

    :raises ChannelNotFound: if the business has none such.
    """
    channel = read_channel(channel_id=channel_id, actor=actor)
    return Editing(channel, draft_of(channel, actor=actor), known_programs())


@transaction.atomic
def set_rule(
    *, channel_id: UUID, seen: str, rule: str, program: str, actor: Actor, now: datetime, replaces: str = ""
) -> None:
    """Into the draft: a new rule, or another one in place of `replaces`.

    :raises RulesChanged: if the rules are not as they were seen; all that follow raise it, too.
    :raises Invalid: if the rule can't be used.
    """
    editing = _as_seen(_lock(channel_id, actor), seen)
    rules = {known: code for known, code in editing.rules.items() if known != replaces}
    _keep(editing, rules | {rule: program}, based_on=editing.based_on, actor=actor, now=now)


@transaction.atomic
def remove_rule(*, channel_id: UUID, seen: str, rule: str, actor: Actor, now: datetime) -> None:
    editing = _as_seen(_lock(channel_id, actor), seen)
    rules = {known: code for known, code in editing.rules.items() if known != rule}
    _keep(editing, rules, based_on=editing.based_on, actor=actor, now=now)


@transaction.atomic
def replace_rules(*, channel_id: UUID, seen: str, rules: Any, actor: Actor, now: datetime) -> None:
    """Make these rules, as a file has them, the draft.

    :raises Invalid: if they can't be used.
    """
    editing = _as_seen(_lock(channel_id, actor), seen)
    _keep(editing, rules, based_on=editing.channel.account_mapping, actor=actor, now=now)


@transaction.atomic
def restore_rules(*, channel_id: UUID, seen: str, key: UUID, actor: Actor, now: datetime) -> None:
    """Make rules that were in force before the draft; `key` is that of `rule_history`.

    :raises NotFound: if the channel has had none such.
    :raises Invalid: if a program that they name is gone.
    """
    editing = _as_seen(_lock(channel_id, actor), seen)
    earlier = rules_before(channel_id=channel_id, key=key, actor=actor)
    _keep(editing, earlier.rules, based_on=editing.channel.account_mapping, actor=actor, now=now)


@transaction.atomic
def take_over_changes(*, channel_id: UUID, seen: str, actor: Actor, now: datetime) -> None:
    """Bring into the draft what others have put in force; what the draft changes itself stays as it has it.

    :raises NoDraft: if there is none (any more).
    :raises Invalid: if there would be too many rules.
    """
    editing = _lock(channel_id, actor)
    draft, in_force = _draft_as_seen(editing, seen), editing.channel.account_mapping
    rules = with_changes_of(in_force, since=draft.based_on, to=draft.rules)
    _keep(editing, rules, based_on=in_force, actor=actor, now=now)


@transaction.atomic
def publish_draft(*, channel_id: UUID, seen: str, actor: Actor, now: datetime) -> None:
    """Put the draft in force.

    :raises NoDraft: if there is none (any more).
    :raises Invalid: if it can't be used.
    """
    require(actor, Permission.CHANNELS_CHANGE)
    lock_to_change(channel_id)
    draft = _draft_as_seen(_lock(channel_id, actor), seen)
    change_channel(channel_id=channel_id, account_mapping=draft.rules, actor=actor, now=now)
    draft.delete()


@transaction.atomic
def drop_draft(*, channel_id: UUID, seen: str, actor: Actor) -> None:
    """:raises NoDraft: if there is none (any more)."""
    _draft_as_seen(_lock(channel_id, actor), seen).delete()


def _lock(channel_id: UUID, actor: Actor) -> Editing:
    """Until the commit nobody else changes the rules or their draft."""
    require(actor, Permission.CHANNELS_CHANGE)
    channel = lock_channel(channel_id)
    return Editing(channel, RuleDraft.objects.filter(channel=channel).first(), known_programs())


def _as_seen(editing: Editing, seen: str) -> Editing:
    if editing.mark != seen:
        raise RulesChanged(
            _(
                "The rules or their draft were changed meanwhile, so nothing was done. "
                "Look at how they stand now, and do it again if you still want it."
            )
        )
    return editing


def _draft_as_seen(editing: Editing, seen: str) -> RuleDraft:
    if editing.draft is None:
        raise NoDraft(_("There is no draft any more: it was put in force or dropped."))
    _as_seen(editing, seen)
    return editing.draft


def _keep(editing: Editing, rules: Any, *, based_on: dict[str, str], actor: Actor, now: datetime) -> None:
    """Make these rules the draft, unless that made it worse; what is in force already is none."""
    known = editing.problems
    if wrong := [problem for problem in check_rules(rules, editing.programs) if problem not in known]:
        raise Invalid(_("These rules can't be used."), errors={"account_mapping": wrong})
    if rules == editing.channel.account_mapping:
        RuleDraft.objects.filter(channel=editing.channel).delete()
        return
    draft = editing.draft or RuleDraft(channel=editing.channel, begun_by=actor.label[:254], begun_at=now)
    draft.rules, draft.based_on = rules, based_on
    draft.changed_by, draft.changed_at = actor.label[:254], now
    draft.save()
