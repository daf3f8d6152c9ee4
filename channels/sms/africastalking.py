"""Africa's Talking, bulk SMS: POST {url}/version1/messaging (developers.africastalking.com/docs/sms/sending/bulk).

The answer has a status for each recipient. A key that is refused, or an empty purse, is the account's trouble and not
the message's: the message waits until somebody has put that right.
"""

import ssl
from typing import Any

import orjson
import requests
import urllib3
from django.conf import settings

from channels.sms.client import Sent
from channels.sms.errors import SmsError, SmsRejected, SmsTimeout, SmsUnavailable
from tenants.sentences import say

_TAKEN = {100, 101, 102}  # Processed, Sent, Queued
_ACCOUNT_TROUBLE = {405}  # InsufficientBalance
_REFUSED = {
    401,  # RiskHold
    402,  # InvalidSenderId
    403,  # InvalidPhoneNumber
    404,  # UnsupportedNumberType
    406,  # UserInBlacklist
    407,  # CouldNotRoute
    409,  # DoNotDisturbRejection
    502,  # RejectedByGateway
}
_ANSWER_MAX_BYTES = 65_536
_NEVER_SENT = (
    requests.ConnectTimeout,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
)


class AfricasTalking:
    name = "africastalking"
    batch_size = 8

    def __init__(
        self,
        *,
        url: str,
        username: str,
        api_key: str,
        sender_id: str,
        session: requests.Session,
        timeout_s: tuple[float, float] = (5, 10),
    ) -> None:
        """`sender_id` is a registered name or short code; '' is Africa's Talking's own. `timeout_s`: connect, read."""
        self._url = f"{url.rstrip('/')}/version1/messaging"
        self._username = username
        self._api_key = api_key
        self._sender_id = sender_id
        self._session = session
        self._timeout_s = timeout_s

    @classmethod
    def from_settings(cls) -> "AfricasTalking":
        session = requests.Session()
        session.trust_env = False  # a .netrc or a proxy of the machine is none of ours
        return cls(
            url=settings.AFRICASTALKING_URL,
            username=settings.AFRICASTALKING_USERNAME,
            api_key=settings.AFRICASTALKING_API_KEY,
            sender_id=settings.AFRICASTALKING_SENDER_ID,
            session=session,
        )

    def send(self, phone_number: str, body: str) -> Sent:
        fields = {"username": self._username, "to": f"+{phone_number}", "message": body, "enqueue": "1"}
        if self._sender_id:
            fields["from"] = self._sender_id
        try:
            with self._session.post(
                self._url,
                data=fields,
                headers={"apiKey": self._api_key, "Accept": "application/json"},
                timeout=self._timeout_s,
                allow_redirects=False,
                stream=True,
            ) as response:
                return _read_answer(response.status_code, response.raw.read(_ANSWER_MAX_BYTES, decode_content=True))
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise _network_error(error) from error


def _read_answer(http_status: int, body: bytes) -> Sent:
    """What became of the one recipient. Raises unless the message was taken."""
    if http_status in {200, 201}:
        return _read_recipient(body)
    if http_status in {401, 403}:
        raise SmsUnavailable(say("Africa's Talking refuses the user name or API key."))
    if http_status == 429:
        raise SmsUnavailable(say("Africa's Talking takes no more messages just now."))
    if 300 <= http_status < 500:
        raise SmsRejected(say("Africa's Talking answered HTTP %(status)s.", status=str(http_status)))
    raise SmsTimeout(say("Africa's Talking answered HTTP %(status)s.", status=str(http_status)))


def _read_recipient(body: bytes) -> Sent:
    try:
        data = orjson.loads(body)["SMSMessageData"]
        recipients: list[Any] = data["Recipients"]
        if not recipients:  # the reason is then in the summary: "InvalidSenderId"
            raise SmsRejected(say("Africa's Talking says %(words)s.", words=str(data["Message"])[:100]))
        status, word = int(recipients[0]["statusCode"]), str(recipients[0].get("status", ""))[:60]
        message_id = str(recipients[0].get("messageId", ""))[:80]
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError, ValueError, AttributeError):
        raise SmsTimeout(say("Africa's Talking gave an answer that we can't read.")) from None
    if status in _TAKEN:
        return Sent(message_id)
    sentence = say("Africa's Talking says %(words)s.", words=f"{word or 'no'} ({status})")
    if status in _ACCOUNT_TROUBLE:
        raise SmsUnavailable(sentence)
    if status in _REFUSED:
        raise SmsRejected(sentence)
    raise SmsTimeout(sentence)  # InternalServerError, GatewayError, or a code that we don't know


def _network_error(error: Exception) -> SmsError:
    """What a failure of the connection means: had the message left or not?"""
    inner = error.args[0] if error.args else None
    cause = getattr(inner, "reason", inner)  # urllib3 wraps it in MaxRetryError
    is_untrusted = isinstance(cause, urllib3.exceptions.SSLError) and isinstance(
        cause.args[0], ssl.SSLCertVerificationError
    )
    if isinstance(error, _NEVER_SENT) or isinstance(cause, urllib3.exceptions.NewConnectionError) or is_untrusted:
        return SmsUnavailable(say("Africa's Talking can't be reached."))
    return SmsTimeout(say("The connection to Africa's Talking broke before it answered."))
