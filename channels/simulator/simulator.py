"""The simulator as a whole: its books, its key and the loops that send and settle what is due."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from starlette.requests import Request

from channels.simulator import execution, prompts, standing_orders, till_requests
from channels.simulator.alarm import Alarm
from channels.simulator.books import Books
from channels.simulator.certificate import CredentialKey
from channels.simulator.deliveries import Courier

logger = logging.getLogger(__name__)

_DEVELOPMENT_TOKEN = "practice-control"  # noqa: S105 - for development, where there is nothing to protect


class MisconfiguredSimulator(Exception):
    """A setting in the environment makes it impossible to start."""


class Simulator:
    """What the endpoints work with."""

    def __init__(self, books_path: Path, control_token: str) -> None:
        self.control_token = control_token
        self.books = Books(books_path)
        self.key = CredentialKey(books_path.parent)
        self.courier = Courier(self.books)
        self.prompt_alarm = Alarm(partial(prompts.settle_due, self.books, self.courier))
        self.order_alarm = Alarm(partial(execution.carry_out_due, self.books, self.courier))
        self.standing_order_alarm = Alarm(partial(standing_orders.tend, self.books, self.courier, self.in_background))
        self.till_request_alarm = Alarm(partial(till_requests.settle_due, self.books, self.courier))
        self._tasks: set[asyncio.Task[Any]] = set()

    def in_background(self, work: Coroutine[Any, Any, Any]) -> None:
        """Let work go on after an answer was given; what a restart cuts off is lost, as it is in the sandbox."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            logger.error("Work in the background failed.", exc_info=task.exception())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send and settle while the context lasts."""
        self.in_background(self.courier.alarm.run())
        self.in_background(self.prompt_alarm.run())
        self.in_background(self.order_alarm.run())
        self.in_background(self.standing_order_alarm.run())
        self.in_background(self.till_request_alarm.run())
        try:
            yield
        finally:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.courier.close()
            self.books.close()


def from_environment() -> Simulator:
    """Read SIMULATOR_BOOKS or TUZO_DATA, and SIMULATOR_CONTROL_TOKEN.

    :raises MisconfiguredSimulator: in production without a token.
    """
    data = Path(os.environ.get("TUZO_DATA") or Path(__file__).resolve().parents[2] / ".tuzo")
    books = Path(os.environ.get("SIMULATOR_BOOKS") or data / "simulator" / "books.sqlite3")
    token = os.environ.get("SIMULATOR_CONTROL_TOKEN", "")
    if not token:
        if os.environ.get("TUZO_ENV") == "production":
            raise MisconfiguredSimulator("Set SIMULATOR_CONTROL_TOKEN; production has no default for it.")
        token = _DEVELOPMENT_TOKEN
    return Simulator(books, token)


def of(request: Request) -> Simulator:
    """The simulator that serves a request."""
    simulator: Simulator = request.app.state.simulator
    return simulator
