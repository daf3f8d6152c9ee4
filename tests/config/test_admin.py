import re
from datetime import timedelta
from html import unescape

import pytest
from django.test import Client
from django.utils import timezone
from django_otp.oath import totp
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice
from django_tenants.utils import tenant_context

from audit.ids import new_id
from audit.models import AuditEntry, PlatformAuditEntry
from config.admin import site
from tenants.models import (
    CallbackRoute,
    DueTask,
    InboundCallback,
    Invitation,
    ProductionShortcode,
    Role,
    Tenant,
    TenantActivity,
    User,
)
from tenants.sessions import SESSION_TENANT_KEY
from tests.factories import make_channel

PASSWORD = "a long pass phrase"
BODY = b'{"TransID": "RKTQDM7W6S", "MSISDN": "254712345678", "BillRefNumber": "<script>alert(1)</script>"}'


@pytest.fixture
def operator(db):
    return User.objects.create_superuser(email="operator@tuzo.example", password=PASSWORD, name="Olive Operator")


@pytest.fixture
def authenticator(operator):
    return TOTPDevice.objects.create(user=operator, name="Authenticator", key="ab" * 20)


@pytest.fixture
def client():
    return Client(SERVER_NAME="localhost", HTTP_USER_AGENT="Firefox")


@pytest.fixture
def signed_in(client, authenticator, operator):
    """A client of an operator who gave both factors."""
    client.force_login(operator)
    session = client.session
    session["otp_device_id"] = authenticator.persistent_id
    session.save()
    return client


def give_password(client, email, password=PASSWORD, next_page="/operators/"):
    return client.post("/operators/login/", {"username": email, "password": password, "next": next_page})


def code_of(device, steps_ahead=0):
    return f"{totp(device.bin_key, drift=steps_ahead):06d}"


def deliver(tenant, **columns):
    now = timezone.now()
    defaults = {
        "kind": InboundCallback.Kind.C2B_CONFIRMATION,
        "body": BODY,
        "headers": {"content-type": "application/json", "authorization": "Bearer canaryCANARYcanary"},
        "address": "196.201.214.200",
        "received_at": now,
        "due_at": now,
        "state": InboundCallback.State.QUARANTINED,
        "reason": InboundCallback.Reason.FOREIGN_SHORTCODE,
        "error": "It names 600000, which is not yours.",
        "dedup_key": "RKTQDM7W6S",
    }
    return InboundCallback.objects.create(tenant=tenant, **(defaults | columns))


# -- Who gets in ------------------------------------------------------------------------------------------------------


def test_a_stranger_sees_the_sign_in_page_and_nothing_else(client, acme):
    for path in ("", "tenants/tenant/", f"tenants/tenant/{acme.pk}/change/", "second-factor/", "second-factor/set-up/"):
        response = client.get(f"/operators/{path}")

        assert response.status_code == 302
        assert response["Location"].startswith("/operators/login/")


def test_an_administrator_of_a_business_is_told_the_password_is_wrong(client, acme, member_of):
    membership = member_of(acme, Role.ORG_ADMIN)

    response = give_password(client, membership.user.email)

    assert "The e-mail address or the password is wrong." in response.content.decode()
    assert "_auth_user_id" not in client.session
    assert client.get("/operators/tenants/tenant/")["Location"].startswith("/operators/login/")


def test_an_administrators_open_session_shows_nothing_of_the_platform(client, acme, member_of):
    client.force_login(member_of(acme, Role.ORG_ADMIN).user)

    for path in ("", "tenants/tenant/", "second-factor/", "second-factor/set-up/"):
        response = client.get(f"/operators/{path}")

        assert response.status_code == 302
        assert response["Location"].startswith("/operators/login/")


def test_a_former_operator_does_not_get_in(client, operator, authenticator):
    User.objects.filter(pk=operator.pk).update(is_active=False)

    response = give_password(client, operator.email)

    assert "The e-mail address or the password is wrong." in response.content.decode()
    assert "_auth_user_id" not in client.session


