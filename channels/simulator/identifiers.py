"""The identifiers that M-PESA and its gateway give out, in the shapes of section 2 of the Daraja reference."""

import secrets
import string
from datetime import datetime, timedelta, timezone

EAT = timezone(timedelta(hours=3), "EAT")  # Kenya's wall clock; it has no summer time
_CAPITALS = string.ascii_uppercase + string.digits
_SMALL = string.ascii_lowercase + string.digits
_DAYS = "0123456789ABCDEFGHIJKLMNOPQRSTUV"  # 1 to 9, then A for the 10th to V for the 31st


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


def east_african(at: float) -> datetime:
    """A moment (seconds since 1970) on Kenya's clock."""
    return datetime.fromtimestamp(at, EAT)


def midnight(at: float) -> float:
    """When the day of a moment began on Kenya's clock."""
    return east_african(at).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def compact(at: float) -> str:
    """``YYYYMMDDHHmmss`` on Kenya's clock."""
    return east_african(at).strftime("%Y%m%d%H%M%S")


def receipt_prefix(at: float) -> str:
    """The three characters with which every receipt of a day begins: year (U is 2026), month, day."""
    day = east_african(at)
    year = string.ascii_uppercase[(ord("L") - ord("A") + day.year - 2017) % 26]
    return year + string.ascii_uppercase[day.month - 1] + _DAYS[day.day]


def receipt(at: float) -> str:
    """An M-PESA receipt: 10 upper-case letters and digits."""
    return receipt_prefix(at) + secrets.choice(string.ascii_uppercase) + _random(_CAPITALS, 6)


def no_receipt(at: float) -> str:
    """What results carry where there is no receipt, for example ``UHP0000000``."""
    return receipt_prefix(at) + "0000000"


def conversation_id(at: float) -> str:
    """``AG_YYYYMMDD_`` and 20 characters that begin with 0100."""
    return f"AG_{east_african(at):%Y%m%d}_0100{_random(_SMALL, 16)}"


def request_id() -> str:
    """A requestId, MerchantRequestID or OriginatorConversationID: four hex groups, digits appended to the last."""
    groups = [secrets.token_hex(2) for _ in range(3)]
    return "-".join([*groups, secrets.token_hex(6) + str(secrets.randbelow(9_000_000) + 1_000)])


def checkout_request_id(at: float, msisdn: str) -> str:
    """``ws_CO_``, ``ddMMyyyyHHmmss``, unpadded milliseconds, the last nine digits of the number."""
    moment = east_african(at)
    return f"ws_CO_{moment:%d%m%Y%H%M%S}{moment.microsecond // 1000}{msisdn[-9:]}"


def access_token() -> str:
    """28 characters, as in every sample."""
    return _random(string.ascii_letters + string.digits, 28)


def consumer_key() -> str:
    """48 characters."""
    return _random(string.ascii_letters + string.digits, 48)


def consumer_secret() -> str:
    """64 characters."""
    return _random(string.ascii_letters + string.digits, 64)


def passkey() -> str:
    """64 hex characters."""
    return secrets.token_hex(32)


def initiator_password() -> str:
    """Letters and digits, ending in one of the few special characters that M-PESA allows."""
    return _random(string.ascii_letters + string.digits, 15) + "#"
