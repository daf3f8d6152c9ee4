"""The simulator's control door: organisations to practise with, and the certificate for their passwords.

Network calls, so never inside a transaction. The simulator's own API is described in its `control` module.
"""

from dataclasses import dataclass, field
from typing import Any

import requests
from django.conf import settings

from audit.services import system_actor
from channels.details import ChannelDetails
from tenants.errors import DomainError
from tenants.sentences import say

PRACTICE_ACTOR = system_actor("practice")  # who connects a practice channel that nobody gave a number
_TIMEOUT_S = (3.0, 10.0)
_PLAY_MONEY = 500_000  # KES in each account that pays out, so that payouts can be practised at once


class PracticeUnavailable(DomainError):
    """The simulator does not answer, or answers something else than its own API."""

    code = "practice_unavailable"
    status = 503


@dataclass(frozen=True, slots=True, kw_only=True)
class PracticeOrganisation:
    """A PayBill or till on the simulator, with what is needed to call Daraja for it."""

    shortcode: str
    store_number: str
    consumer_key: str = field(repr=False)
    consumer_secret: str = field(repr=False)
    passkey: str = field(repr=False)
    initiator_name: str
    initiator_credential: str = field(repr=False)
    nominated_number: str

    @property
    def details(self) -> ChannelDetails:
        """What a channel takes over from it."""
        return ChannelDetails(
            shortcode=self.shortcode,
            store_number=self.store_number,
            consumer_key=self.consumer_key,
            consumer_secret=self.consumer_secret,
            passkey=self.passkey,
            initiator_name=self.initiator_name,
            initiator_credential=self.initiator_credential,
            nominated_number=self.nominated_number,
        )


def open_practice_organisation(
    *, name: str, kind: str, shortcode: str = "", external_reference: str = ""
) -> PracticeOrganisation:
    """Open an organisation on the simulator, or find it again: under a shortcode of one's choice, or, with an external
    reference, under the next free one, which then stays that reference's.

    `kind` is "paybill", "till" or "buygoods".

    :raises PracticeUnavailable: if the simulator can't be reached or refuses.
    """
    wanted = {"name": name, "kind": kind, "opening_balance": _PLAY_MONEY, "working_balance": _PLAY_MONEY}
    if shortcode:
        answer = _ask("PUT", f"/organisations/{shortcode}", wanted)
    else:
        answer = _ask("POST", "/organisations", {**wanted, "external_reference": external_reference})
    try:
        shown = answer.json()
        return PracticeOrganisation(
            shortcode=str(shown["shortcode"]),
            store_number=str(shown["store_number"]),
            consumer_key=str(shown["consumer_key"]),
            consumer_secret=str(shown["consumer_secret"]),
            passkey=str(shown["passkey"]),
            initiator_name=str(shown["initiator_name"]),
            initiator_credential=str(shown["initiator_password"]),
            nominated_number=str(shown["nominated_number"]),
        )
    except (ValueError, KeyError, TypeError) as problem:
        raise PracticeUnavailable(say("The practice service gave an answer that can't be read.")) from problem


def fetch_certificate() -> bytes:
    """The certificate, in PEM, with which initiator passwords for the simulator are encrypted.

    :raises PracticeUnavailable: if the simulator can't be reached.
    """
    return _ask("GET", "/certificate.pem").content


def _ask(method: str, path: str, body: dict[str, Any] | None = None) -> requests.Response:
    try:
        with requests.Session() as session:
            session.trust_env = False  # it is ours: no proxy of the environment stands between
            answer = session.request(
                method,
                f"{settings.SIMULATOR_URL}/control{path}",
                json=body,
                headers={"Authorization": f"Bearer {settings.SIMULATOR_CONTROL_TOKEN}"},
                timeout=_TIMEOUT_S,
                allow_redirects=False,
            )
    except requests.RequestException as problem:
        raise PracticeUnavailable(
            say("The practice service does not answer. It is tried again by itself.")
        ) from problem
    if answer.status_code != requests.codes.ok:
        raise PracticeUnavailable(say("The practice service answered %(status)s.", status=str(answer.status_code)))
    return answer
