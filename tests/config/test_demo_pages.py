"""`./tuzo bench pages` walks over the pages by itself: a page that nobody links to would not be measured."""

import pytest
from django.test import Client
from django.utils import timezone

from audit.ids import public_id
from config.benchmarks import pages
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
    kinds = [pages._route(address) for address in walked]
    assert len(kinds) == len(set(kinds))
    assert {"home", "profile", "people", "invite-person", "audit-trail", "business-settings", "exports"} <= set(kinds)


def test_a_kind_is_the_same_whatever_it_names(acme):
    first, second = (f"/team/{public_id('mbr', acme.pk)}/", f"/team/{'mbr_' + '0' * 26}/")
    assert pages._route(first) == pages._route(second) == "person"
    assert pages._route("/audit/?what=people&older=~1") == "audit-trail, further back"
    assert pages._route("/no/such/page/") == ""


def test_a_page_that_asks_too_much_is_missed(browser_of_owner, monkeypatch):
    monkeypatch.setattr(pages, "_MILLISECONDS", 10_000)
    assert pages._measure(browser_of_owner, "/team/").is_kept is True
    monkeypatch.setattr(pages, "_QUERIES", 3)
    assert pages._measure(browser_of_owner, "/team/").is_kept is False
