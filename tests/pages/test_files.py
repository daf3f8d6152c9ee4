"""Files that are made in the background: seen as they grow, made once and whole, taken by who may, gone in a week."""

import csv
import io
import zipfile
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone
from django_tenants.utils import schema_context, tenant_context

import audit.services
from audit.ids import public_id
from audit.models import AuditEntry
from payments.models import Payment
from tenants import export, files, progress
from tenants.hosts import forget_hosts
from tenants.housekeeping import forget_expired
from tenants.models import DueTask, PreparedFile, PreparedFilePart, Role, Tenant
from tests.factories import make_channel
from tests.pages.test_loyalty import text_of


@pytest.fixture
def boss(acme, member_of):
    return member_of(acme)


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


def at(file: PreparedFile) -> str:
    return f"/files/{public_id('file', file.pk)}/"


def downloaded(client, file: PreparedFile) -> tuple[zipfile.ZipFile, bytes]:
    answer = client.get(at(file))
    content = answer.getvalue()
    assert (answer["Content-Type"], answer["Content-Length"]) == ("application/zip", str(len(content)))
    return zipfile.ZipFile(io.BytesIO(content)), content


def trail(tenant):
    with tenant_context(tenant):
        return list(AuditEntry.objects.order_by("sequence").values_list("action", flat=True))


def test_all_data_is_put_together_shown_as_it_goes_and_downloaded(acme, boss, browser, paid, run_due):
    client = browser(boss)
    assert client.post("/files/all-data/")["Location"] == "/files/"
    waiting = client.get("/files/", headers={"HX-Request": "true"}).content.decode()
    assert "To come" in waiting
    assert 'hx-trigger="every 2s"' in waiting
    file = PreparedFile.objects.get()
    assert client.get(at(file)).status_code == 404  # not ready

    run_due()
    answer = browser(boss).get("/files/?waiting=1", headers={"HX-Request": "true"})
    assert (answer["HX-Refresh"], b"hx-get" in answer.content) == ("true", False)
    page = browser(boss).get("/files/").content.decode()
    assert (at(file) in page, "hx-get" in page) == (True, False)
    archive, content = downloaded(client, file)
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
    assert trail(acme) == ["file.requested", "file.downloaded"]
    file.refresh_from_db()
    assert (file.rows_done, file.size) == (file.rows, len(content))


def test_asking_twice_is_one_file_also_just_after_it_is_ready(acme, boss, browser, run_due):
    client = browser(boss)
    client.post("/files/all-data/")
    assert client.post("/files/all-data/")["Location"] == "/files/"
    assert (PreparedFile.objects.count(), DueTask.objects.count()) == (1, 1)
    run_due()
    client.post("/files/all-data/")
    assert PreparedFile.objects.count() == 1
    PreparedFile.objects.update(created_at=timezone.now() - timedelta(minutes=2))
    client.post("/files/all-data/")
    assert PreparedFile.objects.count() == 2


def test_two_who_ask_at_the_same_moment_get_one_file(committed, actor, in_threads):
    tenant = committed("kilimo")

    def ask():
        with tenant_context(tenant):
            return export.request_export(actor=actor(), now=timezone.now()).pk

    first, second = in_threads(ask, ask)
    assert first == second
    assert (PreparedFile.objects.count(), DueTask.objects.count()) == (1, 1)
    assert trail(tenant) == ["file.requested"]


def test_a_business_has_five_in_the_making_at_most(acme, boss, browser):
    for number in range(files.MOST_AT_ONCE):
        PreparedFile.objects.create(
            tenant=acme, kind="all-data", fingerprint=bytes([number]), name="x.zip", expires_at=timezone.now()
        )
    answer = browser(boss).post("/files/all-data/")
    assert (answer.status_code, PreparedFile.objects.count()) == (409, files.MOST_AT_ONCE)
    assert "5 files are being made already." in answer.content.decode()


