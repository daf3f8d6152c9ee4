from datetime import timedelta

import pytest
from django.utils import timezone

from tenants import limits
from tenants.limits import TooManyAttempts, count_attempt, give_back
from tenants.models import AttemptCount


@pytest.fixture(autouse=True)
def _ten_an_hour(monkeypatch):
    monkeypatch.setattr(limits, "_limit", lambda door: 10)


def knock(times, *, door="sign_in", who="10.0.0.1"):
    for _ in range(times):
        count_attempt(door, who=who)


def test_the_eleventh_knock_of_ten_allowed_is_refused_until_the_hour_is_over(db):
    knock(10)

    with pytest.raises(TooManyAttempts) as refusal:
        knock(1)

    now = timezone.now()
    left = 3600 - (now.minute * 60 + now.second)
    assert abs(refusal.value.wait - left) <= 2


def test_each_door_and_each_address_is_counted_apart(db):
    knock(10)

    knock(10, door="sign_up")
    knock(10, who="10.0.0.2")


def test_a_new_hour_begins_at_nothing(db):
    knock(10)
    AttemptCount.objects.update(hour=timezone.now() - timedelta(hours=2))

    knock(10)


def test_a_knock_that_is_given_back_does_not_count(db):
    knock(10)
    give_back("sign_in", who="10.0.0.1")

    knock(1)
    with pytest.raises(TooManyAttempts):
        knock(1)


def test_one_ipv6_network_is_one_caller(db):
    for number in range(10):
        count_attempt("sign_in", who=f"2001:db8:0:1::{number:x}")

    with pytest.raises(TooManyAttempts):
        count_attempt("sign_in", who="2001:db8:0:1:ffff::1")
    count_attempt("sign_in", who="2001:db8:0:2::1")


def test_of_many_knocks_at_once_exactly_the_allowed_ones_pass(committed, in_threads):
    results = in_threads(*[lambda: knock(3)] * 8)

    assert AttemptCount.objects.get().count > 10
    refused = sum(isinstance(result, TooManyAttempts) for result in results)
    assert refused >= 4
    assert AttemptCount.objects.get().count - refused == 10


def test_the_installations_limits_are_read_from_the_settings(monkeypatch):
    monkeypatch.undo()

    assert [limits._limit(door) for door in ("sign_up", "sign_in", "invitation")] == [20, 60, 60]
