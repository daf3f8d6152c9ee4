"""The house of a run: everything that `./tuzo up` starts, with parts that can be ended, and doors to both books."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row

from config.launcher.processes import Process
from config.launcher.project import Project
from config.launcher.services import EmbeddedPostgres
from config.launcher.up import STORY_TOLD
from tests.faults.plan import PROCESSES, Kill
from tests.journeys.stack import Stack
from tests.processes import PROJECT

# Short, so that what hangs is soon known to hang; everything that waits longer than a call is counted from these.
_TIMEOUTS = {"DARAJA_CONNECT_TIMEOUT_S": "1", "DARAJA_READ_TIMEOUT_S": "2"}
_PAGE = 2_000


class House(Stack):
    """PostgreSQL writes to disk here, and the two stories of the demo are left out."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, LOG_LEVEL="INFO", **_TIMEOUTS)
        self.postgres = EmbeddedPostgres(folder / "postgres")
        self.kills: Counter[str] = Counter()
        self._doomed: list[tuple[str, Process]] = []
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STORY_TOLD).touch()

    @property
    def port(self) -> int:
        return self._port

    @property
    def journal(self) -> list[Path]:
        return list((self.folder / "journal").glob("*"))

    def stop(self) -> None:
        for _, worker in self._doomed:
            worker.kill()
        super().stop()

    def carry_out(self, kill: Kill) -> None:
        """End a part of the house. Call it from the thread that started the house: children end with their thread."""
        if kill.point:
            self._start_doomed(kill.point)
        elif kill.victim in PROCESSES:
            self.kill(kill.victim)
            self.kills[kill.victim] += 1
        else:
            service = self.postgres if kill.victim == "postgres" else self.valkey
            service.kill()
            self.kills[kill.victim] += 1
            time.sleep(kill.away)
            service.start()

    def count_crashes(self) -> None:
        """Note which of the workers that were to die at a point have done so."""
        for point, worker in list(self._doomed):
            if worker.exit_code is not None:
                worker.kill()  # what is left of its session
                self.kills[f"worker at {point}"] += 1
                self._doomed.remove((point, worker))

    def spare_the_doomed(self) -> None:
        """End the workers that have not come to their point."""
        self.count_crashes()
        for _, worker in self._doomed:
            worker.stop()
        self._doomed.clear()

    def _start_doomed(self, point: str) -> None:
        """One more worker, which takes its share of the work until it comes to the point."""
        project = Project(data=self.folder, given=self.environment)
        celery = ["celery", "-A", "config", "worker", "--queues", "celery", "--without-gossip", "--without-mingle"]
        worker = Process(
            "doomed",
            [sys.executable, "-m", *celery, "--hostname", f"{point}-{time.monotonic_ns()}@here"],
            log=project.logs / "doomed.log",
            env=project.environment(self._port) | {"TUZO_CRASH_AT": point},
            cwd=PROJECT,
        )
        worker.start()
        self._doomed.append((point, worker))

    # -- Both books ---------------------------------------------------------------------------------------------------

    def rows(self, query: str, *arguments: Any) -> list[Any]:
        """Of our database: named tuples."""
        with self.database() as connection:
            return connection.execute(query, arguments or None).fetchall()

    @contextmanager
    def database(self) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self.postgres.url, row_factory=namedtuple_row) as connection:
            yield connection

    def deliveries(self, *, after: int = 0) -> Iterator[Mapping[str, Any]]:
        """What M-PESA sent, or was to send, oldest first."""
        while page := self.control("GET", f"/deliveries?after={after}&limit={_PAGE}")["deliveries"]:
            yield from page
            after = page[-1]["id"]

    def settled_deliveries(self) -> bool:
        """Is nothing on its way from M-PESA any more?"""
        unsent = next((each["id"] for each in self.deliveries(after=self._sent_until) if _is_open(each)), None)
        if unsent is not None:
            self._sent_until = unsent - 1
        return unsent is None

    _sent_until = 0


def _is_open(delivery: Mapping[str, Any]) -> bool:
    return delivery["state"] in {"waiting", "sending"}


class Clock:
    """The time since money began to move. `stop` ends every wait."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._stopped = threading.Event()

    @property
    def now(self) -> float:
        return time.monotonic() - self._began

    def stop(self) -> None:
        self._stopped.set()

    def sleep_until(self, at: float) -> bool:
        """False if the run was stopped meanwhile."""
        return not self._stopped.wait(max(at - self.now, 0))

    def sleep(self, seconds: float) -> bool:
        return not self._stopped.wait(seconds)
