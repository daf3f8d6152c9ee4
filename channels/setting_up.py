"""Carrying a preset out on a channel: first what it would do, then, when a person agrees, exactly that.

What is there stays: programs with the same code, rules for the same account numbers. So doing it again does nothing.
Its rule for anything else comes into force in place of the one that is there, or nothing would reach its programs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from audit.services import Actor
from channels.mapping import DEFAULT, AccountMapping, Difference, known_programs, normalise
from channels.models import MpesaChannel
from channels.overview import channel_to_change
from channels.presets import PRESETS, Preset, WantedProgram, make_programs
from channels.rule_drafts import RulesChanged, mark_of
from channels.services import change_channel, lock_to_change
from tenants.errors import NotFound
from tenants.permissions import Permission, require


class UnknownPreset(NotFound):
    code = "unknown_preset"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a preset makes of a channel: `rules` are all that are in force afterwards, `new_rules` those of them that
    come with it, `replaced` what becomes of the rule for anything else if another one is in force. `programs` names
    every program by its code, those that are still to be made too."""

    channel: MpesaChannel
    preset: Preset
    new_programs: Sequence[WantedProgram]
    new_rules: Mapping[str, str]
    replaced: Difference | None
    rules: Mapping[str, str]
    programs: Mapping[str, str]

    @property
    def does_nothing(self) -> bool:
        return not self.new_programs and not self.new_rules

    @property
    def mark(self) -> str:
        """Another one as soon as it would do something else."""
        programs = [program.code for program in self.new_programs]
        return mark_of(self.channel.account_mapping, dict(self.rules), programs)

    @property
    def examples(self) -> list[tuple[str, str]]:
        """What customers might type, and the name of the program that it would go to."""
        mapping = AccountMapping(self.rules)
        wanted = [(typed, mapping.program_of(typed)) for typed in self.preset.examples]
        return [(typed, self.programs.get(code, code)) for typed, code in wanted]


def plan_of(*, channel_id: UUID, preset: str, actor: Actor) -> Plan:
    """What it would do now; changes nothing.

    :raises ChannelNotFound, UnknownPreset: if there is none such.
    """
    return _plan(channel_to_change(channel_id=channel_id, actor=actor), preset, stays={})


@transaction.atomic
def carry_out(
    *,
    channel_id: UUID,
    preset: str,
    actor: Actor,
    now: datetime,
    seen: str | None = None,
    stays: Mapping[str, str] | None = None,
) -> Plan:
    """Make the programs and put the rules in force, all or nothing; returns what was done.

    `seen` is the mark of the plan that was shown to a person, if one was; `stays` are rules that were given together
    with the preset, and win over it.

    :raises RulesChanged: if it would do something else by now than what was shown.
    :raises ChannelNotFound, UnknownPreset: if there is none such.
    :raises NotPermitted: for who may not make programs.
    """
    require(actor, Permission.CHANNELS_CHANGE)
    plan = _plan(lock_to_change(channel_id), preset, stays=stays or {})
    if seen not in {None, plan.mark} and not plan.does_nothing:
        raise RulesChanged(
            _("The rules were changed meanwhile, so nothing was done. Look at what it would do now, and press again.")
        )
    make_programs(actor=actor, wanted=plan.new_programs)
    if plan.new_rules:
        change_channel(channel_id=channel_id, actor=actor, now=now, account_mapping=dict(plan.rules))
    return plan


def _plan(channel: MpesaChannel, key: str, *, stays: Mapping[str, str]) -> Plan:
    preset = PRESETS.get(key)
    if preset is None:
        raise UnknownPreset(_("There is no such set-up."))
    known = known_programs()
    new_programs = [program for program in preset.programs if program.code not in known]
    fixed = {normalise(rule) for rule in stays}
    old = AccountMapping(channel.account_mapping).program_of("")  # an empty reference fits the rule for anything else
    is_replaced = bool(old) and DEFAULT not in fixed and old != preset.rules[DEFAULT]
    kept = {
        rule: code for rule, code in channel.account_mapping.items() if not (is_replaced and normalise(rule) == DEFAULT)
    }
    present = {normalise(rule) for rule in kept}
    new_rules = {rule: code for rule, code in preset.rules.items() if normalise(rule) not in present}
    return Plan(
        channel,
        preset,
        new_programs,
        new_rules,
        Difference(DEFAULT, old, preset.rules[DEFAULT]) if is_replaced else None,
        rules=kept | new_rules,
        programs={program.code: str(program.name) for program in new_programs} | dict(known),
    )
