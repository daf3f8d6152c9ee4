"""The running stack, as `./tuzo up` starts it, with data and services of its own."""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urljoin
from uuid import uuid4

import requests

from config.launcher.processes import Process, stat_of, wait_until
from config.launcher.services import EmbeddedPostgres, EmbeddedValkey
from tests.processes import PROJECT

CONTROL_TOKEN = "the journey's control token"
PASSWORD = "a long pass phrase"
# In the order in which the launcher starts them.
_PROCESSES = ("simulator", "web", "worker", "beat")


class Stack:
    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.postgres = EmbeddedPostgres(folder / "postgres", settings={"fsync": "off", "full_page_writes": "off"})
        self.valkey = EmbeddedValkey(folder / "valkey")
        self._port = _two_free_ports()
        self.environment = self._environment(environment)
        self._up = self._launcher()

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self._port}/api/v1/"

    @property
    def simulator(self) -> str:
        return f"http://127.0.0.1:{self._port + 1}"

    @property
    def said(self) -> str:
        return self._up.log.read_text() if self._up.log.exists() else ""

    def start(self) -> None:
        self.postgres.start()
        self.valkey.start()
        self._up.start()
        assert wait_until(lambda: "Ready in" in self.said or self._up.exit_code is not None, timeout_s=120), self.said
        assert "Ready in" in self.said, self.said

    def page(self, host: str) -> str:
        """What a stranger finds at a host name; empty if that is not open to strangers."""
        answer = requests.get(urljoin(self.api, "/"), headers={"Host": host}, allow_redirects=False, timeout=20)
        return answer.text if answer.ok and not answer.is_redirect else ""

    def stop(self) -> None:
        self._up.stop(timeout_s=30)
        self.valkey.destroy()
        self.postgres.destroy()

    def kill(self, name: str) -> None:
        """kill -9 of a process with its children; the launcher starts it again. Returns when it is gone."""
        pid = self._pid(name)
        os.killpg(pid, signal.SIGKILL)
        assert wait_until(lambda: (stat := stat_of(pid)) is None or stat.state == "Z", timeout_s=5)

    def _pid(self, name: str) -> int:
        children = json.loads((self.folder / "run.json").read_text())["children"]
        return int(children[_PROCESSES.index(name)][0])

    def set_number_style(self, shortcode: str, style: str) -> None:
        """How M-PESA reports the payer's number: plain, masked or hashed."""
        self.control("PUT", f"/organisations/{shortcode}", {"msisdn_style": style})

    def control(self, method: str, path: str, body: object = None) -> Any:
        """The simulator's control door."""
        headers = {"Authorization": f"Bearer {CONTROL_TOKEN}"}
        answer = requests.request(method, f"{self.simulator}/control{path}", json=body, headers=headers, timeout=20)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def pay(self, shortcode: str, account_reference: str, amount: int, phone_number: str, first_name: str) -> str:
        """Pay on the virtual phone; returns M-PESA's receipt."""
        answer = requests.post(
            f"{self.simulator}/phone/payments",
            json={
                "shortcode": shortcode,
                "account_reference": account_reference,
                "amount": str(amount),
                "phone_number": phone_number,
                "first_name": first_name,
            },
            timeout=20,
        )
        assert answer.ok, answer.text
        assert answer.json()["state"] == "completed"
        return str(answer.json()["receipt"])

    def wait_for_answer(self, reference: str, kind: str) -> None:
        """Return when our hooks have acknowledged what M-PESA sent about a receipt."""
        path = f"/deliveries?reference={reference}"
        until(
            lambda: [
                each
                for each in self.control("GET", path)["deliveries"]
                if (each["kind"], each["state"]) == (kind, "answered")
            ],
            f"the answer to {kind} of {reference}",
        )

    def wait_for_web(self) -> None:
        """Return when the launcher has started the web process again."""
        until(lambda: requests.get(urljoin(self.api, "/health/"), timeout=5).ok, "the web process")

    def answer_prompt(self, phone_number: str, answer: str) -> dict[str, Any]:
        """Wait for the one prompt on a phone, and answer it."""
        url = f"{self.simulator}/phone/prompts"
        prompt = until(
            lambda: requests.get(url, params={"phone_number": phone_number}, timeout=5).json()["prompts"],
            "a prompt",
        )[0]
        answered = requests.post(f"{url}/{prompt['checkout_request_id']}", json={"answer": answer}, timeout=5)
        assert answered.ok, answered.text
        return prompt | answered.json()

    def _environment(self, wanted: dict[str, str]) -> dict[str, str]:
        ours = ("TUZO_", "_TUZO", "PYTEST_", "SECRET_KEY", "ENCRYPTION_KEYS", "AUDIT_KEY")
        given = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return given | {
            "TUZO_ENV": "development",
            "TUZO_DATA": str(self.folder),
            "TUZO_PLATFORM_HOST": "localhost",
            "TUZO_PUBLIC_URL": f"http://127.0.0.1:{self._port}",
            "DATABASE_URL": self.postgres.url,
            "REDIS_URL": self.valkey.url,
            "SIMULATOR_URL": self.simulator,
            "SIMULATOR_CONTROL_TOKEN": CONTROL_TOKEN,
            "SMS_PROVIDER": "console",
            **wanted,
        }

    def _launcher(self) -> Process:
        """The launcher as it goes on after it has found its Python: this one."""
        command = [sys.executable, "-m", "config.launcher", "up", "--port", str(self._port)]
        environment = self.environment | {"_TUZO_BEGAN_AT": str(time.time())}
        return Process(
            "up", command, log=self.folder / "up.log", env=environment, cwd=PROJECT, stop_signal=signal.SIGINT
        )


