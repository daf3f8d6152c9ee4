import time

import pytest
from django.core import signing
from django.db import connection, transaction
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import new_id
from audit.models import AuditEntry, PlatformAuditEntry
from audit.services import record, system_actor
from tenants import provisioning
from tenants.errors import NotFound
from tenants.models import Domain, DueTask, InboundCallback, Membership, Role, Tenant, TenantActivity, User
from tenants.provisioning import discard_hopeless, progress_of, progress_token, register_step
from tenants.tasks import provision_tenant


def states(tenant):
    tenant.refresh_from_db()
    return {step["key"]: step["state"] for step in tenant.provisioning_steps}


def note_in_trail(word):
    with transaction.atomic():
        record(actor=system_actor("step"), action=f"step.{word}", subject=connection.tenant)


def trail(tenant):
    with tenant_context(tenant):
        return list(AuditEntry.objects.order_by("sequence").values_list("action", flat=True))


def schema_exists(tenant):
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_namespace WHERE nspname = %s", [tenant.schema_name])
        return cursor.fetchone()[0] == 1


def test_a_business_is_made_step_by_step_in_its_own_schema_and_opens_on_trial(db, new_business, provision):
    register_step(key="later", order=30, sentence="Later", run=lambda: note_in_trail("later"))
    register_step(key="sooner", order=20, sentence="Sooner", run=lambda: note_in_trail("sooner"))
    tenant = new_business()
    assert states(tenant) == {"schema": "waiting", "sooner": "waiting", "later": "waiting"}

    provision()

    assert list(states(tenant).items()) == [("schema", "done"), ("sooner", "done"), ("later", "done")]
    assert tenant.status == "TRIAL"
    assert trail(tenant) == ["step.sooner", "step.later"]
    assert not DueTask.objects.exists()
    assert connection.schema_name == "public"


def test_a_new_business_has_the_tables_that_migrations_would_make(committed, new_business, provision):
    migrated = committed("kilimo")
    tenant = new_business()

    provision()

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = %s", [migrated.schema_name]
        )
        expected = {name for (name,) in cursor.fetchall()}
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = %s", [tenant.schema_name])
        assert {name for (name,) in cursor.fetchall()} == expected
    assert {"audit_auditentry", "channels_mpesachannel", "payments_payment", "loyalty_program"} <= expected


def test_a_step_that_fails_leaves_nothing_of_itself_and_is_finished_by_the_next_attempt(
    committed, new_business, provision
):
    runs = []

    def half_way():
        runs.append("half_way")
        note_in_trail("half_way")
        if len(runs) == 1:
            raise RuntimeError("the worker fell over")

    register_step(key="first", order=20, sentence="First", run=lambda: note_in_trail("first"))
    register_step(key="half_way", order=30, sentence="Half way", run=half_way)
    tenant = new_business()

    with pytest.raises(RuntimeError, match="the worker fell over"):
        provision()
    assert states(tenant) == {"schema": "done", "first": "done", "half_way": "failed"}
    assert tenant.status == "PROVISIONING"
    assert trail(tenant) == ["step.first"]
    row = DueTask.objects.get()
    assert (row.attempts, row.last_error) == (1, "RuntimeError: the worker fell over")

    provision()
    assert states(tenant) == {"schema": "done", "first": "done", "half_way": "done"}
    assert tenant.status == "TRIAL"
    assert trail(tenant) == ["step.first", "step.half_way"]


def test_a_worker_that_died_without_a_word_is_followed_by_another(committed, new_business, provision):
    """What a kill -9 leaves: the step is noted as running, the row is leased, nothing of the step is there."""
    register_step(key="first", order=20, sentence="First", run=lambda: note_in_trail("first"))
    tenant = new_business()
    provisioning._note(tenant, provisioning._steps["schema"], "running")
    DueTask.objects.update(leased_until=timezone.now())

    provision()

    assert states(tenant) == {"schema": "done", "first": "done"}
    assert trail(tenant) == ["step.first"]


def test_two_workers_at_once_make_a_business_once(committed, new_business, in_threads):
    register_step(key="first", order=20, sentence="First", run=lambda: note_in_trail("first"))
    tenant = new_business()

    def work():
        with tenant_context(tenant):
            provisioning.provision()

    assert in_threads(work, work) == [None, None]
    assert states(tenant) == {"schema": "done", "first": "done"}
    assert trail(tenant) == ["step.first"]


