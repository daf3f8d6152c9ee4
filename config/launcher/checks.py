"""`./tuzo check`: what must hold before a change goes in, besides the tests."""

import base64
import json
import os
import secrets
import subprocess
import sys

from config.launcher.console import Console
from config.launcher.project import ROOT

_LINT_IMPORTS = "from importlinter.cli import lint_imports_command; lint_imports_command()"
# What pip-audit, or requests below it, says when its data can't be reached.
_UNREACHABLE = ("ConnectionError", "Connection refused", "Max retries exceeded", "timed out", "resolution", "HTTPError")


def check(console: Console) -> int:
    """Run every check, show what the failing ones say, and return 0 only if none failed."""
    production = os.environ | _production()
    development = production | {"TUZO_ENV": "development"}
    deploy = ["manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    results = [
        _passes(console, "ruff check", ["-m", "ruff", "check", "."]),
        _passes(console, "ruff format", ["-m", "ruff", "format", "--check", "."]),
        _passes(console, "mypy", ["-m", "mypy"], development),
        _passes(console, "import-linter", ["-c", _LINT_IMPORTS]),
        _passes(console, "migrations", ["manage.py", "makemigrations", "--check", "--dry-run"], development),
        _passes(console, "production settings", deploy, production),
        _audit(console),
    ]
    failed = results.count(False)
    console.line(f"{failed} of {len(results)} checks failed." if failed else "All checks passed.")
    return 1 if failed else 0


def _passes(console: Console, label: str, command: list[str], environment: dict[str, str] | None = None) -> bool:
    with console.step(label):
        done = _run(command, environment)
    if done.returncode:
        console.line(f"\n{label} failed:\n{done.stdout}{done.stderr}")
    return done.returncode == 0


def _audit(console: Console) -> bool:
    """Whether no pinned package has a known vulnerability. Where the data can't be reached this says so and passes."""
    command = ["-m", "pip_audit", "--requirement", "requirements.txt", "--require-hashes", "--disable-pip"]
    with console.step("pip-audit"):
        done = _run([*command, "--format", "json", "--progress-spinner", "off"])
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        packages = []
    if any(package.get("vulns") for package in packages):
        console.line(f"\npip-audit failed:\n{done.stderr}")
        for package in packages:
            for vulnerability in package.get("vulns", ()):
                fixed = ", ".join(vulnerability["fix_versions"]) or "no version yet"
                console.line(f"{package['name']} {package['version']}: {vulnerability['id']}, fixed in {fixed}")
        return False
    audited = sum("skip_reason" not in package for package in packages)
    if audited and done.returncode == 0:
        console.line(f"    {audited} of {len(packages)} packages are known to its data, none as vulnerable.")
        return True
    if packages or any(word in done.stderr for word in _UNREACHABLE):
        console.line("    skipped: its data about vulnerabilities can't be reached from here.")
        return True
    console.line(f"\npip-audit failed:\n{done.stderr}")
    return False


def _run(arguments: list[str], environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def _production() -> dict[str, str]:
    """Settings of a production that exists nowhere, with secrets that are thrown away."""
    return {
        "TUZO_ENV": "production",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "AUDIT_KEY": secrets.token_urlsafe(48),
        "ENCRYPTION_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "SIMULATOR_CONTROL_TOKEN": secrets.token_urlsafe(24),
        "TUZO_PUBLIC_URL": "https://tuzo.example",
        "DATABASE_URL": "postgresql://tuzo:tuzo@database.invalid/tuzo",
        "REDIS_URL": "redis://redis.invalid/0",
        "TRUSTED_PROXIES": "1",
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "SMS_PROVIDER": "africastalking",
        "AFRICASTALKING_USERNAME": "tuzo",
        "AFRICASTALKING_API_KEY": secrets.token_urlsafe(24),
    }
