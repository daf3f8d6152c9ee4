"""What members read: the wording is in `templates/sms/<event>.<language>.txt`, the facts come from here."""

from functools import cache
from typing import Any

from django.template import Context, Engine, Template

from loyalty.accrual import StampTerms


def points_earned(*, language: str, program_name: str, name: str, points: int, balance: int) -> str:
    """“Hi John! You earned 100 VIP points. Total: 2,847 points.”"""
    first_name = name.split()[0] if name.strip() else ""
    return _render(
        "points_earned",
        language,
        {"name": first_name, "points": f"{points:,}", "program": program_name, "balance": f"{balance:,}"},
    )


def stamp_given(*, language: str, terms: StampTerms, stamps: int) -> str:
    """“Thanks for ordering! 4 more orders for free delivery.”"""
    left = terms.payments_needed - stamps
    noun = terms.noun if left == 1 else terms.noun_plural
    facts = {"thanks": terms.thanks, "payments_left": left, "noun": noun, "reward": terms.reward}
    return _render("stamp_given", language, facts)


def card_filled(*, language: str, terms: StampTerms) -> str:
    """“Thanks for ordering! You have earned free delivery.”"""
    return _render("card_filled", language, {"thanks": terms.thanks, "reward": terms.reward})


def join_link(*, language: str, business: str, program_name: str, url: str) -> str:
    """“Mama Mboga: open https://… within 24 hours to join VIP. You did not ask for this? Leave it.”"""
    return _render("join_link", language, {"business": business, "program": program_name, "url": url})


def own_page_link(*, language: str, business: str, program_name: str, url: str) -> str:
    """“Mama Mboga: your VIP points are at https://… Keep this link to yourself.”"""
    return _render("own_page_link", language, {"business": business, "program": program_name, "url": url})


def _render(event: str, language: str, facts: dict[str, Any]) -> str:
    return _template(event, language).render(Context(facts)).strip()


@cache
def _template(event: str, language: str) -> Template:
    return Engine.get_default().get_template(f"sms/{event}.{language}.txt")
