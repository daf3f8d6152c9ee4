import pytest
from django.db import connection
from django_tenants.utils import tenant_context

from audit.models import AuditEntry, AuditRow, PlatformAuditEntry
from audit.services import Actor, system_actor
from tenants import services
from tenants.errors import Invalid
from tenants.models import Domain, DueTask, Membership, Role, Tenant, TenantActivity, User
from tenants.permissions import NotOperator
from tenants.services import EmailTaken, SlugTaken, WrongStep

GIVEN = {
    "actor": system_actor("test"),
    "business_name": "Mama  Mboga\n& Sons",
    "owner_name": "Wanjiku Kamau",
    "email": "Wanjiku@Mboga.example",
    "phone": "0712 345 678",
    "business_type": "SHOP",
    "password": "a long pass phrase",
}
OPERATOR = Actor(kind=AuditRow.ActorKind.OPERATOR, label="op@tuzo.example", role="super_admin")
REASON = "Its papers are missing."


def schemas() -> int:
    with connection.cursor() as cursor:
        cursor.execute(r"SELECT count(*) FROM pg_namespace WHERE nspname LIKE 't\_%'")
        return cursor.fetchone()[0]


def nothing_more_than(tenants: int, users: int) -> bool:
    return (
        Tenant.objects.count() == Domain.objects.count() == schemas() == tenants
        and User.objects.count() == Membership.objects.count() == users
        and TenantActivity.objects.count() == tenants
    )


def test_a_new_business_has_an_owner_a_host_name_and_an_empty_schema(db):
    tenant = services.open_tenant(**GIVEN)

    stored = Tenant.objects.get(pk=tenant.pk)
    assert stored.business_name == "Mama Mboga & Sons"
    assert stored.slug == "mama-mboga-sons"
    assert stored.schema_name == f"t_{stored.pk.hex}"
    assert stored.status == "PROVISIONING"
    assert (stored.email, stored.phone, stored.business_type) == ("wanjiku@mboga.example", "254712345678", "SHOP")
    assert [step["state"] for step in stored.provisioning_steps] == ["waiting"]
    assert Domain.objects.get(tenant=stored).domain == "mama-mboga-sons.localhost"
    place = Membership.objects.get(tenant=stored)
    assert (place.role, place.is_active, place.user.name) == ("org_admin", True, "Wanjiku Kamau")
    assert place.user.check_password("a long pass phrase")
    assert DueTask.objects.get().tenant_id == stored.pk
    assert nothing_more_than(tenants=3, users=1)


def test_a_sign_up_stands_in_the_platforms_trail_under_the_owners_name(db):
    visitor = Actor(kind=AuditRow.ActorKind.PERSON, label="wanjiku@mboga.example", address="10.1.2.3")

    tenant = services.open_tenant(**(GIVEN | {"actor": visitor}))

    row = PlatformAuditEntry.objects.get()
    assert (row.action, row.actor_label, row.address) == ("business.signed_up", "wanjiku@mboga.example", "10.1.2.3")
    assert row.actor_id == Membership.objects.get(tenant=tenant).user_id
    assert (row.subject_id, row.after["slug"]) == (str(tenant.pk), "mama-mboga-sons")
    assert "a long pass phrase" not in str(vars(row))


def test_the_same_email_again_is_refused_and_leaves_nothing(db):
    services.open_tenant(**GIVEN)

    with pytest.raises(EmailTaken):
        services.open_tenant(**(GIVEN | {"email": " wanjiku@MBOGA.example", "business_name": "Another"}))

    assert nothing_more_than(tenants=3, users=1)
    assert PlatformAuditEntry.objects.count() == DueTask.objects.count() == 1


def test_the_same_slug_again_is_refused_and_leaves_nothing(acme):
    with pytest.raises(SlugTaken):
        services.open_tenant(**GIVEN, slug="acme")

    assert nothing_more_than(tenants=2, users=0)


