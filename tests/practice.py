"""The simulator as tests meet it, and a place where what it delivers arrives."""

import threading
import uuid
from http.server import BaseHTTPRequestHandler
from typing import Any

import requests

from channels.daraja.payloads import AsyncResult, QueueTimeout, parse_result, parse_timeout
from tests.listener import Listener

CONTROL_TOKEN = "the tests' control token"


class Simulator:
    """The simulator's control door."""

    def __init__(self, url: str) -> None:
        self.url = url

    def control(self, method: str, path: str, body: object = None) -> Any:
        headers = {"Authorization": f"Bearer {CONTROL_TOKEN}"}
        answer = requests.request(method, f"{self.url}/control{path}", json=body, headers=headers, timeout=20)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def open(self, **wanted: object) -> dict[str, Any]:
        """A new organisation: its number and everything needed to call Daraja for it."""
        body = {"external_reference": uuid.uuid4().hex, "name": "Acme Electronics", "kind": "paybill"}
        opened: dict[str, Any] = self.control("POST", "/organisations", body | {"timings": {"result": 0.02}} | wanted)
        return opened

    def change(self, shortcode: str, **changes: object) -> None:
        self.control("PUT", f"/organisations/{shortcode}", changes)

    def faults(self, shortcode: str, *wanted: dict[str, object]) -> None:
        self.control("PUT", f"/faults/{shortcode}", {"faults": list(wanted)})

    def pay(self, shortcode: str, amount: int, **wanted: object) -> str:
        """Pay on the virtual phone; M-PESA's receipt."""
        payment = {"account_reference": "VIP001", "phone_number": "254712345126", "first_name": "JOHN"} | wanted
        body = payment | {"shortcode": shortcode, "amount": str(amount)}
        answer = requests.post(f"{self.url}/phone/payments", json=body, timeout=20)
        assert answer.ok, answer.text
        assert answer.json()["state"] == "completed", answer.text
        return str(answer.json()["receipt"])


class Receiver:
    """Where the simulator's results arrive instead of at our hooks: as (path, body), in order."""

    def __init__(self) -> None:
        self.arrivals: list[tuple[str, bytes]] = []
        self._changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                with receiver._changed:
                    receiver.arrivals.append((self.path, body))
                    receiver._changed.notify_all()
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = Listener(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def arrival(self, number: int) -> tuple[str, bytes]:
        """The path and body of a delivery, counted from 0, once it is here."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self.arrivals) > number, timeout=10)
            assert came, f"no delivery {number} came: {self.arrivals}"
            return self.arrivals[number]

    def result(self) -> AsyncResult:
        return parse_result(self._body("result"))

    def timeout(self) -> QueueTimeout:
        return parse_timeout(self._body("timeout"))

    def _body(self, kind: str) -> bytes:
        """The first delivery of a kind, once it is here."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._of(kind), timeout=10), f"no {kind} came: {self.arrivals}"
            return self._of(kind)[0]

    def _of(self, kind: str) -> list[bytes]:
        return [body for path, body in self.arrivals if path.endswith(f"/{kind}")]


def make_simulator_unreachable(settings: Any) -> None:
    settings.SIMULATOR_URL = "http://127.0.0.1:9"
    settings.DARAJA_URLS = {**settings.DARAJA_URLS, "PRACTICE": settings.SIMULATOR_URL}
