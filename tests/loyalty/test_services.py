from decimal import Decimal

import pytest
from django_tenants.utils import tenant_context

from audit.ids import new_id
from audit.models import AuditEntry
from audit.services import system_actor
from channels.mapping import known_programs
from loyalty.accrual import AccrualTerms
from loyalty.models import AccrualRule, Program, StampRule
from loyalty.services import (
    ProgramExists,
    change_program,
    create_program,
    get_program,
    make_default_program,
    programs_of,
)
from tenants.errors import NotFound, NotPermitted
from tenants.models import Role
from tests.loyalty.conftest import DELIVERY


def test_a_program_is_created_with_its_terms_and_written_down(in_acme, actor):
    program = create_program(
        actor=actor(),
        code="vip",
        name="VIP",
        accrual=AccrualTerms(points=3, per_kes=200, multiplier=Decimal("1.50"), minimum_kes=100, cap_points=90),
        stamp=DELIVERY,
    )

    stored = get_program(actor=actor(), program_id=program.pk)
    assert stored.accrual_rule.terms == AccrualTerms(
        points=3, per_kes=200, multiplier=Decimal("1.50"), minimum_kes=100, cap_points=90
    )
    assert stored.stamp_rule.terms == DELIVERY
    entry = AuditEntry.objects.get(action="program.created")
    assert entry.after["accrual_rule"]["multiplier"] == "1.50"
    assert entry.after["stamp_rule"]["reward"] == "free delivery"


def test_a_code_names_one_program(in_acme, actor, vip):
    with pytest.raises(ProgramExists) as refusal:
        create_program(actor=actor(), code="vip", name="Another")

    assert list(refusal.value.errors) == ["code"]
    assert Program.objects.get().name == "VIP"
    assert not AuditEntry.objects.filter(after__name="Another").exists()


def test_terms_are_replaced_as_a_whole(in_acme, actor, vip):
    program = change_program(
        actor=actor(), program_id=vip.pk, name="Very important", accrual=AccrualTerms(points=5), stamp=DELIVERY
    )

    assert program.accrual_rule.terms == AccrualTerms(points=5)
    assert (program.name, program.stamp_rule.payments_needed) == ("Very important", 5)
    entry = AuditEntry.objects.get(action="program.changed")
    assert entry.before["name"] == "VIP"
    assert entry.before["accrual_rule"]["multiplier"] == "2.00"
    assert entry.after["accrual_rule"]["multiplier"] == "1.00"
    assert "code" not in entry.after


def test_terms_that_are_removed_are_gone_and_those_not_mentioned_stay(in_acme, actor, vip):
    change_program(actor=actor(), program_id=vip.pk, stamp=DELIVERY)
    change_program(actor=actor(), program_id=vip.pk, accrual=None)

    assert not AccrualRule.objects.exists()
    assert StampRule.objects.get().terms == DELIVERY


def test_a_change_that_changes_nothing_is_not_written_down(in_acme, actor, vip):
    change_program(actor=actor(), program_id=vip.pk, name="VIP", is_active=True)

    assert not AuditEntry.objects.filter(action="program.changed").exists()


def test_a_user_reads_programs_but_changes_none(in_acme, actor, vip):
    with pytest.raises(NotPermitted):
        create_program(actor=actor(Role.USER), code="mine", name="Mine")
    with pytest.raises(NotPermitted):
        change_program(actor=actor(Role.USER), program_id=vip.pk, name="Mine")

    assert [program.name for program in programs_of(actor=actor(Role.USER))] == ["VIP"]


def test_a_program_that_is_not_there_can_not_be_changed(in_acme, actor):
    with pytest.raises(NotFound):
        change_program(actor=actor(), program_id=new_id(), name="Nothing")


def test_mappings_may_name_the_present_business_s_programs_only(in_acme, rival, vip, loyalty):
    assert known_programs() == {"vip": "VIP", "loyalty": "Loyalty"}
    with tenant_context(rival):
        assert known_programs() == {}


def test_a_new_business_has_a_program_of_1_point_per_100(in_acme):
    make_default_program()

    program = programs_of(actor=system_actor("test")).get()
    assert (program.code, program.name, program.member_key) == ("loyalty", "Loyalty", "BY_PAYER")
    assert program.accrual_rule.terms == AccrualTerms(points=1, per_kes=100)
