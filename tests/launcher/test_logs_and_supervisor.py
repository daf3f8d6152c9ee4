"""Logs read as they grow, and what the supervisor makes of processes that end."""

import io
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config.launcher.console import Console
from config.launcher.logs import Tail
from config.launcher.processes import Process, end_session, stat_of, wait_until
from config.launcher.supervisor import Supervisor

Start = Callable[[str], Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Process] = []

    def start(program: str) -> Process:
        command = [sys.executable, "-c", program]
        process = Process(f"p{len(started)}", command, log=tmp_path / f"p{len(started)}.log", env={}, cwd=tmp_path)
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()


def look_until(supervisor: Supervisor, condition: Callable[[], bool]) -> None:
    def look() -> bool:
        supervisor.look()
        return condition()

    assert wait_until(look, timeout_s=15)


def test_tail_gives_whole_lines_and_notices_a_new_file(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    log.write_text("before\n")
    tail = Tail(log)

    assert tail.new_lines() == []
    with log.open("a") as file:
        file.write("first\nsec")
    assert tail.new_lines() == ["first"]
    with log.open("a") as file:
        file.write("ond\n")
    assert tail.new_lines() == ["second"]
    log.write_text("new\n")
    assert tail.new_lines() == ["new"]
    log.unlink()
    assert tail.new_lines() == []


def test_supervisor_starts_again_after_longer_and_longer_pauses(start: Start) -> None:
    screen = io.StringIO()
    pids: list[list[int]] = []
    supervisor = Supervisor(Console(screen), verbose=False, changed=pids.append)
    process = start("import sys; sys.exit(3)")
    supervisor.watch(process)
    began = time.monotonic()

    look_until(supervisor, lambda: "in 2 s" in screen.getvalue())

    assert time.monotonic() - began > 1.5
    said = [line.partition(" (log")[0] for line in screen.getvalue().splitlines()]
    assert said == [
        "p0 ended with exit code 3; starting it again in 0.5 s",
        "p0 runs again.",
        "p0 ended with exit code 3; starting it again in 1 s",
        "p0 runs again.",
        "p0 ended with exit code 3; starting it again in 2 s",
    ]
    assert len(pids) == 3


def test_errors_are_shown_and_the_rest_only_when_asked(start: Start) -> None:
    quiet, verbose = io.StringIO(), io.StringIO()
    go = "import time; time.sleep(.5); print('INFO all is well'); print('2026 ERROR no such tenant', flush=True); "
    process = start(go + "time.sleep(60)")
    supervisors = [
        Supervisor(Console(quiet), verbose=False, changed=lambda pids: None),
        Supervisor(Console(verbose), verbose=True, changed=lambda pids: None),
    ]
    for supervisor in supervisors:
        supervisor.watch(process)

    for supervisor, screen in zip(supervisors, (quiet, verbose), strict=True):
        look_until(supervisor, lambda screen=screen: "no such tenant" in screen.getvalue())  # type: ignore[misc]

    assert quiet.getvalue() == "p0        | 2026 ERROR no such tenant\n"
    assert verbose.getvalue() == "p0        | INFO all is well\np0        | 2026 ERROR no such tenant\n"


def test_stop_asks_before_it_kills(start: Start, tmp_path: Path) -> None:
    ready = "print('ready', flush=True); time.sleep(60)"
    polite = start(f"import signal, sys, time; signal.signal(15, lambda *_: sys.exit(print('bye'))); {ready}")
    deaf = start(f"import signal, time; signal.signal(15, signal.SIG_IGN); {ready}")
    for process in (polite, deaf):
        assert wait_until(lambda log=process.log: "ready" in log.read_text(), timeout_s=10)  # type: ignore[misc]
    pid = deaf.pid
    assert pid

    polite.stop(timeout_s=5)
    deaf.stop(timeout_s=0.3)

    assert polite.log.read_text() == "ready\nbye\n"
    assert stat_of(pid) is None
    assert deaf.pid is None


def test_end_session_ends_descendants_whose_leader_has_died(start: Start) -> None:
    process = start("import os, time; os.fork(); print(os.getpid(), flush=True); time.sleep(60)")
    assert wait_until(lambda: len(process.log.read_text().split()) == 2, timeout_s=10)
    leader = process.pid
    assert leader
    descendant = next(int(pid) for pid in process.log.read_text().split() if int(pid) != leader)
    stat = stat_of(leader)
    assert stat
    os.kill(leader, signal.SIGKILL)

    end_session(leader, stat.started)

    left = stat_of(descendant)
    assert left is None or left.state == "Z"


def test_end_session_leaves_a_stranger_with_the_same_number_alone(start: Start) -> None:
    process = start("import time; time.sleep(60)")
    pid = process.pid
    assert pid
    stat = stat_of(pid)
    assert stat

    end_session(pid, stat.started - 1)

    assert process.exit_code is None
