"""Asking customers to pay, hearing of payments, and showing how to pay (sections 5 to 7, 9 and 19)."""

import base64
import binascii
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from channels.daraja.caller import Accepted, Caller, id_somewhere, kenya_time, required_id, words
from channels.daraja.credentials import stk_password
from channels.daraja.errors import DarajaError, DarajaRejected, Reason
from channels.daraja.gateway import Call, nonsense, text_of
from channels.daraja.rules import (
    ACCOUNT_REFERENCE_MAX,
    DESCRIPTION_MAX,
    require,
    require_amount,
    require_msisdn,
    require_text,
)
from channels.msisdn import mask

_ID_WITHOUT_PHONE = 20  # a CheckoutRequestID ends in nine digits of the phone number (section 2)
_PNG = b"\x89PNG\r\n\x1a\n"
_QR_TEXT_MAX = 100

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
DYNAMIC_QR = Call("dynamic_qr", "/mpesa/qrcode/v1/generate", repeatable=True, good_codes=None)

C2BVersion = Literal[1, 2]


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


class QrKind(StrEnum):
    """What a payer does with a QR code (section 19): the TrxCode."""

    BUY_GOODS = "BG"
    PAY_BILL = "PB"
    SEND_MONEY = "SM"
    SEND_TO_BUSINESS = "SB"
    WITHDRAW_AT_AGENT = "WA"


_BY_PHONE = (QrKind.SEND_MONEY, QrKind.SEND_TO_BUSINESS)  # the payee is a phone number


@dataclass(frozen=True, slots=True)
class QrCode:
    """A square PNG that M-PESA's app reads."""

    png: bytes = field(repr=False)
    request_id: str


class Collection(Caller):
    """Money in: prompts on phones, C2B addresses and simulation, QR codes."""

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
        require_amount(amount_kes)
        require_msisdn("PhoneNumber", msisdn)
        require_text("AccountReference", account_reference, ACCOUNT_REFERENCE_MAX)
        require_text("TransactionDesc", description, DESCRIPTION_MAX)
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
            merchant_request_id=required_id(STK_PUSH, answer, "MerchantRequestID"),
            checkout_request_id=required_id(STK_PUSH, answer, "CheckoutRequestID"),
            description=words(answer),
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
        result_code, result_desc = required_id(STK_QUERY, answer, "ResultCode"), words(answer, "ResultDesc")
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
        require_amount(amount_kes)
        require_msisdn("Msisdn", msisdn)
        fields: dict[str, str | int] = {
            "ShortCode": shortcode,
            "CommandID": "CustomerBuyGoodsOnline" if account_reference is None else "CustomerPayBillOnline",
            "Amount": amount_kes,
            "Msisdn": int(msisdn),
        }
        if account_reference is not None:
            fields["BillRefNumber"] = account_reference
        return self._accepted(SIMULATE_C2B[version], fields, about=f"{shortcode} by {mask(msisdn)}")

    def dynamic_qr(
        self,
        *,
        kind: QrKind,
        payee: str,
        merchant_name: str,
        amount_kes: int,
        account_reference: str,
        size_px: int = 300,
    ) -> QrCode:
        """Have a QR code made with which `payee` is paid this amount for this reference (section 19).

        `payee` is a till, a PayBill, an agent's number or a phone number, as `kind` needs it.
        """
        require_amount(amount_kes)
        require_text("MerchantName", merchant_name, _QR_TEXT_MAX)
        require_text("RefNo", account_reference, _QR_TEXT_MAX)
        require_text("CPI", payee, _QR_TEXT_MAX)
        require(size_px > 0, "Size", "The size is a number of pixels.")
        answer = self._gateway.post(
            DYNAMIC_QR,
            {
                "MerchantName": merchant_name,
                "RefNo": account_reference,
                "Amount": amount_kes,
                "TrxCode": kind.value,
                "CPI": payee,
                "Size": str(size_px),
            },
            about=f"{kind.value} {mask(payee) if kind in _BY_PHONE else payee}",
        )
        try:
            png = base64.b64decode(text_of(answer, "QRCode"), validate=True)
        except binascii.Error:
            png = b""
        if not png.startswith(_PNG):
            raise nonsense(DYNAMIC_QR, "no picture in the answer")
        return QrCode(png, request_id=id_somewhere(DYNAMIC_QR, answer, "requestid"))

    def _stk_proof(self, shortcode: str, passkey: str) -> dict[str, str | int]:
        timestamp = kenya_time(self._clock(), "%Y%m%d%H%M%S")
        password = stk_password(shortcode=shortcode, passkey=passkey, timestamp=timestamp)
        return {"BusinessShortCode": shortcode, "Password": password, "Timestamp": timestamp}
