"""Questions about an organisation's money, and about whose number it is (sections 16, 17 and 23)."""

from dataclasses import dataclass

from channels.daraja.caller import Accepted, Caller, IdentifierType, required_id
from channels.daraja.gateway import Call
from channels.daraja.rules import require

ACCOUNT_BALANCE = Call("account_balance", "/mpesa/accountbalance/v1/query", repeatable=True)
TRANSACTION_STATUS = Call("transaction_status", "/mpesa/transactionstatus/v1/query", repeatable=True)
ORGANISATION_NAME = Call(
    "organisation_name", "/sfcverify/v1/query/info", repeatable=True, good_codes=frozenset({"4000"})
)


@dataclass(frozen=True, slots=True)
class OrganisationName:
    """Whose shortcode or till it is (section 23)."""

    shortcode: str
    name: str


class Organisation(Caller):
    """Balances, the status of what was paid, and names. All may be asked again."""

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
        return self._initiated(
            ACCOUNT_BALANCE,
            {
                "Initiator": initiator,
                "SecurityCredential": security_credential,
                "CommandID": "AccountBalance",
                "PartyA": shortcode,
                "IdentifierType": identifier_type.value,
                "Remarks": "Balance",
            },
            result_url=result_url,
            timeout_url=timeout_url,
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
        require(bool(receipt or original_conversation_id), "TransactionID", "Give a receipt or a conversation id.")
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
                "Remarks": "Status",
            },
            result_url=result_url,
            timeout_url=timeout_url,
            about=receipt or original_conversation_id,
        )

    def organisation_name(
        self, *, shortcode: str, identifier_type: IdentifierType = IdentifierType.SHORTCODE
    ) -> OrganisationName:
        """Look up whose shortcode or till this is (section 23)."""
        fields: dict[str, str | int] = {"IdentifierType": int(identifier_type), "Identifier": shortcode}
        answer = self._gateway.post(ORGANISATION_NAME, fields, about=shortcode)
        return OrganisationName(shortcode=shortcode, name=required_id(ORGANISATION_NAME, answer, "OrganizationName"))
