"""Common set-ups of a channel: where to begin, what customers type, and which programs that takes.

A preset is carried out by `channels.setting_up`, after a person has seen what it would do. Everything can be changed
afterwards.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from audit.services import Actor
from channels.mapping import DEFAULT
from channels.models import MpesaChannel


@dataclass(frozen=True, slots=True)
class StampWords:
    """“After so many payments, a reward”, with the words of its SMS."""

    payments_needed: int
    reward: Promise
    thanks: Promise
    noun: Promise
    noun_plural: Promise


@dataclass(frozen=True, slots=True)
class WantedProgram:
    """A program that a preset sends payments to; one with this code is taken as it is.

    `by_reference`: what the customer types is the member. `points_per_100`: points for each KES 100, or 0.
    """

    code: str
    name: Promise
    by_reference: bool = False
    points_per_100: int = 0
    stamps: StampWords | None = None


@dataclass(frozen=True, slots=True)
class Preset:
    """`name` is proposed for the channel, `advice` says what customers type and what to do with it.

    `rules` are those of `channels.mapping`, `examples` what customers might type.
    """

    kind: MpesaChannel.Kind
    label: Promise
    name: Promise
    advice: Promise
    programs: Sequence[WantedProgram]
    rules: Mapping[str, str]
    examples: Sequence[str]


PRESETS = {
    "shop": Preset(
        MpesaChannel.Kind.TILL,
        _("Shop with a till"),
        _("Shop"),
        _("Customers type only the till number, so all payments go to one program. Hang the QR poster at the counter."),
        programs=(WantedProgram("loyalty", _("Loyalty"), points_per_100=1),),
        rules={DEFAULT: "loyalty"},
        examples=("",),
    ),
    "school": Preset(
        MpesaChannel.Kind.PAYBILL,
        _("School fees"),
        _("School fees"),
        _("Parents type the admission number. For other fees agree on a beginning, like BUS for transport or LUNCH."),
        programs=(
            WantedProgram("fees", _("Fees"), by_reference=True),
            WantedProgram("transport", _("Transport"), by_reference=True),
            WantedProgram("lunch", _("Lunch"), by_reference=True),
        ),
        rules={"BUS*": "transport", "LUNCH*": "lunch", DEFAULT: "fees"},
        examples=("1042", "BUS 1042", "LUNCH-1042"),
    ),
    "restaurant": Preset(
        MpesaChannel.Kind.PAYBILL,
        _("Restaurant with delivery"),
        _("Restaurant"),
        _("Guests type TABLE and its number, deliveries DEL and the order's: two rules tell them apart."),
        programs=(
            WantedProgram("guests", _("Guests"), points_per_100=1),
            WantedProgram(
                "delivery",
                _("Delivery"),
                stamps=StampWords(5, _("free delivery"), _("Thanks for ordering!"), _("order"), _("orders")),
            ),
        ),
        rules={"TABLE*": "guests", "DEL*": "delivery", DEFAULT: "guests"},
        examples=("TABLE 7", "DEL-204", "Delivery"),
    ),
    "sacco": Preset(
        MpesaChannel.Kind.PAYBILL,
        _("SACCO"),
        _("SACCO"),
        _("Members type what it is for and their number, like SAV123 or LOAN123: one rule for each beginning."),
        programs=(
            WantedProgram("savings", _("Savings"), by_reference=True),
            WantedProgram("loans", _("Loans"), by_reference=True),
            WantedProgram("shares", _("Shares"), by_reference=True),
        ),
        rules={"SAV*": "savings", "LOAN*": "loans", "SHARE*": "shares", DEFAULT: "savings"},
        examples=("SAV123", "LOAN 123", "SHARE-123", "123"),
    ),
}

ProgramMaker = Callable[[Actor, Sequence[WantedProgram]], None]


def _makes_none(actor: Actor, wanted: Sequence[WantedProgram]) -> None:
    raise NotImplementedError("The room above has not said how programs are made.")


_make_programs: ProgramMaker = _makes_none


def set_program_maker(maker: ProgramMaker) -> None:
    """Tell this room how to make the present business's programs; the room above does, at the start."""
    global _make_programs
    _make_programs = maker


def make_programs(*, actor: Actor, wanted: Sequence[WantedProgram]) -> None:
    """Make programs that there are not, in the caller's commit."""
    if wanted:
        _make_programs(actor, wanted)
