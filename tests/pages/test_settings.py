"""What a business says about itself, what it looks like, and all its data to take along."""

import csv
import io
import zipfile
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.utils import timezone
from django_tenants.utils import schema_context, tenant_context
from PIL import Image

import audit.services
from audit.ids import public_id
from audit.models import AuditEntry
from payments.models import Payment
from tenants import business
from tenants.hosts import forget_hosts
from tenants.housekeeping import forget_expired
from tenants.models import Branding, DataExport, DataExportPart, DueTask, Role, Tenant
from tests.factories import make_channel

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


@pytest.mark.parametrize("path", ["/settings/", "/settings/branding/", "/export/"])
@pytest.mark.parametrize("role", [Role.MANAGER, Role.USER])
def test_settings_and_export_are_for_administrators(acme, browser, member_of, role, path):
    client = browser(member_of(acme, role))
    assert client.get(path).status_code == 403
    assert client.post(path, DETAILS | {"colour": "#000000"}).status_code == 403
    assert f'href="{path}"' not in client.get("/").content.decode()
    assert Tenant.objects.get(slug="acme").business_name == "Acme"
    assert not Branding.objects.exists()
    assert not DataExport.objects.exists()


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
    assert "its contrast is 2.1 and has to be 4.5" in page
    better = business.readable_shade("#ff9900")
    assert f"The nearest shade that works is {better}." in page
    assert business.contrast_with_white(better) >= 4.5
    assert browser(boss).post("/settings/branding/", {"colour": better}).status_code == 302
    assert browser(boss).post("/settings/branding/", {"colour": "red"}).status_code == 400


@pytest.mark.parametrize(("colour", "contrast"), [("#ffffff", 1.0), ("#000000", 21.0), ("#767676", 4.54)])
def test_contrast_is_wcags(colour, contrast):
    assert round(business.contrast_with_white(colour), 2) == contrast


@pytest.fixture
def paid(acme):
    channel = make_channel(acme, "600100", passkey="a very secret passkey")
    with tenant_context(acme):
        return Payment.objects.create(
            channel=channel,
            receipt="UKL1000001",
            environment=channel.environment,
            payer="254712345678",
            payer_name='=HYPERLINK("x")',
            amount=Decimal("1500.50"),
            account_reference="VIP001",
            source="CONFIRMATION",
            paid_at=timezone.now(),
            created_at=timezone.now(),
        )


def downloaded(client, export: DataExport) -> tuple[zipfile.ZipFile, bytes]:
    answer = client.get(f"/export/{public_id('exp', export.pk)}/")
    content = answer.getvalue()
    assert (answer["Content-Type"], answer["Content-Length"]) == ("application/zip", str(len(content)))
    return zipfile.ZipFile(io.BytesIO(content)), content


def test_all_data_is_put_together_shown_as_it_goes_and_downloaded(acme, boss, browser, paid, run_due):
    client = browser(boss)
    assert client.post("/export/")["Location"] == "/export/"
    waiting = client.get("/export/", headers={"HX-Request": "true"}).content.decode()
    assert "To come" in waiting
    assert 'hx-trigger="every 2s"' in waiting
    export = DataExport.objects.get()
    assert client.get(f"/export/{public_id('exp', export.pk)}/").status_code == 404  # not ready

    run_due()
    ready = browser(boss).get("/export/", headers={"HX-Request": "true"}).content.decode()
    assert "hx-get" not in ready
    assert f"/export/{public_id('exp', export.pk)}/" in ready
    archive, content = downloaded(client, export)
    assert archive.testzip() is None
    rows = list(csv.DictReader(io.StringIO(archive.read("payments_payment.csv").decode("utf-8-sig"))))
    [row] = rows
    assert (row["id"], row["receipt"], row["amount"]) == (public_id("pay", paid.pk), "UKL1000001", "1500.50")
    assert row["channel_id"] == public_id("ch", paid.channel_id)
    assert row["payer_name"] == '\'=HYPERLINK("x")'
    assert row["paid_at"].endswith("+03:00")
    everything = b"".join(archive.read(name) for name in archive.namelist())
    assert b"a very secret passkey" not in everything
    assert boss.user.email.encode() in archive.read("business_people.csv")
    assert boss.user.password.encode() not in everything
    columns = archive.read("channels_mpesachannel.csv").splitlines()[0].decode("utf-8-sig").split(",")
    assert not {"consumer_key", "passkey", "callback_token", "initiator_credential", "bill_manager_app_key"} & {
        *columns
    }
    with tenant_context(acme):
        actions = list(AuditEntry.objects.order_by("sequence").values_list("action", flat=True))
    assert actions == ["data.export_requested", "data.downloaded"]
    export.refresh_from_db()
    assert (export.tables_done, export.size) == (export.tables, len(content))


