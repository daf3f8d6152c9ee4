"""Where a payment belongs by what the customer typed: the same for live payments, "try it" and previews.

A channel's rules are `{"default": "loyalty", "VIP*": "vip_account", "GOLD001": "gold_tier"}`: what is typed → the code
of a program. `*` stands for any characters or none, `?` for exactly one. Case, spaces and hyphens don't count. An exact
rule beats wildcards, among these the one with more literal characters wins, then the one with fewer stars, then the
alphabet; `default` comes last. An empty reference (a till's customer types none) fits `default` only.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from django.utils.translation import gettext as _

MAXIMUM_RULES = 200
MAXIMUM_LENGTH = 64
DEFAULT = "default"

# Spaces of every width, hyphens and dashes: keyboards and messages put in whichever they like.
IGNORED = " \t\n\r\v\f-\u00a0\u202f\u205f\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x2016)))
_IGNORED = dict.fromkeys(map(ord, IGNORED))
_WILDCARDS = re.compile(r"[*?]{2,}")


@dataclass(frozen=True, slots=True)
class Match:
    """The rule that decided, as it was written, and the program it names."""

    class Kind(StrEnum):
        EXACT = "exact"
        WILDCARD = "wildcard"
        DEFAULT = "default"

    program: str
    rule: str
    kind: Kind


class AccountMapping:
    """The rules of one channel, ready to be asked for each payment.

    Takes rules that `check_rules` has nothing against; it checks nothing itself.
    """

    def __init__(self, rules: Mapping[str, str]) -> None:
        self._exact: dict[str, Match] = {}
        self._default: Match | None = None
        wildcards: list[tuple[str, Match]] = []
        for rule, program in rules.items():
            pattern = _pattern(rule)
            if pattern == DEFAULT:
                self._default = Match(program, rule, Match.Kind.DEFAULT)
            elif _is_wildcard(pattern):
                wildcards.append((pattern, Match(program, rule, Match.Kind.WILDCARD)))
            else:
                self._exact[pattern] = Match(program, rule, Match.Kind.EXACT)
        wildcards.sort(key=lambda wildcard: _precedence(wildcard[0]))
        self._patterns = [pattern for pattern, _ in wildcards]
        self._wildcards = [match for _, match in wildcards]

    def route(self, account_reference: str) -> Match | None:
        """The rule that wins for what the customer typed, or None if there is none."""
        typed = normalise(account_reference)
        if match := self._exact.get(typed):
            return match
        if typed and self._wildcards and (found := self._any_wildcard.fullmatch(typed)):
            return self._wildcards[(found.lastindex or 0) - 1]
        return self._default

    def program_of(self, account_reference: str) -> str:
        """The code of the program that what the customer typed belongs to; empty if to none."""
        match = self.route(account_reference)
        return match.program if match else ""

    def consider(self, account_reference: str) -> Iterator[tuple[Match, bool]]:
        """Every rule in the order of precedence, and whether it fits: the first that fits is the one that wins."""
        typed = normalise(account_reference)
        for pattern, match in self._exact.items():
            yield match, pattern == typed
        for pattern, match in zip(self._patterns, self._wildcards, strict=True):
            yield match, bool(typed) and re.fullmatch(_expression(pattern), typed, re.DOTALL) is not None
        if self._default:
            yield self._default, True

    @cached_property
    def _any_wildcard(self) -> re.Pattern[str]:
        """All wildcards as one expression with a group for each, the strongest first; made when first needed."""
        return re.compile("|".join(f"({_expression(pattern)})" for pattern in self._patterns), re.DOTALL)


def normalise(text: str) -> str:
    """What counts of a reference or a rule: `" vip-001 "` → `"vip001"`."""
    return text.translate(_IGNORED).casefold()


def check_rules(rules: object, known_programs: Collection[str]) -> list[str]:
    """What is wrong with the rules, one sentence each; an empty list if nothing is."""
    if not isinstance(rules, dict):
        return [_("Give the rules as an object, like {“default”: “loyalty”, “VIP*”: “vip”}.")]
    if len(rules) > MAXIMUM_RULES:
        return [
            _("A channel has at most %(most)s rules; these are %(number)s.")
            % {"most": MAXIMUM_RULES, "number": len(rules)}
        ]
    sentences = []
    seen: dict[str, str] = {}
    for rule, program in rules.items():
        if problem := _problem(rule, program, known_programs):
            sentences.append(problem)
        elif (first := seen.setdefault(_pattern(rule), rule)) != rule:
            sentences.append(
                _("“%(first)s” and “%(second)s” are the same rule: case, spaces and hyphens don't count.")
                % {"first": first, "second": rule}
            )
    return sentences


@dataclass(frozen=True, slots=True)
class Difference:
    """What becomes of one rule: the program that it names before and after; "" where there is no such rule."""

    rule: str
    before: str
    after: str


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[Difference]:
    """What makes other rules of these, in the alphabet's order."""
    found = (Difference(rule, before.get(rule, ""), after.get(rule, "")) for rule in sorted({**before, **after}))
    return [difference for difference in found if difference.before != difference.after]