def test_the_password_alone_opens_no_page(client, operator, authenticator, acme):
    give_password(client, operator.email)

    for path in ("", "tenants/tenant/", f"tenants/tenant/{acme.pk}/step/suspend/", "password_change/", "jsi18n/"):
        response = client.get(f"/operators/{path}", follow=True)

        assert response.redirect_chain[-1][0].startswith("/operators/second-factor/")
        assert "Acme" not in response.content.decode()
    client.post(f"/operators/tenants/tenant/{acme.pk}/step/suspend/", {"reason": "because"})
    assert Tenant.objects.get(pk=acme.pk).status == "TRIAL"


def test_password_and_code_lead_to_the_page_that_was_asked_for(client, operator, authenticator):
    wanted = "/operators/tenants/user/?is_staff__exact=1"

    first = client.get(wanted, follow=True)
    assert first.redirect_chain[-1][0] == "/operators/login/?next=/operators/tenants/user/%3Fis_staff__exact%3D1"
    response = give_password(client, operator.email, next_page=wanted)
    assert response["Location"] == wanted
    response = client.get(wanted, follow=True)
    assert response.redirect_chain[-1][0].startswith("/operators/second-factor/?next=%2Foperators%2Ftenants%2Fuser")
    response = client.post("/operators/second-factor/", {"code": code_of(authenticator), "next": wanted})

    assert response["Location"] == wanted
    assert client.get(wanted).status_code == 200
    entry = PlatformAuditEntry.objects.get()
    assert (entry.action, entry.actor_label, entry.actor_kind) == ("operator.signed_in", operator.email, "OPERATOR")
    assert (entry.address, entry.user_agent) == ("127.0.0.1", "Firefox")
    assert entry.after == {"second_factor": "Authenticator"}


def test_nobody_is_led_away_from_the_platform(client, operator, authenticator):
    give_password(client, operator.email)

    response = client.post(
        "/operators/second-factor/", {"code": code_of(authenticator), "next": "https://evil.example/operators/"}
    )

    assert response["Location"] == "/operators/"


def test_the_session_has_another_key_after_each_factor(client, operator, authenticator):
    client.get("/operators/login/")
    give_password(client, operator.email)
    after_password = client.session.session_key
    client.post("/operators/second-factor/", {"code": code_of(authenticator)})

    assert client.session.session_key != after_password


def test_a_code_is_good_once(client, operator, authenticator):
    code = code_of(authenticator)
    give_password(client, operator.email)
    client.post("/operators/second-factor/", {"code": code})
    client.post("/operators/logout/")
    give_password(client, operator.email)

    response = client.post("/operators/second-factor/", {"code": code})

    assert "This code is wrong, or was used before." in response.content.decode()
    assert client.get("/operators/").status_code == 302


def test_a_wrong_code_is_refused_and_the_next_one_waits(client, operator, authenticator):
    give_password(client, operator.email)
    wrong = f"{(int(code_of(authenticator)) + 500_000) % 1_000_000:06d}"

    first = client.post("/operators/second-factor/", {"code": wrong})
    second = client.post("/operators/second-factor/", {"code": code_of(authenticator)})

    assert "This code is wrong, or was used before." in first.content.decode()
    assert "Too many wrong codes. Wait a little, then try the next one." in second.content.decode()
    assert client.get("/operators/").status_code == 302
    assert not PlatformAuditEntry.objects.exists()


def test_a_recovery_code_lets_in_once(client, operator, authenticator):
    device = StaticDevice.objects.create(user=operator, name="Recovery codes")
    StaticToken.objects.create(device=device, token="abcd2345")
    give_password(client, operator.email)

    client.post("/operators/second-factor/", {"code": " ABCD 2345 "})
    assert client.get("/operators/").status_code == 200
    assert PlatformAuditEntry.objects.get().after == {"second_factor": "Recovery codes"}
    client.post("/operators/logout/")
    give_password(client, operator.email)
    response = client.post("/operators/second-factor/", {"code": "abcd2345"})

    assert "This code is wrong, or was used before." in response.content.decode()
    assert client.get("/operators/").status_code == 302


def test_wrong_passwords_close_the_door_for_the_right_one_too(client, operator, authenticator):
    for _ in range(8):
        response = give_password(client, operator.email, "not it")

    assert "Too many wrong passwords." in unescape(response.content.decode())
    response = give_password(client, operator.email)
    assert "Too many wrong passwords." in unescape(response.content.decode())
    assert "_auth_user_id" not in client.session