def test_one_export_at_a_time(acme, boss, browser):
    client = browser(boss)
    client.post("/export/")
    answer = client.post("/export/")
    assert answer.status_code == 409
    assert "Wait until it is ready." in answer.content.decode()
    assert (DataExport.objects.count(), DueTask.objects.count()) == (1, 1)


def test_an_export_that_failed_is_made_anew_and_whole(acme, boss, browser, paid, run_due, monkeypatch):
    from tenants import export as exporting

    client = browser(boss)
    client.post("/export/")
    monkeypatch.setattr(exporting, "_PART_BYTES", 500)
    whole = exporting._read_me

    def breaks(tenant, now):
        raise OSError("the disk is full")

    monkeypatch.setattr(exporting, "_read_me", breaks)
    with pytest.raises(OSError, match="full"):
        run_due()
    assert "it is tried again" in client.get("/export/").content.decode()
    monkeypatch.setattr(exporting, "_read_me", whole)
    DueTask.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    run_due()

    assert DataExportPart.objects.count() > 10
    archive, _content = downloaded(client, DataExport.objects.get())
    assert archive.testzip() is None


def test_a_closed_business_can_still_take_its_data_along(acme, boss, browser, run_due):
    Tenant.objects.filter(pk=acme.pk).update(status="CLOSED")
    forget_hosts()
    client = browser(boss)
    assert client.post("/export/").status_code == 302
    run_due()
    downloaded(client, DataExport.objects.get())
    assert client.post("/settings/", DETAILS).status_code == 409


def test_a_rival_gets_nothing_of_it(acme, rival, boss, browser, member_of, paid, run_due):
    browser(boss).post("/export/")
    run_due()
    theirs = browser(member_of(rival))
    path = f"/export/{public_id('exp', DataExport.objects.get().pk)}/"
    assert theirs.get(path).status_code == 404
    assert path not in theirs.get("/export/").content.decode()
    theirs.post("/export/")
    run_due()
    archive, _content = downloaded(theirs, DataExport.objects.get(tenant=rival))
    everything = b"".join(archive.read(name) for name in archive.namelist())
    assert b"UKL1000001" not in everything
    assert b"acme" not in everything.lower()


def test_nothing_of_the_platforms_is_in_an_export(acme, boss, browser, run_due):
    with schema_context("public"):
        audit.services.record(
            actor=audit.services.system_actor("the platform's own"), action="operator.signed_in", subject=boss.user
        )
    client = browser(boss)
    client.post("/export/")
    run_due()
    archive, _content = downloaded(client, DataExport.objects.get())
    assert b"the platform's own" not in b"".join(archive.read(name) for name in archive.namelist())
    tables = {name.removesuffix(".csv") for name in archive.namelist() if name.endswith(".csv")}
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [acme.schema_name])
        own = {name for (name,) in cursor.fetchall()} - {"django_migrations"}
    assert tables == own | {"business", "business_people", "business_invitations", "mpesa_deliveries"}


def test_an_export_goes_after_a_week(acme, boss, browser, run_due):
    browser(boss).post("/export/")
    run_due()
    forget_expired(now=timezone.now() + timedelta(days=6))
    assert DataExport.objects.count() == 1
    forget_expired(now=timezone.now() + timedelta(days=8))
    assert (DataExport.objects.count(), DataExportPart.objects.count()) == (0, 0)
