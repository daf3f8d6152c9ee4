"""One run from its seed to its verdict."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from config.launcher.project import Project
from tests.faults.books import Ours, Theirs, read_ours, read_theirs
from tests.faults.house import House
from tests.faults.load import Load
from tests.faults.people import Doors, open_firm
from tests.faults.plan import Measures, make_plan
from tests.faults.settling import settle
from tests.faults.verdict import differences
from tests.processes import PROJECT


@dataclass
class Result:
    """What a run came to. `wrong` has a sentence for each thing that is not as it should be."""

    seed: int
    measures: Measures
    wrong: list[str] = field(default_factory=list)
    counts: list[tuple[str, int]] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    unanswered: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)  # how long each part of the run took


def run(folder: Path, *, seed: int, measures: Measures, patience_s: float, is_patient: bool = True) -> Result:
    """Play the plan of a seed in a house of its own, wait until all is at its end, and compare the books.

    `folder` is empty or absent; what the processes said stays there. `patience_s`: how long to wait for the end.
    """
    result = Result(seed, measures)
    plan = make_plan(seed, measures)
    house, doors = House(folder), Doors()
    try:
        with _Watch(result, "start"):
            house.start()
        with _Watch(result, "sign-up"):
            firms = [open_firm(house, doors, number) for number in range(measures.businesses)]
        began_at = datetime.now(UTC)
        load = Load(house, firms, plan)
        with _Watch(result, "faults"):
            load.play()
            result.faults = load.faults_struck()
        with _Watch(result, "settling"):
            left = settle(house, firms, since=began_at, seconds=patience_s, is_patient=is_patient)
        with _Watch(result, "comparing"):
            theirs, ours = read_theirs(house, firms), read_ours(house, firms)
            result.wrong = [*load.mishaps, *left, *differences(theirs, ours), *_check_audit(house)]
        result.counts = _count(theirs, ours)
    finally:
        with _Watch(result, "stop"):
            house.stop()
    result.kills, result.unanswered = house.kills, doors.unanswered
    return result


def _check_audit(house: House) -> list[str]:
    project = Project(data=house.folder, given=house.environment)
    done = subprocess.run(
        [sys.executable, "manage.py", "verify_audit"],
        cwd=PROJECT,
        env=project.environment(house.port),
        capture_output=True,
        text=True,
        check=False,
    )
    return [f"audit trail: {done.stdout}{done.stderr}"] if done.returncode else []


def _count(theirs: Theirs, ours: Ours) -> list[tuple[str, int]]:
    def how_many(rows: Sequence[Any], **wanted: str) -> int:
        return sum(all(getattr(row, name) == value for name, value in wanted.items()) for row in rows)

    asked = [row for row in (*ours.payouts, *ours.reversals) if row.checks or row.status == "NEEDS_REVIEW"]
    told = [row for row in asked if row.status in {"SUCCEEDED", "FAILED"} and not row.decided_by]
    return [
        ("payments", len(ours.payments)),
        ("  found by Pull", how_many(ours.payments, source="PULL")),
        ("payment requests", len(ours.requests)),
        ("  paid", how_many(ours.requests, status="SUCCEEDED")),
        ("  not paid", how_many(ours.requests, status="FAILED")),
        ("  unknown", how_many(ours.requests, status="UNKNOWN")),
        ("payouts", len(ours.payouts)),
        ("  paid", how_many(ours.payouts, status="SUCCEEDED")),
        ("  failed", how_many(ours.payouts, status="FAILED")),
        ("  for a person", how_many(ours.payouts, status="NEEDS_REVIEW")),
        ("reversals", len(ours.reversals)),
        ("  done", how_many(ours.reversals, status="SUCCEEDED")),
        ("  failed", how_many(ours.reversals, status="FAILED")),
        ("  for a person", how_many(ours.reversals, status="NEEDS_REVIEW")),
        ("deliveries acknowledged", sum(each.answered for each in theirs.deliveries.values())),
        ("  put aside", how_many(ours.inbox, state="QUARANTINED")),
        ("deliveries that nobody took", sum(each.failed for each in theirs.deliveries.values())),
        ("money asked about", len(asked)),
        ("  resolved without a person", len(told)),
    ]


class _Watch:
    def __init__(self, result: Result, name: str) -> None:
        self._result, self._name = result, name

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._result.seconds[self._name] = time.monotonic() - self._began
