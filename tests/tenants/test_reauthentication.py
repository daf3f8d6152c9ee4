from datetime import timedelta

import pytest
from django.utils import timezone
from django_otp.oath import totp
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from audit.models import AuditRow
from audit.services import Actor
from tenants import limits
from tenants.limits import TooManyAttempts
from tenants.models import AttemptCount, Role
from tenants.reauthentication import NotProved, Proof, ProofNeeded, prove_again, require_proof

PASSWORD = "a long pass phrase"


@pytest.fixture
def user(acme, member_of):
    return member_of(acme, Role.MANAGER).user


def prove(user, **given):
    return prove_again(user, **given, now=timezone.now())


def test_the_password_proves_who_one_is_and_is_not_counted(user):
    now = timezone.now()

    assert prove_again(user, password=PASSWORD, now=now) == Proof(user.pk, now)
    assert AttemptCount.objects.get().count == 0


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "password"),
        ({"password": "", "second_factor": ""}, "password"),
        ({"password": "another phrase"}, "password"),
        ({"second_factor": "123456"}, "second_factor"),
        ({"password": PASSWORD, "second_factor": "123456"}, "second_factor"),
    ],
)
def test_anything_else_is_refused_by_the_field_that_is_wrong(user, given, field):
    with pytest.raises(NotProved) as refusal:
        prove(user, **given)

    assert list(refusal.value.errors) == [field]


def test_a_code_of_the_authenticator_proves_it_once(user):
    device = TOTPDevice.objects.create(user=user, name="Authenticator", key="ab" * 20)
    code = f"{totp(device.bin_key):06d}"

    assert prove(user, second_factor=code).user_id == user.pk
    with pytest.raises(NotProved):
        prove(user, second_factor=code)


def test_a_recovery_code_proves_it_once(user):
    StaticDevice.objects.create(user=user, name="Recovery codes").token_set.create(token="abcd2345")

    assert prove(user, second_factor="abcd2345").user_id == user.pk
    with pytest.raises(NotProved):
        prove(user, second_factor="abcd2345")


def test_an_authenticator_that_was_not_confirmed_proves_nothing(user):
    device = TOTPDevice.objects.create(user=user, name="Authenticator", key="ab" * 20, confirmed=False)

    with pytest.raises(NotProved):
        prove(user, second_factor=f"{totp(device.bin_key):06d}")


def test_after_too_many_wrong_ones_the_right_one_is_refused_too(user, acme, member_of, monkeypatch):
    monkeypatch.setattr(limits, "PROOFS_PER_HOUR", 3)
    for _ in range(3):
        with pytest.raises(NotProved):
            prove(user, password="wrong")

    with pytest.raises(TooManyAttempts):
        prove(user, password=PASSWORD)
    assert prove(member_of(acme).user, password=PASSWORD)


def test_a_proof_holds_for_five_minutes_and_for_one_person(user, acme, member_of):
    def actor(person):
        return Actor(kind=AuditRow.ActorKind.PERSON, id=person.pk, label=person.email)

    proof = prove(user, password=PASSWORD)

    require_proof(proof, actor=actor(user), now=proof.at + timedelta(minutes=5))
    for who, when in ((member_of(acme).user, timedelta()), (user, timedelta(minutes=5, seconds=1))):
        with pytest.raises(ProofNeeded):
            require_proof(proof, actor=actor(who), now=proof.at + when)
