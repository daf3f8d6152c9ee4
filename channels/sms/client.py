"""What every SMS provider looks like to us. One module per provider implements it; the outbox is its only caller."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Sent:
    """The provider took the message. That it reached the phone is another matter."""

    provider_message_id: str = ""


class SmsProvider(Protocol):
    """A provider that takes messages one at a time.

    `batch_size` messages are handed over side by side, so `send` is called from several threads. A worker that dies
    leaves at most that many in doubt.
    """

    name: str
    batch_size: int

    def send(self, phone_number: str, body: str) -> Sent:
        """Hand one message over, to a number of 12 digits.

        :raises SmsRejected: if the provider says no to it.
        :raises SmsUnavailable: if it was not handed over.
        :raises SmsTimeout: if it may have been.
        """
