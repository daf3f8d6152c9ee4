"""Can a row be paid? Each thing that is wrong with it gets a sentence, for whoever typed it.

Nothing here asks M-PESA or the database. The limits are M-PESA's (docs/daraja.md sections 2, 11 to 14 and 26) and the
business's own policy.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

from django.utils.translation import gettext as _

from channels.daraja.business_payments import TAX_AUTHORITY
from channels.daraja.rules import B2B_REFERENCE_MAX, MAX_AMOUNT_KES, MIN_B2C_AMOUNT_KES, REMARKS_MAX, REMARKS_MIN
from channels.explaining import wrong_number
from channels.msisdn import InvalidPhoneNumber, normalise
from payments.models import Payout
from payments.payouts.tariff import fee_estimate
from tenants.errors import Invalid

MAXIMUM_ROWS = 10_000
_REFERENCE_MAX = 20
_NAME_MAX = 120
_LONGEST_NUMBER = 12

TO_PHONES = frozenset({Payout.Kind.PHONE, Payout.Kind.POCHI})
SHORTCODE = re.compile(r"[0-9]{5,10}")  # tills and store numbers have no published length
_DIGITS = re.compile(r"[0-9]+")
_SHORTENED = re.compile(r"[0-9.,]+e\+?[0-9]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class GivenRow:
    """A row as somebody gave it. `number` counts from 1: the place in a list, or the line that a spreadsheet shows."""

    number: int
    values: Mapping[str, object]  # by the names of `columns(kind)`


@dataclass(slots=True)
class Row:
    """A row that can be paid."""

    number: int
    receiver: str  # 2547…, or a shortcode
    amount: int  # KES
    name: str
    account_reference: str
    transaction_desc: str
    fee_estimate: Decimal  # KES
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Rules:
    """What a business's payouts of one kind have to keep to."""

    kind: str  # Payout.Kind
    maximum: int  # KES per payout
    allowed_receivers: frozenset[str] | None = None  # None: everybody


class UnpayableRow(Invalid):
    code = "unpayable_row"


class UnpayableRows(Invalid):
    """Rows that can't be paid: `errors["rows[7].amount"]` has a sentence for what is wrong with row 7, and so on."""

    code = "unpayable_rows"


def columns(kind: str) -> tuple[str, ...]:
    """What a row of this kind of payout may have, in the order of exports."""
    receiver = ("phone_number",) if kind in TO_PHONES else () if kind == Payout.Kind.TAX else ("shortcode",)
    return (*receiver, "amount", "name", "account_reference", "transaction_desc")


def required_columns(kind: str) -> tuple[str, ...]:
    """What it must have."""
    needed = {"phone_number", "shortcode", "amount"}
    if kind in {Payout.Kind.PAYBILL, Payout.Kind.TAX}:
        needed.add("account_reference")
    return tuple(name for name in columns(kind) if name in needed)


def check_rows(given: Sequence[GivenRow], *, rules: Rules) -> list[Row]:
    """All rows, if every one can be paid.

    :raises UnpayableRows: if one or more can't, or there are none or too many.
    """
    if not given:
        raise UnpayableRows(_("There are no rows to pay."), errors={"rows": [_("Give at least one row.")]})
    if len(given) > MAXIMUM_ROWS:
        sentence = _("A batch has at most %(most)s rows. Split it.") % {"most": f"{MAXIMUM_ROWS:,}"}
        raise UnpayableRows(sentence, errors={"rows": [sentence]})
    rows: list[Row] = []
    errors: dict[str, list[str]] = {}
    refused = 0
    for each in given:
        try:
            rows.append(check_row(each, rules=rules))
        except UnpayableRow as problem:
            refused += 1
            errors |= {f"rows[{each.number}].{name}": said for name, said in problem.errors.items()}
    if refused:
        raise UnpayableRows(
            _("%(refused)s of %(all)s rows can't be paid. Nothing was kept.")
            % {"refused": f"{refused:,}", "all": f"{len(given):,}"},
            errors=errors,
        )
    return rows


