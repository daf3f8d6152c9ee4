"""What was checked and waits for its maker's last word: kept for an hour, and made once.

A draft is nothing yet: nothing of it is sent, counted or approved. It is in the business's schema and not in a cache,
so that no form depends on one.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _

from channels.idempotency import do_once
from channels.models import KeptDraft
from tenants.errors import NotFound

_LASTS = timedelta(hours=1)


class DraftGone(NotFound):
    code = "draft_gone"


def keep(kind: str, plain: Mapping[str, Any], *, now: datetime) -> str:
    """Returns the token that it is read by. `plain` is JSON, but for dates and the like, which become text."""
    token = secrets.token_hex(16)
    content = json.loads(json.dumps(plain, default=str))
    KeptDraft.objects.create(kind=kind, token_hash=_hash(token), content=content, expires_at=now + _LASTS)
    return token


def read(kind: str, token: str, *, now: datetime) -> dict[str, Any]:
    """:raises DraftGone: if there is none such in this business, or not any more."""
    kept = KeptDraft.objects.filter(kind=kind, token_hash=_hash(token), expires_at__gt=now).first()
    if kept is None:
        raise DraftGone(_("This was checked more than an hour ago. Enter it again."))
    return dict(kept.content)


def make_once(token: str, *, environment: str, make: Callable[[], Any], now: datetime) -> Any:
    """What `make` returns (JSON), however often it is asked for.

    :raises RequestInProgress: while it is being made.
    """
    answer = do_once(
        key=f"draft:{token}",
        environment=environment,
        request_hash=_hash(token),
        work=lambda: (201, make()),
        now=now,
    )
    return answer.body


def forget_expired(*, now: datetime) -> None:
    """Remove what can't be made any more in the present business."""
    KeptDraft.objects.filter(expires_at__lt=now).delete()


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
