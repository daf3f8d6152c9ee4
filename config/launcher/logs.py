"""The log files of a running stack, read as they grow."""

import time
from pathlib import Path

from config.launcher.console import CannotContinue, Console
from config.launcher.processes import last_lines


class Tail:
    """The lines that a log gets from now on."""

    def __init__(self, log: Path) -> None:
        self.name = log.stem
        self._log = log
        self._position = log.stat().st_size if log.exists() else 0
        self._rest = b""

    def new_lines(self) -> list[str]:
        """Complete lines since the last call; a log that was begun anew is read from its start."""
        try:
            if self._log.stat().st_size < self._position:
                self._position, self._rest = 0, b""
            with self._log.open("rb") as file:
                file.seek(self._position)
                read = file.read()
        except FileNotFoundError:
            return []
        self._position += len(read)
        *lines, self._rest = (self._rest + read).split(b"\n")
        return [line.decode(errors="replace") for line in lines]


def show(folder: Path, name: str | None, *, follow: bool, console: Console) -> None:
    """Print the end of one process's log, or of all, and what comes after when asked to follow.

    :raises CannotContinue: if there is no such log.
    """
    logs = sorted(folder.glob("*.log"))
    if not logs:
        raise CannotContinue(f"There are no logs in {folder} yet: ./tuzo up writes them.")
    chosen = [log for log in logs if name in {None, log.stem}]
    if not chosen:
        raise CannotContinue(f"There is no log {name!r}: choose from {', '.join(log.stem for log in logs)}.")
    tails = [Tail(log) for log in chosen]
    for log in chosen:
        for line in last_lines(log, 20 if name is None else 200):
            console.line(_labelled(log.stem, line, name))
    while follow:
        for tail in tails:
            for line in tail.new_lines():
                console.line(_labelled(tail.name, line, name))
        time.sleep(0.2)


def _labelled(label: str, line: str, name: str | None) -> str:
    return line if name else f"{label:<9} | {line}"
