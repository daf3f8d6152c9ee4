"""Keeps the processes of a stack running: watches, says what happened, starts again, stops in order."""

import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from config.launcher.console import CannotContinue, Console
from config.launcher.logs import Tail

_LOOK_EVERY_S = 0.25
_FIRST_DELAY_S = 0.5
_LONGEST_DELAY_S = 30.0
_STABLE_AFTER_S = 60.0
_WORTH_SHOWING = re.compile(r"\b(ERROR|CRITICAL)\b|^Traceback ")


class Unit(Protocol):
    """Something that runs: a `Process` or an embedded service."""

    @property
    def name(self) -> str: ...
    @property
    def log(self) -> Path: ...
    @property
    def pid(self) -> int | None: ...
    @property
    def exit_code(self) -> int | None: ...
    def start(self) -> object: ...
    def stop(self) -> None: ...


class _Watched:
    """A unit with what the supervisor remembers of it."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.tail = Tail(unit.log)
        self.started_at = time.monotonic()
        self.delay_s = _FIRST_DELAY_S
        self.start_again_at: float | None = None


class Supervisor:
    """Watches units until it is told to stop. One thread, so that children know their parent's death."""

    def __init__(self, console: Console, *, verbose: bool, changed: Callable[[list[int]], None]) -> None:
        """`changed` is called with the pids whenever a unit got a new one."""
        self._console = console
        self._verbose = verbose
        self._changed = changed
        self._watched: list[_Watched] = []

    def watch(self, unit: Unit) -> None:
        """Watch a unit that has been started."""
        self._watched.append(_Watched(unit))
        self._tell_pids()

    def look(self) -> None:
        """Show what is new in the logs, and start again what has ended, each time after a longer pause."""
        for watched in self._watched:
            self._show_new_lines(watched)
            now = time.monotonic()
            if watched.start_again_at is not None:
                if now >= watched.start_again_at:
                    self._start_again(watched)
            elif watched.unit.exit_code is not None:
                if now - watched.started_at > _STABLE_AFTER_S:
                    watched.delay_s = _FIRST_DELAY_S
                self._console.line(
                    f"{watched.unit.name} {_how_it_ended(watched.unit.exit_code)}; "
                    f"starting it again in {watched.delay_s:g} s (log: {watched.unit.log})."
                )
                watched.start_again_at = now + watched.delay_s
                watched.delay_s = min(watched.delay_s * 2, _LONGEST_DELAY_S)

    def run(self) -> None:
        """Look until an interrupt comes."""
        while True:
            self.look()
            time.sleep(_LOOK_EVERY_S)

    def first_that_ended(self) -> Unit | None:
        """A unit that did not survive its start."""
        return next((each.unit for each in self._watched if each.unit.exit_code is not None), None)

    def _start_again(self, watched: _Watched) -> None:
        watched.unit.stop()  # ends what a crash has left of it
        watched.start_again_at = None
        watched.started_at = time.monotonic()
        try:
            watched.unit.start()
        except (CannotContinue, OSError) as error:
            self._console.line(f"{watched.unit.name} could not be started again: {error}")
            watched.start_again_at = time.monotonic() + watched.delay_s
            watched.delay_s = min(watched.delay_s * 2, _LONGEST_DELAY_S)
        else:
            self._console.line(f"{watched.unit.name} runs again.")
        self._tell_pids()

    def _show_new_lines(self, watched: _Watched) -> None:
        for line in watched.tail.new_lines():
            if self._verbose or (watched.unit.name != "postgres" and _WORTH_SHOWING.search(line)):
                self._console.line(f"{watched.unit.name:<9} | {line}")

    def _tell_pids(self) -> None:
        self._changed([each.unit.pid for each in self._watched if each.unit.pid])


def _how_it_ended(exit_code: int) -> str:
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    return f"was ended by {signal.Signals(-exit_code).name}"
