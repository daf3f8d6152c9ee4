"""Access tokens, one per credential for all processes.

Safaricom says that each new token ends the one before it (section 3). So the processes share one token, one of them
fetches while the others wait, and a token is thrown away only by who saw it refused and only while it is still the
kept one.
"""

import base64
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from redis import Redis
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

MARGIN_S = 60
LONGEST_LIFE_S = 3600
_NONCE_BYTES = 12
_DELETE_IF_UNCHANGED = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token as Daraja gave it. Its repr does not show it."""

    value: str = field(repr=False)
    lifetime_s: int

    @property
    def usable_s(self) -> int:
        """How long to use it: a minute less than it lives, or half of a short life."""
        life_s = min(self.lifetime_s, LONGEST_LIFE_S)
        return max(life_s - MARGIN_S, life_s // 2)


Fetch = Callable[[], AccessToken]


class TokenStore(Protocol):
    """Keeps tokens. `identity` names a credential without giving anything of it away."""

    def token(self, identity: str, fetch: Fetch) -> str:
        """Return the kept token, or fetch and keep one. What `fetch` raises passes through."""

    def keep(self, identity: str, token: AccessToken) -> None:
        """Replace the kept token by a newer one."""

    def invalidate(self, identity: str, token: str) -> None:
        """Forget the kept token, if it is still this one."""


class MemoryTokenStore:
    """Tokens of this process alone."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._kept: dict[str, tuple[str, float]] = {}
        self._fetching: dict[str, Lock] = {}

    def token(self, identity: str, fetch: Fetch) -> str:
        with self._fetching.setdefault(identity, Lock()):
            value, expires_at = self._kept.get(identity, ("", 0.0))
            if value and self._monotonic() < expires_at:
                return value
            token = fetch()
            self.keep(identity, token)
            return token.value

    def keep(self, identity: str, token: AccessToken) -> None:
        self._kept[identity] = (token.value, self._monotonic() + token.usable_s)

    def invalidate(self, identity: str, token: str) -> None:
        with self._fetching.setdefault(identity, Lock()):
            if identity in self._kept and self._kept[identity][0] == token:
                del self._kept[identity]


class RedisTokenStore:
    """Tokens shared through Redis or Valkey, encrypted there.

    While Redis does not answer, each process keeps a token of its own: still correct, only more tokens. So give it a
    client with short time-outs and without retries; the default of redis-py is to try for seconds, at every call.

    `encryption_key`: any secret bytes; what was kept under another key counts as not kept.
    `lock_s`: how long a process that dies while fetching holds up the others, and how long they wait at most.
    """

    def __init__(self, redis: Redis, *, encryption_key: bytes, lock_s: float = 20.0, poll_s: float = 0.05) -> None:
        self._redis = redis
        derived = HKDF(SHA256(), length=32, salt=None, info=b"daraja access tokens").derive(encryption_key)
        self._cipher = AESGCM(derived)
        self._lock_s = lock_s
        self._poll_s = poll_s
        self._own = MemoryTokenStore()

    def token(self, identity: str, fetch: Fetch) -> str:
        holder = secrets.token_hex(16)
        try:
            kept = self._read(identity) or self._wait_or_lock(identity, holder)
        except RedisError as exc:
            logger.warning("Redis does not answer; this process uses a Daraja token of its own: %s", exc)
            return self._own.token(identity, fetch)
        if kept:
            return kept
        try:
            token = fetch()
            self.keep(identity, token)
        finally:
            self._unlock(identity, holder)
        return token.value

    def keep(self, identity: str, token: AccessToken) -> None:
        if token.usable_s < 1:
            return
        try:
            self._redis.set(_key(identity), self._seal(identity, token.value), ex=token.usable_s)
        except RedisError:
            self._own.keep(identity, token)

    def invalidate(self, identity: str, token: str) -> None:
        self._own.invalidate(identity, token)
        try:
            sealed = self._redis.get(_key(identity))
            if sealed and self._open(identity, sealed) == token:
                self._redis.eval(_DELETE_IF_UNCHANGED, 1, _key(identity), sealed)
        except RedisError as exc:
            logger.warning("Redis does not answer; a refused Daraja token stays there: %s", exc)

    def _wait_or_lock(self, identity: str, holder: str) -> str:
        """Wait for another's token; '' means that the caller is to fetch one, under its lock or after a long wait."""
        give_up_at = time.monotonic() + self._lock_s
        while True:
            locked = self._redis.set(_lock(identity), holder, nx=True, px=int(self._lock_s * 1000))
            if kept := self._read(identity):
                if locked:
                    self._unlock(identity, holder)
                return kept
            if locked or time.monotonic() >= give_up_at:
                return ""
            time.sleep(self._poll_s)

    def _unlock(self, identity: str, holder: str) -> None:
        try:
            self._redis.eval(_DELETE_IF_UNCHANGED, 1, _lock(identity), holder)
        except RedisError as exc:
            logger.warning("Redis does not answer; the lock on a Daraja token will expire by itself: %s", exc)

    def _read(self, identity: str) -> str:
        sealed = self._redis.get(_key(identity))
        return self._open(identity, sealed) if sealed else ""

    def _seal(self, identity: str, value: str) -> str:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, value.encode(), identity.encode())).decode()

    def _open(self, identity: str, sealed: bytes | str) -> str:
        """The token inside, or '' if it was sealed for another identity or under another key."""
        try:
            raw = base64.b64decode(sealed, validate=True)
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], identity.encode()).decode()
        except (InvalidTag, ValueError):
            return ""


def _key(identity: str) -> str:
    return f"daraja:token:{identity}"


def _lock(identity: str) -> str:
    return f"daraja:token:{identity}:lock"
