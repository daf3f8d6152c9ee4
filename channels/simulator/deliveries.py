"""What Daraja sends: a schedule in the books, and the courier that posts what is due.

Daraja tries once and forgets, except for Bill Manager's payments (section 25.1). The schedule is in the books so that a
restart goes on with what was due.
"""

import asyncio
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import urllib3

from channels.simulator.alarm import Alarm
from channels.simulator.books import Books
from channels.simulator.faults import Fault, Plan
from channels.simulator.json_door import Refused

Body = dict[str, Any]

_SENDERS = 32
_ANSWER_SECONDS = 10.0  # how long a receiver may take; nothing is published about it
_KEPT_CHARACTERS = 2000  # of a receiver's answer
_HTML = "<html><head><title>503 Service Temporarily Unavailable</title></head><body></body></html>"


@dataclass(frozen=True)
class Delivery:
    """One thing to be sent.

    :param kind: as in the platform's paths: c2b-validation, c2b-confirmation, stk-callback, result, timeout
    :param reference: the receipt, CheckoutRequestID or ConversationID it is about
    :param altered: the same with another amount, for the fault that sends both
    :param tries: how often it is sent until somebody answers with status 2xx, `pause` seconds apart
    """

    kind: str
    shortcode: str
    reference: str
    url: str
    body: Body
    altered: Body | None = None
    tries: int = 1
    pause: float = 0.0


@dataclass(frozen=True)
class Reply:
    """What a receiver said; without a status it said nothing, and the text tells why."""

    status: int | None
    text: str