def test_provisioning_a_business_that_is_open_changes_nothing(acme):
    Tenant.objects.filter(pk=acme.pk).update(status="SUSPENDED")

    with tenant_context(acme):
        provisioning.provision()

    acme.refresh_from_db()
    assert acme.status == "SUSPENDED"


def give_up(tenant, error="RuntimeError: it broke"):
    DueTask.objects.filter(tenant=tenant, task=provision_tenant.name).update(
        attempts=provisioning.ATTEMPTS_BEFORE_GIVING_UP, last_error=error
    )


def test_a_business_that_can_not_be_made_is_taken_back_whole(committed, new_business, provision, person):
    register_step(key="first", order=20, sentence="First", run=lambda: note_in_trail("first"))
    register_step(key="broken", order=30, sentence="Broken", run=lambda: 1 / 0)
    tenant = new_business()
    with pytest.raises(ZeroDivisionError):
        provision()
    assert trail(tenant) == ["step.first"]
    person("bystander@rival.example")
    delivery = InboundCallback.objects.create(
        tenant=tenant, channel_id=new_id(), kind="C2B_CONFIRMATION", body=b"{}", received_at=timezone.now(),
        due_at=timezone.now(),
    )  # fmt: skip
    give_up(tenant)

    assert discard_hopeless() == 1

    assert not schema_exists(tenant)
    assert set(Tenant.objects.values_list("slug", flat=True)) == {"acme", "rival"}
    assert list(User.objects.values_list("email", flat=True)) == ["bystander@rival.example"]
    for model in (Membership, DueTask, TenantActivity):
        assert not model.objects.filter(tenant_id=tenant.pk).exists()
    assert Domain.objects.count() == 2
    delivery.refresh_from_db()
    assert (delivery.tenant_id, delivery.state, delivery.reason) == (None, "QUARANTINED", "UNKNOWN_TOKEN")
    row = PlatformAuditEntry.objects.order_by("sequence").last()
    assert (row.action, row.actor_label, row.subject_id) == ("business.discarded", "provisioning", str(tenant.pk))
    assert row.before == {"slug": "mama-mboga", "email": "wanjiku@mboga.example"}
    assert row.reason == "RuntimeError: it broke"


def test_who_was_taken_back_can_sign_up_again(db, new_business, provision):
    give_up(new_business())
    discard_hopeless()

    tenant = new_business()
    provision()

    tenant.refresh_from_db()
    assert (tenant.slug, tenant.status) == ("mama-mboga", "TRIAL")


def test_an_owner_with_another_place_keeps_their_account(acme, new_business):
    tenant = new_business()
    owner = User.objects.get()
    Membership.objects.create(user=owner, tenant=acme, role=Role.USER)
    give_up(tenant)

    discard_hopeless()

    assert User.objects.get() == owner
    assert owner.memberships.get().tenant == acme


def test_a_business_is_not_taken_back_while_there_is_hope(db, new_business):
    tenant = new_business()
    DueTask.objects.update(attempts=provisioning.ATTEMPTS_BEFORE_GIVING_UP - 1)
    assert discard_hopeless() == 0

    give_up(tenant)
    DueTask.objects.update(leased_until=timezone.now())  # an attempt is being made
    assert discard_hopeless() == 0

    DueTask.objects.update(leased_until=None)
    Tenant.objects.filter(pk=tenant.pk).update(status="TRIAL")  # it came up after all
    assert discard_hopeless() == 0
    assert Tenant.objects.filter(pk=tenant.pk).exists()
    assert schema_exists(tenant)


def test_progress_is_shown_to_whoever_holds_the_token_and_to_nobody_else(db, new_business):
    tenant = new_business()
    token = progress_token(tenant)

    assert progress_of(token) == tenant
    for forged in (token[:-1], token + "x", "", tenant.pk.hex, signing.dumps(tenant.pk.hex, salt="other")):
        with pytest.raises(NotFound):
            progress_of(forged)


def test_progress_is_readable_for_a_day(db, new_business, monkeypatch):
    token = progress_token(new_business())
    tomorrow = time.time() + 24 * 60 * 60

    monkeypatch.setattr(signing.time, "time", lambda: tomorrow - 60)
    progress_of(token)
    monkeypatch.setattr(signing.time, "time", lambda: tomorrow + 60)
    with pytest.raises(NotFound):
        progress_of(token)


def test_progress_of_a_business_that_could_not_be_made_says_so(db, new_business):
    tenant = new_business()
    token = progress_token(tenant)
    give_up(tenant)
    discard_hopeless()

    with pytest.raises(NotFound, match="could not be made"):
        progress_of(token)
