"""Money to customers: B2C, Pochi, and giving a payment back (sections 11 and 18).

None of these is repeatable: after a DarajaTimeout ask for the status, and never send the same payout under a new id.
"""

from enum import StrEnum

from channels.daraja.caller import Accepted, Caller
from channels.daraja.gateway import Call
from channels.daraja.rules import (
    CONVERSATION_ID_MAX,
    MIN_B2C_AMOUNT_KES,
    REMARKS_MAX,
    REMARKS_MIN,
    require_amount,
    require_msisdn,
    require_optional_text,
    require_text,
)
from channels.msisdn import mask

_ZERO = frozenset({"0"})

B2C = Call("b2c_v3", "/mpesa/b2c/v3/paymentrequest", repeatable=False, good_codes=_ZERO)
B2C_V1 = Call("b2c_v1", "/mpesa/b2c/v1/paymentrequest", repeatable=False, good_codes=_ZERO)
B2POCHI = Call("b2pochi", "/mpesa/b2pochi/v1/paymentrequest", repeatable=False, good_codes=_ZERO)
REVERSAL = Call("reversal", "/mpesa/reversal/v1/request", repeatable=False, good_codes=_ZERO)

_OWN_ORGANISATION = "11"  # of an identifier type that only reversals use (section 2)


class B2CCommand(StrEnum):
    """What a payout is for; M-PESA's message to the receiver depends on it (section 11)."""

    BUSINESS_PAYMENT = "BusinessPayment"
    SALARY_PAYMENT = "SalaryPayment"
    PROMOTION_PAYMENT = "PromotionPayment"


class Payouts(Caller):
    """Money out to customers."""

    def b2c(
        self,
        *,
        originator_conversation_id: str,
        initiator: str,
        security_credential: str,
        shortcode: str,
        msisdn: str,
        amount_kes: int,
        remarks: str,
        result_url: str,
        timeout_url: str,
        command: B2CCommand = B2CCommand.BUSINESS_PAYMENT,
        occasion: str = "",
    ) -> Accepted:
        """Send money to a phone, by B2C v3 (section 11).

        The id is ours, unique for ever, and kept before this is called: Daraja refuses it a second time, and the
        status can be asked for by it.
        """
        require_text("OriginatorConversationID", originator_conversation_id, CONVERSATION_ID_MAX)
        fields = _payout(initiator, security_credential, command, shortcode, msisdn, amount_kes, remarks, occasion)
        return self._initiated(
            B2C,
            {"OriginatorConversationID": originator_conversation_id, **fields},
            result_url=result_url,
            timeout_url=timeout_url,
            about=f"{originator_conversation_id} to {mask(msisdn)}",
        )

    def b2c_v1(
        self,
        *,
        initiator: str,
        security_credential: str,
        shortcode: str,
        msisdn: str,
        amount_kes: int,
        remarks: str,
        result_url: str,
        timeout_url: str,
        command: B2CCommand = B2CCommand.BUSINESS_PAYMENT,
        occasion: str = "",
    ) -> Accepted:
        """Send money to a phone, by B2C v1, for an app that lacks v3 (section 11).

        There is no id of ours: after a DarajaTimeout only M-PESA's own records tell what happened.
        """
        fields = _payout(initiator, security_credential, command, shortcode, msisdn, amount_kes, remarks, occasion)
        about = f"{shortcode} to {mask(msisdn)}"
        return self._initiated(B2C_V1, fields, result_url=result_url, timeout_url=timeout_url, about=about)

    def b2pochi(
        self,
        *,
        originator_conversation_id: str,
        initiator: str,
        security_credential: str,
        shortcode: str,
        msisdn: str,
        amount_kes: int,
        remarks: str,
        result_url: str,
        timeout_url: str,
        occasion: str = "",
    ) -> Accepted:
        """Send money to the Pochi la Biashara of a phone (section 11); the id is as for `b2c`."""
        require_text("OriginatorConversationID", originator_conversation_id, CONVERSATION_ID_MAX)
        fields = _payout(
            initiator, security_credential, "BusinessPayToPochi", shortcode, msisdn, amount_kes, remarks, occasion
        )
        return self._initiated(
            B2POCHI,
            {"OriginatorConversationID": originator_conversation_id, **fields},
            result_url=result_url,
            timeout_url=timeout_url,
            about=f"{originator_conversation_id} to {mask(msisdn)}",
        )

    def reversal(
        self,
        *,
        initiator: str,
        security_credential: str,
        shortcode: str,
        receipt: str,
        amount_kes: int,
        remarks: str,
        result_url: str,
        timeout_url: str,
        occasion: str = "",
    ) -> Accepted:
        """Give a customer's payment back, by its receipt (section 18).

        `amount_kes` is all of it: nothing less is documented. What B2C sent out can't be taken back this way.
        """
        require_amount(amount_kes)
        require_text("TransactionID", receipt, 20)
        require_text("Remarks", remarks, REMARKS_MAX, shortest=REMARKS_MIN)
        require_optional_text("Occasion", occasion, REMARKS_MAX)
        return self._initiated(
            REVERSAL,
            {
                "Initiator": initiator,
                "SecurityCredential": security_credential,
                "CommandID": "TransactionReversal",
                "TransactionID": receipt,
                "Amount": str(amount_kes),
                "ReceiverParty": shortcode,
                "RecieverIdentifierType": _OWN_ORGANISATION,
                "Remarks": remarks,
                **({"Occasion": occasion} if occasion else {}),
            },
            result_url=result_url,
            timeout_url=timeout_url,
            about=receipt,
        )


def _payout(
    initiator: str,
    security_credential: str,
    command: str,
    shortcode: str,
    msisdn: str,
    amount_kes: int,
    remarks: str,
    occasion: str,
) -> dict[str, str | int]:
    require_amount(amount_kes, least=MIN_B2C_AMOUNT_KES)
    require_msisdn("PartyB", msisdn)
    require_text("Remarks", remarks, REMARKS_MAX, shortest=REMARKS_MIN)
    require_optional_text("Occassion", occasion, REMARKS_MAX)
    return {
        "InitiatorName": initiator,
        "SecurityCredential": security_credential,
        "CommandID": str(command),
        "Amount": amount_kes,
        "PartyA": shortcode,
        "PartyB": msisdn,
        "Remarks": remarks,
        **({"Occassion": occasion} if occasion else {}),
    }
