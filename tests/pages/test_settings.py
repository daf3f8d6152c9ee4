"""What a business says about itself, and what it looks like."""

import io

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django_tenants.utils import tenant_context
from PIL import Image

from audit.models import AuditEntry
from tenants import business
from tenants.hosts import forget_hosts
from tenants.models import Branding, Role, Tenant

DETAILS = {
    "business_name": "  Acme   Shops ",
    "business_type": "SHOP",
    "email": "Shop@Acme.example",
    "phone": "0712 345 678",
}


@pytest.fixture
def boss(acme, member_of):
    return member_of(acme)


def picture(kind="PNG", size=(900, 300), **options) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", size, "#aa3311").save(content, kind, **options)
    return content.getvalue()


def uploaded(content: bytes, name="logo.png") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


def last_entry(tenant) -> AuditEntry:
    with tenant_context(tenant):
        return AuditEntry.objects.latest("sequence")


def test_an_administrator_changes_the_business_and_the_trail_says_so(acme, boss, browser):
    client = browser(boss)
    assert client.post("/settings/", DETAILS)["Location"] == "/settings/"
    forget_hosts()

    page = client.get("/settings/").content.decode()
    assert 'value="Acme Shops"' in page
    assert 'value="shop@acme.example"' in page
    assert 'value="+254712345678"' in page
    entry = last_entry(acme)
    assert (entry.action, entry.before["business_name"], entry.after["business_name"]) == (
        "business.changed",
        "Acme",
        "Acme Shops",
    )


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("business_name", " ", "Enter the name of your business."),
        ("email", "shop", "Enter an e-mail address like name@example.com."),
        ("phone", "12", "Enter a Kenyan number, like 0712 345 678."),
    ],
)
def test_what_can_not_be_used_stays_in_the_form_with_a_sentence(acme, boss, browser, field, value, sentence):
    answer = browser(boss).post("/settings/", DETAILS | {field: value})
    assert answer.status_code in {400, 422}
    assert sentence in answer.content.decode()
    assert Tenant.objects.get(slug="acme").business_name == "Acme"


@pytest.mark.parametrize("path", ["/settings/", "/settings/branding/"])
@pytest.mark.parametrize("role", [Role.MANAGER, Role.USER])
def test_settings_are_for_administrators(acme, browser, member_of, role, path):
    client = browser(member_of(acme, role))
    assert client.get(path).status_code == 403
    assert client.post(path, DETAILS | {"colour": "#000000"}).status_code == 403
    assert f'href="{path}"' not in client.get("/").content.decode()
    assert Tenant.objects.get(slug="acme").business_name == "Acme"
    assert not Branding.objects.exists()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_logo_is_made_anew_small_and_shown_to_everybody(acme, boss, browser, kind):
    client = browser(boss)
    given = {"colour": "#0B6B3A", "logo": uploaded(picture(kind))}
    assert client.post("/settings/branding/", given)["Location"] == "/settings/branding/"

    branding = Branding.objects.get()
    assert branding.colour == "#0b6b3a"
    page = client.get("/settings/branding/").content.decode()
    assert f"/brand/{branding.logo_digest}.png" in page
    stranger = browser(host="acme.localhost")
    answer = stranger.get(f"/brand/{branding.logo_digest}.png")
    with Image.open(io.BytesIO(answer.content)) as shown:
        assert (shown.format, shown.size) == ("PNG", (400, 133))
    assert "immutable" in answer["Cache-Control"]
    style = stranger.get("/brand/0b6b3a.css")
    assert style["Content-Type"] == "text/css"
    assert style.content.startswith(b".branded { background: #0b6b3a; color: #fff; }\n")
    front_door = stranger.get("/sign-in/").content.decode()
    assert f'src="/brand/{branding.logo_digest}.png"' in front_door
    assert 'href="/brand/0b6b3a.css"' in front_door
    assert stranger.get("/brand/ffffff.css").status_code == 404
    assert browser(host="rival.localhost").get(f"/brand/{branding.logo_digest}.png").status_code == 404


def test_a_logo_is_taken_away(acme, boss, browser):
    client = browser(boss)
    client.post("/settings/branding/", {"colour": "#0b6b3a", "logo": uploaded(picture())})
    client.post("/settings/branding/", {"colour": "#0b6b3a"})
    assert Branding.objects.get().logo_digest  # nothing chosen leaves it
    client.post("/settings/branding/", {"colour": "#0b6b3a", "without_logo": "on"})
    assert (Branding.objects.get().logo, Branding.objects.get().logo_digest) == (None, "")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "This file is no PNG or JPEG picture."),
        (picture("GIF"), "This file is no PNG or JPEG picture."),
        (picture("PNG")[:60], "This file is no PNG or JPEG picture."),
        (picture("BMP", size=(300, 300)), "This file is larger than 200 KB."),
        (picture("PNG", size=(5000, 5000)), "This picture has too many pixels."),
    ],
    ids=["svg", "gif", "cut off", "too large", "too many pixels"],
)
def test_what_is_no_logo_is_refused_and_changes_nothing(acme, boss, browser, content, sentence):
    answer = browser(boss).post("/settings/branding/", {"colour": "#0b6b3a", "logo": uploaded(content)})
    assert answer.status_code == 400
    assert sentence in answer.content.decode()
    assert not Branding.objects.exists()


def test_a_colour_that_white_can_not_be_read_on_is_refused_with_the_nearest_that_works(acme, boss, browser):
    answer = browser(boss).post("/settings/branding/", {"colour": "#ff9900"})
    page = answer.content.decode()
    assert answer.status_code == 400
    assert "its contrast is 2.14 and has to be 4.5" in page
    better = business.readable_shade("#ff9900")
    assert f"The nearest shade that works is {better}." in page
    assert business.contrast_with_white(better) >= 4.5
    page = browser(boss).post("/settings/branding/", {"colour": "#777777"}).content.decode()
    assert "its contrast is 4.47 and has to be 4.5" in page  # never rounded up to what it lacks
    assert browser(boss).post("/settings/branding/", {"colour": better}).status_code == 302
    assert browser(boss).post("/settings/branding/", {"colour": "red"}).status_code == 400


@pytest.mark.parametrize(("colour", "contrast"), [("#ffffff", 1.0), ("#000000", 21.0), ("#767676", 4.54)])
def test_contrast_is_wcags(colour, contrast):
    assert round(business.contrast_with_white(colour), 2) == contrast
