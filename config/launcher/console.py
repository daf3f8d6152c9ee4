"""What the person at the terminal sees: one line a step, with the time it took."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

_LABEL_WIDTH = 34
_NOTE_WIDTH = 40


class CannotContinue(Exception):
    """An expected failure; its text is the sentence that the person reads, with what to do about it."""


class Console:
    """Writes whole lines and steps to one stream, at once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def line(self, text: str = "") -> None:
        print(text, file=self._stream, flush=True)

    @contextmanager
    def step(self, label: str) -> Iterator[Callable[[str], None]]:
        """Show that `label` is running, and then how long it took or that it stopped there.

        What is called with a text shows it as what the step does just now, on a terminal.
        """
        started = time.monotonic()
        begin = f"  {label} {'.' * (_LABEL_WIDTH - len(label))} "

        def note(text: str) -> None:
            if self._stream.isatty():
                print(f"\r{begin}{text[:_NOTE_WIDTH]:<{_NOTE_WIDTH}}", end="", file=self._stream, flush=True)

        print(begin, end="", file=self._stream, flush=True)
        outcome = "stopped"
        try:
            yield note
            outcome = f"{time.monotonic() - started:.1f} s"
        except CannotContinue:
            outcome = "failed"
            raise
        finally:
            note("")
            self.line(f"\r{begin}{outcome}" if self._stream.isatty() else outcome)