def with_changes_of(theirs: Mapping[str, str], *, since: Mapping[str, str], to: Mapping[str, str]) -> dict[str, str]:
    """Make in `to` the changes that made `theirs` of `since`; where both changed a rule, `to` has its way."""
    theirs_by, since_by, to_by = (
        {_pattern(rule): (rule, program) for rule, program in rules.items()} for rules in (theirs, since, to)
    )
    chosen = (
        (theirs_by if to_by.get(pattern) == since_by.get(pattern) else to_by).get(pattern)
        for pattern in {**to_by, **theirs_by}
    )
    return dict(written for written in chosen if written)


def _problem(rule: object, program: object, known_programs: Collection[str]) -> str:
    if not isinstance(rule, str) or not isinstance(program, str):
        return _("Rule %(rule)s: both sides are text.") % {"rule": _shown(rule)}
    if len(rule) > MAXIMUM_LENGTH or not rule.isprintable():
        return _("Rule %(rule)s: write at most %(most)s visible characters.") % {
            "rule": _shown(rule),
            "most": MAXIMUM_LENGTH,
        }
    if not _pattern(rule):
        return _("Rule %(rule)s is empty. What fits no other rule goes to “default”.") % {"rule": _shown(rule)}
    if program not in known_programs:
        return _("Rule %(rule)s: there is no program %(program)s.") % {
            "rule": _shown(rule),
            "program": _shown(program),
        }
    return ""


def _shown(value: object) -> str:
    text = "".join(character if character.isprintable() else "·" for character in str(value))
    return f"“{text[:40]}…”" if len(text) > 40 else f"“{text}”"


def _pattern(rule: str) -> str:
    """A rule as it is compared: normalised, and with each run of wildcards in its shortest form (`*?*` → `?*`)."""
    return _WILDCARDS.sub(
        lambda run: "?" * run[0].count("?") + "*" * ("*" in run[0]),
        normalise(rule),
    )


def _is_wildcard(pattern: str) -> bool:
    return "*" in pattern or "?" in pattern


def _precedence(pattern: str) -> tuple[int, int, str]:
    stars = pattern.count("*")
    return stars + pattern.count("?") - len(pattern), stars, pattern


def _expression(pattern: str) -> str:
    """A regular expression for a pattern with wildcards.

    Each part between stars is looked for from the left and, once found, never reconsidered (atomic group), so that
    the time grows with the length of the text times the length of the pattern, whatever both are.
    """
    first, *parts = [re.escape(part).replace(r"\?", ".") for part in pattern.split("*")]
    if not parts:
        return first
    *middle, last = parts
    return first + "".join(f"(?>.*?{part})" for part in middle) + f".*{last}"


def _no_programs() -> Mapping[str, str]:
    return {}


_program_directory: Callable[[], Mapping[str, str]] = _no_programs


def set_program_directory(directory: Callable[[], Mapping[str, str]]) -> None:
    """Tell this room how to find the present business's programs; the room above does, at the start."""
    global _program_directory
    _program_directory = directory


def known_programs() -> Mapping[str, str]:
    """The present business's programs: their names by their codes."""
    return _program_directory()
