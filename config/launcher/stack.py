"""The database and Redis of one checkout: the person's own by URL, or the embedded ones."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from config.launcher import runs
from config.launcher.console import CannotContinue, Console
from config.launcher.project import Project
from config.launcher.services import EmbeddedPostgres, EmbeddedValkey

Service = EmbeddedPostgres | EmbeddedValkey

# What `--fresh` throws away besides the embedded database; secrets and logs stay.
_DATA_OF_PROCESSES = ("journal", "simulator", "beat-schedule", "story-told")


def start_services(
    project: Project, console: Console, *, started: list[Service], settings: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Start what the person has not given a URL for, add it to `started`, and return DATABASE_URL and REDIS_URL.

    `settings` are PostgreSQL's, when it is the embedded one.

    :raises CannotContinue: if one can't be started or reached.
    """
    urls = {}
    if "DATABASE_URL" in project.given:
        urls["DATABASE_URL"] = project.given["DATABASE_URL"]
        with console.step("PostgreSQL at DATABASE_URL"):
            _reach_postgres(urls["DATABASE_URL"])
    else:
        postgres = EmbeddedPostgres(project.data / "postgres", log=project.logs / "postgres.log", settings=settings)
        started.append(postgres)
        with console.step("PostgreSQL"), project.writing():
            urls["DATABASE_URL"] = postgres.start()
    if "REDIS_URL" in project.given:
        urls["REDIS_URL"] = project.given["REDIS_URL"]
        with console.step("Redis at REDIS_URL"):
            _reach_redis(urls["REDIS_URL"])
    else:
        valkey = EmbeddedValkey(project.data / "valkey", log=project.logs / "valkey.log")
        started.append(valkey)
        with console.step("Valkey"), project.writing():
            urls["REDIS_URL"] = valkey.start()
    return urls


def stop_services(started: list[Service]) -> None:
    """PostgreSQL last: whatever else runs may still write."""
    for service in reversed(started):
        service.stop()


@contextmanager
def running_services(project: Project, command: str, console: Console) -> Iterator[dict[str, str]]:
    """The environment for one command: with the services that run already, else with ones that end with the block.

    :raises CannotContinue: if they can't be started or reached.
    """
    port = project.port()
    environment = project.environment(port)
    while True:
        with runs.claim(project, command, port) as run:
            if run:
                started: list[Service] = []
                try:
                    run.urls = start_services(project, console, started=started)
                    run.write([service.pid for service in started if service.pid])
                    yield environment | run.urls
                finally:
                    run.wait_for_users(console)
                    stop_services(started)
                return
        with runs.borrow(project) as note:
            if note:
                yield project.environment(note["port"]) | note["urls"]
                return


def empty(project: Project) -> None:
    """Delete the embedded data of a checkout whose services don't run.

    :raises CannotContinue: if the database is the person's own.
    """
    if "DATABASE_URL" in project.given:
        raise CannotContinue(
            "--fresh empties only the embedded database: drop and create the one that DATABASE_URL names yourself."
        )
    with project.writing():
        EmbeddedPostgres(project.data / "postgres").destroy()
        for name in _DATA_OF_PROCESSES:
            for path in project.data.glob(f"{name}*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _reach_postgres(url: str) -> None:
    import psycopg  # installed by now, unlike when this module is read

    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[0]
        raise CannotContinue(
            f"DATABASE_URL can't be reached ({reason}): correct it, or unset it to use the embedded PostgreSQL."
        ) from None


def _reach_redis(url: str) -> None:
    import redis  # installed by now, unlike when this module is read

    try:
        with suppress(redis.ResponseError), redis.Redis.from_url(url, socket_connect_timeout=5) as client:
            client.ping()
    except (redis.RedisError, ValueError, OSError) as error:
        raise CannotContinue(
            f"REDIS_URL can't be reached ({error}): correct it, or unset it to use the embedded Valkey."
        ) from None
