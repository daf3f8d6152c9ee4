import threading
import time
import uuid

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from channels.daraja.credentials import Credentials
from channels.daraja.errors import DarajaRejected, Reason
from channels.daraja.tokens import AccessToken, MemoryTokenStore, RedisTokenStore

KEY = b"an encryption key of the caller"


class Fetching:
    """Counts how often a token is fetched; each is another one."""

    def __init__(self, *, lifetime_s=3599, takes_s=0.0):
        self.count = 0
        self.lifetime_s = lifetime_s
        self.takes_s = takes_s

    def __call__(self):
        self.count += 1
        time.sleep(self.takes_s)
        return AccessToken(f"token-{self.count}", self.lifetime_s)


@pytest.fixture
def identity():
    return Credentials(uuid.uuid4().hex, "secret").identity("https://sandbox.safaricom.co.ke")


@pytest.fixture
def no_redis(tmp_path):
    with Redis(unix_socket_path=str(tmp_path / "nobody-listens"), retry=Retry(NoBackoff(), 0)) as redis:
        yield redis


@pytest.fixture(params=["memory", "redis", "redis is down"])
def store(request):
    if request.param == "memory":
        return MemoryTokenStore()
    redis = request.getfixturevalue("valkey" if request.param == "redis" else "no_redis")
    return RedisTokenStore(redis, encryption_key=KEY)


