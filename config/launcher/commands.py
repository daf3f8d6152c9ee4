"""The commands around a running stack, and the test suite."""

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from config.launcher import runs, stack
from config.launcher.console import CannotContinue, Console
from config.launcher.environment import VENV
from config.launcher.processes import die_with_parent
from config.launcher.project import ROOT, Project
from config.launcher.services import postgres_bin

# Tests end processes, not machines; what PostgreSQL has handed to the kernel survives the former.
_POSTGRES_FOR_TESTS = {"fsync": "off", "full_page_writes": "off"}
_PYTEST_CHOOSES_ITS_OWN = ("-n", "--numprocesses", "--pdb", "--trace", "--collect-only", "--co")


def manage(project: Project, console: Console, arguments: Sequence[str]) -> int:
    """Run a Django command with the services that run, or with services for as long as it takes."""
    with stack.running_services(project, "manage", console) as environment:
        return run_in_foreground([sys.executable, "manage.py", *arguments], environment)


def bench(project: Project, console: Console, arguments: Sequence[str]) -> int:
    """Run the benchmark; it finds pgbench by the variable PGBENCH."""
    with stack.running_services(project, "bench", console) as environment:
        environment |= {"PGBENCH": str(postgres_bin() / "pgbench"), "PGBIN": str(postgres_bin())}
        return run_in_foreground([sys.executable, "manage.py", "bench", *arguments], environment)


def psql(project: Project, console: Console, arguments: Sequence[str]) -> int:
    """Open the database in psql, the embedded one's own or else the system's."""
    program = postgres_bin() / "psql"
    command = str(program) if program.exists() else shutil.which("psql")
    if command is None:
        raise CannotContinue("There is no psql here: install PostgreSQL's client programs.")
    with stack.running_services(project, "psql", console) as environment:
        return run_in_foreground([command, environment["DATABASE_URL"], *arguments], environment)


def test(project: Project, console: Console, arguments: Sequence[str]) -> int:
    """Run pytest against services of its own, which end with it."""
    tests = project.for_tests()
    chosen = any(each.split("=")[0].startswith(_PYTEST_CHOOSES_ITS_OWN) for each in arguments)
    command = [sys.executable, "-m", "pytest", *([] if chosen else ["-n", "2"]), *arguments]
    with runs.claim(tests, "test", tests.port()) as run:
        if run is None:
            raise CannotContinue("Another ./tuzo test runs in this checkout: try again when it has ended.")
        started: list[stack.Service] = []
        try:
            run.urls = stack.start_services(tests, console, started=started, settings=_POSTGRES_FOR_TESTS)
            run.write([service.pid for service in started if service.pid])
            environment = tests.environment(tests.port()) | run.urls | {"PGBIN": str(postgres_bin())}
            return run_in_foreground(command, environment)
        finally:
            stack.stop_services(started)


def faults(project: Project, arguments: Sequence[str]) -> int:
    """Run the fault harness, which starts a stack of its own and keeps its logs if something is wrong."""
    environment = os.environ | {"TUZO_DATA": str(project.for_tests().data)}
    return run_in_foreground([sys.executable, "-m", "tests.faults", *arguments], environment)


def pay(project: Project, console: Console, payment: Mapping[str, str]) -> int:
    """Pay as a customer would, on the simulator's virtual phone; print what the payer reads, and what became of it.

    :raises CannotContinue: if the simulator can't be reached, or the payment did not happen.
    """
    running = runs.running(project)
    ours = f"http://127.0.0.1:{running['port'] + 1}" if running else None
    address = project.given.get("SIMULATOR_URL") or ours
    if address is None:
        raise CannotContinue("The simulator does not run here: start ./tuzo up in another terminal first.")
    request = urllib.request.Request(  # noqa: S310 - the address is ours or the person's own
        f"{address}/phone/payments", json.dumps(payment).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        raise CannotContinue(f"The payment was refused: {_reason(error)}") from None
    except (OSError, ValueError) as error:
        raise CannotContinue(
            f"The simulator at {address} does not answer ({error}): see ./tuzo logs simulator."
        ) from None
    if answer["state"] != "completed":
        raise CannotContinue(answer["message"])
    console.line(answer["message"])
    if not running:
        return 0
    environment = project.environment(running["port"]) | running["urls"]
    python = VENV / "bin" / "python"  # this command itself needs no packages, and does not wait for them
    return run_in_foreground(
        [python, "manage.py", "follow", answer["receipt"], "--shortcode", payment["shortcode"]], environment
    )


def _reason(error: urllib.error.HTTPError) -> str:
    body = error.read().decode(errors="replace")
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {error.code}. {body[:200]}"


def run_in_foreground(argv: Sequence[str | Path], environment: Mapping[str, str]) -> int:
    """Run a program on this terminal and return its exit code, as a shell counts it.

    Ctrl-C reaches the program from the terminal, and it decides what that means; SIGTERM is passed on.
    """
    before = signal.signal(signal.SIGINT, lambda *_: None)
    child = subprocess.Popen(argv, cwd=ROOT, env=environment, preexec_fn=die_with_parent(signal.SIGTERM))
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    signal.signal(signal.SIGHUP, lambda *_: child.terminate())
    try:
        code = child.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    return code if code >= 0 else 128 - code


def replace_by_python(python: Path, arguments: Sequence[str], variables: Mapping[str, str]) -> None:
    """Go on as another Python in the same process."""
    os.execve(python, [str(python), "-m", "config.launcher", *arguments], os.environ | dict(variables))  # noqa: S606
