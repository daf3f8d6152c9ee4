"""How fast a credential may call: a token bucket that all processes share, and how long to back off.

No limit is published (section 4), so the limits are the deployment's. A turn is reserved before it is used: whoever
asks is told how long to wait, and two who ask at once are told different times.
"""

import logging
import random
import time
from collections.abc import Callable
from threading import Lock
from typing import Protocol

from redis import Redis
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

FIRST_BACK_OFF_S = 0.5
LONGEST_BACK_OFF_S = 60.0
_jitter = random.SystemRandom()

# KEYS[1]: when the bucket would be full again, in microseconds. ARGV: microseconds per turn, turns that the bucket
# holds, longest wait in microseconds. Returns the wait in microseconds, or -1 when it would be too long.
_RESERVE = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local full_at = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now) + tonumber(ARGV[1])
local wait = math.max(full_at - tonumber(ARGV[1]) * tonumber(ARGV[2]) - now, 0)
if wait > tonumber(ARGV[3]) then return -1 end
redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000))
return math.floor(wait)
"""


class Throttle(Protocol):
    """Says when a credential may call. `identity` names it without giving anything of it away."""

    def reserve(self, identity: str) -> float | None:
        """Take the next turn and return the seconds until it comes; None, and no turn, if that is too long."""


class MemoryThrottle:
    """The bucket of this process alone: `per_second` turns, `burst` of them at once after a rest.

    `longest_wait_s`: whoever would wait longer is turned away.
    """

    def __init__(
        self,
        *,
        per_second: float,
        burst: int,
        longest_wait_s: float = 5.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._turn_s = 1 / per_second
        self._burst = burst
        self._longest_wait_s = longest_wait_s
        self._monotonic = monotonic
        self._full_at: dict[str, float] = {}
        self._lock = Lock()

    def reserve(self, identity: str) -> float | None:
        with self._lock:
            now = self._monotonic()
            full_at = max(self._full_at.get(identity, now), now) + self._turn_s
            wait_s = max(full_at - self._turn_s * self._burst - now, 0.0)
            if wait_s > self._longest_wait_s:
                return None
            self._full_at[identity] = full_at
            return wait_s


class RedisThrottle:
    """The bucket of all processes, in Redis or Valkey, by its clock.

    While Redis does not answer, each process has a bucket of its own with the same limits. So give it a client with
    short time-outs and without retries; the default of redis-py is to try for seconds, at every call.
    """

    def __init__(self, redis: Redis, *, per_second: float, burst: int, longest_wait_s: float = 5.0) -> None:
        self._reserve = redis.register_script(_RESERVE)
        self._turn_us = round(1_000_000 / per_second)
        self._burst = burst
        self._longest_wait_us = round(longest_wait_s * 1_000_000)
        self._own = MemoryThrottle(per_second=per_second, burst=burst, longest_wait_s=longest_wait_s)

    def reserve(self, identity: str) -> float | None:
        limits = [self._turn_us, self._burst, self._longest_wait_us]
        try:
            wait_us = int(self._reserve(keys=[f"daraja:throttle:{identity}"], args=limits))
        except RedisError as exc:
            logger.warning("Redis does not answer; this process keeps Daraja's limits by itself: %s", exc)
            return self._own.reserve(identity)
        return None if wait_us < 0 else wait_us / 1_000_000


def back_off_s(attempt: int, *, first_s: float = FIRST_BACK_OFF_S, longest_s: float = LONGEST_BACK_OFF_S) -> float:
    """Seconds to wait after the `attempt`-th failure (1, 2, …): twice as long each time, the half of it by chance."""
    whole = min(first_s * 2.0 ** (attempt - 1), longest_s)
    return whole * _jitter.uniform(0.5, 1.0)
