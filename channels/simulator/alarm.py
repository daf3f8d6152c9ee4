"""A loop that does work when it is due, without polling; the books say what is due, so a restart loses nothing."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress


class Alarm:
    """Calls `work` at once, then whenever it rings or the moment comes that `work` gave for its next call."""

    def __init__(self, work: Callable[[], float | None]) -> None:
        self._work = work
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Say that something may be due now or earlier than was thought."""
        self._rung.set()

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            self._rung.clear()
            next_at = self._work()
            pause = None if next_at is None else max(0.0, next_at - time.time())
            with suppress(TimeoutError):
                await asyncio.wait_for(self._rung.wait(), pause)
