"""A delivery that the drain has in its hands, and what may become of it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from channels.explaining import sentence_of
from tenants.models import InboundCallback
from tenants.sentences import say

State = InboundCallback.State
Reason = InboundCallback.Reason

# A callback can overtake our own note of the request that it answers; after this long it answers none of ours.
PATIENCE_FOR_A_REQUEST = timedelta(minutes=10)


@dataclass(slots=True)
class Claimed:
    """Whoever applies it leaves it APPLIED, puts it aside, or has it wait."""

    id: UUID
    channel_id: UUID
    kind: str
    about: UUID | None  # the row of ours that it answers, as its path says
    body: bytes
    received_at: datetime
    attempts: int
    address_is_listed: bool
    state: State = State.APPLIED
    reason: str = ""
    error: str = ""
    dedup_key: str = ""
    body_hash: bytes | None = None
    due_at: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.body = bytes(self.body)
        self.due_at = self.received_at

    def quarantine(self, reason: Reason, sentence: str = "") -> None:
        self.state, self.reason, self.error = State.QUARANTINED, reason.value, sentence_of(sentence or reason.label)

    def wait(self, now: datetime, sentence: str) -> None:
        """Try again later: what it answers may not be written down yet."""
        self.attempts += 1
        self.state, self.error = State.PENDING, sentence
        self.due_at = now + timedelta(seconds=min(2**self.attempts, 60))

    def wait_for_request(self, now: datetime) -> None:
        """It answers nothing that we know of, yet."""
        if now - self.received_at > PATIENCE_FOR_A_REQUEST:
            self.quarantine(Reason.UNMATCHED_REQUEST)
        else:
            self.wait(now, say("It may have come before we noted our own request."))
