"""How this process reaches Daraja for a channel: address, keys, shared tokens, one HTTP session, certificates."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TypeVar

import requests
from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from requests.adapters import HTTPAdapter

from channels.daraja.caller import Caller
from channels.daraja.client import DarajaClient
from channels.daraja.credentials import Credentials, read_certificate, security_credential
from channels.daraja.errors import DarajaError, DarajaRejected
from channels.daraja.products import Products
from channels.daraja.throttle import RedisThrottle
from channels.daraja.tokens import RedisTokenStore
from channels.explaining import explain_error
from channels.fields import UndecipherableSecret
from channels.models import Environment, MpesaChannel
from channels.practice import fetch_certificate
from tenants.errors import Conflict, DomainError
from tenants.sentences import joined, say

SomeCaller = TypeVar("SomeCaller", bound=Caller)

_CONNECTIONS = 64
_CERTIFICATE_LIFE_S = 300.0  # of the simulator's: a new set of practice data comes with a new key
_practice_certificate: tuple[float, bytes] = (0.0, b"")


def daraja_client(channel: MpesaChannel) -> DarajaClient:
    """A client with the channel's keys. Its calls go over the network: never inside a transaction."""
    return _caller(DarajaClient, channel)


def daraja_products(channel: MpesaChannel) -> Products:
    """Finds out what the channel's keys open. Over the network, too."""
    return _caller(Products, channel)


def _caller(kind: type[SomeCaller], channel: MpesaChannel) -> SomeCaller:
    return kind(
        settings.DARAJA_URLS[channel.environment],
        Credentials(consumer_key=channel.consumer_key, consumer_secret=channel.consumer_secret),
        session=_session(),
        tokens=_tokens(),
        throttle=_throttle(channel.environment),
        paths=settings.DARAJA_PATHS if channel.environment == Environment.PRODUCTION else {},
        timeout_s=settings.DARAJA_TIMEOUT_S,
    )


class MpesaRefused(Conflict):
    code = "mpesa_refused"


class MpesaUnavailable(DomainError):
    """It may have gone through; whoever uses this makes calls that may be made again."""

    code = "mpesa_unavailable"
    status = 503


@contextmanager
def in_plain_words() -> Iterator[None]:
    """For a call whose answer somebody waits for: what does not work is raised as a sentence for them.

    :raises MpesaRefused: if Safaricom says no, or a saved credential can't be read.
    :raises MpesaUnavailable: if it did not answer as it should.
    """
    try:
        yield
    except DarajaRejected as refusal:
        explanation = explain_error(refusal)
        raise MpesaRefused(joined(explanation.meaning, explanation.do_now)) from refusal
    except DarajaError as error:
        raise MpesaUnavailable(joined(explain_error(error).meaning, say("Try again in a minute."))) from error
    except UndecipherableSecret as problem:
        raise MpesaRefused(say("A saved credential can't be read any more. Enter the credentials again.")) from problem


def is_connected_to(environment: str) -> bool:
    """Does this installation know where that environment is? Production has to be named, so that nothing reaches it
    by accident."""
    return str(settings.DARAJA_URLS[environment]).startswith(("http://", "https://"))


def initiator_security_credential(channel: MpesaChannel) -> str:
    """The channel's initiator password as Daraja wants it.

    :raises PracticeUnavailable: if the simulator's certificate is needed and can't be fetched.
    :raises UnusablePassword: if the password does not fit the key.
    """
    return security_credential(channel.initiator_credential, certificate_for(channel.environment))


def certificate_for(environment: str) -> bytes:
    """With whose key initiator passwords are encrypted, in PEM.

    :raises PracticeUnavailable: if the simulator's is needed and can't be fetched.
    :raises OSError: if a file that the installation names can't be read.
    """
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
    session = requests.Session()
    for scheme in ("https://", "http://"):  # a worker's threads each keep a connection
        session.mount(scheme, HTTPAdapter(pool_maxsize=_CONNECTIONS))
    return session


@cache
def _tokens() -> RedisTokenStore:
    return RedisTokenStore(_redis(), encryption_key=settings.ENCRYPTION_KEYS[0].encode())


@cache
def _throttle(environment: str) -> RedisThrottle:
    per_second = settings.DARAJA_CALLS_PER_SECOND[environment]
    return RedisThrottle(_redis(), per_second=per_second, burst=2 * per_second)


@cache
def _redis() -> Redis:
    return Redis.from_url(settings.REDIS_URL, socket_connect_timeout=0.5, socket_timeout=1, retry=Retry(NoBackoff(), 0))
