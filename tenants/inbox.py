"""Makes deliveries from Daraja durable: many per commit in PostgreSQL, or, while it can't be reached, in a journal.

Runs in the web process's event loop, beside Django: no ORM, no schema switch. `keep()` returns when the delivery would
survive a crash of everything; only then may Daraja be answered. Each delivery gets its identifier on arrival, so that
writing it twice (a lost answer, a replayed journal) is one row.
"""

import asyncio
import base64
import contextlib
import fcntl
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlsplit
from uuid import UUID

import orjson
import psycopg
from django.conf import settings

from audit.ids import new_id

logger = logging.getLogger(__name__)

MAXIMUM_BATCH = 256
WRITERS = 2  # connections; while one commits, the other's batch fills
DATABASE_PATIENCE_S = 1.5  # then the journal takes over
_RECONNECT_EVERY_S = 0.5

_KEPT = (
    "id", "tenant_id", "channel_id", "kind", "about", "body", "headers", "address", "address_is_listed", "received_at",
    "state", "reason", "error",
)  # fmt: skip
_COLUMNS = ", ".join(_KEPT)
# A delivery whose token was not known in memory (nothing was loaded yet) finds its channel here, or none.
_INSERT = f"""
    INSERT INTO public.tenants_inboundcallback ({_COLUMNS}, dedup_key, attempts, due_at)
    SELECT given.id, coalesce(given.tenant_id, route.tenant_id), coalesce(given.channel_id, route.channel_id),
           given.kind, given.about, given.body, given.headers::jsonb, given.address, given.address_is_listed,
           given.received_at,
           CASE WHEN given.tenant_id IS NULL AND route.tenant_id IS NULL THEN 'QUARANTINED' ELSE given.state END,
           CASE WHEN given.tenant_id IS NULL AND route.tenant_id IS NULL THEN 'UNKNOWN_TOKEN' ELSE given.reason END,
           given.error, '', 0, given.received_at
      FROM unnest(%b::bytea[], %b::uuid[], %b::uuid[], %b::uuid[], %b::text[], %b::uuid[], %b::bytea[], %b::text[],
                  %b::text[], %b::bool[], %b::timestamptz[], %b::text[], %b::text[], %b::text[])
           AS given (token_hash, {_COLUMNS})
      LEFT JOIN public.tenants_callbackroute AS route
             ON given.tenant_id IS NULL AND route.token_hash = given.token_hash
            AND (route.expires_at IS NULL OR route.expires_at > given.received_at)
    ON CONFLICT (id) DO NOTHING
"""  # noqa: S608  only the column names above are filled in


class CannotKeep(Exception):
    """Neither the database nor the journal took the delivery: it must not be acknowledged."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request from Daraja, as the inbox keeps it. `tenant_id` is None while its token is not known in memory."""

    token_hash: bytes
    id: UUID
    tenant_id: UUID | None
    channel_id: UUID | None
    kind: str
    body: bytes
    headers: str  # JSON
    address: str
    address_is_listed: bool
    received_at: datetime
    state: str
    reason: str = ""
    error: str = ""
    about: UUID | None = None  # the request of ours that it answers


def database_url() -> str:
    """How a connection beside Django's, or another process, reaches the database that Django uses now."""
    given = urlsplit(settings.DATABASE_URL)
    query = f"?{given.query}" if given.query else ""
    return f"{given.scheme}://{given.netloc}/{quote(str(settings.DATABASES['default']['NAME']))}{query}"


