"""What was checked and waits for its maker's last word: kept for an hour, and made once, whole or not at all.

A draft is nothing yet: nothing of it is sent, counted or approved. It is in the business's schema and not in a cache,
so that no form depends on one.

With the last word a few rows are made while the page waits. More of them a worker makes: as who said it, if they may
still do it then, in their language. Rooms register what can be made (`register_kind`) when Django starts. All rows, the
note of what came of them and the key that is used once are one commit, so a worker that dies leaves nothing, and the
next one begins anew. How far it is would not be seen before that commit, and is therefore written down beside it, on a
connection of its own (`tenants.progress.beside_transaction`), together with the worker's lease.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import get_language, override
from django.utils.translation import gettext as _

from audit.services import Actor
from channels.idempotency import RequestInProgress, do_once
from channels.models import KeptDraft
from channels.tasks import make_draft
from tenants.actors import as_kept, as_of_now
from tenants.errors import DomainError, NotFound
from tenants.permissions import Permission, permissions_of, require
from tenants.progress import Progress, beside_transaction, untold
from tenants.queue import enqueue, stay_alive

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

LARGE_ROWS = 200  # more than that of most kinds are not made while somebody waits for the page
_LASTS = timedelta(hours=1)
_LASTS_ONCE_ASKED = timedelta(days=1)  # whoever closed the page comes back to it


class DraftGone(NotFound):
    code = "draft_gone"


class WasRefused(DomainError):
    """What a worker could not make, as it stands on the page of the draft, which is open again."""

    status = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftKind:
    """`make(actor, plain, said, progress, now)` makes what `plain` is a draft of, with what the last word said besides,
    and returns what came of it (JSON). It makes no call over the network: a transaction is open around it.
    More rows than `most_at_once` are made by a worker."""

    name: str
    title: "_StrOrPromise"  # of what happens while it is being made
    permission: Permission
    make: Callable[[Actor, dict[str, Any], dict[str, Any], Progress, datetime], Any]
    most_at_once: int = LARGE_ROWS


_kinds: dict[str, DraftKind] = {}


def register_kind(kind: DraftKind) -> None:
    _kinds[kind.name] = kind


def keep(kind: DraftKind, plain: Mapping[str, Any], *, rows: int, environment: str, now: datetime) -> str:
    """Returns the token that it is read by. `plain` is JSON, but for dates and the like, which become text."""
    token = secrets.token_hex(16)
    KeptDraft.objects.create(
        kind=kind.name,
        environment=environment,
        token_hash=_hash(token),
        content=json.loads(json.dumps(plain, default=str)),
        rows=rows,
        expires_at=now + _LASTS,
    )
    return token


def find(kind: DraftKind, token: str, *, actor: Actor, now: datetime) -> KeptDraft:
    """The draft, without its content: open, being made, or made.

    :raises DraftGone: if there is none such in this business, or not any more.
    """
    return _one_of(KeptDraft.objects.defer("content"), kind, token, actor=actor, now=now)


def read(kind: DraftKind, token: str, *, actor: Actor, now: datetime) -> dict[str, Any]:
    """What was given to `keep`, of one that is not made yet.

    :raises DraftGone: as `find`, and if it was made at this very moment.
    """
    draft = _one_of(KeptDraft.objects.all(), kind, token, actor=actor, now=now)
    if draft.made is not None:
        raise DraftGone(_("This is made already. Look for it in the list."))
    return dict(draft.content)


def _one_of(drafts: QuerySet[KeptDraft], kind: DraftKind, token: str, *, actor: Actor, now: datetime) -> KeptDraft:
    require(actor, kind.permission)
    found = drafts.filter(kind=kind.name, token_hash=_hash(token), expires_at__gt=now).first()
    if found is None:
        raise DraftGone(_("This was checked more than an hour ago. Enter it again."))
    return found


def being_made(kind: DraftKind, *, actor: Actor, environment: str, now: datetime) -> list[KeptDraft]:
    """Those of one environment that a worker makes or will make, the first that was asked for before the others."""
    if kind.permission not in permissions_of(actor):
        return []
    asked = KeptDraft.objects.filter(kind=kind.name, asked_at__isnull=False, made__isnull=True, expires_at__gt=now)
    return list(asked.filter(environment=environment).defer("content").order_by("asked_at"))


def make(kind: DraftKind, token: str, *, actor: Actor, said: dict[str, Any], now: datetime) -> KeptDraft:
    """The last word: have it made, at once or by a worker. Said again it changes nothing.

    :raises DraftGone: as `find`.
    :raises RequestInProgress: while it is being made at once.
    :raises DomainError: whatever the kind refuses with, if it is made at once.
    """
    draft = find(kind, token, actor=actor, now=now)
    if draft.is_open and draft.rows > kind.most_at_once:
        _ask(draft, token, actor=actor, said=said, now=now)
    elif draft.is_open:
        _make_once(draft, actor=actor, said=said, telling=nullcontext(untold()), now=now)
    return find(kind, token, actor=actor, now=now)


def make_asked(*, draft_id: UUID, now: datetime) -> None:
    """What a worker does. What was made is left alone, and what can't be made is open again, with the reason.

    :raises RequestInProgress: if another worker makes it.
    """
    asked = KeptDraft.objects.filter(pk=draft_id, asked_at__isnull=False, made__isnull=True, expires_at__gt=now)
    draft = asked.defer("content").first()
    if draft is None:
        return

    def note(_rows: int | None, done: int) -> None:
        asked.update(rows_done=done)
        stay_alive()

    try:
        with override(draft.asked["language"]):
            actor, said = as_of_now(draft.asked["who"]), draft.asked["said"]
            _make_once(draft, actor=actor, said=said, telling=beside_transaction(note), now=now)
    except RequestInProgress:
        raise
    except DomainError as refusal:
        reason = {"code": refusal.code, "detail": refusal.detail, "errors": refusal.errors}
        asked.update(asked_at=None, refusal=reason)


def refusal_of(draft: KeptDraft) -> WasRefused | None:
    """Why a worker made nothing of it."""
    if not draft.refusal:
        return None
    refusal = WasRefused(draft.refusal["detail"], errors=draft.refusal["errors"])
    refusal.code = draft.refusal["code"]
    return refusal


def forget_expired(*, now: datetime) -> None:
    """Remove what can't be made any more in the present business."""
    KeptDraft.objects.filter(expires_at__lt=now).delete()


@transaction.atomic
def _ask(draft: KeptDraft, token: str, *, actor: Actor, said: dict[str, Any], now: datetime) -> None:
    asked = {"who": as_kept(actor), "language": (get_language() or "en")[:5], "said": said, "token": token}
    waiting = KeptDraft.objects.filter(pk=draft.pk, asked_at__isnull=True, made__isnull=True)
    if waiting.update(asked_at=now, asked=asked, refusal={}, rows_done=0, expires_at=now + _LASTS_ONCE_ASKED):
        enqueue(make_draft, draft_id=str(draft.pk))


def _make_once(
    draft: KeptDraft,
    *,
    actor: Actor,
    said: dict[str, Any],
    telling: AbstractContextManager[Progress],
    now: datetime,
) -> None:
    kind = _kinds[draft.kind]

    def work() -> tuple[int, Any]:
        with telling as progress:
            made = kind.make(actor, dict(draft.content), said, progress, now)
        KeptDraft.objects.filter(pk=draft.pk).update(made=made, content={})
        return 201, made

    key, request_hash = f"draft:{draft.pk}", bytes(draft.token_hash)
    do_once(key=key, environment=draft.environment, request_hash=request_hash, work=work, now=now)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
