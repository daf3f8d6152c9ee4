"""The API's tokens for people: simplejwt tokens that are good for one person in one business.

Claims beside simplejwt's own: `aud` ("tuzo:" and the business's id), `tenant`, `role`, `membership`, `epoch`. What
counts is the membership as it stands at the request: a role that changed, or a place that ended, changes or ends the
token's power at once.

A refresh token is spent by its use. Only spent ones are stored, and the database decides which use was the first; a
second use means that somebody else holds the token, so everything issued for that place ends (`end_sign_ins`).
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import RefreshToken

from tenants.errors import DomainError, NotFound
from tenants.models import Membership, Tenant

ACCESS_LASTS: timedelta = api_settings.ACCESS_TOKEN_LIFETIME
_PERSON_CLAIM: str = api_settings.USER_ID_CLAIM


class UnusableToken(DomainError):
    code = "token_not_valid"
    status = 401


class _Refresh(RefreshToken):
    def check_blacklist(self) -> None:
        """Left to the moment of spending: looking first and spending later would let two in at once."""


def audience_of(tenant_id: Any) -> str:
    return f"tuzo:{tenant_id}"


def issue_tokens(membership: Membership) -> dict[str, str]:
    """`{"access": …, "refresh": …}` for this person in this business."""
    refresh = RefreshToken()
    refresh[_PERSON_CLAIM] = str(membership.user_id)
    refresh["aud"] = audience_of(membership.tenant_id)
    refresh["tenant"] = str(membership.tenant_id)
    refresh["membership"] = str(membership.pk)
    refresh["epoch"] = membership.sign_in_epoch
    refresh["role"] = membership.role
    return {"access": str(refresh.access_token), "refresh": str(refresh)}


def membership_of(claims: Any) -> Membership:
    """The open place that a verified token's claims speak of, with its person and business.

    :raises UnusableToken: if the claims do not agree with each other or with what is stored.
    """
    membership = _find(claims.get("membership"))
    if (
        membership is None
        or claims.get(_PERSON_CLAIM) != str(membership.user_id)
        or claims.get("tenant") != str(membership.tenant_id)
        or claims.get("aud") != audience_of(membership.tenant_id)
        or claims.get("epoch") != membership.sign_in_epoch
    ):
        raise UnusableToken("This token is not valid any more. Sign in again.")
    return membership


def _find(membership_id: Any) -> Membership | None:
    try:
        key = UUID(membership_id)
    except (TypeError, ValueError, AttributeError):
        return None
    return (
        Membership.objects.select_related("user", "tenant")
        .filter(pk=key, is_active=True, user__is_active=True)
        .exclude(tenant__status=Tenant.Status.PROVISIONING)
        .first()
    )


def rotate_tokens(refresh_text: str, *, host_tenant: Tenant | None) -> dict[str, str]:
    """New tokens for a refresh token, which is spent by this.

    :raises UnusableToken: if it was spent already, expired, or its person has no place any more.
    :raises NotFound: on the host of another business.
    """
    refresh = _read(refresh_text)
    membership = _place_of(refresh, host_tenant)
    if not _spend(refresh):
        end_sign_ins(membership)
        raise UnusableToken("This refresh token was used before: everything issued with it has ended. Sign in again.")
    return issue_tokens(membership)


def revoke_tokens(refresh_text: str, *, host_tenant: Tenant | None) -> None:
    """Spend a refresh token without a new one. Doing it twice is harmless.

    :raises UnusableToken: if it is no refresh token, expired, or its person has no place any more.
    :raises NotFound: on the host of another business.
    """
    refresh = _read(refresh_text)
    _place_of(refresh, host_tenant)
    _spend(refresh)


def end_sign_ins(membership: Membership) -> None:
    """End every token and session of this place at once."""
    Membership.objects.filter(pk=membership.pk).update(sign_in_epoch=F("sign_in_epoch") + 1)


def _read(refresh_text: str) -> _Refresh:
    try:
        return _Refresh(refresh_text)  # type: ignore[arg-type]  # checks signature, algorithm, type and expiry
    except TokenError:
        raise UnusableToken("This is no refresh token, or it has expired. Sign in again.") from None


def _place_of(refresh: _Refresh, host_tenant: Tenant | None) -> Membership:
    membership = membership_of(refresh)
    if host_tenant is not None and host_tenant.pk != membership.tenant_id:
        raise NotFound("There is no such thing here.")
    return membership


@transaction.atomic
def _spend(refresh: _Refresh) -> bool:
    """Was this the first use?"""
    row_and_is_new: Any = refresh.blacklist()  # one row per token: the constraint decides
    return bool(row_and_is_new[1])
