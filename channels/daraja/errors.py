"""What can go wrong when talking to Daraja, and how a refusal is recognised.

DarajaError
├── DarajaRejected     Daraja understood and said no. Never retry.
├── DarajaUnavailable  The request did not get through. Safe to retry.
└── DarajaTimeout      It may have gone through. Ask before you act again.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from channels.daraja.reading import UnreadablePayload, read_object


class Reason(StrEnum):
    """Why a call did not work, in names that stay the same whatever words Daraja chooses."""

    WRONG_KEYS = "wrong_keys"  # consumer key or secret
    PRODUCT_MISSING = "product_missing"  # the app lacks the API, or this version of it
    INVALID_TOKEN = "invalid_token"  # noqa: S105 - refused even when fresh
    UNKNOWN_SHORTCODE = "unknown_shortcode"
    WRONG_PASSKEY = "wrong_passkey"
    INVALID_FIELD = "invalid_field"  # `DarajaError.field` says which
    INVALID_REQUEST = "invalid_request"  # path, method or body: our mistake
    FORBIDDEN_URL = "forbidden_url"
    URLS_ALREADY_REGISTERED = "urls_already_registered"
    URLS_REGISTERED_ELSEWHERE = "urls_registered_elsewhere"
    OWN_SHORTCODE_ONLY = "own_shortcode_only"
    SUBSCRIBER_LOCKED = "subscriber_locked"  # another prompt or payment of this customer is open
    DUPLICATE_CONVERSATION_ID = "duplicate_conversation_id"
    NOT_FOUND_YET = "not_found_yet"  # unknown id, or asked too early
    STILL_PROCESSING = "still_processing"
    NOTHING_TO_PULL = "nothing_to_pull"  # in the window that was asked for
    INVOICE_PAID = "invoice_paid"  # in full or in part, so it can't be cancelled
    SPIKE_ARREST = "spike_arrest"
    QUOTA = "quota"
    MAINTENANCE = "maintenance"
    SERVER_FAULT = "server_fault"
    BLOCKED_BY_FIREWALL = "blocked_by_firewall"
    NONSENSE_ANSWER = "nonsense_answer"
    SLOW = "slow"
    CONNECTION_LOST = "connection_lost"  # after we had begun to send
    UNREACHABLE = "unreachable"  # before we could send
    HELD_BACK = "held_back"  # by ourselves, to stay within the limits of the credential
    OTHER = "other"


class DarajaError(Exception):
    """A call that did not work.

    `message` has Daraja's own words (or ours, when nothing was sent: then `http_status` is None and `code` ''),
    `code` its errorCode or ResponseCode, `request_id` its number for the request, `field` the wire name of the
    field at fault. None of them ever holds a credential. `call` names the call that failed: "token" when the one that
    was meant was never sent, '' when nothing was.
    """

    def __init__(
        self,
        message: str = "",
        *,
        reason: Reason = Reason.OTHER,
        code: str = "",
        http_status: int | None = None,
        request_id: str = "",
        field: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.code = code
        self.http_status = http_status
        self.request_id = request_id
        self.field = field
        self.call = ""

    def __str__(self) -> str:
        details = [self.code, f"HTTP {self.http_status}" if self.http_status else "", self.request_id]
        known = ", ".join(detail for detail in details if detail)
        return f"{self.reason}: {self.message or 'no words'}" + (f" ({known})" if known else "")


class DarajaRejected(DarajaError):
    """Daraja understood and said no, or we saw before sending that it would. Never retry."""


class DarajaUnavailable(DarajaError):
    """The request did not get through, or asking once more does no harm. Safe to retry."""


class DarajaTimeout(DarajaError):
    """It may have gone through. Ask before you act again."""


@dataclass(frozen=True, slots=True)
class _Sign:
    """What a refusal is known by: its code, or words in its message (lower case). `error` None: see `unclear`."""

    reason: Reason
    error: type[DarajaError] | None
    codes: frozenset[str] = frozenset()
    words: tuple[str, ...] = ()


# Sections 3, 4, 5.3, 6, 7, 16, 21 and 22. The first sign that fits decides: 500.001.1001 and 500.003.1001 are
# overloaded, so they are told apart by words; 401.003.01 also says "Invalid Access Token", so it stands before the
# token errors.
_SIGNS = (
    _Sign(Reason.PRODUCT_MISSING, DarajaRejected, frozenset({"401.003.01"}), ("no apiproduct match",)),
    _Sign(
        Reason.INVALID_TOKEN,
        DarajaRejected,
        frozenset({"400.003.01", "401.001", "401.002.01", "404.001.03"}),
        ("invalid access token", "access token expired"),
    ),
    _Sign(Reason.WRONG_KEYS, DarajaRejected, frozenset({"400.008.01"})),
    _Sign(
        Reason.SPIKE_ARREST,
        DarajaUnavailable,
        frozenset({"500.003.02", "26", "100000002", "100000011"}),
        ("spike arrest",),
    ),
    _Sign(Reason.QUOTA, DarajaUnavailable, frozenset({"500.003.03"}), ("quota violation",)),
    _Sign(Reason.WRONG_PASSKEY, DarajaRejected, words=("wrong credentials",)),
    _Sign(Reason.UNKNOWN_SHORTCODE, DarajaRejected, words=("merchant does not exist",)),
    _Sign(Reason.SUBSCRIBER_LOCKED, DarajaRejected, words=("unable to lock subscriber",)),
    _Sign(Reason.STILL_PROCESSING, None, words=("being processed", "under processing")),
    _Sign(Reason.NOT_FOUND_YET, None, words=("transaction does not exist",)),
    _Sign(
        Reason.NOTHING_TO_PULL,
        DarajaRejected,
        words=("no transaction on g2", "nothing found", "not have any available transactions"),
    ),
    _Sign(Reason.URLS_REGISTERED_ELSEWHERE, DarajaRejected, words=("duplicate notification info",)),
    _Sign(Reason.URLS_ALREADY_REGISTERED, DarajaRejected, words=("already registered",)),
    _Sign(Reason.OWN_SHORTCODE_ONLY, DarajaRejected, words=("use your own shortcode",)),
    _Sign(Reason.FORBIDDEN_URL, DarajaRejected, words=("url has the word",)),
    _Sign(
        Reason.DUPLICATE_CONVERSATION_ID,
        DarajaTimeout,
        frozenset({"15"}),
        ("duplicate originatorconversationid",),
    ),
    _Sign(
        Reason.MAINTENANCE,
        None,
        frozenset({"00.002.1001", "100000001", "100000007", "100000009"}),
        ("under maintenance", "currently unreachable", "temporarily unavailable", "service unavailable"),
    ),
    _Sign(
        Reason.INVALID_REQUEST,
        DarajaRejected,
        frozenset({"400.002.05", "400.008.02", "404.001.01", "404.002.01", "404.003.01", "404.001.04", "405.001"}),
    ),
    _Sign(Reason.INVALID_FIELD, DarajaRejected, frozenset({"400.002.02", "400.003.02", "400.001", "400"})),
    _Sign(Reason.INVOICE_PAID, DarajaRejected, frozenset({"409"})),
)

_CODE_KEYS = ("errorcode", "faultcode", "responsecode", "responsestatus", "rescode", "code")
_MESSAGE_KEYS = (
    "errormessage",
    "faultstring",
    "responsedescription",
    "responsemessage",
    "resultdesc",
    "status_message",
    "resmsg",
    "status",
)
_HTTP_FAILURE = re.compile(r"[45][0-9]{2}")
_FIELD = re.compile(r"\bInvalid (\w+)")
_ECHOED_TOKEN = re.compile(r"(?i)(access token\W+)\S{16,}")
_TITLE = re.compile(rb"(?is)<title[^>]*>([^<]{1,200})")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]+")
_MESSAGE_MAX = 500
_ID_MAX = 128


def unclear(*, repeatable: bool) -> type[DarajaError]:
    """The error for an outcome that we don't know: asking again is harmless only for a repeatable call."""
    return DarajaUnavailable if repeatable else DarajaTimeout


