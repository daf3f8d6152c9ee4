from decimal import ROUND_UP, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty.accrual import AccrualTerms, Earned, StampTerms, add_stamp, earned_by, points_for

amounts = st.decimals("0.01", "999999999999.99", places=2)
terms = st.builds(
    AccrualTerms,
    points=st.integers(0, 1000),
    per_kes=st.integers(1, 1_000_000),
    multiplier=st.decimals(0, "999.99", places=2),
    minimum_kes=st.integers(0, 1_000_000),
    cap_points=st.none() | st.integers(0, 10_000),
)
CARD = StampTerms(payments_needed=5, reward="free delivery", thanks="Thanks!", noun="order", noun_plural="orders")


def test_5000_at_1_per_100_times_2_are_100_points():
    assert points_for(AccrualTerms(points=1, per_kes=100, multiplier=Decimal(2)), Decimal(5000)) == 100


@pytest.mark.parametrize(
    ("amount", "points"), [("49.99", 0), ("50", 1), ("99.99", 1), ("100", 2), ("149.99", 2), ("0.01", 0)]
)
def test_what_is_below_one_point_is_dropped_once_after_multiplying(amount, points):
    assert points_for(AccrualTerms(multiplier=Decimal(2)), Decimal(amount)) == points


def test_the_minimum_itself_earns_and_a_cent_less_does_not():
    rule = AccrualTerms(minimum_kes=500)

    assert points_for(rule, Decimal("500.00")) == 5
    assert points_for(rule, Decimal("499.99")) == 0


def test_the_cap_is_the_most_that_one_payment_earns():
    rule = AccrualTerms(cap_points=50)

    assert points_for(rule, Decimal(4999)) == 49
    assert points_for(rule, Decimal(70_000)) == 50


@given(terms, amounts)
def test_points_are_the_exact_product_rounded_down_within_the_limits(rule, amount):
    exact = Fraction(amount) * rule.points * Fraction(rule.multiplier) / rule.per_kes
    expected = 0 if amount < rule.minimum_kes else exact.numerator // exact.denominator
    if rule.cap_points is not None:
        expected = min(expected, rule.cap_points)

    assert points_for(rule, amount) == expected


@given(terms, amounts, amounts)
def test_paying_more_never_earns_less(rule, one, other):
    less, more = sorted([one, other])

    assert points_for(rule, less) <= points_for(rule, more)


@given(terms, amounts)
def test_points_fit_their_column_and_are_never_negative(rule, amount):
    assert 0 <= points_for(rule, amount) < 2**63


@given(terms, amounts)
def test_points_do_not_depend_on_the_decimal_context(rule, amount):
    with localcontext(rounding=ROUND_UP):
        rounded_up = points_for(rule, amount)

    assert rounded_up == points_for(rule, amount)


@given(st.integers(1, 100), st.integers(0, 400))
def test_every_nth_stamp_fills_the_card(payments_needed, payments):
    card = StampTerms(payments_needed=payments_needed, reward="r", thanks="t", noun="n", noun_plural="n")
    stamps = filled_cards = 0
    for _ in range(payments):
        stamps, filled = add_stamp(card, stamps)
        filled_cards += filled

    assert (filled_cards, stamps) == divmod(payments, payments_needed)


def test_a_card_with_more_stamps_than_a_shortened_rule_asks_for_is_filled_by_the_next():
    assert add_stamp(CARD, 9) == (0, True)


def test_a_payment_below_a_card_s_minimum_is_no_stamp():
    card = StampTerms(payments_needed=5, minimum_kes=200, reward="r", thanks="t", noun="order", noun_plural="orders")

    assert earned_by(Decimal("199.99"), accrual=None, stamp=card) == Earned(points=0, stamp=False)
    assert earned_by(Decimal(200), accrual=None, stamp=card) == Earned(points=0, stamp=True)


def test_a_program_without_terms_gives_nothing():
    assert not earned_by(Decimal(5000), accrual=None, stamp=None)


def test_points_and_a_stamp_can_come_together():
    assert earned_by(Decimal(5000), accrual=AccrualTerms(), stamp=CARD) == Earned(points=50, stamp=True)