def check_row(given: GivenRow, *, rules: Rules) -> Row:
    """The row, if it can be paid.

    :raises UnpayableRow: if not; `errors` has the sentences by column.
    """
    errors: dict[str, list[str]] = {}

    def read(name: str, reader: Callable[[str], Any]) -> Any:
        try:
            return reader(_text(given.values.get(name)))
        except _Wrong as problem:
            errors[name] = [str(problem)]

    for unknown in given.values.keys() - set(columns(rules.kind)):
        errors[unknown] = [
            _("There is no such column. There are: %(names)s.") % {"names": ", ".join(columns(rules.kind))}
        ]
    if rules.kind == Payout.Kind.TAX:
        receiver = TAX_AUTHORITY
    else:
        receiver_column = columns(rules.kind)[0]
        receiver = read(receiver_column, partial(_receiver, rules=rules))
    amount = read("amount", partial(_amount, rules=rules))
    needs_account = "account_reference" in required_columns(rules.kind)
    to_organisation = rules.kind not in TO_PHONES and rules.kind != Payout.Kind.TAX
    row = Row(
        number=given.number,
        receiver=receiver,
        amount=amount,
        name=read("name", _name),
        account_reference=read(
            "account_reference",
            partial(
                _words,
                longest=B2B_REFERENCE_MAX if to_organisation else _REFERENCE_MAX,
                missing=_("Give the account that the money is for.") if needs_account else "",
            ),
        ),
        transaction_desc=read("transaction_desc", partial(_words, longest=REMARKS_MAX, shortest=REMARKS_MIN)),
        fee_estimate=fee_estimate(rules.kind, amount or 0),
    )
    if errors:
        raise UnpayableRow(_("This can't be paid."), errors=errors)
    return row


class _Wrong(Exception):
    """The text is a sentence for whoever typed it."""


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool() | list() | dict():
            raise _Wrong(_("Write this as text."))
    text = " ".join(str(value).split())
    if text.startswith("="):
        raise _Wrong(_("This is a formula. Put its value here instead."))
    if not text.isprintable():
        raise _Wrong(_("This has invisible characters in it. Type it again."))
    return text


def _receiver(text: str, *, rules: Rules) -> str:
    if not text:
        raise _Wrong(_("Say who is to be paid."))
    if _SHORTENED.fullmatch(text):
        raise _Wrong(_("The spreadsheet has shortened this number. Format the column as text, and enter it again."))
    if rules.kind in TO_PHONES:
        receiver = _phone(text)
    elif SHORTCODE.fullmatch(text):
        receiver = text
    else:
        raise _Wrong(_("Enter a PayBill or till number: 5 digits or more."))
    if rules.allowed_receivers is not None and receiver not in rules.allowed_receivers:
        raise _Wrong(_("Your policy pays only receivers on your list, and this one is not on it."))
    return receiver


def _phone(text: str) -> str:
    try:
        return normalise(text)
    except InvalidPhoneNumber:
        raise _Wrong(wrong_number()) from None


def _amount(text: str, *, rules: Rules) -> int:
    if not text:
        raise _Wrong(_("Give an amount."))
    least = MIN_B2C_AMOUNT_KES if rules.kind in TO_PHONES else 1
    digits = text.removeprefix("-")
    if not _DIGITS.fullmatch(digits) or len(digits) > _LONGEST_NUMBER:
        raise _Wrong(_("Write whole shillings in digits only, like 1500: no commas, no decimals, no letters."))
    amount = int(text)
    if amount < least:
        raise _Wrong(_("M-PESA sends KES %(least)s or more.") % {"least": least})
    if rules.kind in TO_PHONES and amount > MAX_AMOUNT_KES:
        raise _Wrong(_("M-PESA sends at most KES %(most)s at a time.") % {"most": f"{MAX_AMOUNT_KES:,}"})
    if amount > rules.maximum:
        raise _Wrong(_("Your policy allows at most KES %(most)s per payout.") % {"most": f"{rules.maximum:,}"})
    return amount


def _name(text: str) -> str:
    if text and not any(character.isalpha() for character in text):
        raise _Wrong(_("This is not a name. If a comma stood inside an amount, take it out."))
    return _words(text, longest=_NAME_MAX)


def _words(text: str, *, longest: int, shortest: int = 1, missing: str = "") -> str:
    if not text:
        if missing:
            raise _Wrong(missing)
        return ""
    if not shortest <= len(text) <= longest:
        if shortest > 1:
            raise _Wrong(_("Use %(least)s to %(most)s characters.") % {"least": shortest, "most": longest})
        raise _Wrong(_("Use at most %(most)s characters.") % {"most": longest})
    return text
