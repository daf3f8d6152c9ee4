import base64
import json
from datetime import timedelta

import jwt
import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import RefreshToken

from tenants import people, tokens
from tenants.errors import NotFound
from tenants.models import Membership, Role, Tenant, User
from tenants.tokens import UnusableToken, issue_tokens, revoke_tokens, rotate_tokens

ME = "/api/v1/me/"


def claims_of(token):
    return jwt.decode(token, options={"verify_signature": False})


def signed(claims, *, key=settings.SECRET_KEY, algorithm="HS256"):
    return jwt.encode(claims, key, algorithm=algorithm)


@pytest.fixture
def ask(visitor):
    """`ask(token)` → the answer of `/me/` on the platform host (or `host=`)."""

    def get(token, *, host="localhost"):
        return visitor(host=host).get(ME, headers={"Authorization": f"Bearer {token}"})

    return get


def test_an_access_token_says_who_where_and_for_whom(acme, member_of):
    place = member_of(acme, Role.MANAGER)

    claims = claims_of(issue_tokens(place)["access"])

    assert {name: claims[name] for name in ("sub", "aud", "tenant", "membership", "role", "epoch", "token_type")} == {
        "sub": str(place.user_id),
        "aud": f"tuzo:{acme.pk}",
        "tenant": str(acme.pk),
        "membership": str(place.pk),
        "role": "manager",
        "epoch": 1,
        "token_type": "access",
    }
    assert claims["exp"] - claims["iat"] == 600


def test_a_token_opens_its_business_on_the_platform_host_and_on_its_own(acme, member_of, ask):
    token = issue_tokens(member_of(acme))["access"]

    for host in ("localhost", "acme.localhost"):
        answer = ask(token, host=host)
        assert (answer.status_code, answer.json()["business"]["slug"]) == (200, "acme")


def test_a_token_of_acme_finds_nothing_on_rivals_host(acme, rival, member_of, ask):
    answer = ask(issue_tokens(member_of(acme))["access"], host="rival.localhost")

    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"
    assert "acme" not in answer.content.decode().lower()


def test_a_token_costs_one_query(acme, member_of, ask):
    token = issue_tokens(member_of(acme))["access"]
    ask(token, host="acme.localhost")

    with CaptureQueriesContext(connection) as queries:
        ask(token, host="acme.localhost")
    assert [query["sql"].split()[0] for query in queries] == ["SET", "SELECT"]


@pytest.mark.parametrize(
    "change",
    [
        {"aud": None},
        {"aud": "tuzo:other"},
        {"aud": ["tuzo:other"]},
        {"tenant": None},
        {"membership": None},
        {"membership": "not-an-identifier"},
        {"membership": 7},
        {"membership": {"a": "b"}},
        {"sub": None},
        {"sub": "somebody else"},
        {"epoch": None},
        {"epoch": 2},
        {"epoch": "1"},
        {"token_type": "refresh"},
        {"token_type": None},
        {"exp": 1},
        {"exp": None},
        {"jti": None},
    ],
    ids=str,
)
def test_a_token_whose_claims_do_not_agree_opens_nothing(acme, member_of, ask, change):
    claims = claims_of(issue_tokens(member_of(acme))["access"]) | change
    token = signed({name: value for name, value in claims.items() if value is not None})

    answer = ask(token)

    assert answer.status_code == 401
    assert answer.json()["code"] == "token_not_valid"


def test_a_token_can_not_be_turned_to_rival(acme, rival, member_of, ask):
    """Even with the signing key every claim about the business has to agree with a place that exists."""
    claims = claims_of(issue_tokens(member_of(acme))["access"])
    rivals = claims_of(issue_tokens(member_of(rival))["access"])

    for names in (["tenant"], ["aud"], ["tenant", "aud"], ["membership"], ["tenant", "aud", "membership"], ["sub"]):
        forged = signed(claims | {name: rivals[name] for name in names})
        for host in ("localhost", "acme.localhost", "rival.localhost"):
            assert ask(forged, host=host).status_code == 401


def unsigned(claims):
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts) + "."


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize(
    "forge",
    [
        unsigned,
        lambda claims: signed(claims, algorithm="HS384"),
        lambda claims: signed(claims, algorithm="HS512"),
        lambda claims: signed(claims, key="another key, of thirty-two bytes or more"),
        lambda claims: signed(claims)[:-4] + "AAAA",
        lambda claims: "nonsense",
        lambda claims: "a.b.c",
    ],
    ids=["none", "HS384", "HS512", "another key", "another signature", "nonsense", "three parts of nonsense"],
)
def test_a_token_that_we_did_not_sign_opens_nothing(acme, member_of, ask, forge):
    answer = ask(forge(claims_of(issue_tokens(member_of(acme))["access"])))

    assert answer.status_code == 401
    assert answer.json()["code"] == "token_not_valid"


def test_a_refresh_token_is_not_an_access_token(acme, member_of, ask):
    assert ask(issue_tokens(member_of(acme))["refresh"]).status_code == 401


def test_a_changed_role_counts_at_once(acme, member_of, ask):
    place = member_of(acme, Role.ORG_ADMIN)
    token = issue_tokens(place)["access"]
    Membership.objects.filter(pk=place.pk).update(role=Role.USER)

    assert ask(token).json()["role"] == "user"
    assert "team.change" not in ask(token).json()["permissions"]


