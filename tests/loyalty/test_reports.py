import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from audit.services import system_actor
from loyalty.members import enrol_member
from loyalty.models import Member, PointsTotal
from loyalty.points import adjust_points
from loyalty.reports import UnequalBalance, UnequalTotal, find_unequal_balances, find_unequal_totals
from tests.loyalty.conftest import NOW


@pytest.fixture
def members(in_acme, loyalty):
    made = [
        enrol_member(actor=system_actor("test"), program_id=loyalty.pk, environment="PRACTICE", code=code, now=NOW)
        for code in ("GOLD1", "GOLD2", "GOLD3")
    ]
    adjust_points(actor=system_actor("test"), member_id=made[0].pk, points=40, reason="Paper card", now=NOW)
    adjust_points(actor=system_actor("test"), member_id=made[0].pk, points=-15, reason="Counted wrong", now=NOW)
    return made


def test_balances_that_equal_their_entries_are_not_reported(members):
    assert find_unequal_balances() == []


def test_a_balance_that_no_entry_explains_is_found(members):
    Member.objects.filter(code="GOLD1").update(points_balance=26)
    Member.objects.filter(code="GOLD3").update(points_balance=1)

    assert find_unequal_balances() == [
        UnequalBalance(members[0].pk, "GOLD1", 26, 25),
        UnequalBalance(members[2].pk, "GOLD3", 1, 0),
    ]


def test_a_total_that_is_not_what_the_members_hold_is_found(members):
    assert find_unequal_totals() == []
    PointsTotal.objects.update(spent=5)

    assert find_unequal_totals() == [UnequalTotal(members[0].program_id, "PRACTICE", 20, 25)]


def test_the_command_agrees_or_names_the_member(in_acme, members, capsys):
    call_command("check_points")
    assert capsys.readouterr().out == "The points of 2 businesses agree with their entries.\n"

    connection.set_tenant(in_acme)
    Member.objects.filter(code="GOLD1").update(points_balance=26)
    with pytest.raises(CommandError, match="Members and programs whose points their entries don't explain: 2"):
        call_command("check_points")
    assert capsys.readouterr().out == (
        "acme: member GOLD1 holds 26 points, the entries sum to 25.\n"
        f"acme: the members of program {members[0].program_id} hold 26 points in PRACTICE,"
        " the totals by day sum to 25.\n"
    )
