"""The calls to Daraja: our arguments and names outside, its spellings and types on the wire.

One `Call` and one small method per API; what they share is in `gateway.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal

import requests

from channels.daraja.callback_urls import url_problems
from channels.daraja.credentials import Credentials, stk_password
from channels.daraja.errors import DarajaError, DarajaRejected, Reason
from channels.daraja.gateway import Call, Gateway, nonsense, text_of
from channels.daraja.payloads import DESC_MAX, EAT, ID_MAX
from channels.daraja.tokens import TokenStore
from channels.msisdn import is_plain, mask

MIN_AMOUNT_KES = 1
MAX_AMOUNT_KES = 250_000  # per payment (section 26)
ACCOUNT_REFERENCE_MAX = 12
DESCRIPTION_MAX = 13
_ID_WITHOUT_PHONE = 20  # a CheckoutRequestID ends in nine digits of the phone number (section 2)

STK_PUSH = Call("stk_push", "/mpesa/stkpush/v1/processrequest", repeatable=False)
STK_QUERY = Call("stk_query", "/mpesa/stkpushquery/v1/query", repeatable=True)
REGISTER_URLS = {
    1: Call("register_urls_v1", "/mpesa/c2b/v1/registerurl", repeatable=False),
    2: Call("register_urls_v2", "/mpesa/c2b/v2/registerurl", repeatable=False),
}
SIMULATE_C2B = {
    1: Call("simulate_c2b_v1", "/mpesa/c2b/v1/simulate", repeatable=False),
    2: Call("simulate_c2b_v2", "/mpesa/c2b/v2/simulate", repeatable=False),
}
ACCOUNT_BALANCE = Call("account_balance", "/mpesa/accountbalance/v1/query", repeatable=True)
TRANSACTION_STATUS = Call("transaction_status", "/mpesa/transactionstatus/v1/query", repeatable=True)
ORGANISATION_NAME = Call(
    "organisation_name", "/sfcverify/v1/query/info", repeatable=True, good_codes=frozenset({"4000"})
)

C2BVersion = Literal[1, 2]


class IdentifierType(StrEnum):
    """What kind of number a party is (section 2)."""

    MSISDN = "1"
    TILL = "2"
    SHORTCODE = "4"


class ResponseType(StrEnum):
    """What M-PESA does with a payment when our validation does not answer in time (section 7)."""

    COMPLETED = "Completed"
    CANCELLED = "Cancelled"


@dataclass(frozen=True, slots=True)
class StkAccepted:
    """Daraja will prompt the phone. Nothing is paid yet (section 5.3)."""

    merchant_request_id: str
    checkout_request_id: str
    description: str


@dataclass(frozen=True, slots=True)
class StkState:
    """What Daraja knows of an STK push (section 6).

    FINAL: it ended with `result_code` ("0": paid), but never let this overwrite a payment that a callback reported.
    PENDING: the customer has not answered. NOT_FOUND: unknown, or asked sooner than some 20 s after the push.
    """

    class Kind(StrEnum):
        FINAL = "final"
        PENDING = "pending"
        NOT_FOUND = "not_found"

    kind: Kind
    result_code: str = ""
    result_desc: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """Daraja heard us; what comes of it arrives later as a callback (sections 7, 9, 10). Ids may be '' for C2B."""

    originator_conversation_id: str
    conversation_id: str
    description: str


@dataclass(frozen=True, slots=True)
class OrganisationName:
    """Whose shortcode or till it is (section 23)."""

    shortcode: str
    name: str


class DarajaClient:
    """Calls Daraja, or our simulator of it, with the keys of one app.

    `timeout_s` is (connect, read); `clock` returns an aware time. Every method may raise DarajaRejected,
    DarajaUnavailable and, unless its call is repeatable, DarajaTimeout. What a published rule of Daraja would refuse
    is refused before sending.
    """

    def __init__(
        self,
        base_url: str,
        credentials: Credentials,
        *,
        session: requests.Session,
        tokens: TokenStore,
        timeout_s: tuple[float, float] = (5.0, 25.0),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._gateway = Gateway(base_url, credentials, session=session, tokens=tokens, timeout_s=timeout_s)
        self._clock = clock

    def check_keys(self) -> None:
        """Fetch a new token, whatever is kept: proves the consumer key and secret."""
        self._gateway.renew_token()

    def stk_push(
        self,
        *,
        shortcode: str,
        passkey: str,
        msisdn: str,
        amount_kes: int,
        account_reference: str,
        callback_url: str,
        till: str | None = None,
        description: str = "Payment",
    ) -> StkAccepted:
        """Ask a customer to pay, on the phone (section 5).

        For a PayBill give its number as `shortcode`; for a till the store or head office number, and the till.
        """
        _require_amount(amount_kes)
        _require_msisdn("PhoneNumber", msisdn)
        _require_length("AccountReference", account_reference, ACCOUNT_REFERENCE_MAX)
        _require_length("TransactionDesc", description, DESCRIPTION_MAX)
        self._require_url("CallBackURL", callback_url)
        answer = self._gateway.post(
            STK_PUSH,
            {
                **self._stk_proof(shortcode, passkey),
                "TransactionType": "CustomerBuyGoodsOnline" if till else "CustomerPayBillOnline",
                "Amount": amount_kes,
                "PartyA": int(msisdn),
                "PartyB": till or shortcode,
                "PhoneNumber": int(msisdn),
                "CallBackURL": callback_url,
                "AccountReference": account_reference,
                "TransactionDesc": description,
            },
            about=mask(msisdn),
        )
        return StkAccepted(
            merchant_request_id=_id(STK_PUSH, answer, "MerchantRequestID"),
            checkout_request_id=_id(STK_PUSH, answer, "CheckoutRequestID"),
            description=_description(answer),
        )

    def stk_query(self, *, shortcode: str, passkey: str, checkout_request_id: str) -> StkState:
        """Ask how an STK push stands (section 6)."""
        fields = {**self._stk_proof(shortcode, passkey), "CheckoutRequestID": checkout_request_id}
        try:
            answer = self._gateway.post(STK_QUERY, fields, about=checkout_request_id[:_ID_WITHOUT_PHONE])
        except DarajaError as refusal:
            if refusal.reason is Reason.STILL_PROCESSING:
                return StkState(StkState.Kind.PENDING, result_desc=refusal.message)
            if refusal.reason is Reason.NOT_FOUND_YET:
                return StkState(StkState.Kind.NOT_FOUND, result_desc=refusal.message)
            raise
        if text_of(answer, "CheckoutRequestID") not in ("", checkout_request_id):
            raise nonsense(STK_QUERY, "the answer is about another push")
        result_code, result_desc = _id(STK_QUERY, answer, "ResultCode"), _description(answer, "ResultDesc")
        is_pending = result_code == "4999" or (result_code != "0" and "processing" in result_desc.lower())
        return StkState(StkState.Kind.PENDING if is_pending else StkState.Kind.FINAL, result_code, result_desc)

    def register_urls(
        self,
        *,
        version: C2BVersion,
        shortcode: str,
        response_type: ResponseType,
        confirmation_url: str,
        validation_url: str,
    ) -> Accepted:
        """Tell Daraja where to report C2B payments of a shortcode (section 7); in production this works once.

        An unclear outcome may be asked again: at worst the answer is URLS_ALREADY_REGISTERED.
        """
        self._require_url("ConfirmationURL", confirmation_url)
        self._require_url("ValidationURL", validation_url)
        return self._accepted(
            REGISTER_URLS[version],
            {
                "ShortCode": shortcode,
                "ResponseType": response_type.value,
                "ConfirmationURL": confirmation_url,
                "ValidationURL": validation_url,
            },
            about=shortcode,
        )

    def simulate_c2b(
        self,
        *,
        version: C2BVersion,
        shortcode: str,
        msisdn: str,
        amount_kes: int,
        account_reference: str | None,
    ) -> Accepted:
        """Pretend that a customer paid (section 9): a PayBill with an account reference, a till with None."""
        if self._gateway.is_production:
            raise DarajaRejected("C2B simulate exists outside production only.", reason=Reason.INVALID_REQUEST)
        _require_amount(amount_kes)
        _require_msisdn("Msisdn", msisdn)
        fields: dict[str, str | int] = {
            "ShortCode": shortcode,
            "CommandID": "CustomerBuyGoodsOnline" if account_reference is None else "CustomerPayBillOnline",
            "Amount": amount_kes,
            "Msisdn": int(msisdn),
        }
        if account_reference is not None:
            fields["BillRefNumber"] = account_reference
        return self._accepted(SIMULATE_C2B[version], fields, about=f"{shortcode} by {mask(msisdn)}")

    def account_balance(
        self,
        *,
        initiator: str,
        security_credential: str,
        shortcode: str,
        result_url: str,
        timeout_url: str,
        identifier_type: IdentifierType = IdentifierType.SHORTCODE,
    ) -> Accepted:
        """Ask what is in a shortcode's accounts (section 16). A wrong credential shows only in the result."""
        self._require_url("ResultURL", result_url)
        self._require_url("QueueTimeOutURL", timeout_url)
        return self._initiated(
            ACCOUNT_BALANCE,
            {
                "Initiator": initiator,
                "SecurityCredential": security_credential,
                "CommandID": "AccountBalance",
                "PartyA": shortcode,
                "IdentifierType": identifier_type.value,
                "Remarks": "Balance",
                "QueueTimeOutURL": timeout_url,
                "ResultURL": result_url,
            },
            about=shortcode,
        )

    def transaction_status(
        self,
        *,
        initiator: str,
        security_credential: str,
        shortcode: str,
        result_url: str,
        timeout_url: str,
        receipt: str = "",
        original_conversation_id: str = "",
        identifier_type: IdentifierType = IdentifierType.SHORTCODE,
    ) -> Accepted:
        """Ask what became of a payment, payout or reversal (section 17), by its receipt, its conversation id or both.

        In the result, code 0 means that the question was answered, not that the money moved.
        """
        _require(bool(receipt or original_conversation_id), "TransactionID", "Give a receipt or a conversation id.")
        self._require_url("ResultURL", result_url)
        self._require_url("QueueTimeOutURL", timeout_url)
        sought = {"TransactionID": receipt, "OriginalConversationID": original_conversation_id}
        return self._initiated(
            TRANSACTION_STATUS,
            {
                "Initiator": initiator,
                "SecurityCredential": security_credential,
                "CommandID": "TransactionStatusQuery",
                **{name: value for name, value in sought.items() if value},
                "PartyA": shortcode,
                "IdentifierType": identifier_type.value,
                "ResultURL": result_url,
                "QueueTimeOutURL": timeout_url,
                "Remarks": "Status",
            },
            about=receipt or original_conversation_id,
        )

    def organisation_name(
        self, *, shortcode: str, identifier_type: IdentifierType = IdentifierType.SHORTCODE
    ) -> OrganisationName:
        """Look up whose shortcode or till this is (section 23)."""
        fields: dict[str, str | int] = {"IdentifierType": int(identifier_type), "Identifier": shortcode}
        answer = self._gateway.post(ORGANISATION_NAME, fields, about=shortcode)
        return OrganisationName(shortcode=shortcode, name=_id(ORGANISATION_NAME, answer, "OrganizationName"))

    def _require_url(self, field: str, url: str) -> None:
        if problems := url_problems(url, production=self._gateway.is_production):
            raise DarajaRejected(" ".join(problems), reason=Reason.FORBIDDEN_URL, field=field)

    def _stk_proof(self, shortcode: str, passkey: str) -> dict[str, str | int]:
        timestamp = (self._clock().astimezone(UTC) + EAT).strftime("%Y%m%d%H%M%S")
        password = stk_password(shortcode=shortcode, passkey=passkey, timestamp=timestamp)
        return {"BusinessShortCode": shortcode, "Password": password, "Timestamp": timestamp}

    def _accepted(self, call: Call, fields: Mapping[str, str | int], *, about: str) -> Accepted:
        answer = self._gateway.post(call, fields, about=about)
        accepted = Accepted(
            originator_conversation_id=(
                _optional_id(call, answer, "OriginatorConversationID")
                or _optional_id(call, answer, "OriginatorCoversationID")
            ),
            conversation_id=_optional_id(call, answer, "ConversationID"),
            description=_description(answer),
        )
        if not (accepted.originator_conversation_id or accepted.conversation_id or accepted.description):
            raise nonsense(call, "the answer has none of the documented fields")
        return accepted

    def _initiated(self, call: Call, fields: Mapping[str, str | int], *, about: str) -> Accepted:
        """Like `_accepted`, for calls whose result comes later and is found again by an id."""
        accepted = self._accepted(call, fields, about=about)
        if accepted.originator_conversation_id or accepted.conversation_id:
            return accepted
        raise nonsense(call, "no conversation id in the answer")


