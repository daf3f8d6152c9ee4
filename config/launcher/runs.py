"""Who runs this checkout's services now, and how others reach them.

The holder keeps `owner.lock`, so a lock that can be had means that nobody runs, however the last one ended.
Commands that use a holder's services keep a share of `users.lock`, and the holder stops nothing before they end.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from config.launcher.console import CannotContinue, Console
from config.launcher.processes import end_session, stat_of, wait_until
from config.launcher.project import Project

_START_TIMEOUT_S = 90


@dataclass
class Run:
    """What run.json tells others: the command that holds the services, and its children.

    `urls` are DATABASE_URL and REDIS_URL, once they may be used.
    """

    path: Path
    command: str
    port: int
    urls: dict[str, str] = field(default_factory=dict)

    def write(self, pids: list[int]) -> None:
        """Note the children with their start times, so that the next run can end them if this one is killed."""
        stats = [stat for stat in map(stat_of, pids) if stat]
        note = {
            "pid": os.getpid(),
            "command": self.command,
            "port": self.port,
            "urls": self.urls,
            "children": [[stat.pid, stat.started] for stat in stats],
        }
        draft = self.path.with_name("run.json.new")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(note, indent=1), encoding="utf-8")
        draft.replace(self.path)

    def wait_for_users(self, console: Console) -> None:
        """Return when no other command uses the services, and when none can begin to."""
        with self.path.with_name("users.lock").open("a") as lock:
            if not _try_lock(lock, fcntl.LOCK_EX):
                console.line("Waiting for another ./tuzo command that uses this database.")
                fcntl.flock(lock, fcntl.LOCK_EX)
            self.path.unlink(missing_ok=True)


@contextmanager
def claim(project: Project, command: str, port: int) -> Iterator[Run | None]:
    """Become the one who runs the services of this checkout; None if somebody else is.

    What a killed run has left behind is ended first.
    """
    with project.writing():
        project.data.mkdir(parents=True, exist_ok=True)
        lock = (project.data / "owner.lock").open("a")
    with lock:
        # Tried for a moment, because `running` holds the lock too while it looks.
        if not wait_until(lambda: _try_lock(lock, fcntl.LOCK_EX), timeout_s=0.2):
            yield None
            return
        run = Run(project.data / "run.json", command, port)
        for pid, started in _read_note(run.path).get("children", []):
            end_session(pid, started)
        run.path.unlink(missing_ok=True)
        try:
            yield run
        finally:
            run.path.unlink(missing_ok=True)


@contextmanager
def borrow(project: Project) -> Iterator[dict[str, Any] | None]:
    """Use what another command runs: the contents of its run.json, good until the block ends; None if it has ended.

    :raises CannotContinue: if it does not get ready.
    """
    with (project.data / "users.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        if not wait_until(lambda: running(project) != {}, timeout_s=_START_TIMEOUT_S):
            raise CannotContinue("Another ./tuzo command is still starting the database: try again.")
        yield running(project)


def running(project: Project) -> dict[str, Any] | None:
    """The run.json of whoever runs now, empty while it starts; None if nobody runs."""
    try:
        with (project.data / "owner.lock").open("a") as lock:
            if _try_lock(lock, fcntl.LOCK_SH):
                return None
    except OSError:
        return None
    note = _read_note(project.data / "run.json")
    return note if note.get("urls") else {}


def _try_lock(file: TextIO, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_note(path: Path) -> dict[str, Any]:
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}
