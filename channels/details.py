"""What people enter on a channel: read the way they write it, checked as a whole, refused with a sentence per field."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypedDict

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from channels.fields import UndecipherableSecret
from channels.mapping import check_rules, known_programs
from channels.models import Environment, MpesaChannel
from channels.msisdn import InvalidPhoneNumber, normalise
from tenants.errors import Invalid

SANDBOX_SHORTCODE = "174379"  # Safaricom's public number for trying out prompts (daraja.md section 27)
HIGHEST_AMOUNT_KES = 250_000  # that M-PESA moves in one payment (daraja.md section 26)
_KEYS = frozenset({"consumer_key", "consumer_secret", "passkey"})  # of which doors show the last four characters
_NOTES_MAX = 2000
_ACCOUNTS_MAX, _ACCOUNT_NAME_MAX, _FLOAT_MAX_KES = 20, 80, 10**12
_LINES = dict.fromkeys(map(ord, "\r\n\t"))
_KEY_LENGTHS = range(8, 257)  # Daraja's keys and passkeys have 16 to 64
_PASSWORD_LENGTHS = range(4, 129)

# What verification proves: changing any of it ends the proof.
PROVED = frozenset({"shortcode", "store_number", "kind", "initiator_name", *MpesaChannel.SECRETS})
# What Safaricom is told when URLs are registered: changing any of it asks for registering again.
REGISTERED = frozenset({"shortcode", "store_number", "response_type", "register_version"})
# What can't change once it was verified: another number is another channel.
FIXED = frozenset({"shortcode", "store_number", "kind"})

_NUMBERS = gettext_lazy(
    "The till number is the one on the sticker, which customers type. The store number (or head office number) is the "
    "one that Safaricom's go-live e-mail names; leave it empty if you have none."
)


class ChannelDetails(TypedDict, total=False):
    """Everything about a channel that a person decides. Amounts are KES; a secret of "" takes it away."""

    name: str
    kind: str
    shortcode: str
    store_number: str
    consumer_key: str
    consumer_secret: str
    passkey: str
    initiator_name: str
    initiator_credential: str
    account_mapping: Mapping[str, str]
    response_type: str
    register_version: int
    minimum_amount: int | None
    maximum_amount: int | None
    accepts_unmapped: bool
    nominated_number: str
    low_float: Mapping[str, int]
    notes: str


class _Wrong(Exception):
    """The sentence for one field."""


def enter(channel: MpesaChannel, details: ChannelDetails, *, now: datetime) -> dict[str, tuple[Any, Any]]:
    """Put the details on the channel, unsaved, and return what changed: `{"name": (before, after)}`.

    :raises Invalid: with a sentence for every field that can't be used; the channel is then in no state to be saved.
    """
    errors: dict[str, list[str]] = {}
    changes = {}
    for name, value in details.items():
        try:
            after = _READERS[name](value)
        except _Wrong as wrong:
            errors[name] = list(wrong.args)
            continue
        before = _present(channel, name)
        if after != before:
            setattr(channel, name, after)
            changes[name] = (before, after)
    _note_secrets(channel, changes, now=now)
    for name, sentence in _contradictions(channel).items():
        errors.setdefault(name, [sentence])
    if errors:
        raise Invalid(_("Some of what was sent can't be used."), errors=errors)
    return changes


def _present(channel: MpesaChannel, name: str) -> Any:
    try:
        return getattr(channel, name)
    except UndecipherableSecret:
        return None  # so that whatever is entered replaces it


def _note_secrets(channel: MpesaChannel, changes: Mapping[str, tuple[Any, Any]], *, now: datetime) -> None:
    """Keep beside the secrets what doors may show of them, so that showing needs no key."""
    for name in changes.keys() & set(MpesaChannel.SECRETS):
        secret = changes[name][1]
        if secret:
            ends_in = secret[-4:] if name in _KEYS else None
            channel.secret_notes[name] = {
                "ends_in": ends_in,
                "saved_at": now.isoformat(),
                "proved_at": None,
                "refused_at": None,
            }
        else:
            channel.secret_notes.pop(name, None)
    if "initiator_name" in changes and "initiator_credential" in channel.secret_notes:
        channel.secret_notes["initiator_credential"] |= {"proved_at": None, "refused_at": None}


def _contradictions(channel: MpesaChannel) -> dict[str, str]:
    """What each field may say alone, but not together."""
    wrong = {}
    is_paybill = channel.kind == MpesaChannel.Kind.PAYBILL
    if not channel.shortcode and (channel.secret_notes or channel.environment != Environment.PRACTICE):
        wrong["shortcode"] = _("Enter the number that your customers pay to, like 247247.")
    if channel.environment == Environment.PRODUCTION and channel.shortcode == SANDBOX_SHORTCODE:
        wrong["shortcode"] = _("%(number)s is the sandbox's number. Choose the environment sandbox for it.") % {
            "number": SANDBOX_SHORTCODE
        }
    if channel.store_number and is_paybill:
        wrong["store_number"] = " ".join([_("A PayBill has no store number."), str(_NUMBERS)])
    elif channel.store_number and channel.store_number == channel.shortcode:
        wrong["store_number"] = " ".join([_("This is the till number itself."), str(_NUMBERS)])
    if not channel.accepts_unmapped and not is_paybill:
        wrong["accepts_unmapped"] = _("A till's customer types no account number, so all of them would be refused.")
    minimum, maximum = channel.minimum_amount, channel.maximum_amount
    if minimum is not None and maximum is not None and minimum > maximum:
        wrong["maximum_amount"] = _("The largest amount is less than the smallest one.")
    for name in ("consumer_key", "consumer_secret"):
        if channel.first_verified_at and name not in channel.secret_notes:
            wrong[name] = _("A channel that was verified keeps its keys. Leave this out, or enter a new one.")
    return wrong


def _text(longest: int, *, is_required: bool = False, lines: bool = False) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        text = value.strip() if isinstance(value, str) else ""
        if (is_required and not text) or not isinstance(value, str):
            raise _Wrong(_("Enter a text."))
        if len(text) > longest:
            raise _Wrong(
                _("Use at most %(longest)s characters; this has %(length)s.")
                % {"longest": longest, "length": len(text)}
            )
        if not (text.translate(_LINES) if lines else text).isprintable():
            raise _Wrong(_("This contains characters that can't be shown."))
        return text

    return read


def _number(value: Any) -> str:
    digits = "".join(value.split()).replace("-", "") if isinstance(value, str) else ""
    if digits and not (digits.isascii() and digits.isdigit() and 5 <= len(digits) <= 7):
        raise _Wrong(_("Enter 5 to 7 digits, like 247247."))
    return digits


def _store_number(value: Any) -> str:
    try:
        return _number(value)
    except _Wrong:
        raise _Wrong(" ".join([_("Enter 5 to 7 digits."), str(_NUMBERS)])) from None


def _secret(lengths: range, *, is_key: bool) -> Callable[[Any], str]:
    """A secret as it was copied. Keys contain no space, so those that came along are dropped."""

    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise _Wrong(_("Enter a text."))
        text = "".join(value.split()) if is_key else value.strip()
        if text and len(text) not in lengths:
            raise _Wrong(
                _("This has %(length)s characters; it should have %(least)s to %(most)s.")
                % {"length": len(text), "least": lengths.start, "most": lengths.stop - 1}
            )
        if not text.isascii() or not text.isprintable():
            raise _Wrong(_("This contains characters that none of Safaricom's has. Copy it again, whole."))
        return text

    return read


def _mapping(value: Any) -> dict[str, str]:
    if problems := check_rules(value, known_programs()):
        raise _Wrong(*problems)
    return dict(value)


def _choice(choices: list[Any], sentence: str) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if value not in choices or isinstance(value, bool):
            raise _Wrong(sentence)
        return value

    return read


def _amount(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= HIGHEST_AMOUNT_KES:
        raise _Wrong(_("Enter whole shillings from 1 to %(most)s, or nothing.") % {"most": f"{HIGHEST_AMOUNT_KES:,}"})
    return value


def _phone_number(value: Any) -> str:
    if not isinstance(value, str):
        raise _Wrong(_("Enter a text."))
    try:
        return normalise(value) if value.strip() else ""
    except InvalidPhoneNumber:
        raise _Wrong(_("Enter a Kenyan mobile number, like 0712 345 678.")) from None


def _low_float(value: Any) -> dict[str, int]:
    """KES by the account's name, as M-PESA's balances name it: `{"Utility Account": 5000}`."""
    if not isinstance(value, dict) or len(value) > _ACCOUNTS_MAX:
        raise _Wrong(_("Write the accounts with their amounts, at most %(most)s.") % {"most": _ACCOUNTS_MAX})
    for name, amount in value.items():
        if not (name and len(name) <= _ACCOUNT_NAME_MAX and name.isprintable() and name == name.strip()):
            raise _Wrong(
                _("“%(name)s” is not the name of an account, like Utility Account.")
                % {"name": name[:_ACCOUNT_NAME_MAX]}
            )
        if isinstance(amount, bool) or not isinstance(amount, int) or not 1 <= amount <= _FLOAT_MAX_KES:
            raise _Wrong(
                _("Enter whole shillings from 1 to %(most)s for %(name)s.")
                % {"most": f"{_FLOAT_MAX_KES:,}", "name": name}
            )
    return dict(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Wrong("Answer true or false.")
    return value


_key = _secret(_KEY_LENGTHS, is_key=True)
_READERS: dict[str, Callable[[Any], Any]] = {
    "name": _text(80, is_required=True),
    "kind": _choice(MpesaChannel.Kind.values, "Choose paybill, till or buygoods."),
    "shortcode": _number,
    "store_number": _store_number,
    "consumer_key": _key,
    "consumer_secret": _key,
    "passkey": _key,
    "initiator_name": _text(64),
    "initiator_credential": _secret(_PASSWORD_LENGTHS, is_key=False),
    "account_mapping": _mapping,
    "response_type": _choice(MpesaChannel.ResponseType.values, "Write Completed or Cancelled, exactly so."),
    "register_version": _choice([1, 2], "Choose version 1 or 2."),
    "minimum_amount": _amount,
    "maximum_amount": _amount,
    "accepts_unmapped": _flag,
    "nominated_number": _phone_number,
    "low_float": _low_float,
    "notes": _text(_NOTES_MAX, lines=True),
}
