import base64
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAFE = {
    "TUZO_ENV": "production",
    "SECRET_KEY": "s3cr3t-of-the-tests-" * 4,
    "AUDIT_KEY": "another-of-the-tests-" * 4,
    "ENCRYPTION_KEYS": base64.urlsafe_b64encode(bytes(range(32))).decode(),
    "SIMULATOR_CONTROL_TOKEN": "not the one of development",
    "DATABASE_URL": "postgresql://tuzo:a-password@database.invalid/tuzo",
    "REDIS_URL": "redis://redis.invalid/0",
    "TUZO_PUBLIC_URL": "https://tuzo.example",
    "TRUSTED_PROXIES": "1",
    "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
    "SMS_PROVIDER": "africastalking",
    "AFRICASTALKING_USERNAME": "tuzo",
    "AFRICASTALKING_API_KEY": "a-key",
}


def run(*command, **changes):
    """Run a command of ours with production's environment; a variable changed to None is not set."""
    environment = {"PATH": os.environ["PATH"]} | {name: value for name, value in (SAFE | changes).items() if value}
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )


def test_production_with_everything_it_needs_passes_every_check():
    done = run("manage.py", "check", "--deploy", "--fail-level", "WARNING")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "System check identified no issues (0 silenced).\n"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("SECRET_KEY", None, "Set SECRET_KEY: it has no default. ./tuzo sets it for development."),
        ("AUDIT_KEY", None, "Set AUDIT_KEY: it has no default. ./tuzo sets it for development."),
        ("ENCRYPTION_KEYS", None, "Set ENCRYPTION_KEYS: it has no default. ./tuzo sets it for development."),
        (
            "SIMULATOR_CONTROL_TOKEN",
            None,
            "Set SIMULATOR_CONTROL_TOKEN: it has no default. ./tuzo sets it for development.",
        ),
        ("DATABASE_URL", None, "Set DATABASE_URL: it has no default. ./tuzo sets it for development."),
        ("REDIS_URL", None, "Set REDIS_URL: it has no default. ./tuzo sets it for development."),
        ("DATABASE_URL", "sqlite:///a-password", "DATABASE_URL must begin with postgresql:// or postgres://."),
        ("REDIS_URL", "http://a-password", "REDIS_URL must begin with redis:// or rediss:// or unix://."),
        ("DEBUG", "on", "DEBUG is on (unset DEBUG)."),
        ("DEBUG", "maybe", "DEBUG must be true or false, not 'maybe'."),
        ("TUZO_PORT", "eighty", "TUZO_PORT must be a whole number, not 'eighty'."),
        ("TUZO_ENV", "staging", "TUZO_ENV must be development, test or production, not 'staging'."),
        (
            "SECRET_KEY",
            "development-only-not-a-secret-0000000000000000000000",
            "SECRET_KEY is the one of development (set SECRET_KEY to a secret of your own).",
        ),
        ("SECRET_KEY", "short", "SECRET_KEY is too short (give it 50 random characters or more)."),
        ("AUDIT_KEY", SAFE["SECRET_KEY"], "SECRET_KEY and AUDIT_KEY are the same (set two different secrets)."),
        (
            "ENCRYPTION_KEYS",
            f"{SAFE['ENCRYPTION_KEYS']},ZGV2ZWxvcG1lbnQtb25seS1ub3QtYS1zZWNyZXQtISE=",
            "ENCRYPTION_KEYS has the one of development (set keys of your own).",
        ),
        (
            "ENCRYPTION_KEYS",
            "c2hvcnQ=",
            "ENCRYPTION_KEYS has a key that is not 32 bytes (write 32 random bytes in base64).",
        ),
        (
            "SIMULATOR_CONTROL_TOKEN",
            "practice-control",
            "SIMULATOR_CONTROL_TOKEN is the one of development (set it to a secret of your own).",
        ),
        ("TUZO_PUBLIC_URL", "http://tuzo.example", "TUZO_PUBLIC_URL is plain http (give it an https:// address)."),
        (
            "DARAJA_PRODUCTION_URL",
            "http://api.safaricom.co.ke",
            "DARAJA_PRODUCTION_URL is plain http (give it an https:// address).",
        ),
        (
            "DATABASE_URL",
            "postgresql://tuzo@/tuzo?host=/tmp/tuzo-0123456789ab",
            "DATABASE_URL is the embedded PostgreSQL (name a server of your own).",
        ),
        (
            "REDIS_URL",
            "unix:///tmp/tuzo-0123456789ab/valkey.sock",
            "REDIS_URL is the embedded Valkey (name a server of your own).",
        ),
        (
            "AFRICASTALKING_API_KEY",
            None,
            "SMS_PROVIDER is africastalking without its account"
            " (set AFRICASTALKING_USERNAME and AFRICASTALKING_API_KEY).",
        ),
    ],
)
def test_production_refuses_to_start_with_one_sentence(name, value, sentence):
    done = run("-c", "import config.settings", **{name: value})

    assert done.returncode == 1
    assert done.stderr == f"Tuzo can't start: {sentence}\n"


def test_everything_that_is_wrong_is_said_at_once():
    done = run("-c", "import config.settings", DEBUG="1", TUZO_PUBLIC_URL="http://tuzo.example")

    assert done.stderr == (
        "Tuzo can't start: DEBUG is on (unset DEBUG); TUZO_PUBLIC_URL is plain http (give it an https:// address).\n"
    )


def test_the_command_line_refuses():
    for command in ("check", "migrate_schemas", "verify_audit", "no_such_command"):
        done = run("manage.py", command, DEBUG="1")

        assert done.returncode == 1
        assert (done.stdout, done.stderr) == ("", "Tuzo can't start: DEBUG is on (unset DEBUG).\n")


def test_the_web_server_refuses():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])

    done = run("-m", "granian", "--interface", "asgi", "--no-ws", "--port", port, "config.asgi:application", DEBUG="1")

    assert done.returncode != 0
    assert "Tuzo can't start: DEBUG is on (unset DEBUG)." in done.stderr + done.stdout
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.parametrize("process", ["worker", "beat"])
def test_celery_refuses(process, tmp_path):
    done = run("-m", "celery", "-A", "config", process, DEBUG="1")

    assert done.returncode == 1
    assert done.stderr == "Tuzo can't start: DEBUG is on (unset DEBUG).\n"


def test_development_needs_no_secrets():
    done = run(
        "-c",
        "import config.settings; print('ready')",
        TUZO_ENV="development",
        **dict.fromkeys(["SECRET_KEY", "AUDIT_KEY", "ENCRYPTION_KEYS", "SIMULATOR_CONTROL_TOKEN", "TUZO_PUBLIC_URL"]),
    )

    assert (done.returncode, done.stdout) == (0, "ready\n")