def _description(answer: Mapping[str, Any], key: str = "ResponseDescription") -> str:
    return text_of(answer, key)[:DESC_MAX]


def _optional_id(call: Call, answer: Mapping[str, Any], key: str) -> str:
    value = text_of(answer, key).strip()
    if len(value) > ID_MAX:
        raise nonsense(call, f"{key} is longer than {ID_MAX} characters")
    return value


def _id(call: Call, answer: Mapping[str, Any], key: str) -> str:
    if value := _optional_id(call, answer, key):
        return value
    raise nonsense(call, f"no {key} in the answer")


def _require(ok: bool, field: str, sentence: str) -> None:
    if not ok:
        raise DarajaRejected(sentence, reason=Reason.INVALID_FIELD, field=field)


def _require_amount(amount_kes: int) -> None:
    _require(
        MIN_AMOUNT_KES <= amount_kes <= MAX_AMOUNT_KES,
        "Amount",
        f"The amount is whole shillings from {MIN_AMOUNT_KES} to {MAX_AMOUNT_KES:,}.",
    )


def _require_msisdn(field: str, msisdn: str) -> None:
    _require(is_plain(msisdn), field, "The phone number is 12 digits that begin with 2547 or 2541.")


def _require_length(field: str, text: str, longest: int) -> None:
    _require(
        0 < len(text.strip()) <= len(text) <= longest and text.isprintable(),
        field,
        f"{field} has 1 to {longest} characters.",
    )