END = {
    "the place is closed": lambda place: Membership.objects.filter(pk=place.pk).update(is_active=False),
    "the place is gone": lambda place: place.delete(),
    "the person is closed": lambda place: User.objects.filter(pk=place.user_id).update(is_active=False),
    "the person is gone": lambda place: place.user.delete(),
    "everything was ended": tokens.end_sign_ins,
    "the business is being made": lambda place: Tenant.objects.filter(pk=place.tenant_id).update(status="PROVISIONING"),
}


@pytest.mark.parametrize("end", END.values(), ids=END)
def test_what_ends_a_place_ends_its_tokens_at_once(acme, member_of, ask, end):
    place = member_of(acme)
    pair = issue_tokens(place)
    assert ask(pair["access"]).status_code == 200

    end(place)

    assert ask(pair["access"]).status_code == 401
    with pytest.raises(UnusableToken):
        rotate_tokens(pair["refresh"], host_tenant=None)
    assert not BlacklistedToken.objects.exists()


def test_reopening_a_place_does_not_revive_its_tokens(acme, in_acme, member_of, actor, ask):
    member_of(acme)
    place = member_of(acme, Role.USER)
    pair = issue_tokens(place)
    with acme:
        people.change_member(actor=actor(), membership_id=place.pk, is_active=False)
        people.change_member(actor=actor(), membership_id=place.pk, is_active=True)

    assert ask(pair["access"]).status_code == 401
    with pytest.raises(UnusableToken):
        rotate_tokens(pair["refresh"], host_tenant=None)


def test_a_suspended_business_can_still_be_read(acme, member_of, ask):
    token = issue_tokens(member_of(acme))["access"]
    Tenant.objects.filter(pk=acme.pk).update(status="SUSPENDED", status_reason="Unpaid.")

    answer = ask(token).json()
    assert (answer["business"]["status"], answer["business"]["status_reason"]) == ("suspended", "Unpaid.")
    assert answer["permissions"] == [
        "business.read", "team.read", "channels.read", "payments.read", "payouts.read", "balances.read", "loyalty.read",
        "audit.read", "data.read",
    ]  # fmt: skip


def test_a_refresh_token_is_good_once_and_gives_new_ones(acme, member_of, ask):
    first = issue_tokens(member_of(acme))

    second = rotate_tokens(first["refresh"], host_tenant=None)

    assert ask(second["access"]).status_code == 200
    assert second["refresh"] != first["refresh"]
    assert BlacklistedToken.objects.get().token.jti == claims_of(first["refresh"])["jti"]


def test_tokens_that_were_not_used_are_not_stored(acme, member_of):
    issue_tokens(member_of(acme))

    assert not OutstandingToken.objects.exists()


def test_a_refresh_token_used_twice_ends_everything_issued_for_that_place(acme, rival, member_of, ask):
    place = member_of(acme)
    elsewhere = Membership.objects.create(user=place.user, tenant=rival, role=Role.USER)
    first, other, rivals = issue_tokens(place), issue_tokens(place), issue_tokens(elsewhere)
    second = rotate_tokens(first["refresh"], host_tenant=None)

    with pytest.raises(UnusableToken, match="used before"):
        rotate_tokens(first["refresh"], host_tenant=None)

    for pair in (second, other):
        assert ask(pair["access"]).status_code == 401
        with pytest.raises(UnusableToken):
            rotate_tokens(pair["refresh"], host_tenant=None)
    assert ask(rivals["access"]).status_code == 200


def test_of_two_uses_of_a_refresh_token_at_once_at_most_one_gets_tokens(committed, member_of, in_threads):
    place = member_of(committed("kilimo"))
    refresh = issue_tokens(place)["refresh"]

    results = in_threads(*[lambda: rotate_tokens(refresh, host_tenant=None)] * 4)

    assert sum(isinstance(result, dict) for result in results) == 1
    assert sum(isinstance(result, UnusableToken) for result in results) == 3
    place.refresh_from_db()
    assert place.sign_in_epoch > 1


def test_a_refresh_token_of_acme_finds_nothing_on_rivals_host(acme, rival, member_of):
    refresh = issue_tokens(member_of(acme))["refresh"]

    for use in (rotate_tokens, revoke_tokens):
        with pytest.raises(NotFound):
            use(refresh, host_tenant=rival)
    assert not BlacklistedToken.objects.exists()


def test_a_revoked_refresh_token_is_spent(acme, member_of):
    refresh = issue_tokens(member_of(acme))["refresh"]

    revoke_tokens(refresh, host_tenant=acme)
    revoke_tokens(refresh, host_tenant=None)

    with pytest.raises(UnusableToken):
        rotate_tokens(refresh, host_tenant=None)


@pytest.mark.parametrize("use", [rotate_tokens, revoke_tokens])
def test_what_is_no_refresh_token_is_refused(acme, member_of, use):
    pair = issue_tokens(member_of(acme))
    expired = RefreshToken(pair["refresh"])
    expired.set_exp(from_time=timezone.now() - timedelta(days=15))

    for text in (pair["access"], str(expired), unsigned(claims_of(pair["refresh"])), "nonsense", ""):
        with pytest.raises(UnusableToken):
            use(text, host_tenant=None)
    assert not BlacklistedToken.objects.exists()