def spoiled(body: Body, plan: Plan) -> tuple[str, str, str]:
    """Content type, text and fault of a body as the plan spoils it."""
    text = json.dumps(body)
    if Fault.CALLBACK_HTML in plan:
        return "text/html", _HTML, Fault.CALLBACK_HTML
    if Fault.CALLBACK_TRUNCATED in plan:
        return "application/json", text[: len(text) * 2 // 3], Fault.CALLBACK_TRUNCATED
    return "application/json", text, ""


class Courier:
    """Keeps the schedule and sends from it."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._http = urllib3.PoolManager(
            num_pools=200, maxsize=_SENDERS, retries=False, headers={"User-Agent": "daraja-simulator"}
        )
        self._callback_threads = ThreadPoolExecutor(_SENDERS, "callback")
        self._validation_threads = ThreadPoolExecutor(_SENDERS, "validation")
        self._sending: set[asyncio.Task[None]] = set()
        self._replies: list[tuple[int, Reply]] = []
        self.alarm = Alarm(self._send_due)
        # What a restart cut off is sent again; a validation is not, because nobody waits for its answer any more.
        books.run(
            "UPDATE deliveries SET state = iif(kind = 'c2b-validation', 'failed', 'waiting') WHERE state = 'sending'"
        )

    def schedule(self, delivery: Delivery, *, delay: float, plan: Plan) -> None:
        """Put a delivery into the schedule, as the faults of the plan have it."""
        due_at = time.time() + delay
        late = plan.get(Fault.CALLBACK_LATE)
        if late:
            due_at += late.seconds_or(30)
        content_type, text, fault = spoiled(delivery.body, plan)
        fault = fault or (Fault.CALLBACK_LATE if late else "")
        if Fault.CALLBACK_LOST in plan:
            self._write(delivery, content_type, text, Fault.CALLBACK_LOST, due_at, "lost")
            return
        self._write(delivery, content_type, text, fault, due_at)
        repeated = plan.get(Fault.CALLBACK_REPEATED)
        for number in range(1, repeated.times if repeated else 1):
            self._write(delivery, content_type, text, Fault.CALLBACK_REPEATED, due_at + number * 0.05)
        if Fault.CALLBACK_ALTERED in plan and delivery.altered is not None:
            altered = json.dumps(delivery.altered)
            self._write(delivery, "application/json", altered, Fault.CALLBACK_ALTERED, due_at + 0.3)

    def _write(
        self, delivery: Delivery, content_type: str, text: str, fault: str, due_at: float, state: str = "waiting"
    ) -> int:
        written = self._books.run(
            "INSERT INTO deliveries "
            "(kind, shortcode, reference, url, content_type, body, fault, due_at, state, tries, pause) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            delivery.kind,
            delivery.shortcode,
            delivery.reference,
            delivery.url,
            content_type,
            text,
            fault,
            due_at,
            state,
            delivery.tries,
            delivery.pause,
        )
        self.alarm.ring()
        return written.lastrowid or 0

    def resend(self, delivery_id: int) -> None:
        """Let a delivery, whatever became of it, be sent again now.

        Raises:
            Refused: there is no such delivery (404), or it is on its way (409).
        """
        row = self._books.one("SELECT state FROM deliveries WHERE id = ?", delivery_id)
        if row is None:
            raise Refused("There is no such delivery.", 404)
        if row["state"] == "sending":
            raise Refused("That delivery is on its way.", 409)
        self._books.run("UPDATE deliveries SET state = 'waiting', due_at = ? WHERE id = ?", time.time(), delivery_id)
        self.alarm.ring()

    def _send_due(self) -> float | None:
        """Note the replies that came, start sending what is due, and say when the next is."""
        with self._books.writing():
            self._note_replies()
            room = _SENDERS - len(self._sending)
            rows = self._books.all(
                "SELECT id, url, content_type, body FROM deliveries WHERE state = 'waiting' AND due_at <= ? "
                "ORDER BY due_at, id LIMIT ?",
                time.time(),
                room,
            )
            for row in rows:
                self._books.run(
                    "UPDATE deliveries SET state = 'sending', attempts = attempts + 1 WHERE id = ?", row["id"]
                )
        for row in rows:
            task = asyncio.create_task(self._send(row["id"], row["url"], row["content_type"], row["body"]))
            self._sending.add(task)
            task.add_done_callback(self._sent)
        if len(rows) == room:
            return None  # all hands are busy; the next that is free rings
        waiting = self._books.one("SELECT min(due_at) AS next_at FROM deliveries WHERE state = 'waiting'")
        return waiting["next_at"] if waiting else None

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self.alarm.ring()

    async def _send(self, delivery_id: int, url: str, content_type: str, text: str) -> None:
        loop = asyncio.get_running_loop()
        reply = await loop.run_in_executor(self._callback_threads, self._post, url, content_type, text, _ANSWER_SECONDS)
        self._replies.append((delivery_id, reply))

    def _note_replies(self) -> None:
        for delivery_id, reply in self._replies:
            state = "answered" if reply.status is not None and 200 <= reply.status < 300 else "failed"
            self._books.run(
                "UPDATE deliveries SET state = ?1, status = ?2, answer = ?3, finished_at = ?4 WHERE id = ?5",
                state,
                reply.status,
                reply.text[:_KEPT_CHARACTERS],
                time.time(),
                delivery_id,
            )
            self._books.run(
                "UPDATE deliveries SET state = 'waiting', due_at = finished_at + pause "
                "WHERE id = ? AND state = 'failed' AND attempts < tries",
                delivery_id,
            )
        self._replies.clear()

    async def ask(self, delivery: Delivery, *, seconds: float, plan: Plan) -> Reply:
        """Send at once and wait for the answer, as M-PESA does with a validation; it is noted like any delivery."""
        content_type, text, fault = spoiled(delivery.body, plan)
        if Fault.CALLBACK_LOST in plan:
            self._write(delivery, content_type, text, Fault.CALLBACK_LOST, time.time(), "lost")
            return Reply(None, "Lost on the way.")
        repeated = plan.get(Fault.CALLBACK_REPEATED)
        asked = [
            self._ask_once(delivery, content_type, text, fault if number == 0 else Fault.CALLBACK_REPEATED, seconds)
            for number in range(repeated.times if repeated else 1)
        ]
        replies = await asyncio.gather(*asked)
        return replies[0]

    async def _ask_once(self, delivery: Delivery, content_type: str, text: str, fault: str, seconds: float) -> Reply:
        delivery_id = self._write(delivery, content_type, text, fault, time.time(), "sending")
        self._books.run("UPDATE deliveries SET attempts = 1 WHERE id = ?", delivery_id)
        posting = asyncio.get_running_loop().run_in_executor(
            self._validation_threads, self._post, delivery.url, content_type, text, seconds
        )
        try:
            reply = await asyncio.wait_for(posting, seconds)
        except TimeoutError:
            reply = Reply(None, f"No answer within {seconds:g} seconds.")
        self._replies.append((delivery_id, reply))
        self.alarm.ring()
        return reply

    def _post(self, url: str, content_type: str, text: str, seconds: float) -> Reply:
        """Runs in a thread."""
        try:
            response = self._http.request(
                "POST",
                url,
                body=text.encode(),
                headers={"Content-Type": content_type, "User-Agent": "daraja-simulator"},
                timeout=urllib3.Timeout(total=seconds),
                redirect=False,
            )
        except (urllib3.exceptions.HTTPError, ValueError, OSError) as error:
            return Reply(None, str(error))
        return Reply(response.status, response.data.decode(errors="replace"))

    async def settled(self, reference: str, *, seconds: float = 10.0) -> None:
        """Wait until nothing about a reference is still to be sent."""
        give_up_at = time.time() + seconds
        while time.time() < give_up_at:
            row = self._books.one(
                "SELECT 1 FROM deliveries WHERE reference = ? AND state IN ('waiting', 'sending')", reference
            )
            if row is None:
                return
            await asyncio.sleep(0.02)

    def close(self) -> None:
        """Stop sending; what was under way is sent again after a restart, as networks do."""
        for task in list(self._sending):
            task.cancel()
        self._note_replies()
        self._callback_threads.shutdown(wait=False, cancel_futures=True)
        self._validation_threads.shutdown(wait=False, cancel_futures=True)
        self._http.clear()


def listed(books: Books, *, shortcode: str | None, reference: str | None, after: int, limit: int) -> Iterator[Body]:
    """Deliveries as the control door shows them, oldest first."""
    rows = books.all(
        "SELECT * FROM deliveries WHERE id > ?1 AND (?2 IS NULL OR shortcode = ?2) AND (?3 IS NULL OR reference = ?3) "
        "ORDER BY id LIMIT ?4",
        after,
        shortcode,
        reference,
        limit,
    )
    return (dict(row) for row in rows)