def in_threads(count, work):
    results = []
    threads = [threading.Thread(target=lambda: results.append(work())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_a_token_is_fetched_once_and_kept(store, identity):
    fetching = Fetching()

    assert store.token(identity, fetching) == "token-1"
    assert store.token(identity, fetching) == "token-1"
    assert fetching.count == 1


def test_sixteen_threads_fetch_one_token(store, identity):
    fetching = Fetching(takes_s=0.2)

    assert in_threads(16, lambda: store.token(identity, fetching)) == ["token-1"] * 16
    assert fetching.count == 1


def test_a_refused_token_is_fetched_anew_once_whoever_reports_it(store, identity):
    fetching = Fetching()
    refused = store.token(identity, fetching)

    store.invalidate(identity, refused)
    assert store.token(identity, fetching) == "token-2"
    store.invalidate(identity, refused)
    assert store.token(identity, fetching) == "token-2"
    assert fetching.count == 2


def test_a_newer_token_takes_the_place_of_the_kept_one(store, identity):
    fetching = Fetching()
    store.token(identity, fetching)

    store.keep(identity, AccessToken("newer", 3599))

    assert store.token(identity, fetching) == "newer"
    assert fetching.count == 1


def test_another_credential_has_another_token(store, identity):
    store.token(identity, Fetching())
    other = Fetching()

    store.token(identity[::-1], other)

    assert other.count == 1


def test_what_fetching_raises_passes_through_and_the_next_one_may_try(store, identity):
    def refuse():
        raise DarajaRejected(reason=Reason.WRONG_KEYS)

    with pytest.raises(DarajaRejected):
        store.token(identity, refuse)

    started = time.monotonic()
    assert store.token(identity, Fetching()) == "token-1"
    assert time.monotonic() - started < 5


def test_a_token_without_a_lifetime_is_used_but_not_kept(store, identity):
    fetching = Fetching(lifetime_s=0)

    assert store.token(identity, fetching) == "token-1"
    assert store.token(identity, fetching) == "token-2"


@pytest.mark.parametrize(("lives_s", "usable_s"), [(3599, 3539), (10**9, 3540), (90, 45), (1, 0), (0, 0)])
def test_a_token_is_used_for_a_minute_less_than_it_lives(lives_s, usable_s):
    assert AccessToken("token", lives_s).usable_s == usable_s


def test_a_token_of_memory_expires_by_the_clock():
    now = [0.0]
    store = MemoryTokenStore(monotonic=lambda: now[0])
    fetching = Fetching()

    store.token("identity", fetching)
    now[0] = 3538.9
    assert store.token("identity", fetching) == "token-1"
    now[0] = 3539.0
    assert store.token("identity", fetching) == "token-2"


def test_a_token_of_redis_expires_there(valkey, identity):
    RedisTokenStore(valkey, encryption_key=KEY).token(identity, Fetching())

    assert 3530 < valkey.ttl(f"daraja:token:{identity}") <= 3539


def test_processes_share_one_token_and_one_fetch(valkey, identity):
    """Each thread has a store of its own, as each process has."""
    fetching = Fetching(takes_s=0.2)

    tokens = in_threads(16, lambda: RedisTokenStore(valkey, encryption_key=KEY).token(identity, fetching))

    assert tokens == ["token-1"] * 16
    assert fetching.count == 1


def test_sixteen_refusals_at_once_fetch_one_new_token(valkey, identity):
    fetching = Fetching(takes_s=0.05)
    refused = RedisTokenStore(valkey, encryption_key=KEY).token(identity, fetching)

    def renew():
        store = RedisTokenStore(valkey, encryption_key=KEY)
        store.invalidate(identity, refused)
        return store.token(identity, fetching)

    assert in_threads(16, renew) == ["token-2"] * 16
    assert fetching.count == 2


def test_a_process_that_died_while_fetching_holds_up_the_others_only_until_its_lock_expires(valkey, identity):
    valkey.set(f"daraja:token:{identity}:lock", "the dead one", px=200)
    store = RedisTokenStore(valkey, encryption_key=KEY)

    started = time.monotonic()
    assert store.token(identity, Fetching()) == "token-1"
    assert 0.1 < time.monotonic() - started < 3


def test_a_lock_that_never_ends_does_not_stop_us(valkey, identity):
    valkey.set(f"daraja:token:{identity}:lock", "somebody", px=60_000)
    store = RedisTokenStore(valkey, encryption_key=KEY, lock_s=0.2)

    assert store.token(identity, Fetching()) == "token-1"
    assert valkey.get(f"daraja:token:{identity}:lock") == b"somebody"


def test_the_lock_is_given_back(valkey, identity):
    RedisTokenStore(valkey, encryption_key=KEY).token(identity, Fetching())

    assert valkey.get(f"daraja:token:{identity}:lock") is None


def test_no_secret_is_in_a_key_or_value_of_redis(valkey):
    credentials = Credentials("canary-key", "canary-secret")
    store = RedisTokenStore(valkey, encryption_key=b"canary-encryption")

    store.token(credentials.identity("https://a.example"), lambda: AccessToken("canary-token", 3599))

    kept = {key: valkey.get(key) for key in valkey.scan_iter("daraja:token:*")}
    assert f"daraja:token:{credentials.identity('https://a.example')}".encode() in kept
    for key, value in kept.items():
        assert b"canary" not in key + value


def test_a_token_kept_under_another_key_or_for_another_credential_counts_as_not_kept(valkey, identity):
    RedisTokenStore(valkey, encryption_key=b"old").token(identity, Fetching())
    sealed = valkey.get(f"daraja:token:{identity}")
    elsewhere = identity[::-1]
    valkey.set(f"daraja:token:{elsewhere}", sealed)
    other_key, other_identity = Fetching(), Fetching()

    RedisTokenStore(valkey, encryption_key=b"new").token(identity, other_key)
    RedisTokenStore(valkey, encryption_key=b"old").token(elsewhere, other_identity)

    assert other_key.count == 1
    assert other_identity.count == 1


def test_garbage_in_redis_counts_as_not_kept(valkey, identity):
    valkey.set(f"daraja:token:{identity}", "ÿ not base64")

    assert RedisTokenStore(valkey, encryption_key=KEY).token(identity, Fetching()) == "token-1"


def test_a_token_does_not_show_in_its_repr():
    assert repr(AccessToken("canary", 3599)) == "AccessToken(lifetime_s=3599)"
