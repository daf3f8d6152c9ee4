"""One request to Daraja: its turn, its token, its way over the network, and what the answer means."""

import logging
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson
import requests
import urllib3

from channels.daraja.credentials import Credentials
from channels.daraja.errors import (
    DarajaError,
    DarajaRejected,
    DarajaUnavailable,
    Reason,
    first_text,
    read_refusal,
    unclear,
)
from channels.daraja.phrases import Phrase
from channels.daraja.reading import UnreadablePayload, read_object
from channels.daraja.throttle import Throttle, back_off_s
from channels.daraja.tokens import AccessToken, TokenStore

logger = logging.getLogger(__name__)

PRODUCTION_HOST = "api.safaricom.co.ke"
ANSWER_MAX_BYTES = 1_000_000
_TOKEN_MAX = 4096
_ATTEMPTS = 3  # at a call that Daraja says it did not take, because there were too many
_THROTTLED = (Reason.SPIKE_ARREST, Reason.QUOTA)
_ID_KEYS = (
    "merchantrequestid",
    "originatorconversationid",
    "originatorcoversationid",
    "conversationid",
    "requestid",
    "responserefid",
)
_NEVER_SENT = (
    requests.ConnectTimeout,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
)


@dataclass(frozen=True, slots=True)
class Call:
    """One of Daraja's APIs (section 1).

    `repeatable`: asking twice does no harm, so an unclear outcome is DarajaUnavailable. The others move money,
    prompt a phone or change what Safaricom has on file: an unclear outcome is DarajaTimeout.
    `code_key`: where a good answer has its code, whatever the key's capitals and spaces, and however deep.
    `good_codes`: what the code then is; '' if it may be absent, None if any is good (section 19).
    """

    name: str
    path: str
    repeatable: bool
    good_codes: frozenset[str] | None = frozenset({"", "0"})
    code_key: str = "responsecode"


Body = Mapping[str, Any] | Sequence[Mapping[str, Any]]


TOKEN = Call("token", "/oauth/v1/generate?grant_type=client_credentials", repeatable=True)


