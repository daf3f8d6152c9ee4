"""`./tuzo` from outside, in a checkout of its own whose path has a space."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.launcher.conftest import Checkout, RunningStack

as_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
pytestmark = pytest.mark.processes


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def becomes_true(condition: Callable[[], bool], *, timeout_s: float = 20) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def has_ended(pid: int) -> bool:
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True


def rows_prepared(checkout: Checkout) -> str:
    return checkout.run("psql", "-Atc", "SELECT count(*) FROM prepared").stdout.strip()


# --- up --------------------------------------------------------------------------------------------------------------


def test_up_shows_each_step_and_ctrl_c_stops_everything(checkout: Checkout, port: int) -> None:
    running = checkout.up(port)
    pids = running.pids()

    assert answers(port)
    assert answers(port + 1)
    for step in (
        "PostgreSQL ..",
        "Valkey ..",
        "Migrations and demo businesses ..",
        "Simulator ..",
        "Web, worker and beat ..",
    ):
        assert step in running.said
    assert "Sign in as demo@acme.example" in running.said
    assert f"http://localhost:{port}/" in running.said

    assert running.stop(signal.SIGINT) == 0
    assert running.said.endswith("Stopped.\n")
    assert len(pids) == 6
    assert all(has_ended(pid) for pid in pids)
    assert not answers(port)


def test_up_again_keeps_data_and_secrets_and_up_fresh_begins_with_new_data(checkout: Checkout, port: int) -> None:
    assert checkout.up(port).stop(signal.SIGTERM) == 0
    secrets = (checkout.data / "secrets.env").read_text()
    (checkout.data / "journal").mkdir()
    (checkout.data / "journal" / "delivery").write_text("kept")

    assert checkout.up(port).stop() == 0
    assert rows_prepared(checkout) == "2"
    assert (checkout.data / "journal" / "delivery").exists()

    assert checkout.up(port, "--fresh").stop() == 0
    assert rows_prepared(checkout) == "1"
    assert not (checkout.data / "journal").exists()
    assert (checkout.data / "secrets.env").read_text() == secrets
    assert (checkout.data / "secrets.env").stat().st_mode & 0o077 == 0


def test_second_up_in_a_checkout_is_told_where_the_first_one_is(stack_up: RunningStack) -> None:
    second = stack_up.checkout.run("up", "--port", str(stack_up.port))

    assert second.returncode == 1
    assert f"Tuzo runs already at http://localhost:{stack_up.port}/ (process {stack_up.child.pid})" in second.stderr
    assert answers(stack_up.port)


def test_killed_supervisor_takes_everything_with_it(checkout: Checkout, port: int) -> None:
    running = checkout.up(port)
    pids = running.pids()

    assert running.stop(signal.SIGKILL) == -signal.SIGKILL

    assert becomes_true(lambda: all(has_ended(pid) for pid in pids))
    assert becomes_true(lambda: not answers(port))


def test_up_recovers_after_everything_was_killed(checkout: Checkout, port: int) -> None:
    running = checkout.up(port)
    pids = running.pids()
    running.child.kill()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    running.child.communicate()

    again = checkout.up(port)  # on the same ports, which a worker process of granian may still hold

    assert answers(port)
    assert rows_prepared(checkout) == "2"
    assert again.stop() == 0


def test_process_that_dies_is_started_again(stack_up: RunningStack) -> None:
    postgres, _, _, web, worker, _ = stack_up.pids()

    for pid in (postgres, web, worker):
        os.kill(pid, signal.SIGKILL)

    for _ in range(3):
        stack_up.read_until("runs again.")
    for name in ("postgres", "web", "worker"):
        assert f"{name} was ended by SIGKILL; starting it again in 0.5 s" in stack_up.said
        assert f"{name} runs again." in stack_up.said
    assert not {postgres, web, worker} & set(stack_up.pids())
    assert becomes_true(lambda: answers(stack_up.port))
    assert rows_prepared(stack_up.checkout) == "1"


def test_process_that_can_not_start_is_shown_with_its_log(checkout: Checkout, port: int) -> None:
    (checkout.root / "config" / "asgi.py").write_text("raise RuntimeError('the app is broken')\n")

    done = checkout.run("up", "--port", str(port))

    assert done.returncode == 1
    assert "web ended while it started; the end of its log" in done.stderr
    assert "the app is broken" in done.stderr
    assert not answers(port + 1)


def test_failed_preparation_is_one_sentence(checkout: Checkout, port: int) -> None:
    (checkout.root / "prepare-fails").touch()

    done = checkout.run("up", "--port", str(port))

    assert done.returncode == 1
    assert done.stderr == (
        f"manage.py prepare failed (The demo could not be made.); its log is {checkout.data}/logs/prepare.log.\n"
    )
    assert not answers(port + 1)


# --- Expected failures: one sentence, an exit code, no traceback ------------------------------------------------------


def test_port_in_use_is_named(checkout: Checkout, port: int) -> None:
    for taken in (port, port + 1):
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", taken))
            other.listen()

            done = checkout.run("up", "--port", str(port))

        assert done.returncode == 1
        assert done.stderr.startswith(f"Port {taken} can't be used (Address already in use): choose others")
        assert "--port" in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "environment", "sentence"),
    [
        (["up"], {"DATABASE_URL": "postgresql://a:b@127.0.0.1:1/x"}, "DATABASE_URL can't be reached ("),
        (["manage", "x"], {"DATABASE_URL": "nonsense"}, "DATABASE_URL can't be reached ("),
        (["up", "--fresh"], {"DATABASE_URL": "postgresql://127.0.0.1:1/x"}, "--fresh empties only the embedded "),
        (["up"], {"TUZO_PORT": "http"}, "TUZO_PORT must be a number from 1 to 65534, not 'http'."),
        (["up"], {"TUZO_DATA": "/proc/none"}, "The data folder /proc/none can't be used (No such file or directory"),
        (["up"], {"TUZO_ENV": "production"}, "In production ./tuzo invents no secrets and no database: set SECRET_KEY"),
        (["manage", "x"], {"TUZO_ENV": "production"}, "In production ./tuzo invents no secrets and no database"),
        (["pay", "--shortcode=1", "--amount=1", "--phone=0"], {}, "The simulator does not run here: start ./tuzo up"),
        (["logs"], {}, "There are no logs in "),
    ],
)
def test_expected_failure_is_one_sentence(
    checkout: Checkout, port: int, arguments: list[str], environment: dict[str, str], sentence: str
) -> None:
    done = checkout.run(*arguments, **{"TUZO_PORT": str(port)} | environment)

    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1
    assert last.startswith(sentence)
    assert last.endswith(".")
    assert "Traceback" not in done.stderr


def test_unreachable_redis_stops_what_was_started(checkout: Checkout) -> None:
    done = checkout.run("manage", "x", REDIS_URL="redis://127.0.0.1:1/0")

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("REDIS_URL can't be reached (")
    assert done.stdout == ""
    assert not (checkout.data / "run.json").exists()


@as_user
def test_unwritable_data_folder_is_one_sentence(checkout: Checkout) -> None:
    checkout.data.mkdir(mode=0o500)

    done = checkout.run("up")

    assert done.returncode == 1
    assert done.stderr.startswith(f"The data folder {checkout.data} can't be used (Permission denied")


def test_production_does_not_run_the_demonstration(checkout: Checkout) -> None:
    names = ("SECRET_KEY", "ENCRYPTION_KEYS", "AUDIT_KEY", "DATABASE_URL", "REDIS_URL")

    done = checkout.run("up", TUZO_ENV="production", **dict.fromkeys(names, "given"))

    assert done.returncode == 1
    assert done.stderr.startswith("./tuzo up makes demo businesses and runs a simulator")


def test_missing_interpreter_is_one_sentence(checkout: Checkout) -> None:
    shell = shutil.which("sh")
    assert shell

    done = subprocess.run(
        [shell, checkout.root / "tuzo", "up"], env={"PATH": "/nowhere"}, capture_output=True, text=True
    )

    assert done.returncode == 1
    assert done.stderr == (
        "Tuzo needs Python 3.11 or newer, and none of the python3 commands on your PATH is: "
        "install it and run this again.\n"
    )


def test_interpreter_that_does_not_run_is_passed_over(checkout: Checkout, tmp_path: Path) -> None:
    shims = tmp_path / "shims"
    shims.mkdir()
    (shims / "python3").write_text("#!/bin/sh\necho 'pyenv: python3: command not found' >&2\nexit 127\n")
    (shims / "python3").chmod(0o755)
    (shims / "python3.11").symlink_to(checkout.root / ".venv" / "bin" / "python")

    done = checkout.run("--help", PATH=f"{shims}:/usr/bin:/bin")

    assert done.returncode == 0
    assert done.stdout.startswith("usage: ./tuzo")


# --- The other commands ----------------------------------------------------------------------------------------------


def test_manage_keeps_arguments_output_and_exit_code(checkout: Checkout) -> None:
    told = checkout.run("manage", "say", "two words", "--help")

    assert told.returncode == 0
    answer = json.loads(told.stdout)  # nothing but what the command itself printed
    assert answer["arguments"] == ["say", "two words", "--help"]
    assert answer["environment"]["TUZO_ENV"] == "development"
    assert answer["environment"]["TUZO_DATA"] == str(checkout.data)
    assert "_TUZO_BEGAN_AT" not in answer["environment"]
    assert checkout.run("manage", "exit", "7").returncode == 7


def test_commands_use_the_running_stack(stack_up: RunningStack) -> None:
    environment = json.loads(stack_up.checkout.run("manage", "say").stdout)["environment"]

    assert environment["TUZO_PORT"] == str(stack_up.port)
    assert environment["SIMULATOR_URL"] == f"http://127.0.0.1:{stack_up.port + 1}"
    assert rows_prepared(stack_up.checkout) == "1"


def test_command_that_ends_first_waits_for_the_one_that_uses_its_services(checkout: Checkout) -> None:
    def waiting_for(name: str) -> subprocess.Popen[str]:
        child = checkout.start("manage", "wait-for", name)
        assert child.stdout
        assert child.stdout.readline() == "waiting\n"
        return child

    with waiting_for("first") as first, waiting_for("second") as second:
        (checkout.root / "first").touch()
        assert first.stderr
        waits = any("Waiting for another ./tuzo command that uses this database." in line for line in first.stderr)
        (checkout.root / "second").touch()  # before anything is asserted: the block waits for it

        assert waits
        assert second.wait(20) == 0
        assert first.wait(20) == 0
    assert not (checkout.data / "run.json").exists()


def test_env_file_counts_unless_the_environment_says_otherwise(checkout: Checkout) -> None:
    (checkout.root / ".env").write_text("# ours\nexport SMS_PROVIDER='africastalking'\nLOG_LEVEL=DEBUG\nEMPTY=\n")

    environment = json.loads(checkout.run("manage", "say", LOG_LEVEL="ERROR").stdout)["environment"]

    assert environment["SMS_PROVIDER"] == "africastalking"
    assert environment["LOG_LEVEL"] == "ERROR"
    assert "EMPTY" not in environment


def test_bench_is_told_where_pgbench_is(checkout: Checkout) -> None:
    answer = json.loads(checkout.run("bench", "ingest").stdout)

    assert answer["arguments"] == ["bench", "ingest"]
    assert os.access(answer["environment"]["PGBENCH"], os.X_OK)


def test_pay_prints_the_payers_message_or_why_not(stack_up: RunningStack) -> None:
    payment = [
        "pay",
        "--shortcode",
        "174379",
        "--account",
        "VIP001",
        "--phone",
        "0712345678",
        "--name",
        "JOHN",
        "--amount",
    ]

    paid, cancelled, refused = (stack_up.checkout.run(*payment, amount) for amount in ("5000", "6000", "7000"))

    assert (paid.returncode, paid.stderr, paid.stdout) == (
        0,
        "",
        "SKL1234567 Confirmed. 174379 VIP001 5000 0712345678 JOHN\n"
        "  100 points ['SKL1234567', '--shortcode', '174379']\n",
    )
    assert (cancelled.returncode, cancelled.stdout, cancelled.stderr) == (1, "", "Failed. Not paid.\n")
    assert (refused.returncode, refused.stderr) == (1, "The payment was refused: The wallet holds less.\n")


def test_logs_show_one_process_or_all(stack_up: RunningStack) -> None:
    checkout = stack_up.checkout

    assert "database system is ready" in checkout.run("logs", "postgres").stdout
    assert "postgres  | " in checkout.run("logs").stdout
    assert "web       | " in checkout.run("logs").stdout
    assert checkout.run("logs", "nobody").stderr.startswith(
        "There is no log 'nobody': choose from beat, demo, postgres"
    )


def test_test_passes_options_on_and_returns_pytests_code(checkout: Checkout) -> None:
    (checkout.root / "pytest.ini").write_text("[pytest]\naddopts = -p xdist.plugin -p no:cacheprovider\n")
    (checkout.root / "test_here.py").write_text(
        "import os, psycopg\n"
        "def test_database():\n"
        "    psycopg.connect(os.environ['DATABASE_URL']).close()\n"
        "    assert os.environ['TUZO_ENV'] == 'test'\n"
        "    assert os.access(os.environ['PGBIN'] + '/pg_dump', os.X_OK)\n"
        "def test_red():\n"
        "    assert not 'red'\n"
    )

    quick = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    green = checkout.run("test", "-k", "database", **quick)
    red = checkout.run("test", "-n0", **quick)

    assert green.returncode == 0
    assert "1 passed" in green.stdout.splitlines()[-1]
    assert red.returncode == 1
    assert "1 failed, 1 passed" in red.stdout.splitlines()[-1]
    assert not (checkout.data / "postgres").exists()
