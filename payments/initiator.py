"""A channel's API operator with a line to Daraja: what asks for money to be moved, for balances, for a status.

Everything that a call needs is read before, so that calls can be made side by side in threads, away from the database.
"""

from dataclasses import dataclass, field
from typing import TypedDict
from uuid import UUID

from channels.connection import daraja_client, initiator_security_credential
from channels.daraja.client import DarajaClient
from channels.daraja.credentials import UnusableCertificate, UnusablePassword
from channels.explaining import sentence_of
from channels.fields import UndecipherableSecret
from channels.models import MpesaChannel
from channels.practice import PracticeUnavailable
from channels.services import callback_url
from tenants.sentences import say


class CannotCall(Exception):
    """The channel can't ask Daraja for anything now; `sentence` says why. Nothing was sent."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class Envelope(TypedDict):
    """What every call of an initiator has (docs/daraja.md section 10), under the names of our client."""

    initiator: str
    security_credential: str
    shortcode: str
    result_url: str
    timeout_url: str


@dataclass(frozen=True, slots=True)
class Initiator:
    channel: MpesaChannel = field(repr=False)
    client: DarajaClient = field(repr=False)
    security_credential: str = field(repr=False)

    def envelope(self, about: UUID) -> Envelope:
        """For a call about the row `about`: its identifier ends the paths that Daraja answers to."""
        return {
            "initiator": self.channel.initiator_name,
            "security_credential": self.security_credential,
            "shortcode": self.channel.business_shortcode,
            "result_url": callback_url(self.channel, "result", about),
            "timeout_url": callback_url(self.channel, "timeout", about),
        }


def has_initiator(channel: MpesaChannel) -> bool:
    """Is an API operator saved? Known without reading its password."""
    return bool(channel.initiator_name) and "initiator_credential" in channel.secret_notes


def initiator_of(channel_id: UUID) -> Initiator:
    """Read the channel's secrets. In practice this may go over the network: never inside a transaction.

    :raises CannotCall: if something is missing, or can't be read.
    """
    try:
        channel = MpesaChannel.objects.get(pk=channel_id)
        if not (channel.consumer_key and channel.consumer_secret):
            raise CannotCall(say("The channel has no consumer key and secret."))
        if not (channel.initiator_name and channel.initiator_credential):
            raise CannotCall(say("The channel has no initiator. Save the API operator's name and password."))
        return Initiator(channel, daraja_client(channel), initiator_security_credential(channel))
    except UndecipherableSecret:
        raise CannotCall(say("A saved credential can't be read by this installation any more.")) from None
    except UnusablePassword as problem:
        raise CannotCall(sentence_of(problem.sentence)) from None
    except (UnusableCertificate, OSError):
        raise CannotCall(say("The certificate for the initiator's password is missing on this installation.")) from None
    except PracticeUnavailable as problem:
        raise CannotCall(problem.detail) from None
