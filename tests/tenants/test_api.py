"""The doors: sign-up, sign-in, the team, by HTTP as programs use them."""

import pytest
from django.db import connection
from django.test import Client
from django_tenants.utils import tenant_context

from audit.ids import public_id, read_public_id
from audit.models import AuditEntry, PlatformAuditEntry
from tenants import people
from tenants.models import DueTask, Invitation, Membership, Role, Tenant, User
from tenants.people import invitation_token

MERCHANTS = "/api/v1/merchants/"
TOKEN = "/api/v1/auth/token/"
REFRESH = "/api/v1/auth/refresh/"
REVOKE = "/api/v1/auth/revoke/"
ME = "/api/v1/me/"
TEAM = "/api/v1/team/"
INVITATIONS = "/api/v1/team/invitations/"
ACCEPT = "/api/v1/team/invitations/accept/"
PASSWORD = "a long pass phrase"


def mbr(place):
    return public_id("mbr", place.pk)


# Sign-up


def test_sign_up_answers_at_once_and_the_business_is_made_while_the_owner_watches(db, visitor, sign_up, provision):
    client = visitor()
    response = client.post(MERCHANTS, sign_up, format="json")

    assert response.status_code == 202
    body = response.json()
    tenant = Tenant.objects.get(slug="mama-mboga")
    assert body["id"] == public_id("biz", tenant.pk)
    assert (body["slug"], body["business_name"], body["status"]) == ("mama-mboga", "Mama Mboga", "provisioning")
    assert body["web_address"] == "http://mama-mboga.localhost:8000/"
    assert body["steps"] == [
        {"key": "schema", "sentence": "Your own place in the database", "state": "waiting", "at": None}
    ]
    assert body["progress_url"].startswith("http://localhost:8000/api/v1/merchants/progress/")
    progress_path = body["progress_url"].removeprefix("http://localhost:8000")
    assert client.get(progress_path).json()["status"] == "provisioning"
    too_early = client.post(TOKEN, {"email": sign_up["email"], "password": sign_up["password"]}, format="json")
    assert (too_early.status_code, too_early.json()["code"]) == (409, "business_not_ready")

    provision()

    progress = client.get(progress_path).json()
    assert (progress["status"], progress["steps"][0]["state"]) == ("trial", "done")
    assert "progress_url" not in progress
    pair = client.post(TOKEN, {"email": sign_up["email"], "password": sign_up["password"]}, format="json").json()
    me = client.get(ME, headers={"Authorization": f"Bearer {pair['access']}"}).json()
    assert (me["business"]["slug"], me["role"]) == ("mama-mboga", "org_admin")


@pytest.mark.parametrize(
    ("change", "status", "code", "field"),
    [
        ({"email": "OWNER@rival.example"}, 409, "email_taken", "email"),
        ({"slug": "rival"}, 409, "slug_taken", "slug"),
        ({"slug": "www"}, 409, "slug_taken", "slug"),
        ({"slug": "No Slug"}, 400, "invalid", "slug"),
        ({"password": "short"}, 400, "invalid", "password"),
        ({"phone": "12"}, 400, "invalid", "phone"),
        ({"email": "no address"}, 400, "invalid", "email"),
        ({"business_type": "zoo"}, 400, "invalid", "business_type"),
        ({"business_name": " "}, 400, "invalid", "business_name"),
        ({"business_name": "nul\0"}, 400, "invalid", "business_name"),
        ({"owner_name": None}, 400, "invalid", "owner_name"),
    ],
)
def test_a_sign_up_that_can_not_be_taken_says_why_and_makes_nothing(
    rival, visitor, sign_up, person, change, status, code, field
):
    person("owner@rival.example", {rival: Role.ORG_ADMIN})

    response = visitor().post(MERCHANTS, sign_up | change, format="json")

    assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json")
    assert (response.json()["code"], list(response.json()["errors"])) == (code, [field])
    assert (Tenant.objects.count(), User.objects.count(), DueTask.objects.count()) == (2, 1, 0)
    assert not PlatformAuditEntry.objects.exists()


def test_nobody_signs_up_on_a_business_host(acme, visitor, sign_up):
    for client in (visitor(host="acme.localhost"),):
        assert client.post(MERCHANTS, sign_up, format="json").status_code == 404
        assert client.get("/api/v1/merchants/progress/x/").status_code == 404
        assert client.post(ACCEPT, {"token": "x", "password": PASSWORD}, format="json").status_code == 404

    assert Tenant.objects.count() == 2


