import threading
import time
import uuid

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from channels.daraja.client import DarajaClient
from channels.daraja.errors import DarajaUnavailable, Reason
from channels.daraja.throttle import MemoryThrottle, RedisThrottle, back_off_s
from channels.daraja.tokens import MemoryTokenStore

NAME = "/sfcverify/v1/query/info"
FOUND = {"ResponseCode": "4000", "OrganizationName": "ACME ELECTRONICS"}
BUSY = {"requestId": "1", "errorCode": "500.003.02", "errorMessage": "Error Occurred: Spike Arrest Violation"}


@pytest.fixture
def identity():
    return uuid.uuid4().hex


@pytest.fixture
def no_redis(tmp_path):
    with Redis(unix_socket_path=str(tmp_path / "nobody-listens"), retry=Retry(NoBackoff(), 0)) as redis:
        yield redis


@pytest.fixture(params=["memory", "redis", "redis is down"])
def throttle(request):
    """One turn in ten seconds, three at once after a rest, and nobody waits longer than 25 seconds."""
    limits = {"per_second": 0.1, "burst": 3, "longest_wait_s": 25.0}
    if request.param == "memory":
        return MemoryThrottle(**limits)
    return RedisThrottle(request.getfixturevalue("valkey" if request.param == "redis" else "no_redis"), **limits)


def test_a_burst_goes_at_once_the_next_ones_one_after_the_other_and_too_many_are_turned_away(throttle, identity):
    waits = [throttle.reserve(identity) for _ in range(7)]

    assert waits[:3] == [0.0, 0.0, 0.0]
    assert waits[3] == pytest.approx(10, abs=0.5)
    assert waits[4] == pytest.approx(20, abs=0.5)
    assert waits[5:] == [None, None]


def test_another_credential_has_a_bucket_of_its_own(throttle, identity):
    for _ in range(7):
        throttle.reserve(identity)

    assert throttle.reserve(identity[::-1]) == 0.0


def test_a_bucket_fills_up_again_and_no_fuller_than_full():
    now = [1000.0]
    throttle = MemoryThrottle(per_second=2, burst=2, longest_wait_s=0, monotonic=lambda: now[0])

    assert [throttle.reserve("a"), throttle.reserve("a"), throttle.reserve("a")] == [0.0, 0.0, None]
    now[0] += 0.5
    assert [throttle.reserve("a"), throttle.reserve("a")] == [0.0, None]
    now[0] += 3600
    assert [throttle.reserve("a"), throttle.reserve("a"), throttle.reserve("a")] == [0.0, 0.0, None]


def test_a_bucket_of_redis_fills_up_again_and_leaves_nothing_behind(valkey, identity):
    throttle = RedisThrottle(valkey, per_second=2, burst=1, longest_wait_s=0)

    assert [throttle.reserve(identity), throttle.reserve(identity)] == [0.0, None]
    time.sleep(0.6)
    assert throttle.reserve(identity) == 0.0
    time.sleep(0.6)
    assert valkey.exists(f"daraja:throttle:{identity}") == 0


def test_processes_share_one_bucket_and_no_two_get_the_same_turn(valkey, identity):
    """Each thread has a throttle of its own, as each process has."""
    waits = []

    def work():
        throttle = RedisThrottle(valkey, per_second=0.1, burst=4, longest_wait_s=50)
        waits.append(throttle.reserve(identity))

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert waits.count(0.0) == 4
    assert waits.count(None) == 7
    assert sorted(round(wait, -1) for wait in waits if wait) == [10, 20, 30, 40, 50]


def test_nobody_waits_for_a_redis_that_does_not_answer(no_redis, identity):
    throttle = RedisThrottle(no_redis, per_second=0.1, burst=1, longest_wait_s=0)

    started = time.monotonic()
    assert [throttle.reserve(identity), throttle.reserve(identity)] == [0.0, None]
    assert time.monotonic() - started < 1


class Watched:
    """A throttle that gives the waits it is told to, and notes who asked."""

    def __init__(self, *waits):
        self.waits = list(waits)
        self.asked = []

    def reserve(self, identity):
        self.asked.append(identity)
        return self.waits.pop(0)


def client_with(throttle, daraja, session, credentials):
    return DarajaClient(
        daraja.base_url, credentials, session=session, tokens=MemoryTokenStore(), throttle=throttle, timeout_s=(2, 2)
    )


def test_a_call_waits_for_its_turn(daraja, session, credentials):
    throttle = Watched(0.0, 0.05)
    client = client_with(throttle, daraja, session, credentials)
    daraja.will_answer(NAME, FOUND)

    client.organisation_name(shortcode="600984")
    started = time.monotonic()
    client.organisation_name(shortcode="600984")

    assert time.monotonic() - started >= 0.05
    assert throttle.asked == [credentials.identity(daraja.base_url)] * 2


def test_a_call_whose_turn_is_too_far_off_is_not_sent(daraja, session, credentials):
    client = client_with(Watched(None), daraja, session, credentials)

    with pytest.raises(DarajaUnavailable) as held_back:
        client.organisation_name(shortcode="600984")

    assert held_back.value.reason is Reason.HELD_BACK
    assert daraja.calls(NAME) == []


def test_a_throttled_call_is_sent_again_each_time_in_its_turn(daraja, session, credentials, monkeypatch):
    monkeypatch.setattr("channels.daraja.gateway.back_off_s", lambda attempt: attempt / 100)
    throttle = Watched(0.0, 0.0, 0.0)
    client = client_with(throttle, daraja, session, credentials)
    daraja.will_answer(NAME, BUSY, status=500)
    daraja.will_answer(NAME, BUSY, status=429)
    daraja.will_answer(NAME, FOUND)

    assert client.organisation_name(shortcode="600984").name == "ACME ELECTRONICS"
    assert len(daraja.calls(NAME)) == len(throttle.asked) == 3


def test_other_faults_are_not_tried_again_here(client, daraja):
    daraja.will_answer(NAME, b"", status=500)

    with pytest.raises(DarajaUnavailable):
        client.organisation_name(shortcode="600984")

    assert len(daraja.calls(NAME)) == 1


@pytest.mark.parametrize(("attempt", "whole"), [(1, 0.5), (2, 1.0), (3, 2.0), (8, 60.0), (500, 60.0)])
def test_a_back_off_doubles_up_to_a_minute_and_half_of_it_is_chance(attempt, whole):
    waits = [back_off_s(attempt) for _ in range(200)]

    assert whole / 2 <= min(waits) < max(waits) <= whole