def recognise(code: str, message: str) -> Reason | None:
    """The reason that Daraja's own code or words stand for, None if we don't know them."""
    sign = _sign(code, message)
    return sign.reason if sign else None


def read_refusal(*, http_status: int, body: bytes, repeatable: bool) -> DarajaError:
    """Turn an answer that is not the documented good one into the error to raise.

    Knows the gateway's envelope in either spelling, Apigee faults, SOAP faults turned into JSON, the firewall's
    HTML and empty bodies (section 4). For a call that is not `repeatable` (it moves money or prompts a phone) the
    error is DarajaTimeout unless the answer is a documented no.
    """
    try:
        answer = read_object(body)
    except UnreadablePayload:
        answer = {}
    code, message = first_text(answer, *_CODE_KEYS), first_text(answer, *_MESSAGE_KEYS)
    # Ratiba and Bill Manager say in the body what others say by HTTP (sections 20 and 21).
    status = int(code) if http_status == 200 and _HTTP_FAILURE.fullmatch(code) else http_status
    if sign := _sign(code, message):
        reason, error = sign.reason, sign.error or unclear(repeatable=repeatable)
    elif code or message:
        reason, error = _judge_words(status, repeatable=repeatable)
    else:
        reason, error = _judge_silence(status, body, repeatable=repeatable)
        message = _html_title(body)
    named = _FIELD.search(message) if reason in (Reason.INVALID_FIELD, Reason.FORBIDDEN_URL) else None
    return error(
        _ECHOED_TOKEN.sub(r"\1[hidden]", _UNPRINTABLE.sub(" ", message))[:_MESSAGE_MAX],
        reason=reason,
        code=code[:_ID_MAX],
        http_status=http_status,
        request_id=first_text(answer, "requestid")[:_ID_MAX],
        field=named[1] if named else "",
    )


