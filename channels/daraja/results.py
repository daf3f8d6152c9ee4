"""What the parameters of a result say, API by API: an `AsyncResult` in, a frozen dataclass with our names out.

A parameter that is absent or makes no sense is None, so that an odd date never keeps a payout from being settled; the
result itself still has the text. Amounts are KES unless a currency is given, times are UTC.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar

from channels.daraja.payloads import AccountBalance, AsyncResult, parse_balances
from channels.daraja.reading import EAT, UnreadablePayload, moment_in, receipt_in

Read = TypeVar("Read")

_MONEY = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,4})?")
_BASIC_AMOUNT = re.compile(r"\bBasicAmount=(-?[0-9.]+)")
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Party:
    """Who paid or was paid, as Daraja writes it: `254708374149 - John Doe`. Either part may be ''."""

    number: str  # phone number (12 digits, local or masked), or shortcode
    name: str


@dataclass(frozen=True, slots=True)
class B2CResult:
    """Money to a customer's phone, B2C or Pochi (section 11)."""

    receipt: str | None
    amount: Decimal | None
    receiver: Party | None
    is_registered: bool | None  # is the receiver an M-PESA customer?
    completed_at: datetime | None
    utility_available: Decimal | None  # what is left in the payer's accounts
    working_available: Decimal | None
    charges_paid_available: Decimal | None  # a balance too, not the charge of this payout; negative


@dataclass(frozen=True, slots=True)
class B2BResult:
    """Money to a PayBill, a till, a bulk account or the tax authority (sections 12 to 14)."""

    receipt: str | None
    amount: Decimal | None
    currency: str
    receiver: Party | None
    completed_at: datetime | None
    charge: Decimal | None  # None when Daraja does not say
    debit_account: AccountBalance | None  # the payer's account afterwards
    debit_balance: Decimal | None
    initiator_balance: Decimal | None
    bill_reference: str


@dataclass(frozen=True, slots=True)
class ReversalResult:
    """A payment given back (section 18)."""

    receipt: str | None  # of the reversal itself
    original_receipt: str | None
    amount: Decimal | None
    charge: Decimal | None
    completed_at: datetime | None
    debit_account: AccountBalance | None  # the account that the money was taken from, afterwards
    payer: Party | None  # who gives the money back
    receiver: Party | None  # who gets it


@dataclass(frozen=True, slots=True)
class BalanceResult:
    """What is in a shortcode's accounts (section 16); none when the query failed."""

    accounts: tuple[AccountBalance, ...]
    as_at: datetime | None
    error_message: str  # Daraja's, on some failures

    def account(self, name: str) -> AccountBalance | None:
        """The account of that name, such as `Utility Account`: order and presence vary."""
        return next((account for account in self.accounts if account.name == name), None)


@dataclass(frozen=True, slots=True)
class StatusResult:
    """What became of a payment, payout or reversal (section 17). All is empty when the query failed."""

    status: str  # Daraja's word: see `verdicts.verdict_of_status`
    receipt: str | None
    conversation_id: str  # of what was sought, not of the query
    originator_conversation_id: str
    amount: Decimal | None
    payer: Party | None
    receiver: Party | None
    payer_charge: Decimal | None  # None when Daraja does not say
    receiver_charge: Decimal | None
    debit_account_type: str
    reason_type: str  # such as `Pay Bill Online`
    reason: str
    initiated_at: datetime | None
    finalised_at: datetime | None


def read_b2c(result: AsyncResult) -> B2CResult:
    """What the result of B2C v1 or v3, or of Pochi, says."""
    get = result.parameters.get
    return B2CResult(
        receipt=_receipt(result.transaction_id) or _receipt(get("TransactionReceipt")),
        amount=_money(get("TransactionAmount")),
        receiver=_party(get("ReceiverPartyPublicName")),
        is_registered={"Y": True, "N": False}.get(get("B2CRecipientIsRegisteredCustomer") or ""),
        completed_at=_dotted_moment(get("TransactionCompletedDateTime")),
        utility_available=_money(get("B2CUtilityAccountAvailableFunds")),
        working_available=_money(get("B2CWorkingAccountAvailableFunds")),
        charges_paid_available=_money(get("B2CChargesPaidAccountAvailableFunds")),
    )


