"""How this process reaches Daraja for a channel: address, keys, shared tokens, one HTTP session, certificates."""

import time
from functools import cache
from pathlib import Path

import requests
from django.conf import settings
from redis import Redis

from channels.daraja.client import DarajaClient
from channels.daraja.credentials import Credentials, read_certificate, security_credential
from channels.daraja.tokens import RedisTokenStore
from channels.models import Environment, MpesaChannel
from channels.practice import fetch_certificate

_CERTIFICATE_LIFE_S = 300.0  # of the simulator's: a new set of practice data comes with a new key
_practice_certificate: tuple[float, bytes] = (0.0, b"")


def daraja_client(channel: MpesaChannel) -> DarajaClient:
    """A client with the channel's keys. Its calls go over the network: never inside a transaction."""
    return DarajaClient(
        settings.DARAJA_URLS[channel.environment],
        Credentials(consumer_key=channel.consumer_key, consumer_secret=channel.consumer_secret),
        session=_session(),
        tokens=_tokens(),
        timeout_s=settings.DARAJA_TIMEOUT_S,
    )


def is_connected_to(environment: str) -> bool:
    """Does this installation know where that environment is? Production has to be named, so that nothing reaches it
    by accident."""
    return str(settings.DARAJA_URLS[environment]).startswith(("http://", "https://"))


def initiator_security_credential(channel: MpesaChannel) -> str:
    """The channel's initiator password as Daraja wants it.

    :raises PracticeUnavailable: if the simulator's certificate is needed and can't be fetched.
    :raises UnusablePassword: if the password does not fit the key.
    """
    return security_credential(channel.initiator_credential, _certificate(channel.environment))


def _certificate(environment: str) -> bytes:
    global _practice_certificate
    if environment == Environment.SANDBOX:
        return read_certificate("sandbox", _path(settings.DARAJA_SANDBOX_CERTIFICATE))
    if environment == Environment.PRODUCTION:
        return read_certificate("production", _path(settings.DARAJA_PRODUCTION_CERTIFICATE))
    fetched_at, certificate = _practice_certificate
    if not certificate or time.monotonic() - fetched_at > _CERTIFICATE_LIFE_S:
        certificate = fetch_certificate()
        _practice_certificate = (time.monotonic(), certificate)
    return certificate


def _path(text: str) -> Path | None:
    return Path(text) if text else None


@cache
def _session() -> requests.Session:
    return requests.Session()


@cache
def _tokens() -> RedisTokenStore:
    redis = Redis.from_url(settings.REDIS_URL, socket_connect_timeout=0.5, socket_timeout=1)
    return RedisTokenStore(redis, encryption_key=settings.ENCRYPTION_KEYS[0].encode())
