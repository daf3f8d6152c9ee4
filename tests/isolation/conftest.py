"""Acme and rival with everything that a business can own, and people who knock at every door."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.utils import timezone
from django_otp.plugins.otp_totp.models import TOTPDevice

from tenants.models import Membership, Role, Tenant, User
from tenants.tokens import audience_of, issue_tokens
from tests.isolation.belongings import PASSWORD, Belongings

ACMES, RIVALS = "zqacme", "zqrival"
# Shown to everybody who comes to the rival's own host, and nowhere else.
RIVALS_NAME = "Mpinzani Wetu"


@pytest.fixture
def acmes(acme: Tenant) -> Belongings:
    return Belongings(acme, word=ACMES, shortcode="600301")


@pytest.fixture
def rivals(rival: Tenant) -> Belongings:
    Tenant.objects.filter(pk=rival.pk).update(business_name=RIVALS_NAME)
    rival.refresh_from_db()
    return Belongings(rival, word=RIVALS, shortcode="600302")


@dataclass(frozen=True)
class Caller:
    """Somebody at one host, with what they show there."""

    host: str
    headers: Mapping[str, str] = field(default_factory=dict)
    session: Session | None = None

    @property
    def is_nobody(self) -> bool:
        return not self.headers and self.session is None

    def client(self) -> Client:
        """A new one, with the session as it was: it may have been ended by its use at a wrong place."""
        client = Client(SERVER_NAME=self.host, raise_request_exception=False, **self.headers)
        if self.session:
            self.session.save()
            client.cookies[settings.SESSION_COOKIE_NAME] = self.session.session_key
        return client


@pytest.fixture
def callers(acmes: Belongings, rivals: Belongings) -> Callable[[str], Caller]:
    """`callers("acme's token on rival's host")`"""
    connection.set_schema_to_public()
    place = _join(acmes.tenant, "admin@acme.example", Role.ORG_ADMIN)
    clerk = _join(acmes.tenant, "clerk@acme.example", Role.USER)
    both = _join(acmes.tenant, "both@acme.example", Role.ORG_ADMIN)
    Membership.objects.create(user=both.user, tenant=rivals.tenant, role=Role.ORG_ADMIN)
    former = _join(rivals.tenant, "former@rival.example", Role.ORG_ADMIN, is_active=False)
    operator = User.objects.create_superuser(email="operator@tuzo.example", password=PASSWORD)
    device = TOTPDevice.objects.create(user=operator, key="ab" * 20)
    for model in (Tenant, User):
        ContentType.objects.get_for_model(model)

    def operators_session(**values: str) -> Session:
        client = Client()
        client.force_login(operator)
        session = client.session
        session.update(values)
        session.save()
        return Session.objects.get(pk=session.session_key)

    def claims(of: Membership, **changes: Any) -> dict[str, Any]:
        text = issue_tokens(of)["access"]
        return jwt.decode(text, options={"verify_signature": False}) | changes

    def retargeted(key: str, algorithm: str = "HS256", **changes: Any) -> str:
        target = {"tenant": str(rivals.tenant.pk), "aud": audience_of(rivals.tenant.pk)}
        return jwt.encode(claims(place) | target | changes, key, algorithm)

    rivals_place: Membership = rivals[Membership]
    platform, acme_host, rival_host = "localhost", "acme.localhost", "rival.localhost"
    ours, theirs = settings.SIMPLE_JWT["SIGNING_KEY"], "another key, which is as long as a signing key must be"
    yesterday = int((timezone.now() - timedelta(days=1)).timestamp())
    known = {
        # They may enter, in their own place.
        "acme's administrator on the platform host": Caller(platform, _bearer(issue_tokens(place)["access"])),
        "acme's administrator on acme's host": Caller(acme_host, _bearer(issue_tokens(place)["access"])),
        "acme's clerk on the platform host": Caller(platform, _bearer(issue_tokens(clerk)["access"])),
        "acme's session on acme's host": Caller(acme_host, session=_sign_in(acme_host, place.user.email)),
        "acme's token of somebody who works for both": Caller(platform, _bearer(issue_tokens(both)["access"])),
        # They hold something good that is not good here: nothing is here.
        "acme's administrator on rival's host": Caller(rival_host, _bearer(issue_tokens(place)["access"])),
        "acme's clerk on rival's host": Caller(rival_host, _bearer(issue_tokens(clerk)["access"])),
        "acme's token on rival's host of somebody who works for both": Caller(
            rival_host, _bearer(issue_tokens(both)["access"])
        ),
        # They are nobody.
        "nobody on the platform host": Caller(platform),
        "nobody on rival's host": Caller(rival_host),
        "acme's session on rival's host": Caller(rival_host, session=_sign_in(acme_host, place.user.email)),
        "acme's session on the platform host": Caller(platform, session=_sign_in(acme_host, place.user.email)),
        "a refresh token as access token": Caller(platform, _bearer(issue_tokens(place)["refresh"])),
        "a refresh token as access token on rival's host": Caller(rival_host, _bearer(issue_tokens(place)["refresh"])),
        "a token for rival with a forged signature": Caller(platform, _bearer(retargeted(theirs))),
        "a token for rival with a forged signature on rival's host": Caller(rival_host, _bearer(retargeted(theirs))),
        "a token for rival without a signature": Caller(platform, _bearer(retargeted("", "none"))),
        "a well signed token of acme's place that names rival": Caller(platform, _bearer(retargeted(ours))),
        "a well signed token of acme's place that names rival, on rival's host": Caller(
            rival_host, _bearer(retargeted(ours))
        ),
        "a well signed token of acme's person for rival's place": Caller(
            platform, _bearer(retargeted(ours, membership=str(rivals_place.pk)))
        ),
        "a well signed token of rival's place that names acme": Caller(
            platform,
            _bearer(
                jwt.encode(
                    claims(rivals_place, tenant=str(acmes.tenant.pk), aud=audience_of(acmes.tenant.pk)), ours, "HS256"
                )
            ),
        ),
        "an expired token of rival's": Caller(
            rival_host, _bearer(jwt.encode(claims(rivals_place, exp=yesterday), ours, "HS256"))
        ),
        "a token of somebody whose place at rival's has ended": Caller(
            rival_host, _bearer(issue_tokens(former)["access"])
        ),
        "an operator on the platform host": Caller(
            platform, session=operators_session(otp_device_id=device.persistent_id)
        ),
        "an operator's session on rival's host": Caller(
            rival_host, session=operators_session(otp_device_id=device.persistent_id)
        ),
        "an operator without the second factor": Caller(platform, session=operators_session()),
        # To compare with: the one who may see it.
        "rival's administrator on rival's host": Caller(rival_host, _bearer(issue_tokens(rivals_place)["access"])),
    }
    return known.__getitem__


def _join(tenant: Tenant, email: str, role: Role, **columns: Any) -> Membership:
    user = User.objects.create_user(email=email, password=PASSWORD)
    return Membership.objects.create(user=user, tenant=tenant, role=role, **columns)


def _bearer(token: str) -> dict[str, str]:
    return {"HTTP_AUTHORIZATION": f"Bearer {token}"}


def _sign_in(host: str, email: str) -> Session:
    """The session that the sign-in page of `host` opens."""
    client = Client(SERVER_NAME=host)
    answer = client.post("/sign-in/", {"email": email, "password": PASSWORD})
    assert answer.status_code == 302, answer.content
    return Session.objects.get(pk=client.cookies[settings.SESSION_COOKIE_NAME].value)