def read_b2b(result: AsyncResult) -> B2BResult:
    """What the result of a pay bill, buy goods, top-up or tax payment says."""
    get = result.parameters.get
    reference = result.references.get("BillReferenceNumber") or get("BillReferenceNumber")
    return B2BResult(
        receipt=_receipt(result.transaction_id),
        amount=_money(get("Amount")),
        currency=_text(get("Currency")),
        receiver=_party(get("ReceiverPartyPublicName")),
        completed_at=_moment(get("TransCompletedTime") or get("BOCompletedTime")),
        charge=_charge(get("DebitPartyCharges")),
        debit_account=_account(get("DebitPartyAffectedAccountBalance")),
        debit_balance=_basic_amount(get("DebitAccountCurrentBalance") or get("DebitAccountBalance")),
        initiator_balance=_basic_amount(get("InitiatorAccountCurrentBalance")),
        bill_reference=_text(reference),
    )


def read_reversal(result: AsyncResult) -> ReversalResult:
    """What the result of a reversal says."""
    get = result.parameters.get
    return ReversalResult(
        receipt=_receipt(result.transaction_id),
        original_receipt=_receipt(get("OriginalTransactionID")),
        amount=_money(get("Amount")),
        charge=_money(get("Charge")),
        completed_at=_moment(get("TransCompletedTime")),
        debit_account=_account(get("DebitAccountBalance")),
        payer=_party(get("DebitPartyPublicName")),
        receiver=_party(get("CreditPartyPublicName")),
    )


def read_balance(result: AsyncResult) -> BalanceResult:
    """What the result of a balance query says.

    :raises UnreadablePayload: if there is a balance, and any account of it can't be read.
    """
    get = result.parameters.get
    balances = get("AccountBalance")
    return BalanceResult(
        accounts=tuple(parse_balances(balances)) if balances else (),
        as_at=_moment(get("BOCompletedTime")),
        error_message=_text(get("ErrorMsg")),
    )


def read_status(result: AsyncResult) -> StatusResult:
    """What the result of a status query says of the payment, payout or reversal that was sought."""
    get = result.parameters.get
    return StatusResult(
        status=_text(get("TransactionStatus")),
        receipt=_receipt(get("ReceiptNo")),
        conversation_id=_text(get("ConversationID")),
        originator_conversation_id=_text(get("OriginatorConversationID")),
        amount=_money(get("Amount")),
        payer=_party(get("DebitPartyName")),
        receiver=_party(get("CreditPartyName")),
        payer_charge=_charge(get("DebitPartyCharges")),
        receiver_charge=_charge(get("CreditPartyCharges")),
        debit_account_type=_text(get("DebitAccountType")),
        reason_type=_text(get("ReasonType")),
        reason=_text(get("TransactionReason")),
        initiated_at=_moment(get("InitiatedTime")),
        finalised_at=_moment(get("FinalisedTime")),
    )


def _text(value: str | None) -> str:
    return (value or "").strip()


def _readable(read: Callable[[], Read]) -> Read | None:
    with suppress(UnreadablePayload):
        return read()
    return None


def _receipt(value: str | None) -> str | None:
    return _readable(lambda: receipt_in(value, "receipt"))


def _moment(value: str | None) -> datetime | None:
    return _readable(lambda: moment_in(value, "time"))


def _account(value: str | None) -> AccountBalance | None:
    accounts = _readable(lambda: parse_balances(_text(value)))
    return accounts[0] if accounts else None


def _money(value: str | None) -> Decimal | None:
    text = _text(value)
    return Decimal(text).quantize(_CENT) if _MONEY.fullmatch(text) else None


def _dotted_moment(value: str | None) -> datetime | None:
    """`06.07.2024 22:48:52`, by Kenya's clock."""
    with suppress(ValueError):
        return datetime.strptime(_text(value), "%d.%m.%Y %H:%M:%S").replace(tzinfo=UTC) - EAT
    return None


def _charge(value: str | None) -> Decimal | None:
    """`Fee For B2C Payment|KES|33.00`."""
    fields = _text(value).split("|")
    return _money(fields[2]) if len(fields) == 3 else None


def _basic_amount(value: str | None) -> Decimal | None:
    """`{Amount={CurrencyCode=KES, MinimumAmount=618683, BasicAmount=6186.83}}`, in any order."""
    found = _BASIC_AMOUNT.search(_text(value))
    return _money(found[1]) if found else None


def _party(value: str | None) -> Party | None:
    text = _text(value)
    if not text:
        return None
    number, separator, name = text.partition(" - ")
    if separator:
        return Party(number.strip(), name.strip())
    return Party(text, "") if text[0] in "0123456789+*" else Party("", text)