class Business:
    """A business that signs itself up, and its owner at the API."""

    def __init__(self, stack: Stack, name: str, business_type: str) -> None:
        self.stack = stack
        self._session = requests.Session()
        self.answers: list[str] = []  # every body that came back
        self.email = f"owner@{name.replace(' ', '-').lower()}.example"
        self.progress = self.post(
            "merchants/",
            202,
            business_name=name,
            owner_name="Amina Wanjiru",
            email=self.email,
            phone="0722 000 111",
            business_type=business_type,
            password=PASSWORD,
        )
        self.progress = until(self._made, f"{name} to be made")
        self.sign_in()

    def sign_in(self) -> None:
        pair = self.post("auth/token/", 200, email=self.email, password=PASSWORD)
        self._session.headers["Authorization"] = f"Bearer {pair['access']}"

    @property
    def headers(self) -> Mapping[str, str]:
        return dict(self._session.headers)

    def get(self, path: str, **query: Any) -> Any:
        return self.ask("GET", path, 200, params=query)

    def post(self, path: str, expected: int, **body: Any) -> Any:
        return self.ask("POST", path, expected, json=body, headers={"Idempotency-Key": uuid4().hex})

    def patch(self, path: str, **body: Any) -> Any:
        return self.ask("PATCH", path, 200, json=body)

    def plug_in(self, shortcode: str, account_mapping: dict[str, str], *, until: str) -> dict[str, Any]:
        """A PayBill that exists at M-PESA, saved with its keys (until="configured") or taken on to "active"."""
        opened = self.stack.control(
            "PUT", f"/organisations/{shortcode}", {"name": "Journey", "kind": "paybill", "timings": {"result": 0.1}}
        )
        channel = self.post(
            "mpesa-channels/",
            201,
            name=f"PayBill {shortcode}",
            channel_type="paybill",
            environment="practice",
            shortcode=shortcode,
            consumer_key=opened["consumer_key"],
            consumer_secret=opened["consumer_secret"],
            passkey=opened["passkey"],
            initiator_name=opened["initiator_name"],
            initiator_credential=opened["initiator_password"],
            account_mapping=account_mapping,
        )
        assert channel["status"] == "configured"
        if until == "active":
            for step in ("verify/?wait=20", "register-urls/?wait=20", "activate/"):
                channel |= self.post(f"mpesa-channels/{channel['id']}/{step}", 200) | {"id": channel["id"]}
            assert channel["status"] == "active"
        return channel

    def _made(self) -> Any:
        progress = requests.get(self.progress["progress_url"], timeout=10).json() | {
            "progress_url": self.progress["progress_url"]
        }
        return progress if progress["status"] == "trial" else None

    def ask(self, method: str, path: str, expected: int, **sent: Any) -> Any:
        answer = self._session.request(method, urljoin(self.stack.api, path), timeout=40, **sent)
        assert answer.status_code == expected, f"{method} {path}: {answer.status_code} {answer.text}"
        if not path.startswith("auth/"):
            self.answers.append(answer.text)
        return answer.json() if answer.content else None


def until(find: Callable[[], Any], what: str, *, seconds: float = 30) -> Any:
    """What `find` finds, as soon as it finds something; the web process may be away meanwhile."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found := find():
                return found
        except requests.ConnectionError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds} s for {what}")


def _two_free_ports() -> int:
    """A free port with a free one after it."""
    for _ in range(50):
        with socket.socket() as one, socket.socket() as next_one:
            one.bind(("127.0.0.1", 0))
            number = int(one.getsockname()[1])
            try:
                next_one.bind(("127.0.0.1", number + 1))
            except OSError:
                continue
            return number
    raise AssertionError("no two free ports in a row")