def test_the_operators_site_is_on_the_platform_host_only(signed_in, acme):
    assert signed_in.get("/operators/").status_code == 200
    for path in ("/operators/", "/operators/login/", "/operators/second-factor/"):
        assert signed_in.get(path, SERVER_NAME="acme.localhost").status_code == 404


def test_an_operators_session_is_no_session_of_a_business(signed_in):
    signed_in.get("/health/", SERVER_NAME="acme.localhost")

    assert SESSION_TENANT_KEY not in signed_in.session
    assert signed_in.get("/operators/").status_code == 302


# -- Setting the second factor up -------------------------------------------------------------------------------------


def key_on(response):
    return re.search(r'<code class="key">([A-Z2-7]{32})</code>', response.content.decode())[1]


def code_for(key):
    from base64 import b32decode

    return f"{totp(b32decode(key)):06d}"


def test_an_operator_without_a_second_factor_is_led_to_set_one_up(client, operator):
    give_password(client, operator.email)

    response = client.get("/operators/", follow=True)
    assert response.redirect_chain[-1][0].startswith("/operators/second-factor/set-up/")
    assert 'src="data:image/svg+xml' in response.content.decode()
    response = client.post("/operators/second-factor/set-up/", {"code": code_for(key_on(response))})

    codes = re.findall(r"<li><code>([a-z2-7]{8})</code></li>", response.content.decode())
    assert len(set(codes)) == 10
    assert sorted(codes) == sorted(StaticToken.objects.values_list("token", flat=True))
    assert client.get("/operators/").status_code == 200
    assert [entry.action for entry in PlatformAuditEntry.objects.all()] == ["operator.second_factor_set_up"]
    assert not any(code in str(vars(PlatformAuditEntry.objects.get())) for code in codes)
    assert response["Cache-Control"] == "max-age=0, no-cache, no-store, must-revalidate, private"


def test_the_code_that_set_it_up_does_not_sign_in(client, operator):
    give_password(client, operator.email)
    code = code_for(key_on(client.get("/operators/second-factor/set-up/")))
    client.post("/operators/second-factor/set-up/", {"code": code})
    client.post("/operators/logout/")
    give_password(client, operator.email)

    response = client.post("/operators/second-factor/", {"code": code})

    assert "This code is wrong, or was used before." in response.content.decode()


def test_a_wrong_code_sets_nothing_up_and_keeps_the_key(client, operator):
    give_password(client, operator.email)
    key = key_on(client.get("/operators/second-factor/set-up/"))
    wrong = f"{(int(code_for(key)) + 500_000) % 1_000_000:06d}"

    response = client.post("/operators/second-factor/set-up/", {"code": wrong})

    assert "This is not the code that the app shows now." in response.content.decode()
    assert key_on(response) == key
    assert not TOTPDevice.objects.exists()
    assert not StaticDevice.objects.exists()
    assert client.get("/operators/").status_code == 302


def test_each_visit_shows_a_new_key(client, operator):
    give_password(client, operator.email)

    first, second = (key_on(client.get("/operators/second-factor/set-up/")) for _ in range(2))

    assert first != second


def test_whoever_has_only_the_password_can_not_replace_the_second_factor(client, operator, authenticator):
    give_password(client, operator.email)

    for response in (
        client.get("/operators/second-factor/set-up/"),
        client.post("/operators/second-factor/set-up/", {"code": "123456"}),
    ):
        assert response["Location"] == "/operators/second-factor/"
    assert TOTPDevice.objects.get().key == "ab" * 20


def test_an_operator_who_proved_it_can_replace_the_second_factor(signed_in, operator):
    StaticDevice.objects.create(user=operator, name="Recovery codes")

    key = key_on(signed_in.get("/operators/second-factor/set-up/"))
    signed_in.post("/operators/second-factor/set-up/", {"code": code_for(key)})

    assert TOTPDevice.objects.get().key != "ab" * 20
    assert StaticDevice.objects.get().token_set.count() == 10
    assert signed_in.get("/operators/").status_code == 200


# -- What they see and do ---------------------------------------------------------------------------------------------


