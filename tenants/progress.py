"""How far something is that takes long, for who waits for it."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import TypeVar

from django.db import Error as DatabaseTrouble
from django.db import connection
from django_tenants.utils import tenant_context

from tenants.queue import require_current_tenant

logger = logging.getLogger(__name__)

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


@contextmanager
def beside_transaction(note: Callable[[int | None, int], None]) -> Iterator[Progress]:
    """The same inside a transaction, for others to see before its commit: `note` runs beside it, on another connection.

    A note that can't be written is lost without harm. Whoever changes rows that `note` changes does so after this: it
    waits for the last note, which would wait for them.
    """
    tenant, context = require_current_tenant(), copy_context()

    def write(rows: int | None, done: int) -> None:
        try:
            with tenant_context(tenant):
                note(rows, done)
        except DatabaseTrouble:
            logger.warning("Nobody was told how far it is.", exc_info=True)

    def close() -> None:
        connection.close()  # that thread's own

    with ThreadPoolExecutor(1, thread_name_prefix="progress") as thread:

        def have_written(rows: int | None, done: int) -> None:
            thread.submit(context.run, write, rows, done)

        try:
            yield Progress(have_written)
        finally:
            thread.submit(close)
