"""A simulator process of its own, a place where its callbacks arrive, and businesses to play with."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.listener import Listener

PROJECT = Path(__file__).resolve().parents[2]
CONTROL = {"Authorization": "Bearer test-control"}
QUICK = {"callback": 0.02, "result": 0.02, "simulate": 0.02, "validation": 0.4}
TIMESTAMP = "20261121090000"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Process:
    """A simulator, started from its documented command."""

    data: Path
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "granian", "--interface", "asgi", "channels.simulator.app:application"]
        self.running = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1", "--log-level", "warning"],
            cwd=PROJECT,
            env={**os.environ, "TUZO_DATA": str(self.data), "SIMULATOR_CONTROL_TOKEN": "test-control"},
            start_new_session=True,
        )
        for _ in range(200):
            try:
                if requests.get(f"{self.url}/health", timeout=1).json() == {"status": "ok"}:
                    return
            except requests.RequestException:
                time.sleep(0.05)
        raise RuntimeError("The simulator did not start.")

    def stop(self) -> int:
        self.running.terminate()
        return self.running.wait(20)

    def kill(self) -> None:
        os.killpg(self.running.pid, signal.SIGKILL)
        self.running.wait(20)

    def control(self, method: str, path: str, body: object = None) -> requests.Response:
        return requests.request(method, f"{self.url}/control{path}", json=body, headers=CONTROL, timeout=20)


@dataclass(frozen=True)
class Arrival:
    """A callback that came."""

    kind: str
    content_type: str
    text: str
    at: float

    @property
    def body(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.text)
        return parsed


class Receiver:
    """Where callbacks arrive; what it answers can be set for each kind."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.answers: dict[str, tuple[int, str]] = {}
        self.pauses: dict[str, float] = {}
        self._changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                receiver.receive(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = Listener(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def url(self, kind: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/{kind}"

    def receive(self, handler: BaseHTTPRequestHandler) -> None:
        kind = handler.path.removeprefix("/")
        text = handler.rfile.read(int(handler.headers["content-length"])).decode()
        with self._changed:
            self.arrivals.append(Arrival(kind, handler.headers["content-type"], text, time.time()))
            self._changed.notify_all()
        time.sleep(self.pauses.get(kind, 0))
        status, answer = self.answers.get(kind, (200, '{"ResultCode": 0, "ResultDesc": "Accepted"}'))
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(answer.encode())))
        handler.end_headers()
        handler.wfile.write(answer.encode())

    def of(self, kind: str) -> list[Arrival]:
        return [arrival for arrival in self.arrivals if arrival.kind == kind]

    def wait(self, kind: str, count: int = 1) -> list[Arrival]:
        """The first arrivals of a kind, once there are that many."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.of(kind)) >= count, 5):
                raise AssertionError(f"{len(self.of(kind))} of {count} {kind} came: {self.arrivals}")
        return self.of(kind)


@dataclass
class Business:
    """An organisation on the simulator, and the calls that its software makes."""

    process: Process
    receiver: Receiver
    data: dict[str, Any]
    token: str = ""

    @property
    def shortcode(self) -> str:
        return str(self.data["shortcode"])

    def change(self, **changes: object) -> None:
        answer = self.process.control("PUT", f"/organisations/{self.shortcode}", changes)
        assert answer.status_code == 200, answer.text
        self.data = answer.json()

    def faults(self, *wanted: dict[str, object]) -> None:
        answer = self.process.control("PUT", f"/faults/{self.shortcode}", {"faults": list(wanted)})
        assert answer.status_code == 200, answer.text

    def fetch_token(self, headers: dict[str, str] | None = None) -> requests.Response:
        return requests.get(
            f"{self.process.url}/oauth/v1/generate?grant_type=client_credentials",
            auth=(self.data["consumer_key"], self.data["consumer_secret"]),
            headers=headers,
            timeout=5,
        )

    def call(self, path: str, body: object, *, timeout: float = 10, **headers: str) -> requests.Response:
        """POST to Daraja with a token; header names are written with underscores."""
        self.token = self.token or self.fetch_token().json()["access_token"]
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.post(
            f"{self.process.url}{path}",
            json=body,
            headers={"Authorization": f"Bearer {self.token}", **named},
            timeout=timeout,
        )

    def register(self, version: int = 2, response_type: str = "Completed", **changes: object) -> requests.Response:
        body = {
            "ShortCode": self.shortcode,
            "ResponseType": response_type,
            "ConfirmationURL": self.receiver.url("confirmation"),
            "ValidationURL": self.receiver.url("validation"),
            **changes,
        }
        return self.call(f"/mpesa/c2b/v{version}/registerurl", body)

    def password(self, number: str) -> str:
        return base64.b64encode(f"{number}{self.data['passkey']}{TIMESTAMP}".encode()).decode()

    def push_body(self, **changes: object) -> dict[str, object]:
        number = str(changes.get("BusinessShortCode", self.data["store_number"] or self.shortcode))
        is_paybill = self.data["kind"] == "paybill"
        return {
            "BusinessShortCode": number,
            "Password": self.password(number),
            "Timestamp": TIMESTAMP,
            "TransactionType": "CustomerPayBillOnline" if is_paybill else "CustomerBuyGoodsOnline",
            "Amount": 1200,
            "PartyA": 254712345678,
            "PartyB": self.shortcode,
            "PhoneNumber": 254712345678,
            "CallBackURL": self.receiver.url("stk"),
            "AccountReference": "INV7",
            "TransactionDesc": "Lunch",
            **changes,
        }

    def push(self, phone: str, *, timeout: float = 10, headers: dict[str, str] | None = None, **changes: object) -> Any:
        body = self.push_body(PartyA=int(phone), PhoneNumber=int(phone), **changes)
        return self.call("/mpesa/stkpush/v1/processrequest", body, timeout=timeout, **(headers or {}))

    def query(self, checkout_request_id: str) -> requests.Response:
        number = str(self.data["store_number"] or self.shortcode)
        body = {
            "BusinessShortCode": number,
            "Password": self.password(number),
            "Timestamp": TIMESTAMP,
            "CheckoutRequestID": checkout_request_id,
        }
        return self.call("/mpesa/stkpushquery/v1/query", body)

    def credential(self, password: str | None = None) -> str:
        pem = requests.get(f"{self.process.url}/control/certificate.pem", timeout=5).content
        key = x509.load_pem_x509_certificate(pem).public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        secret = (password or self.data["initiator_password"]).encode()
        return base64.b64encode(key.encrypt(secret, padding.PKCS1v15())).decode()

    def balance(self, **changes: object) -> requests.Response:
        headers = changes.pop("headers", {})
        assert isinstance(headers, dict)
        body = {
            "Initiator": self.data["initiator_name"],
            "SecurityCredential": self.credential(),
            "CommandID": "AccountBalance",
            "PartyA": self.shortcode,
            "IdentifierType": "4",
            "Remarks": "OK",
            "QueueTimeOutURL": self.receiver.url("timeout"),
            "ResultURL": self.receiver.url("result"),
            **changes,
        }
        return self.call("/mpesa/accountbalance/v1/query", body, **headers)

    def status(self, **changes: object) -> requests.Response:
        body = {
            "Initiator": self.data["initiator_name"],
            "SecurityCredential": self.credential(),
            "CommandID": "TransactionStatusQuery",
            "PartyA": self.shortcode,
            "IdentifierType": "4",
            "ResultURL": self.receiver.url("result"),
            "QueueTimeOutURL": self.receiver.url("timeout"),
            "Remarks": "OK",
            **changes,
        }
        return self.call("/mpesa/transactionstatus/v1/query", body)

    def pay_out(
        self, phone: str, amount: object = 1000, *, version: int = 3, timeout: float = 10, **changes: object
    ) -> requests.Response:
        """B2C; header names among the changes are written with underscores and begin with X_."""
        headers = {name: str(changes.pop(name)) for name in list(changes) if name.startswith("X_")}
        body = {
            "OriginatorConversationID": str(uuid.uuid4()),
            "InitiatorName": self.data["initiator_name"],
            "SecurityCredential": self.credential(),
            "CommandID": "BusinessPayment",
            "Amount": amount,
            "PartyA": self.shortcode,
            "PartyB": phone,
            "Remarks": "Refund",
            "QueueTimeOutURL": self.receiver.url("timeout"),
            "ResultURL": self.receiver.url("result"),
            **changes,
        }
        return self.call(f"/mpesa/b2c/v{version}/paymentrequest", body, timeout=timeout, **headers)

    def initiate(self, path: str, **fields: object) -> requests.Response:
        """An initiator's call, with the fields that all of them share."""
        body = {
            "Initiator": self.data["initiator_name"],
            "SecurityCredential": self.credential(),
            "Remarks": "OK",
            "QueueTimeOutURL": self.receiver.url("timeout"),
            "ResultURL": self.receiver.url("result"),
            **fields,
        }
        return self.call(path, body)

    def pay_business(self, receiver: str, amount: object = 1000, **changes: object) -> requests.Response:
        """B2B."""
        body = {
            "CommandID": "BusinessPayBill",
            "SenderIdentifierType": "4",
            "RecieverIdentifierType": "4",
            "Amount": amount,
            "PartyA": self.shortcode,
            "PartyB": receiver,
            "AccountReference": "353353",
            **changes,
        }
        return self.initiate("/mpesa/b2b/v1/paymentrequest", **body)

    def reverse(self, receipt: str, amount: object, **changes: object) -> requests.Response:
        body = {
            "CommandID": "TransactionReversal",
            "TransactionID": receipt,
            "Amount": amount,
            "ReceiverParty": self.shortcode,
            "RecieverIdentifierType": "11",
            **changes,
        }
        return self.initiate("/mpesa/reversal/v1/request", **body)

    def deposit(self, account: str, amount: object) -> requests.Response:
        """Money comes from a bank."""
        body = {"account": account, "amount": amount}
        return self.process.control("POST", f"/organisations/{self.shortcode}/deposits", body)

    def result(self, count: int = 1) -> dict[str, Any]:
        """The last of so many results."""
        body: dict[str, Any] = self.receiver.wait("result", count)[count - 1].body["Result"]
        return body

    def ledger(self) -> dict[str, Any]:
        found: dict[str, Any] = self.process.control("GET", f"/ledger?shortcode={self.shortcode}").json()
        return found

    def accounts(self) -> dict[str, str]:
        found: dict[str, str] = self.books()["accounts"]
        return found

    def is_paid(self, phone: str, amount: object = 5000, account: str = "VIP001", **more: object) -> requests.Response:
        """A customer pays from the virtual phone."""
        body = {
            "shortcode": self.shortcode,
            "account_reference": account,
            "amount": amount,
            "phone_number": phone,
            **more,
        }
        return requests.post(f"{self.process.url}/phone/payments", json=body, timeout=20)

    def answer(self, checkout_request_id: str, answer: str) -> requests.Response:
        """The customer answers an STK prompt on the virtual phone."""
        url = f"{self.process.url}/phone/prompts/{checkout_request_id}"
        return requests.post(url, json={"answer": answer}, timeout=10)

    def books(self) -> dict[str, Any]:
        listed = self.process.control("GET", "/books").json()["organisations"]
        found: dict[str, Any] = next(one for one in listed if one["shortcode"] == self.shortcode)
        return found

    def deliveries(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.process.control("GET", f"/deliveries?shortcode={self.shortcode}").json()[
            "deliveries"
        ]
        return found

    def delivery(self, state: str) -> dict[str, Any]:
        """The first delivery, as soon as it is in this state: who receives it knows before the simulator notes it."""
        deadline = time.monotonic() + 10
        while (found := self.deliveries()[0])["state"] != state:
            assert time.monotonic() < deadline, f"{found['state']}, not {state}, after 10 s"
            time.sleep(0.02)
        return found


@pytest.fixture(scope="session")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    simulator = Process(tmp_path_factory.mktemp("simulator"))
    simulator.start()
    yield simulator
    simulator.stop()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Process]:
    """A simulator that a test may kill or empty."""
    simulator = Process(tmp_path)
    simulator.start()
    yield simulator
    simulator.stop()


@pytest.fixture
def shop(own: Process, receiver: "Receiver") -> "Business":
    """A business on the test's own simulator."""
    body = {"name": "Acme Electronics", "kind": "paybill", "timings": QUICK}
    return Business(own, receiver, own.control("PUT", "/organisations/174379", body).json())


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    place = Receiver()
    yield place
    place.server.shutdown()
    place.server.server_close()


OpenBusiness = Callable[..., Business]


@pytest.fixture
def open_business(process: Process, receiver: Receiver) -> OpenBusiness:
    """Opens a business with a practice shortcode of its own."""

    def opening(**wanted: object) -> Business:
        body = {
            "external_reference": str(uuid.uuid4()),
            "name": "Acme Electronics",
            "kind": "paybill",
            "timings": QUICK,
            **wanted,
        }
        answer = process.control("POST", "/organisations", body)
        assert answer.status_code == 200, answer.text
        return Business(process, receiver, answer.json())

    return opening


@pytest.fixture
def paybill(open_business: OpenBusiness) -> Business:
    return open_business()


@pytest.fixture
def payer(open_business: OpenBusiness) -> Business:
    """A PayBill with KES 1,000,000 to pay customers from and 50,000 to pay businesses from."""
    business = open_business(opening_balance=1_000_000)
    assert business.deposit("Working Account", "50000.00").status_code == 200
    return business


@pytest.fixture
def till(open_business: OpenBusiness) -> Business:
    return open_business(kind="till", name="Taste Restaurants")


@pytest.fixture
def john(process: Process, customer: str) -> str:
    """The number of John Kamau, who has KES 1,000."""
    names = {"first_name": "JOHN", "middle_name": "", "last_name": "KAMAU"}
    assert process.control("PUT", f"/customers/{customer}", {**names, "balance": 1000}).status_code == 200
    return customer


def parameters(result: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a result, which are a list."""
    return {item["Key"]: item.get("Value") for item in result["ResultParameters"]["ResultParameter"]}


@pytest.fixture
def customer() -> str:
    """The number of a customer whom no other test knows, with KES 200,000."""
    return f"2547{uuid.uuid4().int % 10**8:08}"
