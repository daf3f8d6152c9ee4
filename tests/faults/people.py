"""The people of a business at the API: they repeat what was not answered, as people and programs do."""

import re
import threading
import time
from collections import Counter
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urljoin
from uuid import uuid4

import requests

from tests.faults.house import House
from tests.faults.plan import MEMBERS, member_code
from tests.journeys.stack import PASSWORD, Business, until

_PATIENCE_S = 90
_TIMEOUT_S = 20
_FLOAT_KES = 20_000_000
_TIMINGS = {"result": 0.3, "callback": 0.1, "prompt": 10}


class Refused(Exception):
    """The API said no where the plan expects a yes."""


class Doors:
    """What happened at the API of a whole run."""

    def __init__(self) -> None:
        self.unanswered: Counter[str] = Counter()  # requests that were repeated, by what there was instead of an answer
        self._lock = threading.Lock()

    def note(self, what: str) -> None:
        with self._lock:
            self.unanswered[what] += 1


class Person:
    """Somebody of a business."""

    def __init__(self, house: House, doors: Doors, email: str) -> None:
        self.email = email
        self._house = house
        self._doors = doors
        self._token = ""

    def get(self, path: str, **query: Any) -> Any:
        return self.ask("GET", path, params=query)[1]

    def post(self, path: str, body: Any = None, *, copies: int = 1, known: Collection[str] = ()) -> Any:
        """What it was answered. The same request goes out `copies` times at once, under one Idempotency-Key; all must
        get the same answer.

        `known`: codes of refusals that say that it was done before, which a repeated request may get: None then.

        :raises Refused: if the answer is another one.
        """
        key = uuid4().hex

        def send(_: int) -> tuple[int, Any]:
            return self.ask("POST", path, json=body or {}, headers={"Idempotency-Key": key}, known=known)

        if copies == 1:
            return send(0)[1]
        with ThreadPoolExecutor(copies) as pool:
            answers = list(pool.map(send, range(copies)))
        if any(answer != answers[0] for answer in answers):
            raise Refused(f"POST {path}: one key, and different answers: {answers}")
        return answers[0][1]

    def patch(self, path: str, body: Any) -> Any:
        return self.ask("PATCH", path, json=body)[1]

    def ask(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, known: Collection[str] = (), **sent: Any
    ) -> tuple[int, Any]:
        """Send it again until something answers that knows the answer.

        :raises Refused: if that is a refusal, or nothing answers for long.
        """
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            instead = "nothing"
            try:
                answer = requests.request(
                    method,
                    urljoin(self._house.api, path),
                    headers=(headers or {}) | {"Authorization": f"Bearer {self._token}"},
                    timeout=_TIMEOUT_S,
                    **sent,
                )
                if answer.status_code == 401:
                    instead = "401, signed out"
                    self._sign_in()
                elif answer.ok:
                    return answer.status_code, answer.json() if answer.content else None
                elif answer.status_code < 500:
                    code = answer.json().get("code", "")
                    if code in known:
                        return answer.status_code, None
                    if code != "request_in_progress":
                        raise Refused(f"{method} {path}: {answer.status_code} {answer.text[:600]}")
                    instead = code
                else:
                    instead = str(answer.status_code)
            except requests.RequestException as problem:
                instead = type(problem).__name__
            self._doors.note(instead)
            if time.monotonic() > deadline:
                raise Refused(f"{method} {path}: {instead} for {_PATIENCE_S} s")
            time.sleep(0.3)

    def _sign_in(self) -> None:
        answer = requests.post(
            urljoin(self._house.api, "auth/token/"),
            json={"email": self.email, "password": PASSWORD},
            timeout=_TIMEOUT_S,
        )
        if answer.status_code < 500 and not answer.ok:
            raise Refused(f"{self.email} can't sign in: {answer.status_code} {answer.text[:300]}")
        if answer.ok:
            self._token = answer.json()["access"]


@dataclass
class Firm:
    """A business of the run: who makes payouts, who approves and releases them, and the channel that pays."""

    schema: str
    maker: Person
    releaser: Person
    channel_id: str
    shortcode: str


def open_firm(house: House, doors: Doors, number: int) -> Firm:
    """Sign a business up and bring it to where money can move, all through the doors that everybody uses."""
    business = Business(house, f"Faults {number + 1}", "shop")
    channel = until(lambda: _active_channel(business), "the practice channel to be active")
    house.control("PUT", f"/organisations/{channel['shortcode']}", {"timings": _TIMINGS})
    deposit = {"account": "Utility Account", "amount": str(_FLOAT_KES)}
    house.control("POST", f"/organisations/{channel['shortcode']}/deposits", deposit)
    limits = {"approval_threshold": 0, "maximum_per_day": 50_000_000}
    business.patch("payout-policy/", environment="practice", password=PASSWORD, **limits)
    (program,) = business.get("programs/")["results"]
    for member in range(MEMBERS):
        business.post("members/", 201, program_id=program["id"], environment="practice", code=member_code(member))
    maker = Person(house, doors, business.email)
    releaser = Person(house, doors, _second_person(house, business, number))
    ((schema,),) = house.rows("SELECT schema_name FROM tenants_tenant WHERE slug = %s", business.progress["slug"])
    return Firm(schema, maker, releaser, channel["id"], channel["shortcode"])


def _active_channel(business: Business) -> Any:
    (channel,) = business.get("mpesa-channels/")["results"]
    return channel if channel["status"] == "active" else None


def _second_person(house: House, business: Business, number: int) -> str:
    """Invited by mail, which the development's worker writes into its log."""
    email = f"releaser-{number + 1}@faults.example"
    business.post("team/invitations/", 201, email=email, role="manager")
    log = house.folder / "logs" / "worker.log"

    def link() -> re.Match[str] | None:
        mails = log.read_text(errors="replace").split("Subject: ")
        return next((found for mail in mails if email in mail if (found := _LINK.search(mail))), None)

    token = until(link, f"the invitation of {email}")[1]
    accepted = {"token": unquote(token), "name": "Zawadi Otieno", "password": PASSWORD}
    answer = requests.post(urljoin(house.api, "team/invitations/accept/"), json=accepted, timeout=_TIMEOUT_S)
    assert answer.status_code == 201, answer.text
    return email


_LINK = re.compile(r"/invitations/([^/\s]+)/")
