"""The demo shop: made in the background, kept alive by who looks, removed whole."""

from datetime import datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import Count, Sum
from django.test import Client
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.models import PlatformAuditEntry
from channels.models import Environment, MpesaChannel
from channels.practice_phone import PracticePayment, PracticeRefused
from config import demo_shop
from loyalty.models import Member
from loyalty.services import make_default_program
from payments.models import DayTotal, Payment, PayoutBatch, ReconciliationDay, Reversal
from payments.services import NAIROBI
from tenants import provisioning
from tenants.hosts import forget_hosts
from tenants.models import DueTask, InboundCallback, Tenant, User
from tenants.own_sign_in import request_password_reset
from tests.factories import make_channel

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=NAIROBI)
SENDS_MONEY = {
    "initiator_name": "testapi",
    "secret_notes": {"initiator_credential": {"ends_in": None, "saved_at": None, "proved_at": None}},
}


@pytest.fixture
def customers(monkeypatch):
    """Payments that go to the simulator's phone; nothing answers here, so they are recorded at once."""
    paid = []

    def pay(*, channel, amount, account_reference, phone_number, name, **more):
        paid.append((channel.name, amount, account_reference, phone_number, name))
        Payment.objects.create(
            receipt=f"UKL{len(paid):07d}",
            channel=channel,
            environment=channel.environment,
            payer=phone_number,
            amount=amount,
            source=Payment.Source.CONFIRMATION,
            paid_at=NOW,
            created_at=NOW,
        )
        return PracticePayment(f"UKL{len(paid):07d}", is_paid=True, message="")

    monkeypatch.setattr(demo_shop, "pay_as_customer", pay)
    return paid


@pytest.fixture
def half_made(db, monkeypatch, run_due):
    """Signed up and provisioned, with channels that would connect themselves and are connected here by hand."""
    steps = {key: step for key, step in provisioning._steps.items() if key == "schema"}
    monkeypatch.setattr(provisioning, "_steps", steps)
    assert demo_shop.make(now=NOW) is False
    DueTask.objects.exclude(task="tenants.tasks.provision_tenant").delete()
    run_due()
    shop = Tenant.objects.get(slug="demo")
    make_channel(shop, "600777", **SENDS_MONEY)
    with tenant_context(shop):
        make_default_program()
    assert demo_shop.make(now=NOW) is False  # the till is made, and both channels have yet to be connected
    with tenant_context(shop):
        assert set(MpesaChannel.objects.values_list("name", flat=True)) == {"Duka PayBill", "Duka shop till"}
        MpesaChannel.objects.filter(name="Duka shop till").update(shortcode="600778")
        MpesaChannel.objects.update(status=MpesaChannel.Status.ACTIVE, **SENDS_MONEY)
    return shop


@pytest.fixture
def shop(half_made, customers):
    assert demo_shop.make(now=NOW) is False  # the first customers of the day are on their way
    assert demo_shop.make(now=NOW) is True
    forget_hosts()
    half_made.refresh_from_db()
    return half_made


def test_visitors_come_when_all_is_made_and_not_before(half_made, customers):
    assert not Tenant.objects.filter(is_demo=True).exists()
    assert Client(SERVER_NAME="demo.localhost").get("/").status_code == 302

    for _ in range(2):
        demo_shop.make(now=NOW)
    forget_hosts()
    answer = Client(SERVER_NAME="demo.localhost").get("/")
    assert answer.status_code == 200
    assert "Duka la Mfano" in answer.content.decode()
    connection.set_schema_to_public()
    assert PlatformAuditEntry.objects.filter(action="demo.opened").count() == 1


def test_the_shop_has_four_weeks_behind_it_and_work_before_it(shop, customers):
    midnight = NOW.replace(hour=0)
    with tenant_context(shop):
        past = Payment.objects.filter(paid_at__lt=midnight)
        assert past.count() == 600
        assert past.earliest("paid_at").paid_at >= midnight - timedelta(days=28)
        assert len(customers) == Payment.objects.filter(paid_at__gte=midnight).count() == 6
        totals = DayTotal.objects.aggregate(count=Sum("payment_count"), amount=Sum("amount"))
        assert totals == past.aggregate(count=Count("pk"), amount=Sum("amount"))
        assert set(PayoutBatch.objects.values_list("reference", "status")) == {
            ("Wages, casuals", "RELEASED"),
            ("Suppliers 20 Nov 2026", "AWAITING_APPROVAL"),
        }
        assert Reversal.objects.get().requested_by == "owner@demo.example"
        assert {*ReconciliationDay.objects.values_list("status", flat=True)} == {"AGREES", "SETTLED"}
        assert not MpesaChannel.objects.exclude(environment=Environment.PRACTICE).exists()
        assert not Member.objects.filter(points_balance__lt=0).exists()


