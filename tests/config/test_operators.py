"""What the operators' site calls refuses everybody else, whoever calls it."""

from datetime import timedelta

import pytest
from django.utils import timezone
from django_otp.plugins.otp_totp.models import TOTPDevice

from audit.models import PlatformAuditEntry
from audit.services import Actor, AuditRow
from tenants import operators
from tenants.models import DueTask, Role, User
from tenants.permissions import NotOperator


@pytest.fixture
def waiting(db):
    return DueTask.objects.create(task="tests.x", fingerprint=b"\x01" * 32, due_at=timezone.now() + timedelta(hours=1))


@pytest.mark.parametrize("role", [*Role.values, "super_admin", ""])
def test_nobody_but_an_operator_hastens_work_or_sees_the_platforms_problems(waiting, role):
    actor = Actor(kind=AuditRow.ActorKind.PERSON, label="amina@acme.example", role=role)

    with pytest.raises(NotOperator):
        operators.run_tasks_now(actor=actor, task_ids=[waiting.pk])
    with pytest.raises(NotOperator):
        operators.problems(actor=actor, now=timezone.now())

    assert DueTask.objects.get().due_at == waiting.due_at
    assert not PlatformAuditEntry.objects.exists()


def test_nobody_but_an_operator_has_a_second_factor(db):
    user = User.objects.create_user(email="amina@acme.example", password="a long pass phrase")
    actor = Actor(kind=AuditRow.ActorKind.PERSON, id=user.pk, label=user.email, role=Role.ORG_ADMIN)

    with pytest.raises(NotOperator):
        operators.set_up_second_factor(actor=actor, user=user, key="ab" * 20, code="123456", proved_by=None)
    with pytest.raises(NotOperator):
        operators.prove_second_factor(actor=actor, user=user, code="123456")

    assert not TOTPDevice.objects.exists()


def test_a_second_factor_is_not_replaced_without_proof_of_the_old_one(db):
    user = User.objects.create_superuser(email="op@tuzo.example", password="a long pass phrase")
    device = TOTPDevice.objects.create(user=user, name="Authenticator", key="ab" * 20)
    actor = Actor(kind=AuditRow.ActorKind.OPERATOR, id=user.pk, label=user.email, role="super_admin")

    with pytest.raises(operators.SecondFactorNeeded):
        operators.set_up_second_factor(actor=actor, user=user, key="cd" * 20, code="123456", proved_by=None)

    assert TOTPDevice.objects.get() == device