class InboxWriter:
    """Group commit: whatever arrived while the last commit ran goes into the next one."""

    def __init__(self, *, conninfo: str, journal: "Journal", committed: Callable[[Sequence[Delivery]], None]) -> None:
        self._conninfo = conninfo
        self._journal = journal
        self._committed = committed
        self._waiting: deque[tuple[Delivery, asyncio.Future[None]]] = deque()
        self._work = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._is_stopping = False
        self._is_reachable = True

    async def start(self) -> None:
        self._tasks = [asyncio.create_task(self._write_batches()) for _ in range(WRITERS)]
        self._tasks.append(asyncio.create_task(self._replay_when_reachable()))

    async def stop(self) -> None:
        """Write what waits, then let go."""
        self._is_stopping = True
        self._work.set()
        *writers, replayer = self._tasks
        await asyncio.gather(*writers, return_exceptions=True)
        replayer.cancel()
        self._journal.close()

    async def keep(self, delivery: Delivery) -> None:
        """Return when the delivery is durable.

        :raises CannotKeep: if it could not be made durable anywhere.
        """
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((delivery, kept))
        self._work.set()
        await kept

    async def _write_batches(self) -> None:
        connection: psycopg.AsyncConnection[Any] | None = None
        while self._waiting or not self._is_stopping:
            if not self._waiting:
                self._work.clear()
                await self._work.wait()
                continue
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAXIMUM_BATCH))]
            connection = await self._write(batch, connection)
        if connection is not None:
            await connection.close()

    async def _write(
        self, batch: list[tuple[Delivery, "asyncio.Future[None]"]], connection: psycopg.AsyncConnection[Any] | None
    ) -> psycopg.AsyncConnection[Any] | None:
        deliveries = [delivery for delivery, _ in batch]
        error: BaseException | None = None
        is_in_database = False
        if self._is_reachable:
            try:
                async with asyncio.timeout(DATABASE_PATIENCE_S):
                    if connection is None:
                        connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
                    await _insert(connection, deliveries)
                is_in_database = True
            except (psycopg.Error, OSError, TimeoutError) as problem:
                logger.warning(
                    "PostgreSQL did not take %s deliveries (%s): journal.", len(batch), type(problem).__name__
                )
                self._is_reachable = False
                await _discard(connection)
                connection = None
        if not is_in_database:
            try:
                await asyncio.to_thread(self._journal.append, deliveries)
            except OSError as problem:
                logger.critical("The journal did not take %s deliveries: %s", len(batch), problem)
                error = CannotKeep(str(problem))
        for _, kept in batch:
            if kept.done():  # the caller went away; what it sent is kept all the same
                continue
            if error:
                kept.set_exception(error)
            else:
                kept.set_result(None)
        if is_in_database:
            self._committed(deliveries)
        return connection

    async def _replay_when_reachable(self) -> None:
        """Bring journalled deliveries into the database: at the start, and after each time it was away."""
        while True:
            try:
                if not self._is_reachable or self._journal.has_segments():
                    await self._replay()
            except (psycopg.Error, OSError, TimeoutError) as problem:
                logger.debug("PostgreSQL is still away: %s", problem)
            await asyncio.sleep(_RECONNECT_EVERY_S)

    async def _replay(self) -> None:
        async with asyncio.timeout(5):
            connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
        async with connection:
            self._is_reachable = True
            for segment, deliveries in self._journal.segments():
                for start in range(0, len(deliveries), MAXIMUM_BATCH):
                    chunk = deliveries[start : start + MAXIMUM_BATCH]
                    async with asyncio.timeout(30):
                        await _insert(connection, chunk)
                    self._committed(chunk)
                    await asyncio.sleep(0)
                self._journal.remove(segment)
                logger.warning("Replayed %s deliveries from the journal.", len(deliveries))


async def _insert(connection: psycopg.AsyncConnection[Any], deliveries: Sequence[Delivery]) -> None:
    columns = [[getattr(delivery, name) for delivery in deliveries] for name in ("token_hash", *_KEPT)]
    await connection.execute(_INSERT, columns)


async def _discard(connection: psycopg.AsyncConnection[Any] | None) -> None:
    if connection is not None:
        with contextlib.suppress(psycopg.Error, OSError, TimeoutError):
            async with asyncio.timeout(1):
                await connection.close()


class Journal:
    """Deliveries on the local disk, one JSON line each, fsynced before `append` returns.

    A segment is one file, locked by the process that writes it; the lock ends with the process, so that another one
    may replay what a dead one left. A torn last line was never acknowledged and is left out.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()  # appended to from worker threads, closed from the event loop
        self._open: IO[bytes] | None = None

    def append(self, deliveries: Iterable[Delivery]) -> None:
        """:raises OSError: if the disk does not take it."""
        lines = b"".join(orjson.dumps(_line(delivery)) + b"\n" for delivery in deliveries)
        with self._lock:
            if self._open is None:
                self._open = self._start_segment()
            self._open.write(lines)
            self._open.flush()
            os.fsync(self._open.fileno())

    def has_segments(self) -> bool:
        return next(self._folder.glob("*.jsonl"), None) is not None

    def segments(self) -> Iterator[tuple[Path, list[Delivery]]]:
        """Every segment that no living process writes, our own included: it is closed first."""
        self.close()
        for path in sorted(self._folder.glob("*.jsonl")):
            with path.open("rb") as segment:
                try:
                    fcntl.flock(segment, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                lines = segment.read().split(b"\n")
                yield path, [_delivery(orjson.loads(line)) for line in lines[:-1]]

    def remove(self, segment: Path) -> None:
        segment.unlink(missing_ok=True)

    def close(self) -> None:
        with self._lock:
            if self._open is not None:
                self._open.close()
                self._open = None

    def _start_segment(self) -> IO[bytes]:
        self._folder.mkdir(parents=True, exist_ok=True)
        draft = self._folder / f"{new_id().hex}.new"  # nobody may find it before it is locked
        segment = draft.open("xb")
        fcntl.flock(segment, fcntl.LOCK_EX)
        draft.rename(draft.with_suffix(".jsonl"))
        folder = os.open(self._folder, os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return segment


def _line(delivery: Delivery) -> dict[str, Any]:
    encoded = {name: base64.b64encode(getattr(delivery, name)).decode() for name in ("token_hash", "body")}
    return asdict(delivery) | encoded


def _delivery(line: dict[str, Any]) -> Delivery:
    return Delivery(
        **line
        | {
            "token_hash": base64.b64decode(line["token_hash"]),
            "body": base64.b64decode(line["body"]),
            "id": UUID(line["id"]),
            "tenant_id": UUID(line["tenant_id"]) if line["tenant_id"] else None,
            "channel_id": UUID(line["channel_id"]) if line["channel_id"] else None,
            "about": UUID(line["about"]) if line["about"] else None,
            "received_at": datetime.fromisoformat(line["received_at"]),
        }
    )
