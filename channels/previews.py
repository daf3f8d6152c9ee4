"""What other rules would have done with payments that were made: a look before rules are changed.

Payments are a matter of the room above, which says at the start how its newest references are read.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.utils.translation import gettext as _

from audit.services import Actor
from channels.mapping import AccountMapping, check_rules, known_programs
from channels.models import MpesaChannel
from channels.queries import read_channel
from tenants.errors import Invalid
from tenants.permissions import Permission, require

LOOKED_AT = 200
_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Move:
    """`count` payments would go from one program to another; "" stands for none. `examples` are references."""

    before: str
    after: str
    count: int
    examples: list[str]


@dataclass(frozen=True, slots=True)
class Preview:
    """Of the newest payments of a channel: how many were looked at, and which would go elsewhere."""

    looked_at: int
    moves: list[Move]

    @property
    def moved(self) -> int:
        return sum(move.count for move in self.moves)


def preview_rules(*, channel_id: UUID, rules: dict[str, str], actor: Actor) -> Preview:
    """Compare a draft with the channel's rules, on the references of its last `LOOKED_AT` payments.

    :raises Invalid: if the draft can't be used.
    """
    require(actor, Permission.CHANNELS_CHANGE)
    channel = read_channel(channel_id=channel_id, actor=actor)
    if problems := check_rules(rules, known_programs()):
        raise Invalid(_("These rules can't be used."), errors={"account_mapping": problems})
    present, draft = AccountMapping(channel.account_mapping), AccountMapping(rules)
    references = recent_references(channel, limit=LOOKED_AT)
    counts: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], dict[str, None]] = {}
    for reference in references:
        way = present.program_of(reference), draft.program_of(reference)
        if way[0] != way[1]:
            counts[way] += 1
            examples.setdefault(way, {})[reference] = None
    moves = [Move(*way, count, list(examples[way])[:_EXAMPLES]) for way, count in counts.most_common()]
    return Preview(len(references), moves)


def _no_references(channel: MpesaChannel, limit: int) -> Sequence[str]:
    return ()


_newest_references: Callable[[MpesaChannel, int], Sequence[str]] = _no_references


def set_newest_references(read: Callable[[MpesaChannel, int], Sequence[str]]) -> None:
    """Tell this room how to read what customers typed for a channel's newest payments; the room above does."""
    global _newest_references
    _newest_references = read


def recent_references(channel: MpesaChannel, *, limit: int) -> Sequence[str]:
    """What customers typed for the channel's newest payments, the newest first."""
    return _newest_references(channel, limit)