@pytest.fixture
def everything(acme, rival, member_of, operator):
    """A row of every kind that operators may look up."""
    now = timezone.now()
    membership = member_of(acme)
    Invitation.objects.create(
        tenant=acme,
        email="new@acme.example",
        role=Role.USER,
        invited_by=membership.user,
        expires_at=now,
    )
    ProductionShortcode.objects.create(shortcode="174379", tenant=acme, channel_id=new_id(), verified_at=now)
    CallbackRoute.objects.create(token_hash=b"\xff" * 32, tenant=acme, channel_id=new_id(), rules={"is_open": True})
    DueTask.objects.create(
        tenant=acme,
        task="tests.fail",
        fingerprint=b"\x02" * 32,
        due_at=now + timedelta(hours=1),
        attempts=3,
        last_error="RuntimeError: passkey=canaryCANARYcanary",
    )
    TenantActivity.objects.update_or_create(
        tenant=acme,
        defaults={"channel_health": "PROBLEM", "channels_active": 2, "last_payment_at": now},
    )
    deliver(acme)
    return acme


def test_nothing_can_be_added_edited_or_deleted(signed_in, everything):
    for model in site._registry:
        base = f"/operators/{model._meta.app_label}/{model._meta.model_name}/"
        row = model._default_manager.first()

        assert signed_in.post(f"{base}add/").status_code == 403
        if model is CallbackRoute or row is None:
            continue
        before = model._default_manager.values().get(pk=row.pk)
        assert signed_in.post(f"{base}{row.pk}/change/", {"reason": "x", "is_staff": "on"}).status_code == 403
        assert signed_in.post(f"{base}{row.pk}/delete/", {"post": "yes"}).status_code == 403
        signed_in.post(base, {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})
        assert model._default_manager.values().get(pk=row.pk) == before


def test_no_table_of_a_business_is_registered():
    assert {model._meta.label for model in site._registry} == {
        "tenants.Tenant",
        "tenants.User",
        "tenants.Membership",
        "tenants.Invitation",
        "tenants.ProductionShortcode",
        "tenants.CallbackRoute",
        "tenants.DueTask",
        "tenants.InboundCallback",
        "audit.PlatformAuditEntry",
    }


def test_the_start_page_says_what_needs_somebody(signed_in, everything, rival):
    long_ago = timezone.now() - timedelta(minutes=6)
    deliver(rival, reason=InboundCallback.Reason.UNREADABLE)
    deliver(rival)
    deliver(rival, state=InboundCallback.State.PENDING, reason="", due_at=long_ago)
    deliver(rival, state=InboundCallback.State.APPLIED, reason="", due_at=long_ago)
    Tenant.objects.filter(pk=rival.pk).update(status=Tenant.Status.PROVISIONING, created_at=long_ago)

    text = signed_in.get("/operators/").content.decode()

    found = re.findall(r'<li><a href="([^"]+)"><span>([^<]+)</span> <strong>(\d+)</strong></a></li>', unescape(text))
    lists = "/operators/tenants"
    quarantined = f"{lists}/inboundcallback/?state__exact=QUARANTINED&reason__exact="
    assert found == [
        (
            f"{lists}/inboundcallback/?state__exact=PENDING",
            "Deliveries that wait longer than 5 minutes",
            "1",
        ),
        (f"{lists}/duetask/?attempts__gte=3", "Work that failed three times or more", "1"),
        (f"{lists}/tenant/?status__exact=PROVISIONING", "Businesses that are not made after 5 minutes", "1"),
        (
            f"{lists}/tenant/?activity__channel_health__exact=PROBLEM",
            "Businesses with a channel that needs somebody",
            "1",
        ),
        (
            f"{quarantined}FOREIGN_SHORTCODE",
            "Deliveries put aside: It names a shortcode that is not this channel's.",
            "2",
        ),
        (f"{quarantined}UNREADABLE", "Deliveries put aside: The body is not what Daraja sends.", "1"),
    ]
    for url, _, count in found:
        assert signed_in.get(url).content.decode().count('<th scope="row"') == int(count)


def test_the_start_page_is_quiet_when_nothing_is_wrong(signed_in):
    assert "Nothing. Every delivery is applied" in signed_in.get("/operators/").content.decode()


