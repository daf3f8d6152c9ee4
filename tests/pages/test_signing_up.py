"""From the front page into a business of one's own."""

import re

import pytest
from django.test import Client

from tenants import provisioning
from tenants.models import DueTask, HandOver, Tenant, User

GIVEN = {
    "business_name": "Mama Mboga",
    "owner_name": "Wanjiku Kamau",
    "phone": "0712 345 678",
    "business_type": "SHOP",
    "email": "Wanjiku@Mboga.example",
    "password": "a long pass phrase",
}


@pytest.fixture
def made(monkeypatch, run_due):
    """`made()`: what was promised is done; the rooms above give nothing to the new business."""
    monkeypatch.setattr(provisioning, "_steps", {"schema": provisioning._steps["schema"]})
    return run_due


def test_a_stranger_signs_up_watches_and_opens_the_business(db, browser, made):
    stranger = browser()

    answer = stranger.post("/sign-up/", GIVEN)
    assert answer.status_code == 302
    watching = answer["Location"]
    page = stranger.get(watching).content.decode()
    assert "Your business is being made." in page
    assert f'hx-get="{watching}" hx-trigger="every 1s"' in page
    assert '<meta http-equiv="refresh" content="3">' in page
    assert stranger.post(f"{watching}open/")["Location"] == "/sign-in/"  # too early
    assert not HandOver.objects.exists()

    made()
    fragment = stranger.get(watching, headers={"HX-Request": "true"}).content.decode()
    assert "hx-get" not in fragment
    assert "Open my business" in fragment
    step = stranger.post(f"{watching}open/")["Location"]
    assert step.startswith("http://mama-mboga.localhost:8000/hand-over/")
    owner = browser(host="mama-mboga.localhost")
    owner.get(step.removeprefix("http://mama-mboga.localhost:8000"))
    assert "<h1>Mama Mboga</h1>" in owner.get("/").content.decode()


def test_another_browser_watches_but_has_to_sign_in(db, browser, made):
    watching = browser().post("/sign-up/", GIVEN)["Location"]
    made()

    other = browser()
    assert "Open my business" not in other.get(watching).content.decode()
    assert other.post(f"{watching}open/")["Location"] == "/sign-in/"
    assert not HandOver.objects.exists()


def test_one_sign_up_opens_no_other_business(db, browser, made):
    first, second = browser(), browser()
    first.post("/sign-up/", GIVEN)
    other = second.post("/sign-up/", GIVEN | {"business_name": "Kilimo", "email": "kilimo@x.example"})["Location"]
    made()

    assert first.post(f"{other}open/")["Location"] == "/sign-in/"
    assert not HandOver.objects.exists()


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("business_name", "", "Enter the name of your business, as customers know it."),
        ("email", "wanjiku", "Enter an e-mail address like name@example.com."),
        ("phone", "12", "Enter a Kenyan number, like 0712 345 678."),
        ("password", "short", "This password is too short. It must contain at least 10 characters."),
    ],
)
def test_what_is_wrong_is_said_beside_the_field_and_the_rest_stays(db, browser, field, value, sentence):
    answer = browser().post("/sign-up/", GIVEN | {field: value})

    page = answer.content.decode()
    assert answer.status_code in {400, 422}
    assert re.search(rf'<a href="#id_{field}">{re.escape(sentence)}</a>', page)
    assert f'id="id_{field}_error"' in page
    assert "<title>Error: Sign your business up" in page
    if field != "business_name":
        assert 'value="Mama Mboga"' in page
    assert "a long pass phrase" not in page
    assert (Tenant.objects.filter(slug="mama-mboga").count(), User.objects.count(), DueTask.objects.count()) == (
        0,
        0,
        0,
    )


def test_what_is_missing_and_what_can_not_be_used_is_said_at_once(db, browser):
    page = (
        browser().post("/sign-up/", GIVEN | {"business_name": "", "phone": "12", "password": "short"}).content.decode()
    )

    assert re.findall(r'<a href="#id_(\w+)">', page) == ["business_name", "phone", "password"]


def test_a_known_address_is_told_to_sign_in(acme, browser, member_of):
    known = member_of(acme).user

    answer = browser().post("/sign-up/", GIVEN | {"email": known.email})

    assert answer.status_code == 409
    assert "This e-mail address is in use. Sign in instead." in answer.content.decode()
    assert not Tenant.objects.filter(slug="mama-mboga").exists()


def test_what_is_wrong_is_said_in_swahili(db):
    client = Client(SERVER_NAME="localhost", HTTP_ACCEPT_LANGUAGE="sw")

    page = client.post("/sign-up/", GIVEN | {"password": "short"}).content.decode()

    assert "Nenosiri hili ni fupi mno. Lazima liwe na angalau herufi 10." in page
    assert "<title>Kosa: Sajili biashara yako" in page
