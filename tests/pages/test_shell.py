"""What stands around pages: the way to others, the environment that is shown, and what is said when nothing is."""

import pytest
from django.test import Client
from django.urls import get_resolver
from django.utils.translation import gettext_lazy as _
from django_tenants.utils import tenant_context

from audit.ids import public_id
from channels.models import Environment, MpesaChannel
from tenants.hosts import forget_hosts
from tenants.models import Role, Tenant
from tenants.pages import home, shell
from tenants.pages.shell import Place
from tenants.permissions import ROLES, NotPermitted, Permission
from tests.factories import make_channel
from tests.pages.markup import Markup


@pytest.fixture
def places(monkeypatch):
    """Home, and two places of upper rooms, at routes that there are."""
    get_resolver().url_patterns  # noqa: B018  # loads the URLs, which register the places that there are
    monkeypatch.setattr(shell, "_places", dict(shell._places))
    shell._places.clear()
    shell.register(
        Place("home", _("Home"), "home", Permission.BUSINESS_READ, order=10, in_bar=True),
        Place("change-password", _("Password"), "lock", Permission.TEAM_CHANGE, order=30),
        Place("profile", _("You"), "person", Permission.PAYMENTS_READ, order=20, in_bar=True),
    )


@pytest.mark.parametrize(
    ("role", "path", "expected"),
    [
        (Role.ORG_ADMIN, "/", [("/", True), ("/you/", False), ("/you/password/", False)]),
        (Role.ORG_ADMIN, "/you/password/", [("/", False), ("/you/", False), ("/you/password/", True)]),
        (Role.USER, "/you/second-factor/", [("/", False), ("/you/", True)]),
    ],
)
def test_people_see_the_way_to_what_they_may_do(places, role, path, expected):
    allowed = [permission for permission in Permission if role in ROLES[permission]]

    assert [(link.url, link.is_here) for link in shell.links_for(allowed, path=path)] == expected


def test_the_bar_of_phones_has_some_and_more_has_the_rest(places, acme, browser, member_of):
    page = browser(member_of(acme)).get("/").content.decode()

    bar = page[page.index('<nav class="bar"') :]
    before, after = bar.split("<details")
    assert ('href="/"' in before, 'href="/you/"' in before, 'href="/you/password/"' in before) == (True, True, False)
    assert 'href="/you/password/"' in after
    assert page.count('aria-current="page"') == 2  # beside the page on desks, under it on phones


def shown(client, address="/"):
    return Markup(client.get(address).content.decode()).environment


def test_pages_show_the_primary_channels_environment_until_another_is_chosen(acme, rival, browser, member_of):
    make_channel(acme, "600100")
    make_channel(acme, "600200", environment=Environment.SANDBOX)
    make_channel(rival, "600300", environment=Environment.PRODUCTION)
    place = member_of(acme)
    client = browser(place)
    assert shown(client) == "practice"

    assert shown(client, "/?environment=sandbox") == "sandbox"
    assert shown(client) == "sandbox"
    assert shown(client, "/?environment=production") == "sandbox"  # acme has none there; rival has
    assert shown(client, "/?environment=x") == "sandbox"
    assert shown(browser(place)) == "practice"


def test_a_business_without_channels_is_in_practice(acme, browser, member_of):
    assert shown(browser(member_of(acme))) == "practice"


@pytest.mark.parametrize("language", ["en", "sw"])
def test_a_refusal_that_no_view_catches_is_a_page(acme, browser, member_of, monkeypatch, language):
    def refuse(request, template, context):
        raise NotPermitted("Only on Sundays.")

    monkeypatch.setattr(home, "render", refuse)
    place = member_of(acme)
    type(place.user).objects.filter(pk=place.user_id).update(language=language)
    answer = browser(place).get("/")

    page = answer.content.decode()
    assert answer.status_code == 403
    assert "Only on Sundays." in page
    assert {"en": "You may not do this", "sw": "Huruhusiwi kufanya hili"}[language] in page
    assert Markup(page).problems() == []


@pytest.mark.parametrize("host", ["localhost", "acme.localhost"])
def test_an_address_of_nothing_and_an_old_form_are_pages(acme, host):
    strict = Client(enforce_csrf_checks=True, SERVER_NAME=host)
    for answer, status in ((strict.get("/nowhere/"), 404), (strict.post("/sign-in/"), 403)):
        page = answer.content.decode()
        assert answer.status_code == status
        assert Markup(page).problems() == []
        assert Markup(page).headings == 1
        assert "unsafe" not in answer["Content-Security-Policy"]


def test_what_breaks_in_the_house_says_so_without_details(acme, browser, member_of, monkeypatch):
    def breaks(request, template, context):
        raise RuntimeError("the engine room")

    monkeypatch.setattr(home, "render", breaks)
    client = browser(member_of(acme))
    client.raise_request_exception = False
    answer = client.get("/")

    assert answer.status_code == 500
    assert "look whether it was sent already" in answer.content.decode()
    assert "engine room" not in answer.content.decode()
    assert Markup(answer.content.decode()).problems() == []


def test_a_closed_business_is_said_on_every_page(acme, browser, member_of):
    place = member_of(acme)
    Tenant.objects.filter(pk=acme.pk).update(status="CLOSED", status_reason="At the owner's wish.")
    forget_hosts()

    page = browser(place).get("/you/").content.decode()
    assert "This business is closed: its people can read and export." in page
    assert "At the owner&#x27;s wish." in page


def test_once_a_live_channel_takes_money_pages_show_it_and_a_channels_own_pages_follow_it(acme, browser, member_of):
    practice = make_channel(acme, "600977", is_primary=True)
    live = make_channel(acme, "600978")
    client = browser(member_of(acme, Role.ORG_ADMIN))
    with tenant_context(acme):
        MpesaChannel.objects.filter(pk=live.pk).update(environment="PRODUCTION", status="CONFIGURED")
    assert 'data-environment="practice"' in client.get("/").content.decode()

    with tenant_context(acme):
        MpesaChannel.objects.filter(pk=live.pk).update(status="ACTIVE")
    assert 'data-environment="production"' in client.get("/").content.decode()

    assert 'data-environment="practice"' in client.get(f"/channels/{public_id('ch', practice.pk)}/").content.decode()
    assert 'data-environment="practice"' in client.get("/payments/").content.decode()


@pytest.mark.parametrize("path", ["/members/", "/customers/", "/money-out/payouts/", "/invoices/", "/standing-orders/"])
def test_a_search_for_what_no_column_holds_finds_nothing(acme, browser, member_of, path):
    assert browser(member_of(acme, Role.MANAGER)).get(f"{path}?q=a%00b").status_code == 200


@pytest.mark.parametrize("month", ["0001-01", "1999-12", "9999-12"])
def test_months_before_m_pesa_and_to_come_are_none(acme, browser, member_of, month):
    assert browser(member_of(acme, Role.MANAGER)).get(f"/payments/days/?month={month}").status_code == 200
