"""What Daraja publishes about the fields of its calls (sections 2 and 26), looked at before anything is sent.

Each function raises DarajaRejected with the wire name of the field, as Daraja's own refusal would.
"""

from channels.daraja.callback_urls import url_problems
from channels.daraja.errors import DarajaRejected, Reason
from channels.msisdn import is_plain

MIN_AMOUNT_KES = 1
MIN_B2C_AMOUNT_KES = 10
MAX_AMOUNT_KES = 250_000  # per payment to or from a customer
ACCOUNT_REFERENCE_MAX = 12
B2B_REFERENCE_MAX = 13
DESCRIPTION_MAX = 13
REMARKS_MIN = 2
REMARKS_MAX = 100
CONVERSATION_ID_MAX = 36  # unpublished; this is safe


def require(ok: bool, field: str, sentence: str) -> None:
    if not ok:
        raise DarajaRejected(sentence, reason=Reason.INVALID_FIELD, field=field)


def require_amount(
    amount_kes: int, *, field: str = "Amount", least: int = MIN_AMOUNT_KES, most: int | None = MAX_AMOUNT_KES
) -> None:
    """Whole shillings. `most` None: no maximum is published."""
    if most is None:
        require(amount_kes >= least, field, f"The amount is whole shillings, {least} or more.")
    else:
        require(least <= amount_kes <= most, field, f"The amount is whole shillings from {least} to {most:,}.")


def require_msisdn(field: str, msisdn: str) -> None:
    require(is_plain(msisdn), field, "The phone number is 12 digits that begin with 2547 or 2541.")


def require_text(field: str, value: str, longest: int, *, shortest: int = 1) -> None:
    require(
        shortest <= len(value.strip()) and len(value) <= longest and value.isprintable(),
        field,
        f"{field} has {shortest} to {longest} printable characters.",
    )


def require_optional_text(field: str, value: str, longest: int) -> None:
    if value:
        require_text(field, value, longest)


def require_digits(field: str, value: str) -> None:
    """A PayBill has 5 to 7 digits; of tills and store numbers only that they are digits is published."""
    require(
        value.isascii() and value.isdigit() and 5 <= len(value) <= 10,
        field,
        f"{field} is a number of 5 digits or more.",
    )


def require_url(field: str, url: str, *, production: bool) -> None:
    if problems := url_problems(url, production=production):
        raise DarajaRejected(" ".join(problems), reason=Reason.FORBIDDEN_URL, field=field)
