"""Lists in pages, by the key that the page before ended with."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext

from tenants.models import Invitation, Role
from tenants.pages.lists import newest_first

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def seven(acme):
    """Seven rows, two of each moment but the last."""
    for number in range(7):
        Invitation.objects.create(
            tenant=acme, email=f"{number}@x.example", role=Role.USER, expires_at=NOON + timedelta(hours=number // 2)
        )
    return Invitation.objects.filter(tenant=acme)


def look(rows, address, moment):
    page = newest_first(RequestFactory().get(f"/{address}"), rows, moment=moment, size=3)
    return "".join(row.email[0] for row in page.rows), page


@pytest.mark.parametrize("moment", ["", "expires_at"])
def test_one_goes_to_the_end_and_back_and_sees_each_row_once(seven, moment):
    numbers, first = look(seven, "?q=a+b&x=1", moment)
    assert (numbers, first.newer) == ("654", "")
    assert first.older.startswith("?q=a+b&x=1&older=")

    numbers, second = look(seven, first.older, moment)
    assert numbers == "321"
    numbers, last = look(seven, second.older, moment)
    assert (numbers, last.older) == ("0", "")
    numbers, back = look(seven, last.newer, moment)
    assert numbers == "321"
    numbers, again = look(seven, back.newer, moment)
    assert (numbers, again.newer, again.older) == ("654", "", first.older)


@pytest.mark.parametrize("address", ["?older=x", "?newer=~y", "?older=2026-11-21T12:00:00~", "?older=~" + "f" * 33])
def test_an_address_that_can_not_be_read_shows_the_first_page(seven, address):
    assert look(seven, address, "expires_at")[0] == "654"


def test_what_arrives_meanwhile_moves_nothing(seven, acme):
    _, first = look(seven, "", "expires_at")
    Invitation.objects.create(tenant=acme, email="9@x.example", role=Role.USER, expires_at=NOON + timedelta(days=1))

    assert look(seven, first.older, "expires_at")[0] == "321"


def test_a_page_is_one_query_without_an_offset(seven):
    _, first = look(seven, "", "expires_at")

    with CaptureQueriesContext(connection) as queries:
        look(seven, first.older, "expires_at")
    (query,) = [each["sql"] for each in queries if each["sql"].startswith("SELECT")]
    assert "OFFSET" not in query
    assert "LIMIT 4" in query


def test_an_empty_list_has_no_other_pages(seven):
    page = look(seven.none(), "", "expires_at")[1]
    assert (page.rows, page.newer, page.older) == ([], "", "")


@pytest.mark.parametrize("moment", ["", "expires_at"])
def test_few_among_many_are_found_by_walking_so_many_for_each_page(seven, moment):
    few = seven.filter(email__in=["6@x.example", "0@x.example"])

    def walk(address):
        page = newest_first(RequestFactory().get(f"/{address}"), few, moment=moment, size=3, walked=seven, at_most=3)
        return "".join(row.email[0] for row in page.rows), page

    numbers, first = walk("")
    assert (numbers, first.newer) == ("6", "")
    numbers, second = walk(first.older)
    assert (numbers, bool(second.older)) == ("", True)
    numbers, third = walk(second.older)
    assert (numbers, third.older) == ("0", "")

    numbers, back = walk(third.newer)
    assert (numbers, bool(back.newer)) == ("", True)
    numbers, _top = walk(back.newer)
    assert numbers == "6"