def test_one_address_signs_up_twenty_times_an_hour(db, visitor):
    client = visitor()
    for _ in range(20):
        assert client.post(MERCHANTS, {}, format="json").status_code == 400

    response = client.post(MERCHANTS, {}, format="json")

    assert (response.status_code, response.json()["code"]) == (429, "too_many_attempts")
    assert 1 <= int(response["Retry-After"]) <= 3600
    assert visitor().post(MERCHANTS, {}, format="json").status_code == 400


def test_progress_is_not_found_without_its_token(db, visitor, sign_up):
    body = visitor().post(MERCHANTS, sign_up, format="json").json()

    for guess in (body["id"], body["slug"], "x"):
        assert visitor().get(f"/api/v1/merchants/progress/{guess}/").status_code == 404
    assert visitor().get(f"{MERCHANTS}{body['id']}/").status_code == 404


# Sign-in


def sign_in(client, email, password=PASSWORD, **more):
    return client.post(TOKEN, {"email": email, "password": password} | more, format="json")


def test_a_person_signs_in_renews_and_signs_out(acme, visitor, person):
    person("one@acme.example", {acme: Role.MANAGER})
    client = visitor()

    pair = sign_in(client, " One@ACME.example").json()
    assert set(pair) == {"access", "refresh", "expires_in"}
    assert pair["expires_in"] == 600

    renewed = client.post(REFRESH, {"refresh": pair["refresh"]}, format="json")
    assert renewed.status_code == 200
    me = client.get(ME, headers={"Authorization": f"Bearer {renewed.json()['access']}"})
    assert me.json()["role"] == "manager"

    assert client.post(REVOKE, {"refresh": renewed.json()["refresh"]}, format="json").status_code == 204
    again = client.post(REFRESH, {"refresh": renewed.json()["refresh"]}, format="json")
    assert (again.status_code, again.json()["code"]) == (401, "token_not_valid")


def test_unknown_address_wrong_password_and_closed_account_get_one_answer(acme, visitor, person):
    person("one@acme.example", {acme: Role.USER})
    closed = person("closed@acme.example", {acme: Role.USER})
    User.objects.filter(pk=closed.pk).update(is_active=False)

    answers = [
        sign_in(visitor(), "nobody@acme.example"),
        sign_in(visitor(), "one@acme.example", "wrong"),
        sign_in(visitor(), "closed@acme.example"),
    ]

    for answer in answers:
        assert answer.status_code == 401
        body = answer.json()
        body.pop("request_id")
        assert body == {
            "type": "about:blank",
            "status": 401,
            "code": "sign_in_refused",
            "detail": "The e-mail address or the password is wrong.",
            "errors": {},
        }


def test_unknown_address_and_wrong_password_cost_the_same_hashing(acme, visitor, person, monkeypatch):
    person("one@acme.example", {acme: Role.USER})
    hashed = []
    from django.contrib.auth.hashers import MD5PasswordHasher

    encode = MD5PasswordHasher.encode
    monkeypatch.setattr(MD5PasswordHasher, "encode", lambda self, *args: hashed.append(1) or encode(self, *args))

    sign_in(visitor(), "one@acme.example", "wrong")
    known = len(hashed)
    sign_in(visitor(), "nobody@acme.example", "wrong")

    assert known == len(hashed) - known == 1


def test_who_has_several_businesses_says_which(acme, rival, visitor, person):
    person("two@x.example", {acme: Role.USER, rival: Role.MANAGER})

    unsaid = sign_in(visitor(), "two@x.example")
    assert (unsaid.status_code, unsaid.json()["code"]) == (409, "choose_business")
    assert unsaid.json()["errors"] == {"business": ["acme", "rival"]}

    for slug, role in (("acme", "user"), ("rival", "manager")):
        access = sign_in(visitor(), "two@x.example", business=slug).json()["access"]
        me = visitor().get(ME, headers={"Authorization": f"Bearer {access}"}).json()
        assert (me["business"]["slug"], me["role"]) == (slug, role)
        on_host = sign_in(visitor(host=f"{slug}.localhost"), "two@x.example")
        assert on_host.status_code == 200