def test_a_file_that_failed_is_made_anew_and_whole(acme, boss, browser, paid, run_due, monkeypatch):
    client = browser(boss)
    client.post("/files/all-data/")
    monkeypatch.setattr(files, "_PART_BYTES", 500)
    whole = export._read_me

    def breaks(tenant, now):
        raise OSError("the disk is full")

    monkeypatch.setattr(export, "_read_me", breaks)
    with pytest.raises(OSError, match="full"):
        run_due()
    assert "it is tried again" in client.get("/files/").content.decode()
    monkeypatch.setattr(export, "_read_me", whole)
    DueTask.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    run_due()

    assert PreparedFilePart.objects.count() > 10
    archive, _content = downloaded(client, PreparedFile.objects.get())
    assert archive.testzip() is None


@pytest.fixture
def numbers():
    """A kind of file: as many lines as it is asked for; `at_line` is called with each."""
    called = {}

    def write(file, parameters, told):
        told.expect(parameters["lines"])
        for number in told.each(range(parameters["lines"])):
            called.get("at_line", lambda number: None)(number)
            file.write(f"{number:09}\n".encode())

    kind = files.FileKind(
        name="numbers", title="Numbers", permission=files.Permission.PAYOUTS_READ, write=write, about=lambda p: "all"
    )
    files.register_kind(kind)
    yield called
    del files._kinds["numbers"]


def ask_for_numbers(tenant, actor, lines=1000):
    with tenant_context(tenant):
        return files.ask_for(
            actor=actor(), kind="numbers", parameters={"lines": lines}, name="numbers.csv", now=timezone.now()
        )


def content_of(tenant, actor, file):
    with tenant_context(tenant):
        _file, parts = files.open_file(actor=actor(), file_id=file.pk)
        return b"".join(parts)


NUMBERS = b"".join(f"{number:09}\n".encode() for number in range(1000))


def test_a_worker_that_is_killed_in_the_middle_leaves_no_half_file(committed, actor, numbers, run_due, monkeypatch):
    """What a kill -9 leaves: the row is leased, some pieces are there, the file is noted as being made."""
    tenant = committed("kilimo")
    monkeypatch.setattr(files, "_PART_BYTES", 1000)
    file = ask_for_numbers(tenant, actor)

    def die(number):
        if number == 550:
            raise KeyboardInterrupt

    numbers["at_line"] = die
    with pytest.raises(KeyboardInterrupt):
        run_due()
    connection.set_schema_to_public()
    left = PreparedFile.objects.get()
    assert (left.status, left.rows, PreparedFilePart.objects.count()) == ("RUNNING", 1000, 5)
    assert DueTask.objects.get().leased_until > timezone.now()
    with tenant_context(tenant), pytest.raises(files.NoSuchFile):
        files.open_file(actor=actor(), file_id=file.pk)

    del numbers["at_line"]
    assert run_due() == 0  # it is still leased
    DueTask.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    assert run_due() == 1
    file = PreparedFile.objects.get()
    assert (file.status, file.rows_done, file.attempt, file.size) == ("READY", 1000, 2, 10_000)
    assert content_of(tenant, actor, file) == NUMBERS
    assert PreparedFilePart.objects.count() == 10


def test_a_worker_that_was_taken_for_dead_stops_and_spoils_nothing(committed, actor, numbers, run_due, monkeypatch):
    tenant = committed("kilimo")
    monkeypatch.setattr(files, "_PART_BYTES", 1000)
    file = ask_for_numbers(tenant, actor)

    def overtaken(number):
        if number == 550:
            del numbers["at_line"]
            files.make_file(file_id=str(file.pk))  # by another, from the beginning to the end

    numbers["at_line"] = overtaken
    assert run_due() == 1
    file.refresh_from_db()
    assert (file.status, file.attempt) == ("READY", 2)
    assert content_of(tenant, actor, file) == NUMBERS
    assert PreparedFilePart.objects.count() == 10


def test_who_works_long_keeps_the_work(acme, actor, numbers, run_due, monkeypatch):
    leases = []
    monkeypatch.setattr(progress, "_NOTE_EVERY_S", 0)

    def look(number):
        if number == 500:
            DueTask.objects.update(leased_until=timezone.now())
        if number == 502:
            leases.append(DueTask.objects.get().leased_until - timezone.now())
            leases.append(PreparedFile.objects.get().rows_done)

    numbers["at_line"] = look
    ask_for_numbers(acme, actor)
    run_due()
    assert timedelta(minutes=2) < leases[0] <= timedelta(minutes=3)
    assert leases[1] == 502


