"""What every group of calls has: the gateway, the clock, the initiator's envelope, and the reading of answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import requests

from channels.daraja.credentials import Credentials
from channels.daraja.errors import first_text
from channels.daraja.gateway import Call, Gateway, nonsense, text_of
from channels.daraja.reading import DESC_MAX, EAT, ID_MAX
from channels.daraja.rules import require_url
from channels.daraja.throttle import Throttle
from channels.daraja.tokens import TokenStore


class IdentifierType(StrEnum):
    """What kind of number a party is (section 2)."""

    MSISDN = "1"
    TILL = "2"
    SHORTCODE = "4"


@dataclass(frozen=True, slots=True)
class Accepted:
    """Daraja heard us; what comes of it arrives later as a callback (sections 7, 9, 10). Ids may be '' for C2B."""

    originator_conversation_id: str
    conversation_id: str
    description: str


class Caller:
    """Calls Daraja, or our simulator of it, with the keys of one app.

    `throttle` None: as fast as the caller goes. `timeout_s` is (connect, read); `clock` returns an aware time. `paths`
    has the path of each call, by its name, for which Safaricom has told the app another than the published one: for
    Bill Manager it has been seen to (section 21).

    Every call may raise DarajaRejected, DarajaUnavailable and, unless it is repeatable, DarajaTimeout. What a published
    rule of Daraja would refuse is refused before sending.
    """

    def __init__(
        self,
        base_url: str,
        credentials: Credentials,
        *,
        session: requests.Session,
        tokens: TokenStore,
        throttle: Throttle | None = None,
        timeout_s: tuple[float, float] = (5.0, 25.0),
        paths: Mapping[str, str] = MappingProxyType({}),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._gateway = Gateway(
            base_url,
            credentials,
            session=session,
            tokens=tokens,
            throttle=throttle,
            timeout_s=timeout_s,
            paths=paths,
        )
        self._clock = clock

    def _require_url(self, field: str, url: str) -> None:
        require_url(field, url, production=self._gateway.is_production)

    def _accepted(self, call: Call, fields: Mapping[str, str | int], *, about: str) -> Accepted:
        answer = self._gateway.post(call, fields, about=about)
        accepted = Accepted(
            originator_conversation_id=(
                optional_id(call, answer, "OriginatorConversationID")
                or optional_id(call, answer, "OriginatorCoversationID")
            ),
            conversation_id=optional_id(call, answer, "ConversationID"),
            description=words(answer),
        )
        if not (accepted.originator_conversation_id or accepted.conversation_id or accepted.description):
            raise nonsense(call, "the answer has none of the documented fields")
        return accepted

    def _initiated(
        self, call: Call, fields: Mapping[str, str | int], *, result_url: str, timeout_url: str, about: str
    ) -> Accepted:
        """An initiator's call (section 10): its result comes later, to `result_url`, and is found by an id."""
        self._require_url("ResultURL", result_url)
        self._require_url("QueueTimeOutURL", timeout_url)
        urls = {"QueueTimeOutURL": timeout_url, "ResultURL": result_url}
        accepted = self._accepted(call, {**fields, **urls}, about=about)
        if accepted.originator_conversation_id or accepted.conversation_id:
            return accepted
        raise nonsense(call, "no conversation id in the answer")


def kenya_time(moment: datetime, form: str) -> str:
    """An aware time as Daraja's clock shows it, in the form of strftime."""
    return (moment.astimezone(UTC) + EAT).strftime(form)


def words(answer: Mapping[str, Any], key: str = "ResponseDescription") -> str:
    """Daraja's words under `key`, cut to their documented length."""
    return text_of(answer, key)[:DESC_MAX]


def optional_id(call: Call, answer: Mapping[str, Any], key: str) -> str:
    """The id under `key`, or ''."""
    return _within_limit(call, key, text_of(answer, key).strip())


def required_id(call: Call, answer: Mapping[str, Any], key: str) -> str:
    """The id under `key`; without one the answer is nonsense."""
    if value := optional_id(call, answer, key):
        return value
    raise nonsense(call, f"no {key} in the answer")


def id_somewhere(call: Call, answer: Mapping[str, Any], *names: str) -> str:
    """The id under the first of `names` that is anywhere in the answer, as `first_text` finds it, or ''."""
    return _within_limit(call, names[0], first_text(answer, *names).strip())


def _within_limit(call: Call, key: str, value: str) -> str:
    if len(value) > ID_MAX:
        raise nonsense(call, f"{key} is longer than {ID_MAX} characters")
    return value
