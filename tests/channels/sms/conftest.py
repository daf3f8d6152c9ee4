"""A stand-in for Africa's Talking that listens on a local port, and messages to send."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs

import pytest

from channels.models import SmsMessage
from channels.sms import outbox
from channels.sms.outbox import NewSms, queue_messages
from tests.listener import Listener

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class Gateway:
    """Answers every message with `answer`, or hangs up without one if it is None; remembers what it was asked."""

    def __init__(self) -> None:
        self.answer: tuple[int, bytes] | None = recipient(101, "Success")
        self.asked: list[dict[str, Any]] = []
        self.is_slow = False
        self.go_on = threading.Event()
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                gateway.asked.append(
                    {
                        "path": self.path,
                        "headers": dict(self.headers),
                        "fields": {name: values[0] for name, values in parse_qs(body).items()},
                    }
                )
                if gateway.is_slow:
                    gateway.go_on.wait(timeout=10)
                self.close_connection = True
                if gateway.answer is None:
                    return
                status, content = gateway.answer
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self._server = Listener(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()


def recipient(code: int, word: str, http_status: int = 201) -> tuple[int, bytes]:
    """An answer of Africa's Talking about one recipient, as documented."""
    is_taken = code in {100, 101, 102}
    data = {
        "SMSMessageData": {
            "Message": f"Sent to {int(is_taken)}/1 Total Cost: {'KES 0.8000' if is_taken else '0'}",
            "Recipients": [
                {
                    "statusCode": code,
                    "number": "+254712345126",
                    "status": word,
                    "cost": "KES 0.8000" if is_taken else "0",
                    "messageId": "ATXid_fabd5d394a3ca5c081d451d2bea93665" if is_taken else "None",
                }
            ],
        }
    }
    return http_status, json.dumps(data).encode()


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    gateway = Gateway()
    yield gateway
    gateway.stop()


@pytest.fixture
def live(settings: Any, gateway: Gateway) -> Iterator[Gateway]:
    """Production's messages go to the stand-in."""
    settings.SMS_PROVIDER = "africastalking"
    settings.AFRICASTALKING_URL = gateway.url
    settings.AFRICASTALKING_USERNAME = "tuzo"
    settings.AFRICASTALKING_API_KEY = "atsk_not_a_real_key"
    settings.AFRICASTALKING_SENDER_ID = "TUZO"
    outbox._provider.cache_clear()
    yield gateway
    outbox._provider.cache_clear()


@pytest.fixture
def queue(in_acme: Any) -> Callable[..., list[SmsMessage]]:
    """`queue(3)` → as many queued messages of acme's live customers (or `environment=`)."""

    def make(count: int = 1, environment: str = "PRODUCTION", *, now: datetime = NOW) -> list[SmsMessage]:
        keys = [f"test:{environment}:{number}" for number in range(count)]
        queue_messages(
            messages=[
                NewSms(dedup_key=key, phone_number="254712345126", body="Hi John!", environment=environment)
                for key in keys
            ],
            now=now,
        )
        return list(SmsMessage.objects.filter(dedup_key__in=keys).order_by("id"))

    return make
