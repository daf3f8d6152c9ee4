from collections import Counter

from tests.faults.plan import POINTS, PROCESSES, SERVICES, Measures, make_plan

LONG = Measures(seconds=840, payouts=5_200, payments=10_500, kills=34, businesses=4)


def test_the_same_seed_is_the_same_plan_and_another_is_another():
    assert make_plan(7, LONG) == make_plan(7, LONG)
    assert make_plan(7, LONG) != make_plan(8, LONG)


def test_as_much_is_planned_as_was_asked_for():
    plan = make_plan(7, LONG)

    assert sum(len(batch.rows) for batch in plan.batches) == 5_200
    assert len(plan.payments) + len(plan.prompts) == 10_500
    assert len(plan.kills) == 34
    for planned in (plan.payments, plan.prompts, plan.batches, plan.kills, plan.spells):
        moments = [each.at for each in planned]
        assert moments == sorted(moments)
        assert moments[0] >= 0
        assert moments[-1] < 840


def test_every_part_of_the_house_dies_before_any_dies_again():
    plan = make_plan(7, Measures(seconds=25, payouts=60, payments=60, kills=5, businesses=1))

    assert Counter("point" if kill.point else kill.victim for kill in plan.kills) == Counter(
        [*PROCESSES, *SERVICES, "point"]
    )
    assert {kill.point for kill in make_plan(7, LONG).kills if kill.point} == set(POINTS)


def test_a_reference_is_used_for_one_payout_only():
    references = [row.account_reference for batch in make_plan(7, LONG).batches for row in batch.rows]

    assert len(references) == len(set(references))