def test_progress_says_how_many_of_how_many_rows(acme, actor, numbers, browser, boss):
    file = ask_for_numbers(acme, actor)
    PreparedFile.objects.filter(pk=file.pk).update(status="RUNNING", rows=41_250, rows_done=12_500)
    answer = browser(boss).get("/files/", headers={"HX-Request": "true"})
    assert '<progress max="41250" value="12500">' in answer.content.decode()
    assert "Numbers Working all 12,500 of 41,250 rows. Asked for by somebody@acme.example." in text_of(answer)


def test_who_may_not_see_what_is_in_a_file_sees_no_file(acme, rival, actor, numbers, browser, member_of, run_due):
    file = ask_for_numbers(acme, actor)
    clerk, manager = browser(member_of(acme, Role.USER)), browser(member_of(acme, Role.MANAGER))
    assert "Numbers" not in clerk.get("/files/").content.decode()
    assert "Numbers" in manager.get("/files/").content.decode()  # though somebody else asked for it
    run_due()
    assert "Numbers" not in clerk.get("/files/").content.decode()
    assert clerk.get(at(file)).status_code == 404
    assert browser(member_of(rival)).get(at(file)).status_code == 404
    assert manager.get(at(file)).getvalue() == NUMBERS
    assert trail(acme) == ["file.requested", "file.downloaded"]


@pytest.mark.parametrize("role", [Role.MANAGER, Role.USER])
def test_all_data_is_for_administrators(acme, boss, browser, member_of, run_due, role):
    client = browser(member_of(acme, role))
    assert client.post("/files/all-data/").status_code == 403
    assert "/files/all-data/" not in client.get("/files/").content.decode()
    assert not PreparedFile.objects.exists()
    browser(boss).post("/files/all-data/")
    run_due()
    assert client.get(at(PreparedFile.objects.get())).status_code == 404


def test_a_closed_business_can_still_take_its_data_along(acme, boss, browser, run_due):
    Tenant.objects.filter(pk=acme.pk).update(status="CLOSED")
    forget_hosts()
    client = browser(boss)
    assert client.post("/files/all-data/").status_code == 302
    run_due()
    downloaded(client, PreparedFile.objects.get())
    assert client.post("/settings/", {"business_name": "Other"}).status_code == 409


def test_a_rival_gets_nothing_of_it(acme, rival, boss, browser, member_of, paid, run_due):
    browser(boss).post("/files/all-data/")
    run_due()
    theirs = browser(member_of(rival))
    path = at(PreparedFile.objects.get())
    assert theirs.get(path).status_code == 404
    assert path not in theirs.get("/files/").content.decode()
    theirs.post("/files/all-data/")
    run_due()
    archive, _content = downloaded(theirs, PreparedFile.objects.get(tenant=rival))
    everything = b"".join(archive.read(name) for name in archive.namelist())
    assert b"UKL1000001" not in everything
    assert b"acme" not in everything.lower()


def test_nothing_of_the_platforms_is_in_an_export(acme, boss, browser, run_due):
    with schema_context("public"):
        audit.services.record(
            actor=audit.services.system_actor("the platform's own"), action="operator.signed_in", subject=boss.user
        )
    client = browser(boss)
    client.post("/files/all-data/")
    run_due()
    archive, _content = downloaded(client, PreparedFile.objects.get())
    assert b"the platform's own" not in b"".join(archive.read(name) for name in archive.namelist())
    tables = {name.removesuffix(".csv") for name in archive.namelist() if name.endswith(".csv")}
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [acme.schema_name])
        own = {name for (name,) in cursor.fetchall()} - {"django_migrations"}
    assert tables == own | {"business", "business_people", "business_invitations", "mpesa_deliveries"}


def test_a_file_goes_after_a_week_and_so_does_what_could_not_be_made(acme, actor, numbers, boss, browser, run_due):
    browser(boss).post("/files/all-data/")
    run_due()
    ask_for_numbers(acme, actor)
    forget_expired(now=timezone.now() + timedelta(days=6))
    assert PreparedFile.objects.count() == 2
    forget_expired(now=timezone.now() + timedelta(days=8))
    assert (PreparedFile.objects.count(), PreparedFilePart.objects.count()) == (0, 0)
    assert run_due() == 1  # finds nothing to make
    assert not DueTask.objects.exists()
