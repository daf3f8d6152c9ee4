"""Money from business to business: PayBills, tills, bulk accounts, taxes, and USSD prompts (sections 12 to 15).

None of these takes an id of ours, so none is repeatable: after a DarajaTimeout only M-PESA's own records tell what
happened.
"""

from dataclasses import dataclass

from channels.daraja.caller import Accepted, Caller, IdentifierType, words
from channels.daraja.gateway import Call
from channels.daraja.reading import ID_MAX
from channels.daraja.rules import (
    B2B_REFERENCE_MAX,
    REMARKS_MAX,
    require_amount,
    require_digits,
    require_msisdn,
    require_optional_text,
    require_text,
)

_ZERO = frozenset({"0"})
_NAME_MAX = 64

B2B = Call("b2b", "/mpesa/b2b/v1/paymentrequest", repeatable=False, good_codes=_ZERO)
TAX = Call("tax", "/mpesa/b2b/v1/remittax", repeatable=False, good_codes=_ZERO)
EXPRESS = Call("b2b_express", "/v1/ussdpush/get-msisdn", repeatable=False, good_codes=_ZERO, code_key="code")

TAX_AUTHORITY = "572572"


@dataclass(frozen=True, slots=True)
class ExpressAccepted:
    """The merchant's phone will be prompted. What comes of it arrives under the same `request_ref_id`."""

    request_ref_id: str
    description: str


class BusinessPayments(Caller):
    """Money out to other businesses, and a prompt that asks one to pay us."""

    def pay_bill(
        self,
        *,
        initiator: str,
        security_credential: str,
        shortcode: str,
        payee: str,
        amount_kes: int,
        account_reference: str,
        remarks: str,
        result_url: str,
        timeout_url: str,
        requester: str = "",
        occasion: str = "",
    ) -> Accepted:
        """Pay a PayBill from our Working account (section 12). `requester`: the customer we pay for, 12 digits."""
        require_text("AccountReference", account_reference, B2B_REFERENCE_MAX)
        fields = _transfer(
            "BusinessPayBill", initiator, security_credential, shortcode, payee, amount_kes, account_reference, remarks
        ) | _extras(requester, occasion)
        about = f"{shortcode} to {payee}"
        return self._initiated(B2B, fields, result_url=result_url, timeout_url=timeout_url, about=about)

    def buy_goods(
        self,
        *,
        initiator: str,
        security_credential: str,
        shortcode: str,
        payee: str,
        amount_kes: int,
        remarks: str,
        result_url: str,
        timeout_url: str,
        account_reference: str = "",
        requester: str = "",
        occasion: str = "",
        payee_type: IdentifierType = IdentifierType.SHORTCODE,
    ) -> Accepted:
        """Pay a till from our Working account (section 12).

        `payee_type`: the portal says SHORTCODE, some libraries TILL; a plausible reading is SHORTCODE for a store or
        head office number and TILL for a till.
        """
        require_optional_text("AccountReference", account_reference, B2B_REFERENCE_MAX)
        fields = _transfer(
            "BusinessBuyGoods",
            initiator,
            security_credential,
            shortcode,
            payee,
            amount_kes,
            account_reference,
            remarks,
            payee_type,
        ) | _extras(requester, occasion)
        about = f"{shortcode} to {payee}"
        return self._initiated(B2B, fields, result_url=result_url, timeout_url=timeout_url, about=about)

    def top_up_b2c(
        self,
        *,
        initiator: str,
        security_credential: str,
        shortcode: str,
        payee: str,
        amount_kes: int,
        remarks: str,
        result_url: str,
        timeout_url: str,
        account_reference: str = "",
        requester: str = "",
        occasion: str = "",
    ) -> Accepted:
        """Move money from our Working account to the Utility account of a B2C shortcode (section 13)."""
        require_optional_text("AccountReference", account_reference, B2B_REFERENCE_MAX)
        fields = _transfer(
            "BusinessPayToBulk",
            initiator,
            security_credential,
            shortcode,
            payee,
            amount_kes,
            account_reference,
            remarks,
        ) | _extras(requester, occasion)
        about = f"{shortcode} to {payee}"
        return self._initiated(B2B, fields, result_url=result_url, timeout_url=timeout_url, about=about)

    def remit_tax(
        self,
        *,
        initiator: str,
        security_credential: str,
        shortcode: str,
        amount_kes: int,
        registration_number: str,
        remarks: str,
        result_url: str,
        timeout_url: str,
    ) -> Accepted:
        """Pay a tax to the Kenya Revenue Authority (section 14), by its payment registration number (PRN)."""
        require_text("AccountReference", registration_number, _NAME_MAX)
        fields = _transfer(
            "PayTaxToKRA",
            initiator,
            security_credential,
            shortcode,
            TAX_AUTHORITY,
            amount_kes,
            registration_number,
            remarks,
        )
        return self._initiated(TAX, fields, result_url=result_url, timeout_url=timeout_url, about=shortcode)

    def b2b_express(
        self,
        *,
        till: str,
        shortcode: str,
        amount_kes: int,
        payment_reference: str,
        partner_name: str,
        callback_url: str,
        request_ref_id: str,
    ) -> ExpressAccepted:
        """Ask a merchant, on the phone nominated for its till, to pay our PayBill (section 15).

        `request_ref_id` is ours and unique; `partner_name` is what the merchant reads.
        """
        require_amount(amount_kes, field="amount", most=None)
        require_digits("primaryShortCode", till)
        require_text("paymentRef", payment_reference, _NAME_MAX)
        require_text("partnerName", partner_name, _NAME_MAX)
        require_text("RequestRefID", request_ref_id, ID_MAX)
        self._require_url("callbackUrl", callback_url)
        answer = self._gateway.post(
            EXPRESS,
            {
                "primaryShortCode": till,
                "receiverShortCode": shortcode,
                "amount": str(amount_kes),
                "paymentRef": payment_reference,
                "callbackUrl": callback_url,
                "partnerName": partner_name,
                "RequestRefID": request_ref_id,
            },
            about=f"{till} to {shortcode}",
        )
        return ExpressAccepted(request_ref_id, words(answer, "status"))


def _transfer(
    command: str,
    initiator: str,
    security_credential: str,
    shortcode: str,
    payee: str,
    amount_kes: int,
    account_reference: str,
    remarks: str,
    payee_type: IdentifierType = IdentifierType.SHORTCODE,
) -> dict[str, str | int]:
    """What all transfers have in common. For them no largest amount is published."""
    require_amount(amount_kes, most=None)
    require_digits("PartyB", payee)
    require_text("Remarks", remarks, REMARKS_MAX)
    return {
        "Initiator": initiator,
        "SecurityCredential": security_credential,
        "CommandID": command,
        "SenderIdentifierType": IdentifierType.SHORTCODE.value,
        "RecieverIdentifierType": payee_type.value,
        "Amount": str(amount_kes),
        "PartyA": shortcode,
        "PartyB": payee,
        **({"AccountReference": account_reference} if account_reference else {}),
        "Remarks": remarks,
    }


def _extras(requester: str, occasion: str) -> dict[str, str | int]:
    if requester:
        require_msisdn("Requester", requester)
    require_optional_text("Occassion", occasion, REMARKS_MAX)
    given = {"Requester": requester, "Occassion": occasion}
    return {name: value for name, value in given.items() if value}