def _sign(code: str, message: str) -> _Sign | None:
    message = message.lower()
    return next((sign for sign in _SIGNS if code in sign.codes or any(word in message for word in sign.words)), None)


def _judge_words(http_status: int, *, repeatable: bool) -> tuple[Reason, type[DarajaError]]:
    """What an answer means that has a code or words, but none that we know."""
    if http_status == 429:
        return Reason.SPIKE_ARREST, DarajaUnavailable
    if 400 <= http_status < 500:
        return Reason.OTHER, DarajaRejected
    if http_status >= 500:
        return Reason.SERVER_FAULT, unclear(repeatable=repeatable)
    return Reason.OTHER, DarajaRejected if repeatable else DarajaTimeout


def _judge_silence(http_status: int, body: bytes, *, repeatable: bool) -> tuple[Reason, type[DarajaError]]:
    """What an answer means that is empty, HTML or otherwise none of Daraja's."""
    if http_status == 429:
        return Reason.SPIKE_ARREST, DarajaUnavailable
    if http_status in (408, 504):
        return Reason.SLOW, unclear(repeatable=repeatable)
    is_html = body.lstrip().startswith(b"<")
    if http_status == 403 or (is_html and 400 <= http_status < 500):
        return Reason.BLOCKED_BY_FIREWALL, DarajaUnavailable
    if is_html and http_status == 503:
        return Reason.BLOCKED_BY_FIREWALL, unclear(repeatable=repeatable)
    if 400 <= http_status < 500:
        return Reason.NONSENSE_ANSWER, DarajaRejected
    return Reason.NONSENSE_ANSWER, unclear(repeatable=repeatable)


def _html_title(body: bytes) -> str:
    title = _TITLE.search(body)
    return title[1].decode(errors="replace").strip() if title else ""


def first_text(answer: Mapping[str, Any], *names: str) -> str:
    """The text or number under the first of `names` that is anywhere in the answer; or ''.

    The names are in lower case and without spaces; capitals and spaces of the answer's keys do not count.
    """
    found: dict[str, str] = {}
    for key, value in _leaves(answer):
        found.setdefault(key.replace(" ", "").lower(), str(value))
    return next((found[name] for name in names if name in found), "")


def _leaves(answer: Mapping[str, Any]) -> Iterator[tuple[str, str | int]]:
    level: list[Any] = [answer]
    while level:
        for node in level:
            if isinstance(node, Mapping):
                yield from ((key, value) for key, value in node.items() if isinstance(value, str | int))
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, Mapping) else node)
            if isinstance(child, dict | list)
        ]
