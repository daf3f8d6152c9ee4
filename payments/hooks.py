"""The URLs that Safaricom calls: `/h/<token>/<kind>`. A small ASGI application of its own, in front of Django.

It reads the body, finds the token's route in memory, hands the delivery to the inbox's writer and answers when that has
made it durable. It has no business rule and keeps unreadable bodies too: they are evidence. Only validation decides at
once, from memory. Sources: daraja.md sections 7, 8 and 25.
"""

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import psycopg
from django.conf import settings

from audit.ids import new_id
from payments.validation import ValidationRules, answer_validation
from tenants.addresses import caller_address
from tenants.inbox import CannotKeep, Delivery, InboxWriter, Journal, database_url
from tenants.models import InboundCallback
from tenants.routes import Route, RouteTable, hash_token
from tenants.sentences import kept, say

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAXIMUM_BODY_BYTES = 64 * 1024
_UNKNOWN_TOKENS_KEPT_PER_MINUTE = 120  # evidence, but not a way to fill our disk
_KEPT_HEADER_BYTES = 8 * 1024
_HIDDEN_HEADERS = {b"authorization", b"cookie"}

Kind = InboundCallback.Kind
_KINDS = {
    "c2b-validation": Kind.C2B_VALIDATION,
    "c2b-confirmation": Kind.C2B_CONFIRMATION,
    "stk-callback": Kind.STK_CALLBACK,
    "result": Kind.RESULT,
    "timeout": Kind.TIMEOUT,
    "standing-order": Kind.STANDING_ORDER,
    "invoice-payment": Kind.INVOICE_PAYMENT,
}
_ABOUT = re.compile(r"[0-9a-f]{32}")
_CONFIRMED = b'{"ResultCode":0,"ResultDesc":"Success"}'
_ACCEPTED = b'{"ResultCode":0,"ResultDesc":"Accepted"}'
_NOTED = b'{"resmsg":"Success","rescode":"200"}'
_ANSWERS = {Kind.C2B_CONFIRMATION: _CONFIRMED, Kind.INVOICE_PAYMENT: _NOTED}  # others: _ACCEPTED
_NOTHING_HERE = b'{"detail":"There is nothing here."}'


class BodyTooLarge(Exception):
    def __init__(self, beginning: bytes) -> None:
        self.beginning = beginning


