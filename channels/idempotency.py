"""One effect for one request, however often a caller sends it.

Whoever moves money, points or messages gives each request a name of its own (`Idempotency-Key`). The name and the
answer are written in the commit of what the request did, so that they exist exactly if it happened: a caller who heard
no answer sends the same again, and gets it.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile
from django.db import connection, transaction
from django.http import QueryDict
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder

from channels.filters import usual_environment
from channels.models import IdempotencyKey, MpesaChannel
from tenants.errors import Conflict, DomainError, Invalid

KEPT_FOR = timedelta(days=7)
_LONGEST_KEY = 255
# Proof that it is still the same person: may differ when a request is repeated, and is not to be guessed from a hash.
_PROOFS = frozenset({"password", "second_factor"})

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    required=True,
    description=(
        "Your own name for this request, new for each one: a UUID, or up to 255 visible ASCII characters. Heard no"
        " answer? Send the same again: it is done once, and for seven days you get the same answer, with the header"
        " `Idempotency-Replayed: true`. While the first is still running: 409 `request_in_progress`. With another"
        " request: 422 `idempotency_key_reused`. A refused request is not remembered: mend it and send it again."
    ),
)


class IdempotencyKeyRequired(Invalid):
    code = "idempotency_key_required"


class RequestInProgress(Conflict):
    code = "request_in_progress"


class IdempotencyKeyReused(DomainError):
    code = "idempotency_key_reused"
    status = 422


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered: the HTTP status, and plain data."""

    status: int
    body: Any
    is_replayed: bool


def answer_once(request: Request, *, environment: str, work: Callable[[], tuple[int, Any]]) -> Response:
    """Do what the request asks for, unless it was done before, and answer; see `do_once`.

    `work` calls the service and returns the HTTP status and the data of its answer. Keys are counted in each
    environment for itself: the one of the channel whose money moves.

    :raises IdempotencyKeyRequired: if the request has no usable `Idempotency-Key`.
    """
    answer = do_once(
        key=_key_of(request), environment=environment, request_hash=_hash_of(request), work=work, now=timezone.now()
    )
    headers = {"Idempotency-Replayed": "true"} if answer.is_replayed else {}
    return Response(answer.body, status=answer.status, headers=headers)


def do_once(
    *, key: str, environment: str, request_hash: bytes, work: Callable[[], tuple[int, Any]], now: datetime
) -> Answer:
    """Run `work` and keep its answer in one commit, or give the answer that was kept under this key.

    What `work` raises goes through, and nothing is kept: a refused request may be mended and sent under the same key.
    `work` makes no call over the network: a transaction is open around it.

    :raises RequestInProgress: while the same key is being worked on elsewhere.
    :raises IdempotencyKeyReused: if the key belongs to another request.
    """
    with transaction.atomic():
        if not _lock(environment, key):
            raise RequestInProgress("This request is still being worked on. Ask again in a moment, with the same key.")
        known = IdempotencyKey.objects.filter(environment=environment, key=key).first()
        if known is None:
            status, data = work()
            body = json.loads(json.dumps(data, cls=JSONEncoder))
            IdempotencyKey.objects.create(
                environment=environment, key=key, request_hash=request_hash, status=status, body=body, created_at=now
            )
            return Answer(status, body, is_replayed=False)
    if bytes(known.request_hash) != request_hash:
        raise IdempotencyKeyReused(
            "This Idempotency-Key was used for another request. Give each request a new one, and change nothing when"
            " you repeat one."
        )
    return Answer(known.status, known.body, is_replayed=True)


def environment_of(channel_id: UUID | None) -> str:
    """Whose keys count for a request: those of the channel's environment; where none is named, or there is none such
    (the service says so), the primary channel's."""
    if channel_id is not None:
        named = MpesaChannel.objects.filter(pk=channel_id).values_list("environment", flat=True).first()
        if named is not None:
            return named
    return usual_environment()


def forget_old_keys(*, now: datetime) -> int:
    """Remove the present tenant's keys that are no longer promised; returns how many. Run in the nightly round."""
    return IdempotencyKey.objects.filter(created_at__lt=now - KEPT_FOR).delete()[0]


def _key_of(request: Request) -> str:
    key = str(request.headers.get("Idempotency-Key", "")).strip()
    if not key:
        raise IdempotencyKeyRequired(
            "Give this request a name of your own in the header Idempotency-Key (a UUID, for example), so that sending"
            " it again does it once."
        )
    if len(key) > _LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise IdempotencyKeyRequired("An Idempotency-Key is at most 255 visible ASCII characters; a UUID will do.")
    return key


def _lock(environment: str, key: str) -> bool:
    """Take the key until the end of the transaction, without waiting for somebody who has it."""
    place = "\x00".join(("idempotency", connection.schema_name, environment, key))  # type: ignore[attr-defined]
    lock_id = int.from_bytes(hashlib.sha256(place.encode()).digest()[:8], signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [lock_id])
        return bool(cursor.fetchone()[0])


def _hash_of(request: Request) -> bytes:
    """Who asks, for what, with which content. Its spelling does not count: spaces, the order of names, boundaries."""
    said = [str(request.actor.id), request.method, request.get_full_path(), _plain(request.data)]  # type: ignore[attr-defined]
    return hashlib.sha256(json.dumps(said, sort_keys=True, cls=JSONEncoder).encode()).digest()


def _plain(value: Any) -> Any:
    if isinstance(value, QueryDict):
        return {name: _plain(values) for name, values in value.lists() if name not in _PROOFS}
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items() if name not in _PROOFS}
    if isinstance(value, UploadedFile):
        digest = hashlib.sha256(str(value.name).encode())
        for chunk in value.chunks():
            digest.update(chunk)
        value.seek(0)
        return digest.hexdigest()
    return [_plain(each) for each in value] if isinstance(value, list) else value
