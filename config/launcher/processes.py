"""Child processes that end when the launcher ends, however it ends."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

_LOG_LIMIT_BYTES = 10_000_000
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Account:
    """The operating system's user that a process runs as, when it is not ours."""

    uid: int
    gid: int


@dataclass(frozen=True)
class ProcessStat:
    """One line of /proc: `started` is in clock ticks since boot and tells two uses of one pid apart."""

    pid: int
    state: str
    parent: int
    session: int
    started: int


def stat_of(pid: int) -> ProcessStat | None:
    """What /proc says about a process; None if it has ended, or where there is no /proc."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
    return ProcessStat(pid, fields[0], int(fields[1]), int(fields[3]), int(fields[19]))


def running_processes() -> Iterator[ProcessStat]:
    """Every process that has not ended; none where there is no /proc."""
    for entry in Path("/proc").glob("[0-9]*"):
        stat = stat_of(int(entry.name))
        if stat and stat.state != "Z":
            yield stat


def wait_until(condition: Callable[[], bool], *, timeout_s: float) -> bool:
    """Ask every 20 ms until the answer is yes; False if it never was."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def end_session(leader: int, started: int, *, timeout_s: float = 5) -> None:
    """End what is left of a process that a killed launcher had started, with all its descendants.

    Every child of ours leads a session of its own. While anything lives in that session the kernel gives its
    number to nobody else, so a leader with another start time means that ours has long gone.
    """

    def members() -> list[ProcessStat]:
        return [each for each in running_processes() if each.session == leader]

    leader_now = stat_of(leader)
    if leader_now and leader_now.started != started:
        return
    for stop_signal in (signal.SIGTERM, signal.SIGKILL):
        for each in members():
            _signal(each.pid, stop_signal)
        if wait_until(lambda: not members(), timeout_s=timeout_s):
            return


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def die_with_parent(death_signal: int) -> Callable[[], None]:
    """What a child does before it becomes its program: ask Linux for a signal when the launcher dies.

    Linux sends it when the *thread* that started the child ends, so children are started from a thread that stays.
    """
    parent = os.getpid()

    def in_child() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, death_signal)
            if os.getppid() != parent:
                os._exit(1)

    return in_child


class Process:
    """A program in a session of its own, which writes to a log file and can be started again."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str | os.PathLike[str]],
        *,
        log: Path,
        env: Mapping[str, str],
        cwd: Path,
        stop_signal: int = signal.SIGTERM,
        account: Account | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._argv = argv
        self._env = env
        self._cwd = cwd
        self._stop_signal = stop_signal
        self._account = account
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    @property
    def exit_code(self) -> int | None:
        """None while it runs and before it was started; negative for a signal, as in subprocess."""
        return self._child.poll() if self._child else None

    def start(self) -> None:
        """:raises OSError: if the log can't be written or the program can't be run."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > _LOG_LIMIT_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                cwd=self._cwd,
                start_new_session=True,
                preexec_fn=die_with_parent(self._stop_signal),
                **run_as(self._account),
            )

    def ask_to_stop(self) -> None:
        if self._child and self._child.poll() is None:
            self._child.send_signal(self._stop_signal)

    def stop(self, *, timeout_s: float = 8) -> None:
        """Ask, wait, and in the end kill it with all its descendants. Stopping twice is harmless."""
        if not self._child:
            return
        self.ask_to_stop()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(timeout_s)
        self.kill()

    def kill(self) -> None:
        """Send SIGKILL to it and to every descendant that stayed in its session."""
        if self._child:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # the latter: macOS, a group of zombies
                os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()
            self._child = None


class RunAs(TypedDict):
    """Arguments of subprocess; None changes nothing."""

    user: int | None
    group: int | None
    extra_groups: list[int] | None


def run_as(account: Account | None) -> RunAs:
    """The arguments with which subprocess runs something as that account."""
    if account is None:
        return {"user": None, "group": None, "extra_groups": None}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def last_lines(log: Path, count: int) -> list[str]:
    """The end of a log, read from its last 16 kB."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 16_384))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except OSError:
        return []