def rows_of(response):
    return re.findall(r'<th scope="row"[^>]*>.*?>([^<]+)</a></th>', response.content.decode())


@pytest.mark.parametrize("words", ["acme", "Acme", "owner@acme", "acme.localhost"])
def test_a_business_is_found_by_name_address_or_host(signed_in, acme, rival, words):
    response = signed_in.get("/operators/tenants/tenant/", {"q": words})

    assert rows_of(response) == ["Acme"]


def test_a_list_of_businesses_takes_the_same_queries_however_long(signed_in, acme, rival, django_assert_num_queries):
    signed_in.get("/operators/tenants/tenant/")

    with django_assert_num_queries(7):
        signed_in.get("/operators/tenants/tenant/")


def test_a_business_is_suspended_and_reactivated_with_a_reason(signed_in, acme, operator):
    page = f"/operators/tenants/tenant/{acme.pk}/"

    assert f'href="{page}step/suspend/"' in signed_in.get(f"{page}change/").content.decode()
    response = signed_in.post(f"{page}step/suspend/", {"reason": "Its papers have expired."}, follow=True)

    assert "Acme is suspended." in response.content.decode()
    assert f'href="{page}step/suspend/"' not in response.content.decode()
    acme.refresh_from_db()
    assert (acme.status, acme.status_reason) == ("SUSPENDED", "Its papers have expired.")
    response = signed_in.post(f"{page}step/reactivate/", {"reason": "New papers came."}, follow=True)
    assert "Acme goes on." in response.content.decode()
    assert Tenant.objects.get(pk=acme.pk).status == "TRIAL"
    trail = PlatformAuditEntry.objects.order_by("sequence").values_list("action", "actor_label", "reason")
    assert list(trail) == [
        ("business.suspended", operator.email, "Its papers have expired."),
        ("business.reactivated", operator.email, "New papers came."),
    ]
    with tenant_context(acme):
        assert list(AuditEntry.objects.order_by("sequence").values_list("action", flat=True)) == [
            "business.suspended",
            "business.reactivated",
        ]


@pytest.mark.parametrize("step", ["suspend", "close"])
def test_a_business_is_not_stopped_without_a_reason(signed_in, acme, step):
    response = signed_in.post(f"/operators/tenants/tenant/{acme.pk}/step/{step}/", {"reason": "  "})

    assert "Say why: the business reads it." in response.content.decode()
    assert Tenant.objects.get(pk=acme.pk).status == "TRIAL"
    assert not PlatformAuditEntry.objects.exists()


def test_a_step_that_is_not_possible_is_refused_in_words(signed_in, acme):
    response = signed_in.post(f"/operators/tenants/tenant/{acme.pk}/step/reactivate/", {"reason": "x"})

    assert "This step is not possible now. Acme: trying it out." in unescape(response.content.decode())
    assert Tenant.objects.get(pk=acme.pk).status == "TRIAL"


def test_looking_at_a_step_takes_none(signed_in, acme):
    assert signed_in.get(f"/operators/tenants/tenant/{acme.pk}/step/close/").status_code == 200

    assert Tenant.objects.get(pk=acme.pk).status == "TRIAL"
    assert signed_in.get(f"/operators/tenants/tenant/{acme.pk}/step/dissolve/").status_code == 404
    assert signed_in.get(f"/operators/tenants/tenant/{new_id()}/step/close/").status_code == 404


def test_a_closed_business_offers_no_step(signed_in, acme):
    response = signed_in.post(
        f"/operators/tenants/tenant/{acme.pk}/step/close/", {"reason": "It asked us."}, follow=True
    )

    assert Tenant.objects.get(pk=acme.pk).status == "CLOSED"
    assert not re.search(rf"tenant/{acme.pk}/step/(activate|suspend|reactivate|close)/", response.content.decode())


def test_a_delivery_is_shown_as_evidence(signed_in, acme):
    callback = deliver(acme)

    text = signed_in.get(f"/operators/tenants/inboundcallback/{callback.pk}/change/").content.decode()

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<script>alert" not in text
    assert "2547****678" in text
    assert "254712345678" not in text
    assert "content-type" in text
    assert "canaryCANARY" not in text
    assert "196.201.214.200" in text
    assert "It names 600000, which is not yours." in text


