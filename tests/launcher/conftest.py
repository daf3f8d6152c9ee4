"""A small checkout with the real launcher and stand-ins for the rooms, so that these tests need no Django."""

import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from config.launcher.services import EmbeddedPostgres, EmbeddedValkey

_PROJECT = Path(__file__).resolve().parents[2]
_ANSWERS_OK = """
async def application(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})
"""
_SIMULATOR = """
import json

async def application(scope, receive, send):
    if scope["type"] != "http":
        return
    status, answer = 200, {"status": "ok"}
    if scope["path"] == "/phone/payments":
        asked = json.loads((await receive())["body"])
        if asked["amount"] == "5000":
            told = f"SKL1234567 Confirmed. {' '.join(asked.values())}"
            answer = {"state": "completed", "receipt": "SKL1234567", "message": told}
        elif asked["amount"] == "6000":
            answer = {"state": "cancelled", "message": "Failed. Not paid."}
        else:
            status, answer = 422, {"error": "The wallet holds less."}
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})
"""
_CELERY = """
import os
from celery import Celery

app = Celery("tuzo", broker=os.environ["REDIS_URL"].replace("unix://", "redis+socket://"))
"""
_MANAGE = """
import json, os, sys, time
import psycopg

if sys.argv[1:] == ["prepare"]:
    if os.path.exists("prepare-fails"):
        sys.exit("The demo could not be made.")
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS prepared (id int)")
        connection.execute("INSERT INTO prepared VALUES (1)")
    print("Sign in as demo@acme.example")
elif sys.argv[1:] == ["demo"]:
    print("A customer pays")
elif sys.argv[1] == "follow":
    print("  100 points", sys.argv[2:])
elif sys.argv[1] == "exit":
    sys.exit(int(sys.argv[2]))
elif sys.argv[1] == "wait-for":
    print("waiting", flush=True)
    while not os.path.exists(sys.argv[2]):
        time.sleep(0.02)
    psycopg.connect(os.environ["DATABASE_URL"]).close()
else:
    print(json.dumps({"arguments": sys.argv[1:], "environment": dict(os.environ)}))
"""
_FILES = {
    "config/__init__.py": "",
    "config/asgi.py": _ANSWERS_OK,
    "config/celery.py": _CELERY,
    "channels/__init__.py": "",
    "channels/simulator/__init__.py": "",
    "channels/simulator/app.py": _SIMULATOR,
    "manage.py": _MANAGE,
    "requirements.txt": "",
    "requirements-dev.txt": "",
}


class Checkout:
    """The folder, and its `tuzo`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data = root / ".tuzo"

    def command(self, *arguments: str) -> list[str]:
        return [str(self.root / "tuzo"), *arguments]

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `./tuzo` to its end, from another folder."""
        return subprocess.run(
            self.command(*arguments), cwd="/", env=_clean(environment), capture_output=True, text=True, timeout=120
        )

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Begin to run `./tuzo`; whoever starts it ends it."""
        command = self.command(*arguments)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, cwd="/", env=_clean({}), text=True, **pipes)

    def up(self, port: int, *arguments: str) -> "RunningStack":
        """Run `./tuzo up` until it says that it is ready."""
        child = subprocess.Popen(
            self.command("up", "--port", str(port), *arguments),
            cwd="/",
            env=_clean({}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        running = RunningStack(self, port, child)
        running.read_until("Ready in")
        return running


class RunningStack:
    """A `./tuzo up` in the background; `said` is what it has printed as far as it was read."""

    def __init__(self, checkout: Checkout, port: int, child: subprocess.Popen[str]) -> None:
        self.checkout = checkout
        self.port = port
        self.child = child
        self.said = ""

    def read_until(self, text: str) -> None:
        assert self.child.stdout
        for line in self.child.stdout:
            self.said += line
            if text in line:
                return
        raise AssertionError(f"it ended without saying {text!r}:\n{self.said}")

    def pids(self) -> list[int]:
        """PostgreSQL, Valkey, simulator, web, worker, beat."""
        return [pid for pid, _ in json.loads((self.checkout.data / "run.json").read_text())["children"]]

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal and return the exit code."""
        self.child.send_signal(number)
        self.said += self.child.communicate(timeout=30)[0]
        return self.child.returncode


def _clean(environment: dict[str, str]) -> dict[str, str]:
    """The environment without what the test run itself was given."""
    ours = ("DJANGO_", "DATABASE_URL", "REDIS_URL", "SECRET_KEY", "ENCRYPTION_KEYS", "AUDIT_KEY", "SIMULATOR_")
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith((*ours, "TUZO_", "_TUZO", "PYTEST_"))
    }
    return kept | environment


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    with _made(tmp_path / "a check-out") as checkout:
        yield checkout


@pytest.fixture(scope="module")
def stack_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """One running stack for all tests that leave it running."""
    with _made(tmp_path_factory.mktemp("shared") / "a check-out") as checkout:
        running = checkout.up(_free_port())
        yield running
        assert running.stop() == 0


@pytest.fixture
def port() -> int:
    return _free_port()


@contextmanager
def _made(root: Path) -> Iterator[Checkout]:
    for name, text in _FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    shutil.copy(_PROJECT / "tuzo", root / "tuzo")
    shutil.copytree(_PROJECT / "config" / "launcher", root / "config" / "launcher")
    _borrow_environment(root / ".venv")
    yield Checkout(root)
    for data in (root / ".tuzo", root / ".tuzo" / "test"):
        EmbeddedPostgres(data / "postgres").destroy()
        EmbeddedValkey(data / "valkey").destroy()


def _borrow_environment(venv: Path) -> None:
    """An environment that finds the packages of the one that runs the tests, noted as installed."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    packages = [path for path in sys.path if path.endswith("site-packages")]
    (venv / "lib" / f"python{version}" / "site-packages" / "borrowed.pth").write_text("\n".join(packages))
    nothing = hashlib.sha256(b"").hexdigest()
    note = {"python": version, "requirements.txt": nothing, "requirements-dev.txt": nothing}
    (venv / "tuzo-installed.json").write_text(json.dumps(note))


def _free_port() -> int:
    """A free port with a free one after it."""
    for _ in range(50):
        number = random.randrange(10_000, 30_000)  # below the ports that the kernel hands out to others meanwhile
        with socket.socket() as one, socket.socket() as next_one:
            try:
                one.bind(("127.0.0.1", number))
                next_one.bind(("127.0.0.1", number + 1))
            except OSError:
                continue
            return number
    raise AssertionError("no two free ports in a row")