class Gateway:
    """Daraja at one address, for the keys of one app.

    Proxies are those of `session`, never those of the environment; its cookies and headers are not sent.
    """

    def __init__(
        self,
        base_url: str,
        credentials: Credentials,
        *,
        session: requests.Session,
        tokens: TokenStore,
        throttle: Throttle | None,
        timeout_s: tuple[float, float],
        paths: Mapping[str, str],
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._host = urlsplit(self._base_url).hostname or ""
        self._credentials = credentials
        self._identity = credentials.identity(self._base_url)
        self._session = session
        self._tokens = tokens
        self._throttle = throttle
        self._timeout_s = timeout_s
        self._paths = paths

    @property
    def is_production(self) -> bool:
        return self._host == PRODUCTION_HOST

    def renew_token(self) -> None:
        """Fetch a new token, whatever is kept, and share it."""
        self._tokens.keep(self._identity, self._fetch_token())

    def post(self, call: Call, body: Body, *, about: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Send one call and return Daraja's good answer.

        Three refusals say for certain that nothing was taken, so what follows is right for money too: a refused token
        is renewed once and the call sent again; after a spike arrest or a used-up quota it is sent again twice, after
        a little while. `about` is for the log: never a credential, never a whole phone number.
        """
        for attempt in range(1, _ATTEMPTS):
            try:
                return self._post_with_token(call, body, headers or {}, about=about)
            except DarajaUnavailable as refusal:
                if refusal.reason not in _THROTTLED:
                    raise
            time.sleep(back_off_s(attempt))
        return self._post_with_token(call, body, headers or {}, about=about)

    def _post_with_token(self, call: Call, body: Body, headers: Mapping[str, str], *, about: str) -> dict[str, Any]:
        token = self._token()
        try:
            return self._post_once(call, body, headers, token, about=about)
        except DarajaRejected as refusal:
            if refusal.reason is not Reason.INVALID_TOKEN:
                raise
        self._tokens.invalidate(self._identity, token)
        return self._post_once(call, body, headers, self._token(), about=about)

    def _post_once(
        self, call: Call, body: Body, headers: Mapping[str, str], token: str, *, about: str
    ) -> dict[str, Any]:
        self._await_turn()
        headers = {**headers, "Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return self._exchange(call, "POST", headers, orjson.dumps(body), about=about)

    def _await_turn(self) -> None:
        wait_s = self._throttle.reserve(self._identity) if self._throttle else 0.0
        if wait_s is None:
            raise DarajaUnavailable(
                Phrase("We hold this back, to stay within Safaricom's limits."), reason=Reason.HELD_BACK
            )
        if wait_s > 0:
            time.sleep(wait_s)

    def _token(self) -> str:
        return self._tokens.token(self._identity, self._fetch_token)

    def _fetch_token(self) -> AccessToken:
        headers = {"Authorization": self._credentials.basic_authorization()}
        answer = self._exchange(TOKEN, "GET", headers, None, about=self._host)
        value, lifetime = text_of(answer, "access_token"), text_of(answer, "expires_in")
        if not (0 < len(value) <= _TOKEN_MAX and value.isascii() and value.isprintable() and " " not in value):
            raise nonsense(TOKEN, "no access token in the answer")
        if not (lifetime.isascii() and lifetime.isdigit() and len(lifetime) <= 9):
            raise nonsense(TOKEN, "no lifetime in the answer")
        return AccessToken(value, lifetime_s=int(lifetime))

    def _exchange(
        self, call: Call, method: str, headers: Mapping[str, str], body: bytes | None, *, about: str
    ) -> dict[str, Any]:
        """One request and its good answer; logged either way."""
        try:
            http_status, answer_body = self._send(call, method, headers, body)
            answer = _good_answer(call, http_status, answer_body)
        except DarajaError as error:
            error.call = call.name
            logger.warning("Daraja %s, %s: %s", call.name, about, error)
            raise
        logger.info("Daraja %s, %s: answered, %s", call.name, about, _request_id(answer))
        return answer

    def _send(self, call: Call, method: str, headers: Mapping[str, str], body: bytes | None) -> tuple[int, bytes]:
        """Send as is: no redirects followed, nothing taken from the environment (.netrc would replace our token)."""
        headers = {"Accept": "application/json", "User-Agent": requests.utils.default_user_agent(), **headers}
        url = self._base_url + self._paths.get(call.name, call.path)
        try:
            request = requests.Request(method, url, headers=headers, data=body).prepare()
            with self._session.send(
                request,
                timeout=self._timeout_s,
                allow_redirects=False,
                stream=True,
                proxies=dict(self._session.proxies),
            ) as response:
                return response.status_code, _read_capped(call, response)
        except requests.RequestException as exc:
            raise _network_error(call, exc) from exc


def nonsense(call: Call, what: str) -> DarajaError:
    """The error for an answer that says yes but lacks what it must have."""
    error = unclear(repeatable=call.repeatable)(what, reason=Reason.NONSENSE_ANSWER, http_status=200)
    error.call = call.name
    return error


def text_of(answer: Mapping[str, Any], key: str) -> str:
    """The text or whole number under `key`, or ''."""
    value = answer.get(key)
    return str(value) if isinstance(value, str | int) else ""


def _good_answer(call: Call, http_status: int, body: bytes) -> dict[str, Any]:
    """The answer, if it is the documented good one. Otherwise raises what it means."""
    if call is TOKEN and http_status in (400, 401) and not body.strip():
        raise DarajaRejected("", reason=Reason.WRONG_KEYS, http_status=http_status)  # section 3
    if http_status == 200:
        try:
            answer = read_object(body)
        except UnreadablePayload as exc:
            raise nonsense(call, exc.reason) from exc
        is_error = any(key.lower() in ("errorcode", "fault", "envelope") for key in answer)
        if not is_error and (call.good_codes is None or first_text(answer, call.code_key) in call.good_codes):
            return answer
    raise read_refusal(http_status=http_status, body=body, repeatable=call.repeatable)


def _network_error(call: Call, exc: requests.RequestException) -> DarajaError:
    """What a failure of the connection means: had the request left or not?"""
    inner = exc.args[0] if exc.args else None
    cause = getattr(inner, "reason", inner)  # urllib3 wraps it in MaxRetryError
    is_untrusted = isinstance(cause, urllib3.exceptions.SSLError) and isinstance(
        cause.args[0], ssl.SSLCertVerificationError
    )
    if isinstance(exc, _NEVER_SENT) or isinstance(cause, urllib3.exceptions.NewConnectionError) or is_untrusted:
        return DarajaUnavailable(Phrase("No connection could be made."), reason=Reason.UNREACHABLE)
    if isinstance(exc, requests.ReadTimeout) or isinstance(cause, urllib3.exceptions.ReadTimeoutError):
        return unclear(repeatable=call.repeatable)(Phrase("No answer in time."), reason=Reason.SLOW)
    return unclear(repeatable=call.repeatable)(Phrase("The connection broke."), reason=Reason.CONNECTION_LOST)


def _read_capped(call: Call, response: requests.Response) -> bytes:
    body = bytearray()
    for chunk in response.iter_content(65_536):
        body += chunk
        if len(body) > ANSWER_MAX_BYTES:
            raise nonsense(call, f"the answer is longer than {ANSWER_MAX_BYTES} bytes")
    return bytes(body)


def _request_id(answer: Mapping[str, Any]) -> str:
    return first_text(answer, *_ID_KEYS) or "without an id"
