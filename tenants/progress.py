"""How far something is that takes long, for who waits for it."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Row = TypeVar("Row")

_NOTE_EVERY_S = 0.5


class Progress:
    """Counts rows, and twice a second has `note` write down how many there will be (if known) and how many are done."""

    def __init__(self, note: Callable[[int | None, int], None]) -> None:
        self._note = note
        self._rows: int | None = None
        self._done = 0
        self._noted_at = 0.0

    def expect(self, rows: int) -> None:
        """So many rows there will be, or nearly."""
        self._rows = rows
        self._note(self._rows, self._done)

    def each(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The same rows, counted as they are taken."""
        for row in rows:
            yield row
            self._done += 1
            if time.monotonic() - self._noted_at >= _NOTE_EVERY_S:
                self.alive()

    def finish(self) -> None:
        """All rows at once, of what is made in one go."""
        self._done = self._rows or 0
        self.alive()

    def alive(self) -> None:
        """Say how far it is, and that somebody works on it."""
        self._note(self._rows, self._done)
        self._noted_at = time.monotonic()


def untold() -> Progress:
    """Of what is so small that nobody watches."""
    return Progress(lambda _rows, _done: None)
