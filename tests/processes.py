"""Real server processes for tests: started on free ports, killed hard when a test wants it, always ended."""

import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import requests

from config.launcher.processes import Process, wait_until
from tenants.inbox import database_url

PROJECT = Path(__file__).parent.parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ServerProcess(Process):
    """One of our processes, against this run's database."""

    def __init__(self, name: str, arguments: list[str], *, folder: Path, environment: Mapping[str, str]) -> None:
        env = {**os.environ, "DATABASE_URL": database_url(), "TUZO_DATA": str(folder), **environment}
        super().__init__(name, [sys.executable, "-m", *arguments], log=folder / f"{name}.log", env=env, cwd=PROJECT)

    def wait_for(self, url: str, *, seconds: float = 30) -> None:
        """Return when something answers at `url`, whatever it says."""

        def answers() -> bool:
            assert self.exit_code is None, f"{self.name} ended:\n{self.said()}"
            try:
                requests.get(url, timeout=1)
            except (requests.ConnectionError, requests.Timeout):
                return False
            return True

        assert wait_until(answers, timeout_s=seconds), f"{self.name} does not answer at {url}:\n{self.said()}"

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""


def web_process(folder: Path, port: int, **environment: str) -> ServerProcess:
    return ServerProcess(
        f"web-{port}",
        [
            "granian", "--interface", "asgi", "config.asgi:application", "--host", "127.0.0.1", "--port", str(port),
            "--workers", "1", "--loop", "uvloop", "--no-ws",
        ],
        folder=folder,
        environment={"TUZO_PORT": str(port), **environment},
    )  # fmt: skip


def simulator_process(
    folder: Path, port: int, *, application: str = "channels.simulator.app:application", **environment: str
) -> ServerProcess:
    return ServerProcess(
        f"simulator-{port}",
        [
            "granian", "--interface", "asgi", application, "--host", "127.0.0.1", "--port", str(port),
            "--workers", "1",
        ],
        folder=folder,
        environment=environment,
    )  # fmt: skip


def worker_process(folder: Path, **environment: str) -> ServerProcess:
    return ServerProcess(
        "worker",
        [
            "celery",
            "-A",
            "config",
            "worker",
            "--beat",
            "--queues",
            "celery,sms",
            "--schedule",
            str(folder / "beat"),
        ],
        folder=folder,
        environment=environment,
    )
