"""Which business and channel a path token belongs to: every route, in the web process's memory.

Loaded at the start, again whenever a route changes (a trigger notifies), and every half minute in case a notice was
lost. A token that is not in memory is looked up once in the database, because it may be seconds old.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import psycopg

logger = logging.getLogger(__name__)

_RELOAD_EVERY_S = 30.0
_RETRY_AFTER_S = 1.0
_SELECT = "SELECT token_hash, tenant_id, channel_id, expires_at, rules FROM public.tenants_callbackroute"


def hash_token(token: str) -> bytes:
    return sha256(token.encode()).digest()


@dataclass(frozen=True, slots=True)
class Route:
    tenant_id: UUID
    channel_id: UUID
    expires_at: datetime | None
    rules: Any  # what `read_rules` made of the row's rules

    def is_open_at(self, moment: datetime) -> bool:
        return self.expires_at is None or self.expires_at > moment


class RouteTable:
    """`read_rules` turns a row's `rules` into whatever validation wants to ask, once per load."""

    def __init__(self, *, conninfo: str, read_rules: Callable[[Mapping[str, Any]], Any]) -> None:
        self._conninfo = conninfo
        self._read_rules = read_rules
        self._routes: dict[bytes, Route] = {}
        self._task: asyncio.Task[None] | None = None
        self.is_loaded = False

    async def start(self) -> None:
        loaded = asyncio.Event()
        self._task = asyncio.create_task(self._follow(loaded))
        try:
            async with asyncio.timeout(3):
                await loaded.wait()
        except TimeoutError:
            logger.warning("Callback routes are not loaded yet: deliveries are kept and routed later.")

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def find(self, token_hash: bytes) -> Route | None:
        route = self._routes.get(token_hash)
        return route if route and route.is_open_at(datetime.now(UTC)) else None

    async def find_in_database(self, token_hash: bytes) -> Route | None:
        """For a token that is not in memory.

        :raises psycopg.Error, TimeoutError: if the database can't tell now.
        """
        async with asyncio.timeout(1.5), await psycopg.AsyncConnection.connect(self._conninfo) as connection:
            row = await (await connection.execute(f"{_SELECT} WHERE token_hash = %s", [token_hash])).fetchone()
        if row is None:
            return None
        self._note(row)
        return self.find(token_hash)

    async def _follow(self, loaded: asyncio.Event) -> None:
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
                    await connection.execute("LISTEN tenants_changed")
                    while True:
                        await self._load(connection)
                        self.is_loaded = True
                        loaded.set()
                        await self._wait_for_change(connection)
            except (psycopg.Error, OSError) as problem:
                logger.debug("Callback routes can't be followed now: %s", problem)
                await asyncio.sleep(_RETRY_AFTER_S)

    async def _wait_for_change(self, connection: psycopg.AsyncConnection[Any]) -> None:
        async for notice in connection.notifies(timeout=_RELOAD_EVERY_S):
            if notice.payload == "tenants_callbackroute":
                return

    async def _load(self, connection: psycopg.AsyncConnection[Any]) -> None:
        rows = await (await connection.execute(_SELECT)).fetchall()
        previous, self._routes = self._routes, {}
        try:
            for row in rows:
                self._note(row)
        except BaseException:
            self._routes = previous
            raise

    def _note(self, row: tuple[Any, ...]) -> None:
        token_hash, tenant_id, channel_id, expires_at, rules = row
        self._routes[bytes(token_hash)] = Route(tenant_id, channel_id, expires_at, self._read_rules(rules))
