"""What became of a call that moves money: exactly one of accepted, refused, not sent, unknown.

The three errors say what the caller may do; for money that has to be stricter. Refused is only what Daraja documents
as a no, or what we never sent. Every other answer leaves it open whether the money will move (section 25.1).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from channels.daraja.errors import DarajaError, DarajaRejected, DarajaUnavailable, Reason
from channels.daraja.explanations import Explanation, explain_error
from channels.daraja.gateway import TOKEN

Taken = TypeVar("Taken")

_DOCUMENTED_NO = frozenset(
    {
        Reason.WRONG_KEYS,
        Reason.PRODUCT_MISSING,
        Reason.INVALID_TOKEN,
        Reason.UNKNOWN_SHORTCODE,
        Reason.WRONG_PASSKEY,
        Reason.INVALID_FIELD,
        Reason.INVALID_REQUEST,
        Reason.FORBIDDEN_URL,
        Reason.OWN_SHORTCODE_ONLY,
        Reason.SUBSCRIBER_LOCKED,
    }
)


@dataclass(frozen=True, slots=True)
class NotAccepted:
    """`said`: Daraja's words, or ours when nothing was sent; `code`: its errorCode or ResponseCode, or ''."""

    reason: Reason
    code: str
    said: str
    request_id: str
    explanation: Explanation


@dataclass(frozen=True, slots=True)
class Refused(NotAccepted):
    """Nothing moved and nothing will; the same again would be refused again until something is mended."""


@dataclass(frozen=True, slots=True)
class NotSent(NotAccepted):
    """Nothing moved: it did not get through. The same, under the same id, may be sent after a while."""


@dataclass(frozen=True, slots=True)
class Unknown(NotAccepted):
    """It may have been taken. Ask for its status, and never send it under another id."""


def outcome_of(send: Callable[[], Taken]) -> Taken | Refused | NotSent | Unknown:
    """Make a money call, such as `lambda: client.b2c(…)`, and say what became of it."""
    try:
        return send()
    except DarajaError as error:
        return judge(error)


def judge(error: DarajaError) -> Refused | NotSent | Unknown:
    """What the error of a money call means for the money."""
    if isinstance(error, DarajaUnavailable):
        return _tell(NotSent, error)
    was_sent = error.call not in ("", TOKEN.name)
    if isinstance(error, DarajaRejected) and (error.reason in _DOCUMENTED_NO or not was_sent):
        return _tell(Refused, error)
    return _tell(Unknown, error)


Told = TypeVar("Told", Refused, NotSent, Unknown)


def _tell(kind: type[Told], error: DarajaError) -> Told:
    return kind(
        reason=error.reason,
        code=error.code,
        said=error.message,
        request_id=error.request_id,
        explanation=explain_error(error, is_open=kind is Unknown),
    )
