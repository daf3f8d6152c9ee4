"""Stretches of time that somebody has looked at: which moments are in none of them. Arithmetic, without a database."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple


class Stretch(NamedTuple):
    """From a moment to a later one, both included."""

    start: datetime
    end: datetime


def joined(stretches: Iterable[Stretch]) -> list[Stretch]:
    """The same moments in as few stretches as possible, the earliest first."""
    found: list[Stretch] = []
    for stretch in sorted(stretches):
        if found and stretch.start <= found[-1].end:
            found[-1] = Stretch(found[-1].start, max(found[-1].end, stretch.end))
        else:
            found.append(stretch)
    return found


def first_gap(stretches: Iterable[Stretch], *, since: datetime) -> datetime:
    """The end of what is covered without a gap from `since` on; `since` itself if it is not covered."""
    for stretch in joined(stretches):
        if stretch.start <= since <= stretch.end:
            return stretch.end
    return since


def covers(stretches: Iterable[Stretch], *, start: datetime, end: datetime) -> bool:
    """Is every moment from `start` to `end` in one of them?"""
    return any(stretch.start <= start and end <= stretch.end for stretch in joined(stretches))
