"""What happens in a run, and when: drawn from the seed before anything starts.

The same seed and measures give the same plan. What comes of it differs from run to run, for processes and threads
race; so a run that fails is played again with its seed, and its logs are kept.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

MEMBERS = 12  # of each business; their codes are what customers type as account number
_PAYERS = 200  # phones of customers
_RECEIVERS = 900  # phones that get payouts
_LEAST_KES, _MOST_KES = 10, 900  # far from the amounts that ask the simulator for a fault


@dataclass(frozen=True)
class Measures:
    """How much of everything. Money moves for `seconds`, on as many channels as there are businesses."""

    seconds: float
    payouts: int
    payments: int
    kills: int
    businesses: int

    @property
    def prompts(self) -> int:
        """How many of the payments are asked for on the customer's phone (STK)."""
        return max(4, self.payments // 25)

    @property
    def returns(self) -> int:
        """How many payments are to be given back."""
        return max(3, self.payments // 60)

    @property
    def batch_size(self) -> int:
        return min(200, max(12, self.payouts // 12))


@dataclass(frozen=True)
class PhonePayment:
    """A customer pays from the phone's menu. `fault` strikes what M-PESA reports of it: a header of the simulator's."""

    at: float
    number: int
    business: int
    phone_number: str
    amount: int
    account_reference: str
    fault: str


@dataclass(frozen=True)
class Prompt:
    """A customer is asked on the phone, and answers `pin`, `wrong_pin`, `cancel`, or not at all (``)."""

    at: float
    business: int
    phone_number: str
    amount: int
    account_reference: str
    answer: str
    answers_after: float


@dataclass(frozen=True)
class Row:
    """One payout as it is asked for. Its reference is used for nothing else, so what it paid can be counted."""

    phone_number: str
    amount: int
    account_reference: str


@dataclass(frozen=True)
class Batch:
    """Payouts, made by one person, approved and released by another. Each request goes out `copies` times at once."""

    at: float
    business: int
    reference: str
    kind: str
    rows: tuple[Row, ...]
    copies: int
    is_retried: bool  # what failed of it


@dataclass(frozen=True)
class Return:
    """A payment that is given back: the one of that number."""

    at: float
    business: int
    payment: int


@dataclass(frozen=True)
class Kill:
    """kill -9. `victim` is a process or a service; with `point`, a further worker that dies on reaching it."""

    at: float
    victim: str
    away: float = 0.0  # seconds; a service is started again after them, a process by the launcher
    point: str = ""


@dataclass(frozen=True)
class Spell:
    """A fault that strikes the simulator's next `count` calls or deliveries of those kinds."""

    at: float
    fault: str
    on: str
    count: int
    seconds: float | None = None
    times: int = 2


@dataclass(frozen=True)
class Plan:
    seed: int
    measures: Measures
    payments: tuple[PhonePayment, ...]
    prompts: tuple[Prompt, ...]
    batches: tuple[Batch, ...]
    returns: tuple[Return, ...]
    kills: tuple[Kill, ...]
    spells: tuple[Spell, ...]


PROCESSES = ("worker", "web")
SERVICES = ("postgres", "valkey")
# Where a worker may die while it hands money out: `tenants.crash_points.reach`.
POINTS = ("after-sending-committed", "after-call", "before-settle")

# A confirmation is never altered: alone, a false one can't be told from a true one before a Pull or a statement.
_OF_CONFIRMATIONS = (
    "callback_lost",
    "callback_lost",
    "callback_late;seconds=4",
    "callback_repeated;times=4",
    "callback_truncated",
    "callback_html",
)
# (fault, what it strikes, its measure in seconds), drawn from with equal chances. Left out: lies that only a person
# could see through, such as an STK query that denies what was paid.
_OF_CALLS: tuple[tuple[str, str, float | None], ...] = (
    ("taken_then_hangs", "b2c", 6),
    ("taken_then_resets", "b2c", None),
    ("taken_then_resets", "reversal", None),
    ("taken_then_html_503", "b2c", None),
    ("taken_then_500", "b2c", None),
    ("taken_then_500", "b2pochi", None),
    ("nonsense_html", "b2c", None),
    ("nonsense_truncated", "b2c", None),
    ("hangs", "b2c", 6),
    ("resets", "b2c", None),
    ("html_503", "b2c", None),
    ("empty_400", "b2c", None),
    ("internal_error_500", "b2c", None),
    ("spike_arrest", "b2c", None),
    ("spike_arrest_429", "b2pochi", None),
    ("quota", "b2c", None),
    ("maintenance", "b2c", None),
    ("slow_answer", "b2c", 1.5),
    ("callback_before_ack", "b2c", None),
    ("carried_out_late", "b2c", 8),
    ("carried_out_late", "reversal", 5),
    ("token_killed", "b2c", None),
    ("token_killed", "transaction_status", None),
    ("initiator_refused", "b2c", None),
    ("html_503", "oauth", None),
    ("resets", "oauth", None),
    ("html_503", "transaction_status", None),
    ("taken_then_resets", "transaction_status", None),
    ("taken_then_resets", "stk_push", None),
    ("html_503", "stk_push", None),
    ("spike_arrest", "stk_push", None),
    ("callback_before_ack", "stk_push", None),
    ("query_blank", "stk_query", None),
    ("query_unknown", "stk_query", None),
    ("query_processing_500", "stk_query", None),
)
_OF_NEWS: tuple[tuple[str, str, float | None], ...] = (
    ("callback_lost", "payment_result", None),
    ("callback_lost", "payment_result", None),
    ("callback_lost", "reversal_result", None),
    ("callback_late", "payment_result", 9),
    ("callback_late", "payment_result", 3),
    ("callback_repeated", "payment_result", None),
    ("callback_repeated", "reversal_result", None),
    ("callback_truncated", "payment_result", None),
    ("callback_html", "payment_result", None),
    ("callback_altered", "payment_result", None),
    ("queue_timeout", "payment_result", None),
    ("queue_timeout_then_result", "payment_result", 2),
    ("result_then_queue_timeout", "payment_result", 2),
    ("queue_dropped", "payment_result", None),
    ("queue_dropped", "reversal_result", None),
    ("result_renamed", "payment_result", None),
    ("result_contradicted", "payment_result", 1),
    ("insufficient_funds", "payment_result", None),
    ("receiver_unregistered", "payment_result", None),
    ("daily_limit", "payment_result", None),
    ("internal_failure", "payment_result", None),
    ("callback_lost", "status_result", None),
    ("status_pending", "status_result", None),
    ("status_fails", "status_result", None),
    ("callback_lost", "stk-callback", None),
    ("callback_late", "stk-callback", 4),
    ("callback_repeated", "stk-callback", None),
    ("callback_altered", "stk-callback", None),
)
_ONE_IN = 8  # calls is struck, and as many of the news
_One = TypeVar("_One")


def make_plan(seed: int, measures: Measures) -> Plan:
    """Draw a plan."""
    dice = random.Random(seed)
    payments = _payments(dice, measures)
    return Plan(
        seed=seed,
        measures=measures,
        payments=payments,
        prompts=_prompts(dice, measures),
        batches=_batches(dice, measures),
        returns=_returns(dice, measures, payments),
        kills=_kills(dice, measures),
        spells=_spells(dice, measures),
    )


def _payments(dice: random.Random, measures: Measures) -> tuple[PhonePayment, ...]:
    return tuple(
        PhonePayment(
            at=at,
            number=number,
            business=dice.randrange(measures.businesses),
            phone_number=f"2547110{dice.randrange(_PAYERS):05d}",
            amount=_amount(dice),
            account_reference=member_code(dice.randrange(MEMBERS)) if dice.random() < 0.7 else f"W{number:06d}",
            fault=dice.choice(_OF_CONFIRMATIONS) if dice.random() < 0.12 else "",
        )
        for number, at in enumerate(_moments(dice, measures.payments - measures.prompts, measures.seconds))
    )


def _prompts(dice: random.Random, measures: Measures) -> tuple[Prompt, ...]:
    return tuple(
        Prompt(
            at=at,
            business=dice.randrange(measures.businesses),
            phone_number=f"2547220{number:05d}",  # each its own: a phone shows one prompt at a time
            amount=_amount(dice),
            account_reference=f"Q{number:06d}",
            answer=dice.choice(("pin", "pin", "pin", "pin", "cancel", "wrong_pin", "")),
            answers_after=dice.uniform(0.2, 3),
        )
        for number, at in enumerate(_moments(dice, measures.prompts, measures.seconds * 0.9))
    )


def _batches(dice: random.Random, measures: Measures) -> tuple[Batch, ...]:
    sizes = [measures.batch_size] * (measures.payouts // measures.batch_size)
    if left := measures.payouts - sum(sizes):
        sizes.append(left)
    made = 0
    batches = []
    for number, (at, size) in enumerate(zip(_moments(dice, len(sizes), measures.seconds * 0.8), sizes, strict=True)):
        rows = tuple(
            Row(f"2547330{dice.randrange(_RECEIVERS):05d}", _amount(dice), f"P{made + each:06d}")
            for each in range(size)
        )
        made += size
        batches.append(
            Batch(
                at=at,
                business=number % measures.businesses,
                reference=f"Batch {number + 1}",
                kind="pochi" if number % 5 == 4 else "phone",
                rows=rows,
                copies=dice.choice((1, 1, 3)),
                is_retried=number % 3 == 0,
            )
        )
    return tuple(batches)


def _returns(dice: random.Random, measures: Measures, payments: Sequence[PhonePayment]) -> tuple[Return, ...]:
    early = [each for each in payments if each.at < measures.seconds * 0.75]
    chosen = sorted(dice.sample(early, min(measures.returns, len(early))), key=lambda each: each.at)
    return tuple(Return(each.at + dice.uniform(1, 6), each.business, each.number) for each in chosen)


def _kills(dice: random.Random, measures: Measures) -> tuple[Kill, ...]:
    """One after another, each kind once before any comes again; the first early, the last before the end."""
    points = _forever(dice, POINTS)
    victims = _forever(dice, (*PROCESSES, *SERVICES, "point"))
    apart = measures.seconds * 0.85 / max(measures.kills, 1)
    kills = []
    for number in range(measures.kills):
        at, victim = measures.seconds * 0.08 + apart * (number + dice.uniform(0, 0.5)), next(victims)
        if victim == "point":
            kills.append(Kill(at, "worker", point=next(points)))
        elif victim in SERVICES:
            kills.append(Kill(at, victim, away=dice.uniform(0.3, min(4.0, apart / 2))))
        else:
            kills.append(Kill(at, victim))
    return tuple(kills)


def _spells(dice: random.Random, measures: Measures) -> tuple[Spell, ...]:
    wanted = max(6, (measures.payouts + measures.returns + measures.prompts) // _ONE_IN)
    most = min(5, max(1, wanted // 20))  # at a time; short runs see many kinds once
    spells = []
    for kinds in (_OF_CALLS, _OF_NEWS):
        struck = 0
        drawn = _forever(dice, kinds)
        while struck < wanted:
            fault, on, seconds = next(drawn)
            count = dice.randint(1, most)
            struck += count
            at = dice.uniform(0, measures.seconds * 0.9)
            spells.append(Spell(at, fault, on, count, seconds, times=dice.randint(2, 5)))
    return tuple(sorted(spells, key=lambda each: each.at))


def _forever(dice: random.Random, kinds: Sequence[_One]) -> Iterator[_One]:
    """All of them in a drawn order, then again in another."""
    while True:
        yield from dice.sample(kinds, len(kinds))


def _moments(dice: random.Random, count: int, seconds: float) -> list[float]:
    return sorted(dice.uniform(0, seconds) for _ in range(count))


def _amount(dice: random.Random) -> int:
    return dice.randint(_LEAST_KES, _MOST_KES)


def member_code(number: int) -> str:
    """What the customers of a business type to collect points."""
    return f"M{number:03d}"