def test_a_business_that_is_not_theirs_can_not_be_named(acme, rival, visitor, person):
    user = person("one@acme.example", {acme: Role.USER})
    Membership.objects.create(user=user, tenant=rival, role=Role.USER, is_active=False)

    for answer in (
        sign_in(visitor(), "one@acme.example", business="rival"),
        sign_in(visitor(), "one@acme.example", business="nobody"),
        sign_in(visitor(host="rival.localhost"), "one@acme.example"),
        sign_in(visitor(host="rival.localhost"), "one@acme.example", business="acme"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "no_business")
        assert "access" not in answer.json()


def test_an_operator_gets_no_tokens(db, visitor):
    User.objects.create_superuser(email="op@tuzo.example", password=PASSWORD)

    answer = sign_in(visitor(), "op@tuzo.example")

    assert (answer.status_code, answer.json()["code"]) == (403, "no_business")


def test_after_eight_wrong_passwords_the_right_one_does_not_help_from_that_address(acme, visitor, person):
    person("one@acme.example", {acme: Role.USER})
    client = visitor()
    for number in range(7):
        assert sign_in(client, ("one@acme.example", " One@acme.example ")[number % 2], "wrong").status_code == 401

    locked = sign_in(client, "ONE@acme.example", "wrong")
    right = sign_in(client, "one@acme.example")

    for answer in (locked, right):
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many_attempts")
        assert answer["Retry-After"] == "900"
        assert answer["Content-Type"] == "application/problem+json"
    assert sign_in(visitor(), "one@acme.example").status_code == 200


def test_who_remembers_their_password_in_time_starts_from_nothing(acme, visitor, person):
    person("one@acme.example", {acme: Role.USER})
    client = visitor()

    for _ in range(2):
        for _ in range(7):
            assert sign_in(client, "one@acme.example", "wrong").status_code == 401
        assert sign_in(client, "one@acme.example").status_code == 200


def test_one_address_fails_sixty_times_an_hour_whoever_it_names(acme, visitor, person):
    person("one@acme.example", {acme: Role.USER})
    client = visitor()
    for number in range(60):
        assert sign_in(client, f"{number}@acme.example").status_code == 401
        if number % 10 == 0:
            assert sign_in(client, "one@acme.example").status_code == 200

    assert sign_in(client, "one@acme.example").status_code == 429
    assert sign_in(visitor(), "one@acme.example").status_code == 200


def test_a_refresh_token_of_acme_is_not_found_on_rivals_host(acme, rival, visitor, person):
    person("one@acme.example", {acme: Role.USER})
    refresh = sign_in(visitor(), "one@acme.example").json()["refresh"]

    for path in (REFRESH, REVOKE):
        assert visitor(host="rival.localhost").post(path, {"refresh": refresh}, format="json").status_code == 404
    assert visitor(host="acme.localhost").post(REFRESH, {"refresh": refresh}, format="json").status_code == 200


def test_without_a_token_there_is_an_invitation_to_sign_in(acme, visitor):
    for host in ("localhost", "acme.localhost"):
        for path in (ME, TEAM, INVITATIONS):
            response = visitor(host=host).get(path)
            assert (response.status_code, response["WWW-Authenticate"]) == (401, 'Bearer realm="api"')


# The team


def test_me_tells_who_and_where_and_what_may_be_done(acme, visitor, person):
    user = person("one@acme.example", {acme: Role.USER})
    access = sign_in(visitor(), "one@acme.example").json()["access"]

    assert visitor().get(ME, headers={"Authorization": f"Bearer {access}"}).json() == {
        "person": {
            "id": public_id("usr", user.pk),
            "name": "one",
            "email": "one@acme.example",
            "phone": "",
            "language": "",
        },
        "business": {
            "id": public_id("biz", acme.pk),
            "slug": "acme",
            "business_name": "Acme",
            "status": "trial",
            "status_reason": "",
        },
        "role": "user",
        "permissions": [
            "business.read",
            "channels.read",
            "payments.read",
            "payments.request",
            "loyalty.read",
            "members.change",
        ],
    }


def test_the_team_is_listed_without_rivals_people(acme, rival, api, person):
    person("two@x.example", {acme: Role.USER, rival: Role.MANAGER})
    person("only@rival.example", {rival: Role.USER})

    rows = api(acme).get(TEAM).json()["results"]

    assert [(row["email"], row["role"], row["is_active"]) for row in rows][1:] == [("two@x.example", "user", True)]
    assert len(rows) == 2
    assert set(rows[0]) == {"id", "name", "email", "role", "is_active", "created_at"}


def test_the_team_is_paged(acme, api, person):
    client = api(acme)
    for number in range(3):
        person(f"{number}@acme.example", {acme: Role.USER})

    first = client.get(TEAM, {"page_size": 2}).json()
    second = client.get(first["next"]).json()

    assert [len(first["results"]), len(second["results"]), second["next"]] == [2, 2, None]


def test_a_role_is_changed_and_a_place_closed_at_once(acme, api, visitor, person):
    place = person("one@acme.example", {acme: Role.USER}).memberships.get()
    access = sign_in(visitor(), "one@acme.example").json()["access"]
    administrator = api(acme)

    changed = administrator.patch(f"{TEAM}{mbr(place)}/", {"role": "manager"}, format="json")
    assert (changed.status_code, changed.json()["role"]) == (200, "manager")
    assert visitor().get(ME, headers={"Authorization": f"Bearer {access}"}).json()["role"] == "manager"

    closed = administrator.patch(f"{TEAM}{mbr(place)}/", {"is_active": False}, format="json")
    assert (closed.status_code, closed.json()["is_active"]) == (200, False)
    assert visitor().get(ME, headers={"Authorization": f"Bearer {access}"}).status_code == 401
    assert sign_in(visitor(), "one@acme.example").status_code == 403
    with tenant_context(acme):
        assert AuditEntry.objects.filter(action="member.changed").count() == 2


def test_the_last_administrator_is_told_why_they_stay(acme, api):
    client = api(acme)
    own = Membership.objects.get(tenant=acme)

    answer = client.patch(f"{TEAM}{mbr(own)}/", {"role": "user"}, format="json")

    assert (answer.status_code, answer.json()["code"]) == (409, "last_administrator")
    own.refresh_from_db()
    assert own.role == "org_admin"


@pytest.mark.parametrize("bad", [{"role": "owner"}, {"role": "super_admin"}, {"is_active": "perhaps"}], ids=str)
def test_a_change_that_makes_no_sense_is_refused(acme, api, person, bad):
    place = person("one@acme.example", {acme: Role.USER}).memberships.get()

    assert api(acme).patch(f"{TEAM}{mbr(place)}/", bad, format="json").status_code == 400

    place.refresh_from_db()
    assert (place.role, place.is_active) == ("user", True)


def test_what_is_rivals_is_not_found(acme, rival, api, member_of, actor):
    foreign = member_of(rival, Role.USER)
    with tenant_context(rival):
        invitation = people.invite(actor=actor(), email="x@rival.example", role=Role.USER, now=foreign.created_at)
    inv = public_id("inv", invitation.pk)
    client = api(acme)

    answers = [client.patch(f"{TEAM}{mbr(foreign)}/", {"role": "org_admin"}, format="json")]
    answers += [client.post(f"{INVITATIONS}{inv}/{verb}/") for verb in ("resend", "revoke")]
    answers += [client.patch(f"{TEAM}{wrong}/", {}, format="json") for wrong in (inv, "x", str(foreign.pk))]

    assert [answer.status_code for answer in answers] == [404] * 6
    foreign.refresh_from_db()
    invitation.refresh_from_db()
    assert (foreign.role, invitation.revoked_at) == ("user", None)
    assert client.get(INVITATIONS).json()["results"] == []


@pytest.mark.parametrize(("role", "reads"), [(Role.MANAGER, 200), (Role.USER, 403)])
def test_who_is_no_administrator_changes_nothing(acme, api, member_of, role, reads):
    place = member_of(acme, Role.USER)
    client = api(acme, role)

    assert client.get(TEAM).status_code == client.get(INVITATIONS).status_code == reads
    assert client.patch(f"{TEAM}{mbr(place)}/", {"role": "org_admin"}, format="json").status_code == 403
    invite = client.post(INVITATIONS, {"email": "x@acme.example", "role": "user"}, format="json")
    assert (invite.status_code, invite.json()["code"]) == (403, "not_permitted")
    place.refresh_from_db()
    assert (place.role, Invitation.objects.count()) == ("user", 0)


def test_a_suspended_business_reads_its_team_and_changes_nothing(acme, api, member_of):
    place = member_of(acme, Role.USER)
    client = api(acme)
    Tenant.objects.filter(pk=acme.pk).update(status="SUSPENDED")

    assert client.get(TEAM).status_code == 200
    answer = client.patch(f"{TEAM}{mbr(place)}/", {"is_active": False}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (409, "business_not_open")
    place.refresh_from_db()
    assert place.is_active


def invite(client, email="new@acme.example", role="manager"):
    return client.post(INVITATIONS, {"email": email, "role": role}, format="json")


def test_a_newcomer_is_invited_joins_and_is_signed_in(acme, api, visitor, run_due, mailoutbox):
    client = api(acme)
    created = invite(client)
    assert (created.status_code, created.json()["email"], created.json()["role"]) == (
        201,
        "new@acme.example",
        "manager",
    )
    assert "token" not in created.content.decode()
    assert [row["id"] for row in client.get(INVITATIONS).json()["results"]] == [created.json()["id"]]
    run_due()
    token = mailoutbox[0].body.partition("/invitations/")[2].partition("/")[0].replace("%3A", ":")

    joined = visitor().post(ACCEPT, {"token": token, "name": "New Comer", "password": PASSWORD}, format="json")

    assert joined.status_code == 201
    me = visitor().get(ME, headers={"Authorization": f"Bearer {joined.json()['access']}"}).json()
    assert (me["person"]["name"], me["business"]["slug"], me["role"]) == ("New Comer", "acme", "manager")
    assert client.get(INVITATIONS).json()["results"] == []
    again = visitor().post(ACCEPT, {"token": token, "name": "Again", "password": PASSWORD}, format="json")
    assert (again.status_code, again.json()["code"]) == (409, "invitation_closed")


def test_who_is_known_joins_with_their_own_password(acme, rival, api, visitor, person):
    user = person("new@acme.example", {rival: Role.USER})
    invite(api(acme))
    token = invitation_token(Invitation.objects.get())

    wrong = visitor().post(ACCEPT, {"token": token, "name": "Thief", "password": "wrong"}, format="json")
    assert (wrong.status_code, wrong.json()["code"]) == (401, "sign_in_refused")
    assert user.memberships.count() == 1

    right = visitor().post(ACCEPT, {"token": token, "password": PASSWORD}, format="json")
    assert right.status_code == 201
    assert user.memberships.get(tenant=acme).role == "manager"
    user.refresh_from_db()
    assert user.name == "new"


def test_an_invitation_is_sent_again_and_withdrawn(acme, api, run_due, mailoutbox, visitor):
    client = api(acme)
    inv = invite(client).json()["id"]
    run_due()

    assert client.post(f"{INVITATIONS}{inv}/resend/").status_code == 200
    run_due()
    assert len(mailoutbox) == 2

    assert client.post(f"{INVITATIONS}{inv}/revoke/").status_code == 204
    assert client.post(f"{INVITATIONS}{inv}/revoke/").status_code == 404
    token = invitation_token(Invitation.objects.get(pk=read_public_id("inv", inv)))
    answer = visitor().post(ACCEPT, {"token": token, "name": "New", "password": PASSWORD}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (409, "invitation_closed")
    assert not User.objects.filter(email="new@acme.example").exists()


def test_the_api_takes_a_business_session_with_its_csrf_token_only(acme, person):
    person("one@acme.example", {acme: Role.ORG_ADMIN})
    browser = Client(enforce_csrf_checks=True, SERVER_NAME="acme.localhost", REMOTE_ADDR="10.77.0.1")
    browser.get("/sign-in/")
    browser.post(
        "/sign-in/",
        {"email": "one@acme.example", "password": PASSWORD, "csrfmiddlewaretoken": browser.cookies["tuzo-csrf"].value},
    )

    assert browser.get(ME).json()["role"] == "org_admin"
    body = {"email": "new@acme.example", "role": "user"}
    without = browser.post(INVITATIONS, body, content_type="application/json")
    assert without.status_code == 403
    assert not Invitation.objects.exists()
    csrf = {"X-CSRFToken": browser.cookies["tuzo-csrf"].value}
    assert browser.post(INVITATIONS, body, content_type="application/json", headers=csrf).status_code == 201
    assert connection.schema_name == "public"