def test_businesses_of_one_name_get_slugs_of_their_own(acme):
    slugs = [
        services.open_tenant(**(GIVEN | {"business_name": "ACME", "email": f"{number}@acme.example"})).slug
        for number in range(3)
    ]

    assert slugs == ["acme-2", "acme-3", "acme-4"]


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Duka la Wambūi", "duka-la-wambui"),
        ("Admin", "business-admin"),
        ("KK", "business-kk"),
        ("商店", "my-business"),
        ("under_score__d", "under-score-d"),
        ("A Shop With A Very Long Name Indeed Ltd", "a-shop-with-a-very-long-name-i"),
        ("xn--80ak6aa92e", "xn-80ak6aa92e"),
    ],
)
def test_a_slug_is_made_of_the_name(db, name, slug):
    assert services.open_tenant(**(GIVEN | {"business_name": name})).slug == slug


@pytest.mark.parametrize("slug", ["ab", "-acme", "acme-", "a--b", "Acme", "acme.shop", "a" * 41, "acme\n", "é-shop"])
def test_a_slug_that_is_no_host_name_is_refused(db, slug):
    with pytest.raises(Invalid) as refusal:
        services.open_tenant(**GIVEN, slug=slug)

    assert list(refusal.value.errors) == ["slug"]
    assert nothing_more_than(tenants=2, users=0)


@pytest.mark.parametrize("slug", ["www", "api", "admin", "mail", "mpesa", "safaricom"])
def test_the_platforms_own_names_are_nobodys(db, slug):
    with pytest.raises(SlugTaken):
        services.open_tenant(**GIVEN, slug=slug)

    assert nothing_more_than(tenants=2, users=0)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("0712 345 678", "254712345678"),
        ("+254 712-345-678", "254712345678"),
        ("254712345678", "254712345678"),
        ("0110345678", "254110345678"),
        ("020 234 5678", "254202345678"),
    ],
)
def test_a_contact_number_is_kept_as_digits(typed, kept):
    assert services.read_contact_number(typed) == kept


@pytest.mark.parametrize(
    "typed", ["", "12345", "+1 212 555 0100", "0712 345 678 ext 2", "07123456789012", "٠٧١٢٣٤٥٦٧٨"]
)
def test_what_is_no_kenyan_number_is_refused(typed):
    with pytest.raises(Invalid) as refusal:
        services.read_contact_number(typed)

    assert refusal.value.errors == {"phone": ["Enter a Kenyan number, like 0712 345 678."]}


@pytest.mark.parametrize("password", ["short", "1234567890123", "password1234567890"[:11], "wanjiku@mboga.example"])
def test_a_weak_password_is_refused_and_leaves_nothing(db, password):
    with pytest.raises(Invalid) as refusal:
        services.open_tenant(**(GIVEN | {"password": password}))

    assert list(refusal.value.errors) == ["password"]
    assert nothing_more_than(tenants=2, users=0)


def test_two_sign_ups_of_one_email_at_once_make_one_business(committed, in_threads):
    results = in_threads(
        *[lambda name=name: services.open_tenant(**(GIVEN | {"business_name": name})) for name in "AB"]
    )

    assert sorted(type(result).__name__ for result in results) == ["EmailTaken", "Tenant"]
    assert nothing_more_than(tenants=3, users=1)
    assert PlatformAuditEntry.objects.count() == DueTask.objects.count() == 1


def test_two_sign_ups_of_one_slug_at_once_make_one_business(committed, in_threads):
    results = in_threads(
        *[lambda n=n: services.open_tenant(**(GIVEN | {"email": f"{n}@x.example"}), slug="kilimo") for n in "ab"]
    )

    assert sorted(type(result).__name__ for result in results) == ["SlugTaken", "Tenant"]
    assert nothing_more_than(tenants=3, users=1)


def test_sign_ups_of_one_name_at_once_all_get_a_slug(committed, in_threads):
    results = in_threads(*[lambda n=n: services.open_tenant(**(GIVEN | {"email": f"{n}@x.example"})) for n in range(4)])

    assert sorted(tenant.slug for tenant in results) == [
        "mama-mboga-sons",
        "mama-mboga-sons-2",
        "mama-mboga-sons-3",
        "mama-mboga-sons-4",
    ]


