import pytest

from loyalty.accrual import StampTerms
from loyalty.notifications import card_filled, points_earned, stamp_given

ORDERS = StampTerms(
    payments_needed=5, reward="free delivery", thanks="Thanks for ordering!", noun="order", noun_plural="orders"
)
ODA = StampTerms(
    payments_needed=5, reward="usafirishaji wa bure", thanks="Asante kwa kuagiza!", noun="oda", noun_plural="oda"
)


def earned(language="en", name="John", points=100, balance=2847, program_name="VIP"):
    return points_earned(language=language, program_name=program_name, name=name, points=points, balance=balance)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "Hi John! You earned 100 VIP points. Total: 2,847 points."),
        ({"name": "John Kamau"}, "Hi John! You earned 100 VIP points. Total: 2,847 points."),
        ({"name": " "}, "Hi! You earned 100 VIP points. Total: 2,847 points."),
        ({"points": 1, "balance": 1}, "Hi John! You earned 1 VIP point. Total: 1 point."),
        ({"points": 1000, "balance": 1234567}, "Hi John! You earned 1,000 VIP points. Total: 1,234,567 points."),
        (
            {"name": "O'Brien", "program_name": "A&B <Gold>"},
            "Hi O'Brien! You earned 100 A&B <Gold> points. Total: 2,847 points.",
        ),
        ({"language": "sw"}, "Habari John! Umepata pointi 100 za VIP. Jumla: pointi 2,847."),
        ({"language": "sw", "name": ""}, "Habari! Umepata pointi 100 za VIP. Jumla: pointi 2,847."),
    ],
)
def test_points_are_told_to_the_last_character(given, text):
    assert earned(**given) == text


@pytest.mark.parametrize(
    ("language", "terms", "stamps", "text"),
    [
        ("en", ORDERS, 1, "Thanks for ordering! 4 more orders for free delivery."),
        ("en", ORDERS, 4, "Thanks for ordering! 1 more order for free delivery."),
        ("sw", ODA, 1, "Asante kwa kuagiza! Bado oda 4 upate usafirishaji wa bure."),
    ],
)
def test_stamps_are_told_to_the_last_character(language, terms, stamps, text):
    assert stamp_given(language=language, terms=terms, stamps=stamps) == text


@pytest.mark.parametrize(
    ("language", "terms", "text"),
    [
        ("en", ORDERS, "Thanks for ordering! You have earned free delivery."),
        ("sw", ODA, "Asante kwa kuagiza! Umepata usafirishaji wa bure."),
    ],
)
def test_a_full_card_is_told_to_the_last_character(language, terms, text):
    assert card_filled(language=language, terms=terms) == text
