"""A load generator for HTTP/1.1 POSTs over kept-alive connections, cheap enough to share a machine with the server.

    python -m config.benchmarks.load '{"port": 8000, "requests": [...], "connections": 32, "seconds": 8}'

`targets` is a list of [path, body template]; `%%` in a body becomes a new M-PESA number. With `rate` it sends that
many a second, evenly spread, and measures from when each was due; without it every connection sends as fast as it is
answered. Prints JSON: `{"sent", "acknowledged", "seconds", "per_second", "p50_ms", "p99_ms", "worst_ms"}`.
"""

import asyncio
import itertools
import json
import sys
import time
from typing import Any

import uvloop

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Connection(asyncio.Protocol):
    """One kept-alive connection with at most one request under way."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[int] | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        lower = head.lower()
        start = lower.index(b"content-length:") + 15
        length = int(lower[start : start + 12].split(b"\r\n", 1)[0])
        if len(body) >= length and self._answer and not self._answer.done():
            self._received = b""
            self._answer.set_result(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_exception(ConnectionResetError())

    async def post(self, request: bytes) -> int:
        assert self._transport is not None  # noqa: S101  set by connection_made
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer


def _requests(targets: list[list[str]], port: int) -> Any:
    """An endless run of ready-made requests, each with an M-PESA number of its own."""
    prefix = f"{int(time.time() * 1000) % 36**3:05d}"[-5:]
    prepared = []
    for path, body in targets:
        length = len(body) - 2 + 10
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {length}\r\n\r\n"
        )
        before, after = body.split("%%")
        prepared.append(((head + before).encode(), after.encode()))
    for number, (before_bytes, after_bytes) in zip(itertools.count(), itertools.cycle(prepared), strict=False):
        digits, value = "", number
        for _ in range(5):
            value, digit = divmod(value, 36)
            digits = _ALPHABET[digit] + digits
        yield before_bytes + prefix.encode() + digits.encode() + after_bytes


async def _run(options: dict[str, Any]) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    connections = [
        (await loop.create_connection(Connection, "127.0.0.1", options["port"]))[1]
        for _ in range(options["connections"])
    ]
    requests = _requests(options["targets"], options["port"])
    latencies: list[float] = []
    refused = 0
    began = time.perf_counter()
    until = began + options["seconds"]
    rate = options.get("rate")
    turn = itertools.count()

    async def work(connection: Connection) -> None:
        nonlocal refused
        while True:
            if rate:
                due = began + next(turn) / rate
                if due >= until:
                    return
                if (wait := due - time.perf_counter()) > 0:
                    await asyncio.sleep(wait)
            else:
                due = time.perf_counter()
                if due >= until:
                    return
            status = await connection.post(next(requests))
            latencies.append(time.perf_counter() - due)
            refused += status != 200

    await asyncio.gather(*(work(connection) for connection in connections))
    seconds = time.perf_counter() - began
    latencies.sort()
    count = len(latencies)

    def percentile(share: float) -> float:
        return round(1000 * latencies[min(count - 1, int(count * share))], 2)

    return {
        "sent": count,
        "acknowledged": count - refused,
        "seconds": round(seconds, 3),
        "per_second": round((count - refused) / seconds, 1),
        "p50_ms": percentile(0.50),
        "p99_ms": percentile(0.99),
        "worst_ms": percentile(1),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(uvloop.run(_run(json.loads(sys.argv[1])))))
