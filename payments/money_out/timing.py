"""How long we wait, for what. In practice seconds, because nobody learns by waiting; with real money longer."""

from datetime import datetime, timedelta

from django.conf import settings

from channels.models import Environment

_SECOND, _MINUTE, _HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)

_PRACTICE_ASKS = [_SECOND * seconds for seconds in (5, 5, 10, 15, 30, 60, 60, 120, 300, 600)]
_REAL_ASKS = [
    *(_MINUTE * minutes for minutes in (1, 5, 15, 60)),
    *(_HOUR * hours for hours in (3, 6, 12, 24)),
]
_QUICKEST_RETRY, _SLOWEST_RETRY = _SECOND * 5, _MINUTE * 15


def lost_after() -> timedelta:
    """How long handing over one row can take: a token and a call, each a second time, and waiting for another's token.

    Whoever is still `sending` then is not any more. Should a call outlive this, nothing is lost: its row is unknown,
    and what is unknown is never sent.
    """
    connect_s, read_s = settings.DARAJA_TIMEOUT_S
    return timedelta(seconds=4 * (connect_s + read_s) + 40)


def ask_after(environment: str, checks: int) -> timedelta | None:
    """How long to wait for news before asking M-PESA, after so many asks; None when they are used up."""
    waits = _PRACTICE_ASKS if environment == Environment.PRACTICE else _REAL_ASKS
    return waits[checks] if checks < len(waits) else None


def not_found_is_final_after(environment: str) -> timedelta:
    """How long after the call “I know of none” may still mean “not yet”."""
    return _SECOND * 30 if environment == Environment.PRACTICE else _HOUR * 2


def retry_at(*, released_at: datetime, now: datetime) -> datetime:
    """When to send again what did not get through: ever more rarely, the older the promise is."""
    return now + min(max((now - released_at) / 2, _QUICKEST_RETRY), _SLOWEST_RETRY)
