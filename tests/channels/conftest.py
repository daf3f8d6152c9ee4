"""A simulator process that channels are connected to, a place for its deliveries, and channels of acme."""

import threading
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
from django.db import connection
from django.utils import timezone

from audit.ids import new_id
from audit.models import AuditRow
from audit.services import Actor
from channels import mapping, runs, services
from channels.daraja.payloads import AsyncResult, QueueTimeout, parse_result, parse_timeout
from channels.models import ChannelRun, Environment, MpesaChannel
from tenants.models import Role
from tests.processes import free_port, simulator_process

CONTROL_TOKEN = "the tests' control token"
ADMIN = Actor(kind=AuditRow.ActorKind.PERSON, id=new_id(), label="amina@acme.example", role=Role.ORG_ADMIN)
PROGRAMS = {"loyalty", "vip_account", "gold_tier"}


@pytest.fixture(autouse=True)
def _known_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "_program_directory", lambda: PROGRAMS)


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

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

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


@pytest.fixture(scope="session")
def simulator_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    port = free_port()
    process = simulator_process(
        tmp_path_factory.mktemp("simulator"), port, SIMULATOR_CONTROL_TOKEN=CONTROL_TOKEN, DATABASE_URL="", REDIS_URL=""
    )
    process.start()
    process.wait_for(f"http://127.0.0.1:{port}/health")
    yield Simulator(f"http://127.0.0.1:{port}")
    process.stop()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    place = Receiver()
    yield place
    place.server.shutdown()
    place.server.server_close()


@pytest.fixture
def simulator(
    simulator_server: Simulator, receiver: Receiver, settings: Any, db: None, monkeypatch: pytest.MonkeyPatch
) -> Simulator:
    """The simulator stands for every environment, and its deliveries come to `receiver`.

    No call may leave while a transaction is open, except for the one that the test itself runs in.
    """
    settings.DARAJA_URLS = dict.fromkeys(Environment.values, simulator_server.url)
    settings.SIMULATOR_URL = simulator_server.url
    settings.SIMULATOR_CONTROL_TOKEN = CONTROL_TOKEN
    settings.TUZO_PUBLIC_URL = receiver.url
    settings.DARAJA_TIMEOUT_S = (2.0, 5.0)
    monkeypatch.setattr("channels.connection._practice_certificate", (0.0, b""))
    depth = len(connection.savepoint_ids)
    send = requests.Session.send

    def guarded(session: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        assert len(connection.savepoint_ids) == depth, f"{request.url} was called inside a transaction"
        return send(session, request, **options)

    monkeypatch.setattr(requests.Session, "send", guarded)
    return simulator_server


def make_simulator_unreachable(settings: Any) -> None:
    settings.SIMULATOR_URL = "http://127.0.0.1:9"
    settings.DARAJA_URLS = {**settings.DARAJA_URLS, "PRACTICE": settings.SIMULATOR_URL}


CreateChannel = Callable[..., MpesaChannel]


@pytest.fixture
def create(in_acme: object) -> CreateChannel:
    """`create(shortcode="600966")` → a draft of acme's, in production, or whatever is given."""

    def make(**details: Any) -> MpesaChannel:
        return services.create_channel(
            **{"name": "Shop", "kind": "PAYBILL", "environment": "PRACTICE", "actor": ADMIN, "now": timezone.now()}
            | details
        )

    return make


def keys_of(organisation: dict[str, Any]) -> dict[str, str]:
    """What a business copies from the Daraja portal."""
    return {
        "shortcode": organisation["shortcode"],
        "store_number": organisation["store_number"],
        "consumer_key": organisation["consumer_key"],
        "consumer_secret": organisation["consumer_secret"],
        "passkey": organisation["passkey"],
    }


def initiator_of(organisation: dict[str, Any]) -> dict[str, str]:
    return {
        "initiator_name": organisation["initiator_name"],
        "initiator_credential": organisation["initiator_password"],
    }


@pytest.fixture
def connected(create: CreateChannel, simulator: Simulator) -> CreateChannel:
    """`connected()` → a configured PayBill of acme whose keys the simulator knows; without an initiator."""

    def make(**details: Any) -> MpesaChannel:
        return create(**keys_of(simulator.open()) | details)

    return make


RunOf = Callable[..., ChannelRun]


@pytest.fixture
def run_of(run_due: Callable[[], int]) -> RunOf:
    """`run_of(channel, Kind.VERIFY)` → the run as it stands when the worker has done what is due."""

    def carry_out(channel: MpesaChannel, kind: ChannelRun.Kind) -> ChannelRun:
        tenant = connection.tenant
        run = runs.request_run(channel_id=channel.pk, kind=kind, actor=ADMIN, now=timezone.now())
        run_due()
        connection.set_tenant(tenant)
        run.refresh_from_db()
        channel.refresh_from_db()
        return run

    return carry_out