class Hooks:
    """`ring(tenant_ids)` is told, after each commit, who has something to apply."""

    def __init__(self, *, ring: Callable[[Sequence[Any]], None]) -> None:
        self._ring = ring
        self._listed_addresses = frozenset(settings.CALLBACK_ADDRESSES)
        self._unknown_kept: tuple[int, int] = (0, 0)  # minute, how many
        self._in_background: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        conninfo = database_url()
        self._routes = RouteTable(conninfo=conninfo, read_rules=ValidationRules.read)
        self._writer = InboxWriter(
            conninfo=conninfo, journal=Journal(settings.JOURNAL_DIR), committed=self._after_commit
        )
        await self._writer.start()
        await self._routes.start()

    async def stop(self) -> None:
        if self._in_background:
            await asyncio.wait(self._in_background, timeout=3)
        await self._writer.stop()
        await self._routes.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _, _, token, kind_name, about = [*scope["path"].rstrip("/").split("/", 4), "", "", ""][:5]
        kind = _KINDS.get(kind_name)
        if kind is None or (about and not _ABOUT.fullmatch(about)):
            await _answer(send, 404, _NOTHING_HERE)
            return
        if scope["method"] != "POST":
            await _answer(send, 405, b'{"detail":"Use POST."}', [(b"allow", b"POST")])
            return
        token_hash = hash_token(token)
        route = self._routes.find(token_hash)
        is_known = route is not None
        if route is None and self._routes.is_loaded:
            try:
                route = await self._routes.find_in_database(token_hash)
                is_known = route is not None
            except (psycopg.Error, OSError, TimeoutError):
                is_known = True  # nobody can tell now: keep it, the insert routes it later
        elif route is None:
            is_known = True
        try:
            body = await _read_body(receive)
            reason = ""
        except BodyTooLarge as error:
            body, reason = error.beginning, InboundCallback.Reason.TOO_LARGE.value
        delivery = self._delivery(scope, token_hash, route, kind, about, body, reason)
        if not is_known:
            await self._keep_evidence_of_unknown_token(delivery)
            await _answer(send, 404, _NOTHING_HERE)
        elif kind == Kind.C2B_VALIDATION:
            await self._validate(send, delivery, route)
        else:
            await self._keep(send, delivery)

    async def _keep(self, send: Send, delivery: Delivery) -> None:
        try:
            await self._writer.keep(delivery)
        except CannotKeep:
            await _answer(send, 503, b'{"detail":"Not kept. Send it again."}')
            return
        if delivery.reason == InboundCallback.Reason.TOO_LARGE:
            await _answer(send, 413, b'{"detail":"At most 64 kB."}')
            return
        await _answer(send, 200, _ANSWERS.get(Kind(delivery.kind), _ACCEPTED))

    async def _validate(self, send: Send, delivery: Delivery, route: Route | None) -> None:
        """Answer at once, keep what was asked and answered afterwards."""
        code, sentence = answer_validation(route.rules if route else None, delivery.body)
        answer = {"ResultCode": code, "ResultDesc": "Accepted" if code == "0" else "Rejected"}
        await _answer(send, 200, orjson.dumps(answer))
        self._keep_in_background(delivery, error=kept(say("Answered %(code)s: %(why)s", code=code, why=sentence)))

    async def _keep_evidence_of_unknown_token(self, delivery: Delivery) -> None:
        minute, count = self._unknown_kept
        now = int(time.monotonic() // 60)
        count = count + 1 if minute == now else 1
        self._unknown_kept = (now, count)
        if count <= _UNKNOWN_TOKENS_KEPT_PER_MINUTE:
            with contextlib.suppress(CannotKeep):
                await self._writer.keep(delivery)

    def _keep_in_background(self, delivery: Delivery, *, error: str) -> None:
        async def keep() -> None:
            with contextlib.suppress(CannotKeep):  # logged by the writer
                await self._writer.keep(replace(delivery, error=error))

        task = asyncio.create_task(keep())
        self._in_background.add(task)
        task.add_done_callback(self._in_background.discard)

    def _delivery(
        self, scope: Scope, token_hash: bytes, route: Route | None, kind: Kind, about: str, body: bytes, reason: str
    ) -> Delivery:
        forwarded = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
        client = scope.get("client")
        address = caller_address(
            socket_address=str(client[0]) if client else "",
            forwarded_for=forwarded.decode("latin-1"),
            trusted_proxies=settings.TRUSTED_PROXIES,
        )
        state = InboundCallback.State.PENDING
        if reason:
            state = InboundCallback.State.QUARANTINED
        elif kind == Kind.C2B_VALIDATION:
            state = InboundCallback.State.APPLIED
        return Delivery(
            token_hash=token_hash,
            id=new_id(),
            tenant_id=route.tenant_id if route else None,
            channel_id=route.channel_id if route else None,
            kind=kind.value,
            about=UUID(about) if about else None,
            body=body,
            headers=_kept_headers(scope["headers"]),
            address=address,
            address_is_listed=address in self._listed_addresses,
            received_at=datetime.now(UTC),
            state=state.value,
            reason=reason,
        )

    def _after_commit(self, deliveries: Sequence[Delivery]) -> None:
        pending = {
            delivery.tenant_id
            for delivery in deliveries
            if delivery.tenant_id and delivery.state == InboundCallback.State.PENDING.value
        }
        if pending:
            self._ring(list(pending))


def _kept_headers(headers: Sequence[tuple[bytes, bytes]]) -> str:
    kept: dict[str, str] = {}
    size = 0
    for name, value in headers:
        size += len(name) + len(value)
        if size > _KEPT_HEADER_BYTES:
            break
        text = "(hidden)" if name in _HIDDEN_HEADERS else value.decode("latin-1").replace("\x00", "")
        kept[name.decode("latin-1")] = text
    return orjson.dumps(kept).decode()


async def _read_body(receive: Receive) -> bytes:
    """:raises BodyTooLarge: with its beginning; the rest is not read."""
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return body
        body += message.get("body", b"")
        if len(body) > MAXIMUM_BODY_BYTES:
            raise BodyTooLarge(body[:MAXIMUM_BODY_BYTES])
        if not message.get("more_body"):
            return body


async def _answer(send: Send, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})