MOVES = {
    "activate": lambda tenant: services.activate_tenant(actor=OPERATOR, tenant=tenant),
    "suspend": lambda tenant: services.suspend_tenant(actor=OPERATOR, tenant=tenant, reason=REASON),
    "reactivate": lambda tenant: services.reactivate_tenant(actor=OPERATOR, tenant=tenant),
    "close": lambda tenant: services.close_tenant(actor=OPERATOR, tenant=tenant, reason=REASON),
}
#                 activate     suspend      reactivate  close
ALLOWED = {
    "PROVISIONING": (None,     None,        None,       None),
    "TRIAL":        ("ACTIVE", "SUSPENDED", None,       "CLOSED"),
    "ACTIVE":       (None,     "SUSPENDED", None,       "CLOSED"),
    "SUSPENDED":    (None,     None,        "TRIAL",    "CLOSED"),
    "CLOSED":       (None,     None,        None,       None),
}  # fmt: skip


@pytest.mark.parametrize(
    ("state", "move", "becomes"),
    [(state, move, row[i]) for state, row in ALLOWED.items() for i, move in enumerate(MOVES)],
)
def test_a_business_goes_only_where_the_table_says(acme, state, move, becomes):
    Tenant.objects.filter(pk=acme.pk).update(status=state, status_before="TRIAL" if state == "SUSPENDED" else "")

    if becomes:
        assert MOVES[move](acme).status == becomes
    else:
        with pytest.raises(WrongStep):
            MOVES[move](acme)

    acme.refresh_from_db()
    assert acme.status == (becomes or state)
    assert PlatformAuditEntry.objects.count() == (1 if becomes else 0)


@pytest.mark.parametrize("state", ["TRIAL", "ACTIVE"])
def test_a_suspended_business_goes_back_to_what_it_was(acme, state):
    Tenant.objects.filter(pk=acme.pk).update(status=state)

    services.suspend_tenant(actor=OPERATOR, tenant=acme, reason=REASON)
    acme.refresh_from_db()
    assert (acme.status, acme.status_reason) == ("SUSPENDED", REASON)

    services.reactivate_tenant(actor=OPERATOR, tenant=acme, reason="The papers came.")
    acme.refresh_from_db()
    assert (acme.status, acme.status_before, acme.status_reason) == (state, "", "The papers came.")


def test_a_suspension_is_read_in_both_trails_and_not_in_another_business(acme, rival):
    services.suspend_tenant(actor=OPERATOR, tenant=acme, reason=REASON)

    with tenant_context(acme):
        own = AuditEntry.objects.get()
    for row in (PlatformAuditEntry.objects.get(), own):
        assert (row.action, row.actor_label, row.reason) == ("business.suspended", "op@tuzo.example", REASON)
        assert (row.before, row.after) == ({"status": "TRIAL"}, {"status": "SUSPENDED"})
    with tenant_context(rival):
        assert not AuditEntry.objects.exists()
    assert connection.schema_name == "public"


@pytest.mark.parametrize("move", [services.suspend_tenant, services.close_tenant])
def test_a_business_is_not_stopped_without_a_reason(acme, move):
    with pytest.raises(Invalid):
        move(actor=OPERATOR, tenant=acme, reason="  ")

    acme.refresh_from_db()
    assert acme.status == "TRIAL"


@pytest.mark.parametrize("role", Role.values)
def test_nobody_inside_a_business_decides_on_its_life(acme, actor, role):
    for move in (services.activate_tenant, services.suspend_tenant, services.reactivate_tenant, services.close_tenant):
        with pytest.raises(NotOperator):
            move(actor=actor(Role(role)), tenant=acme, reason=REASON)

    acme.refresh_from_db()
    assert acme.status == "TRIAL"
    assert not PlatformAuditEntry.objects.exists()
