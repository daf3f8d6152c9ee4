from datetime import timedelta

from django.contrib.sessions.models import Session
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from tenants import sessions, tokens
from tenants.housekeeping import forget_expired
from tenants.limits import count_attempt
from tenants.models import AttemptCount, HandOver

MODELS = (OutstandingToken, BlacklistedToken, HandOver, Session, AttemptCount)


def test_what_can_no_longer_open_anything_is_removed_and_nothing_else(acme, member_of):
    now = timezone.now()
    place = member_of(acme)
    tokens.rotate_tokens(tokens.issue_tokens(place)["refresh"], host_tenant=None)
    sessions.hand_over(place, now=now)
    Session.objects.create(session_key="k", session_data="", expire_date=now + timedelta(hours=12))
    count_attempt("sign_in", who="10.0.0.1")

    forget_expired(now=now)
    assert [model.objects.count() for model in MODELS] == [1, 1, 1, 1, 1]

    forget_expired(now=now + timedelta(days=2))
    assert [model.objects.count() for model in MODELS] == [1, 1, 0, 0, 0]

    forget_expired(now=now + timedelta(days=14, minutes=1))
    assert [model.objects.count() for model in MODELS] == [0, 0, 0, 0, 0]
