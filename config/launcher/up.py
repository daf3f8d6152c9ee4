"""`./tuzo up`: everything that Tuzo needs, from the database to a simulated M-PESA, until Ctrl-C."""

import http.client
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from config.launcher import runs, stack
from config.launcher.console import CannotContinue, Console
from config.launcher.processes import Process, die_with_parent, last_lines
from config.launcher.project import ROOT, Project
from config.launcher.supervisor import Supervisor, Unit

_READY_TIMEOUT_S = 90
STORY_TOLD = "story-told"  # a file in the data folder; goes with the data
# SIGINT too: a shell makes what it starts with & ignore it, and Python would leave it so.
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def up(project: Project, console: Console, *, port: int, fresh: bool, verbose: bool, began_at: float) -> int:
    """Run the stack until it is interrupted, and return 0 then. `began_at` is in seconds since 1970.

    :raises CannotContinue: if something is missing, in the way, or does not start.
    """
    environment = project.environment(port)
    if project.in_production:
        raise CannotContinue(
            "./tuzo up makes demo businesses and runs a simulator, which production must not have: "
            "run the processes that compose.yaml lists instead."
        )
    for stopping in _STOPPING:
        signal.signal(stopping, _interrupt)
    with runs.claim(project, "up", port) as run:
        if run is None:
            raise CannotContinue(_already_running(runs.running(project)))
        for number in (port, port + 1):
            _require_free(number)
        if fresh:
            with console.step("Emptying the old data"):
                stack.empty(project)
        services: list[stack.Service] = []
        processes: list[Process] = []
        supervisor = Supervisor(console, verbose=verbose, changed=run.write)
        try:
            urls = stack.start_services(project, console, started=services)
            for service in services:
                supervisor.watch(service)
            simulator, web, worker, beat = processes = _processes(project, environment | urls, port)
            with console.step("Simulator"):  # the demo businesses are made against it
                _start(project, supervisor, simulator)
                _wait_until_healthy(supervisor, port + 1, "/health")
            with console.step("Migrations and demo businesses"):
                told = _manage(project, environment | urls, "prepare")
            run.urls = urls  # other commands may use the database from now on
            with console.step("Web, worker and beat"):
                for process in (web, worker, beat):
                    _start(project, supervisor, process)
                _wait_until_healthy(supervisor, port, "/health/")
            story = _tell_story(project, console, environment | urls)
            _greet(console, port, [story, told], time.time() - began_at)
            supervisor.run()
        except KeyboardInterrupt:
            _ignore_signals()
            console.line("\nStopping.")
        finally:
            _ignore_signals()
            for wave in (("beat", "web", "simulator"), ("worker",)):
                _stop_together([process for process in processes if process.name in wave])
            stack.stop_services(services)
    console.line("Stopped.")
    return 0


def _processes(project: Project, environment: Mapping[str, str], port: int) -> list[Process]:
    """Simulator, web, worker and beat, not yet started."""

    def process(name: str, *argv: str) -> Process:
        command = [sys.executable, "-m", *argv]
        return Process(name, command, log=project.logs / f"{name}.log", env=environment, cwd=ROOT)

    def served(name: str, application: str, on: int) -> Process:
        options = ["--interface", "asgi", "--host", "127.0.0.1", "--port", str(on), "--workers", "1"]
        return process(name, "granian", *options, "--loop", "uvloop", "--no-ws", application)

    celery = ["celery", "-A", "config"]
    quiet = ["--without-gossip", "--without-mingle"]  # the worker has no peers to greet
    return [
        served("simulator", "channels.simulator.app:application", port + 1),
        served("web", "config.asgi:application", port),
        process("worker", *celery, "worker", "--queues", "celery,sms", "--loglevel", "INFO", *quiet),
        process("beat", *celery, "beat", "--schedule", str(project.data / "beat-schedule"), "--loglevel", "INFO"),
    ]


def _start(project: Project, supervisor: Supervisor, process: Process) -> None:
    with project.writing():
        process.start()
    supervisor.watch(process)


def _stop_together(units: list[Process]) -> None:
    for unit in units:
        unit.ask_to_stop()
    for unit in units:
        unit.stop()


def _tell_story(project: Project, console: Console, environment: Mapping[str, str]) -> str:
    """On new data, customers pay on the simulator: what came of it, for the person to see. Later nothing."""
    told = project.data / STORY_TOLD
    if told.exists():
        return ""
    with console.step("Two customers pay"):
        story = _manage(project, environment, "demo")
    with project.writing():
        told.touch()
    return story


def _manage(project: Project, environment: Mapping[str, str], command: str) -> str:
    """Run one of manage.py's commands and return what it tells the person.

    :raises CannotContinue: with what it said last, if it failed.
    """
    log = project.logs / f"{command}.log"
    with log.open("w", encoding="utf-8") as errors:
        done = subprocess.run(
            [sys.executable, "manage.py", command],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )
    if done.returncode:
        said = last_lines(log, 1)
        raise CannotContinue(
            f"manage.py {command} failed ({said[-1].strip() if said else 'it said nothing'}); its log is {log}."
        )
    return done.stdout.strip("\n")


def _wait_until_healthy(supervisor: Supervisor, port: int, path: str) -> None:
    """:raises CannotContinue: if something ends while it starts, or nothing answers in time."""
    deadline = time.monotonic() + _READY_TIMEOUT_S
    while not _is_healthy(port, path):
        ended = supervisor.first_that_ended()
        if ended:
            raise CannotContinue(_ended_while_starting(ended))
        if time.monotonic() > deadline:
            raise CannotContinue(f"Nothing answers at http://127.0.0.1:{port}{path} yet: see ./tuzo logs.")
        time.sleep(0.05)


def _is_healthy(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path, headers={"Host": f"localhost:{port}"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _ended_while_starting(unit: Unit) -> str:
    end = "\n".join(f"    {line}" for line in last_lines(unit.log, 12))
    return f"{unit.name} ended while it started; the end of its log {unit.log}:\n{end}"


def _greet(console: Console, port: int, told: Sequence[str], elapsed_s: float) -> None:
    console.line()
    for paragraph in filter(None, told):
        console.line(paragraph)
        console.line()
    console.line(f"  Platform       http://localhost:{port}/")
    console.line(f"  API            http://localhost:{port}/api/v1/")
    console.line(f"  Virtual phone  http://localhost:{port + 1}/")
    console.line()
    console.line(f"Ready in {elapsed_s:.1f} s. Ctrl-C stops everything. In another terminal: ./tuzo logs -f,")
    console.line("./tuzo pay --shortcode 174379 --account VIP001 --amount 5000 --phone 0712345678, ./tuzo --help")


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise CannotContinue(
                f"Port {port} can't be used ({error.strerror}): choose others, "
                f"such as ./tuzo up --port {port + 1000 if port < 64000 else 8000}; the simulator takes the next one."
            ) from None


def _already_running(note: dict[str, object] | None) -> str:
    if note and note.get("command") == "up":
        return (
            f"Tuzo runs already at http://localhost:{note['port']}/ (process {note['pid']}): "
            "stop it with Ctrl-C in its terminal, or use it."
        )
    return "Another ./tuzo command uses this checkout's data: try again when it has ended."


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _ignore_signals() -> None:
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)
