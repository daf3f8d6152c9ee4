"""Money, numbers, days and times as every page writes them, in both languages."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.template import Context, Template
from django.utils import timezone, translation

MOMENT = datetime(2026, 8, 21, 21, 30, tzinfo=UTC)
NO_BREAK = "\N{NO-BREAK SPACE}"


def written(word, value, language, zone="Africa/Nairobi"):
    with translation.override(language), timezone.override(zone):
        return Template(f"{{% load tuzo %}}{{{{ value|{word} }}}}").render(Context({"value": value}))


@pytest.mark.parametrize("language", ["en", "sw"])
def test_kes_and_numbers_look_the_same_in_both_languages(language):
    assert written("kes", Decimal("-1234567.5"), language) == f"\N{MINUS SIGN}KES{NO_BREAK}1,234,567.50"
    assert written("whole_kes", 1_500, language) == f"KES{NO_BREAK}1,500"
    assert written("count", 1_234_567, language) == "1,234,567"
    assert written("kes", None, language) == "\N{EN DASH}"


@pytest.mark.parametrize(("language", "shown"), [("en", "22 Aug 2026, 00:30"), ("sw", "22 Ago 2026, 00:30")])
def test_a_moment_is_told_on_the_readers_clock_with_the_months_of_the_language(language, shown):
    assert written("when", MOMENT, language) == f'<time datetime="2026-08-22T00:30:00+03:00">{shown}</time>'
    assert written("clock", MOMENT, language) == '<time datetime="2026-08-22T00:30:00+03:00">00:30</time>'
    assert "21 A" in written("when", MOMENT, language, zone="Europe/London")


@pytest.mark.parametrize(
    ("language", "months"),
    [
        ("en", "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"),
        ("sw", "Jan Feb Machi Apr Mei Juni Jul Ago Sep Okt Nov Dis"),
    ],
)
def test_a_day_has_the_month_of_the_language(language, months):
    shown = [written("day", date(2026, month, 1), language) for month in range(1, 13)]
    assert [re.search(r">1 (\w+) 2026<", each)[1] for each in shown] == months.split()


@pytest.mark.parametrize(
    ("count", "english", "swahili"),
    [
        (1, "1 row can't be used, so nothing was loaded.", "Safu 1 haiwezi kutumika, kwa hivyo hakuna kilichopakiwa."),
        (
            3,
            "3 rows can't be used, so nothing was loaded.",
            "Safu 3 haziwezi kutumika, kwa hivyo hakuna kilichopakiwa.",
        ),
    ],
)
def test_what_is_counted_has_its_plural(count, english, swahili):
    one, many = (
        "%(count)s row can't be used, so nothing was loaded.",
        "%(count)s rows can't be used, so nothing was loaded.",
    )
    for language, said in (("en", english), ("sw", swahili)):
        with translation.override(language):
            assert translation.ngettext(one, many, count) % {"count": count} == said
