"""`./tuzo bench pages` walks over the pages by itself: a page that nobody links to would not be measured."""

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import public_id
from config.benchmarks import pages
from config.benchmarks.asked import asked_for
from config.benchmarks.table import Line
from tenants import sessions
from tenants.models import Role


@pytest.fixture
def browser_of_owner(acme, member_of):
    place = member_of(acme, Role.ORG_ADMIN)
    client = Client(SERVER_NAME="acme.localhost")
    client.get(f"/hand-over/{sessions.hand_over(place, now=timezone.now())}/")
    return client


@pytest.fixture
def walked(browser_of_owner):
    return list(pages._walk(browser_of_owner))


def test_every_place_of_the_navigation_is_walked_to_once(walked):
    kinds = [visit.what for visit in walked]
    assert len(kinds) == len(set(kinds))
    assert {"home", "profile", "people", "invite-person", "audit-trail", "business-settings", "files"} <= set(kinds)


def test_a_kind_is_the_same_whatever_it_names(acme):
    first, second = (f"/team/{public_id('mbr', acme.pk)}/", f"/team/{'mbr_' + '0' * 26}/")
    assert pages._route(first) == pages._route(second) == "person"
    assert pages._route("/audit/?what=people&older=~1") == "audit-trail, further back"
    assert pages._route("/no/such/page/") == ""


def test_the_pieces_of_open_pages_are_asked_for_again(walked):
    pieces = {visit.what for visit in walked if visit.is_piece}
    assert {"latest-payments, again", "counter, again"} <= pieces


def test_a_page_that_asks_too_much_is_missed(browser_of_owner, monkeypatch):
    team = pages.Visit("people", "/team/")
    monkeypatch.setattr(pages, "_MILLISECONDS", 10_000)
    assert pages._measure(browser_of_owner, team).line.is_kept is True
    monkeypatch.setattr(pages, "_QUERIES", 3)
    assert pages._measure(browser_of_owner, team).line.is_kept is False


def test_a_page_that_can_not_be_seen_is_no_quick_page(browser_of_owner):
    with pytest.raises(RuntimeError, match="/channels/none/ answers 404"):
        pages._measure(browser_of_owner, pages.Visit("channel", "/channels/none/"))


def test_a_missed_budget_ends_the_command_with_an_error(monkeypatch, capsys):
    monkeypatch.setattr(pages, "run", lambda payments: [Line("home", "13 queries", "≤ 12", is_kept=False)])
    with pytest.raises(CommandError, match="Budgets that were missed: 1"):
        call_command("bench", "pages")
    monkeypatch.setattr(pages, "run", lambda payments: [Line("home", "12 queries", "≤ 12", is_kept=True)])
    call_command("bench", "pages")
    assert "MISSED" in capsys.readouterr().out


def test_searches_filters_and_the_longest_reports_are_measured_too(acme, browser_of_owner):
    with tenant_context(acme):
        asked = dict(asked_for(now=timezone.now()))
    assert asked["report takings-by-hour: two years"].startswith("/reports/takings-by-hour/?since=")
    assert "sms: failed" in asked
    for what, address in asked.items():
        assert browser_of_owner.get(address).status_code == 200, what