def test_what_is_there_is_not_made_again(shop, customers):
    with tenant_context(shop):
        before = Payment.objects.count(), PayoutBatch.objects.count()
    connection.set_schema_to_public()
    DueTask.objects.all().delete()

    assert demo_shop.make(now=NOW) is True
    demo_shop.promise()

    connection.set_schema_to_public()
    assert not DueTask.objects.exists()
    with tenant_context(shop):
        assert (Payment.objects.count(), PayoutBatch.objects.count()) == before


def test_nobody_can_sign_in_as_its_invented_people(shop):
    connection.set_schema_to_public()
    people = User.objects.filter(email__endswith="@demo.example")

    assert people.count() == 2
    assert not any(person.has_usable_password() for person in people)
    DueTask.objects.all().delete()
    request_password_reset(actor=demo_shop.ACTOR, email="owner@demo.example")
    assert not DueTask.objects.exists()  # nor is anything mailed to them


def test_only_somebody_who_looks_has_the_next_customer_pay(shop):
    connection.set_schema_to_public()
    DueTask.objects.all().delete()
    visitor = Client(SERVER_NAME="demo.localhost")
    before = timezone.now()
    visitor.get("/")
    visitor.get("/payments/")

    connection.set_schema_to_public()
    promised = DueTask.objects.get()
    assert (promised.task, promised.tenant) == ("config.tasks.let_a_customer_pay", shop)
    assert promised.due_at >= before + timedelta(seconds=15)


def test_customers_pay_until_enough_have_today(shop, customers, monkeypatch):
    monkeypatch.setattr(demo_shop, "CUSTOMERS_PER_DAY", 8)
    with tenant_context(shop):
        for _ in range(4):
            demo_shop.let_a_customer_pay(now=NOW)
        assert len(customers) == 8
        demo_shop.let_a_customer_pay(now=NOW + timedelta(days=1))
    assert len(customers) == 9


def test_a_customer_without_money_is_no_failure(shop, monkeypatch):
    def refuse(**payment):
        raise PracticeRefused("There is not enough money in your M-PESA account.")

    monkeypatch.setattr(demo_shop, "pay_as_customer", refuse)
    with tenant_context(shop):
        demo_shop.let_a_customer_pay(now=NOW)


def test_on_each_day_that_somebody_looks_one_batch_waits(shop):
    with tenant_context(shop):
        PayoutBatch.objects.filter(status="AWAITING_APPROVAL").update(status="EXPIRED")
        for days in (0, 1, 1):
            demo_shop.let_a_customer_pay(now=NOW + timedelta(days=days))

        waiting = PayoutBatch.objects.filter(status="AWAITING_APPROVAL")
        assert [batch.reference for batch in waiting] == ["Suppliers 21 Nov 2026"]


def test_it_is_removed_whole_and_nothing_else(shop, acme, rival):
    connection.set_schema_to_public()
    InboundCallback.objects.create(tenant=shop, kind="RESULT", body=b"{}", received_at=NOW, due_at=NOW)
    schema = shop.schema_name
    connection.check_constraints()  # a test's one transaction has them waiting, and PostgreSQL drops nothing before

    assert demo_shop.remove() is True
    assert demo_shop.remove() is False

    assert set(Tenant.objects.values_list("slug", flat=True)) == {"acme", "rival"}
    assert not User.objects.filter(email__endswith="@demo.example").exists()
    assert not InboundCallback.objects.exists()
    assert not DueTask.objects.filter(tenant=shop).exists()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_namespace WHERE nspname = %s", [schema])
        assert cursor.fetchone() == (0,)
    assert PlatformAuditEntry.objects.filter(action="demo.removed").count() == 1


def test_the_command_makes_removes_and_says_where(shop, capsys):
    call_command("demo_shop")
    assert capsys.readouterr().out == "The demo shop is open: http://demo.localhost:8000/\n"

    connection.check_constraints()
    call_command("demo_shop", remove=True)
    assert capsys.readouterr().out == "The demo shop is removed.\n"


def test_the_command_promises_and_does_not_wait_for_ever(db, monkeypatch):
    monkeypatch.setattr("config.management.commands.demo_shop._PATIENCE_S", 0)

    with pytest.raises(CommandError, match="It goes on in the background"):
        call_command("demo_shop")
    assert DueTask.objects.get().task == "config.tasks.make_demo_shop"


def test_while_something_is_missing_the_rest_is_promised(half_made, customers):
    connection.set_schema_to_public()
    DueTask.objects.all().delete()

    demo_shop.carry_on(now=timezone.now())

    assert DueTask.objects.filter(task="config.tasks.make_demo_shop").count() == 1