def test_a_body_that_is_no_text_and_too_long_is_shown_safely(signed_in, acme):
    callback = deliver(acme, body=b"\xff\xfe<b>" + b"a" * 70_000)

    text = signed_in.get(f"/operators/tenants/inboundcallback/{callback.pk}/change/").content.decode()

    assert "\ufffd\ufffd&lt;b&gt;aaa" in text
    assert "a" * (64 * 1024 - 5) in text
    assert "a" * (64 * 1024 - 4) not in text


def test_deliveries_are_filtered_by_day_and_business(signed_in, acme, rival):
    now = timezone.now()
    deliver(acme, dedup_key="TODAY")
    old = deliver(acme, dedup_key="OLD", received_at=now - timedelta(days=30))
    InboundCallback.objects.filter(pk=old.pk).update(id="018b0000-0000-7000-8000-000000000000")
    deliver(rival, dedup_key="RIVALS")
    page = "/operators/tenants/inboundcallback/"

    def keys(**query):
        return re.findall(r'<td [^>]*class="field-dedup_key">(\w+)</td>', signed_in.get(page, query).content.decode())

    assert keys() == ["RIVALS", "TODAY", "OLD"]
    assert keys(received="0") == ["RIVALS", "TODAY"]
    assert keys(tenant__id__exact=str(acme.pk)) == ["TODAY", "OLD"]
    assert keys(q="rival") == ["RIVALS"]


def test_what_was_quarantined_is_applied_again(signed_in, acme, operator):
    chosen, other = deliver(acme), deliver(acme)

    response = signed_in.post(
        "/operators/tenants/inboundcallback/",
        {"action": "apply_again", "_selected_action": [str(chosen.pk)]},
        follow=True,
    )

    assert "1 delivery will be applied again." in response.content.decode()
    chosen.refresh_from_db()
    other.refresh_from_db()
    assert (chosen.state, chosen.reason) == ("PENDING", "")
    assert other.state == "QUARANTINED"
    entry = PlatformAuditEntry.objects.get()
    assert (entry.action, entry.actor_label, entry.subject_id) == (
        "callback.redriven",
        operator.email,
        str(chosen.pk),
    )


def test_waiting_work_runs_now(signed_in, everything, operator):
    waiting = DueTask.objects.get()
    running = DueTask.objects.create(
        task="tests.platform",
        fingerprint=b"\x03" * 32,
        due_at=timezone.now() + timedelta(hours=1),
        leased_until=timezone.now() + timedelta(minutes=1),
    )

    response = signed_in.post(
        "/operators/tenants/duetask/",
        {"action": "run_now", "_selected_action": [str(waiting.pk), str(running.pk)]},
        follow=True,
    )

    assert "1 task will run now." in response.content.decode()
    waiting.refresh_from_db()
    assert waiting.due_at <= timezone.now()
    assert DueTask.objects.get(pk=running.pk).due_at == running.due_at
    entry = PlatformAuditEntry.objects.get()
    assert (entry.action, entry.subject_id) == ("task.hastened", str(waiting.pk))
    assert entry.after == {"task": "tests.fail", "tenant_id": str(everything.pk)}


def test_secrets_in_errors_are_hidden(signed_in, everything):
    text = signed_in.get("/operators/tenants/duetask/").content.decode()

    assert "RuntimeError: passkey=(hidden)" in text


def test_the_start_page_has_numbers_and_a_search_that_leads_to_a_business(signed_in, acme):
    make_channel(acme, "600100")
    start = signed_in.get("/operators/").content.decode()
    assert 'action="/operators/search/"' in start
    assert "<strong>2</strong> trying it out" in start

    page = signed_in.post("/operators/search/", {"text": "600100"})
    assert f'href="/operators/tenants/tenant/{acme.pk}/change/"' in page.content.decode()
    assert "unsafe" not in page["Content-Security-Policy"]
    wrong = signed_in.post("/operators/search/", {"text": "?"}).content.decode()
    assert "Enter an M-PESA receipt like UKL1000001" in wrong
    assert PlatformAuditEntry.objects.filter(action="operator.searched").count() == 1
