"""Files that take long to make: asked for on a page, made by a worker while people see how far it is, kept for a week.

Rooms register what there is to ask for (`register_kind`) when Django starts. A file belongs to the business, not to who
asked for it: whoever has the permission of its kind sees it, and may take it, as long as they have it. A file lies in
the database, in pieces, because workers and web processes need not share a disk.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any, cast
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import get_language, override
from django.utils.translation import gettext as _

import audit.services
from audit.services import Actor
from tenants.errors import Conflict, NotFound
from tenants.models import PreparedFile, PreparedFilePart
from tenants.permissions import Permission, permissions_of, require
from tenants.progress import Progress, untold
from tenants.queue import enqueue, require_current_tenant, stay_alive
from tenants.tasks import make_file as make_file_task

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise

Parameters = Mapping[str, Any]  # as JSON keeps them

LASTS = timedelta(days=7)
MOST_AT_ONCE = 5  # that a business has in the making
LARGE_ROWS = 5_000  # more than that are not made while somebody waits for the page
_AGAIN = timedelta(minutes=1)  # who asks for the same within it gets the same
_PART_BYTES = 1_000_000

Status = PreparedFile.Status


class TooManyFiles(Conflict):
    code = "too_many_files"


class NoSuchFile(NotFound):
    code = "no_such_file"


class _Superseded(Exception):
    """Another worker has begun anew, or the file is not wanted any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileKind:
    """What can be asked for. `write` puts the file of these parameters into a stream, in constant memory."""

    name: str
    title: "_StrOrPromise"
    permission: Permission
    write: Callable[[IO[bytes], Parameters, Progress], None]
    about: Callable[[Parameters], str]  # which of its kind it is: its days, what was searched for


@dataclass(frozen=True, slots=True)
class MadeFile:
    name: str
    content: bytes


_kinds: dict[str, FileKind] = {}


def register_kind(kind: FileKind) -> None:
    _kinds[kind.name] = kind


def kind_of(file: PreparedFile) -> FileKind:
    return _kinds[file.kind]


def files(*, actor: Actor) -> QuerySet[PreparedFile]:
    """The files of the present business that the actor may take, in the making or ready."""
    allowed = permissions_of(actor)
    kinds = [kind.name for kind in _kinds.values() if kind.permission in allowed]
    return PreparedFile.objects.filter(tenant=require_current_tenant(), kind__in=kinds)


def make_now(*, actor: Actor, kind: str, parameters: Parameters, name: str) -> MadeFile:
    """Make a small file at once, and hand it over; the trail says who took it."""
    require(actor, _kinds[kind].permission)
    content = BytesIO()
    _kinds[kind].write(content, parameters, untold())
    with transaction.atomic():
        audit.services.record(
            actor=actor,
            action="file.downloaded",
            subject=require_current_tenant(),
            after={"kind": kind, "name": name, **parameters},
        )
    return MadeFile(name, content.getvalue())


def ask_for(*, actor: Actor, kind: str, parameters: Parameters, name: str, now: datetime) -> PreparedFile:
    """Have a file made in the background. The same, while it is in the making and for a minute after, is one file.

    :raises TooManyFiles: if so many are being made for this business already.
    """
    require(actor, _kinds[kind].permission)
    tenant, language = require_current_tenant(), (get_language() or "en")[:5]
    asked_for = json.dumps([kind, parameters, language], sort_keys=True).encode()
    fingerprint = hashlib.sha256(asked_for).digest()
    same = PreparedFile.objects.filter(~Q(status=Status.READY) | Q(created_at__gt=now - _AGAIN)).filter(
        tenant=tenant, fingerprint=fingerprint
    )
    if known := same.order_by("-pk").first():
        return known
    if PreparedFile.objects.filter(tenant=tenant).exclude(status=Status.READY).count() >= MOST_AT_ONCE:
        raise TooManyFiles(
            _("%(most)s files are being made already. Ask again when one of them is ready.") % {"most": MOST_AT_ONCE}
        )
    try:
        with transaction.atomic():
            file = PreparedFile.objects.create(
                tenant=tenant,
                kind=kind,
                parameters=dict(parameters),
                language=language,
                fingerprint=fingerprint,
                name=name,
                requested_by=actor.label,
                expires_at=now + LASTS,
            )
            enqueue(make_file_task, file_id=str(file.pk))
            audit.services.record(
                actor=actor, action="file.requested", subject=file, after={"kind": kind, **parameters}
            )
    except IntegrityError:  # somebody asked for it at the same moment
        return same.latest("pk")
    return file


def open_file(*, actor: Actor, file_id: UUID) -> tuple[PreparedFile, Iterator[bytes]]:
    """A file that is ready, and its content piece by piece; the trail says who took it.

    :raises NoSuchFile: if there is none such for the actor, or it is not ready.
    """
    with transaction.atomic():
        file = files(actor=actor).filter(pk=file_id, status=Status.READY).first()
        if file is None:
            raise NoSuchFile(_("This file is gone, or not ready. Ask for a new one."))
        audit.services.record(
            actor=actor, action="file.downloaded", subject=file, after={"kind": file.kind, **file.parameters}
        )
    parts = file.parts.filter(attempt=file.attempt).order_by("number").values_list("content", flat=True)
    return file, (bytes(part) for part in parts.iterator(chunk_size=1))


def make_file(*, file_id: str) -> None:
    """Make what was asked for. What a worker left half done begins anew; if that worker still lives, it stops."""
    file = _begin(file_id)
    if file is None:
        return

    def note(rows: int | None, done: int) -> None:
        _set(file, rows=rows, rows_done=done)
        stay_alive()

    progress = Progress(note)
    parts = _Parts(file, progress)
    try:
        with override(file.language):
            kind_of(file).write(cast("IO[bytes]", parts), file.parameters, progress)
        parts.close()
        progress.alive()
        finished_at = timezone.now()
        _set(file, status=Status.READY, size=parts.size, finished_at=finished_at, expires_at=finished_at + LASTS)
        file.parts.exclude(attempt=file.attempt).delete()
    except _Superseded:
        return
    except Exception:
        PreparedFile.objects.filter(pk=file.pk, attempt=file.attempt).update(status=Status.FAILED)
        raise


def _begin(file_id: str) -> PreparedFile | None:
    """The file, counted on to this attempt, without the pieces of earlier ones; None if there is nothing to make."""
    waiting = PreparedFile.objects.filter(pk=file_id, tenant=require_current_tenant()).exclude(status=Status.READY)
    with transaction.atomic():
        if not waiting.update(status=Status.RUNNING, attempt=F("attempt") + 1, rows=None, rows_done=0):
            return None
        file = PreparedFile.objects.get(pk=file_id)
        file.parts.all().delete()
    return file


def _set(file: PreparedFile, **columns: Any) -> None:
    """:raises _Superseded: if this attempt is not the present one."""
    if not PreparedFile.objects.filter(pk=file.pk, attempt=file.attempt).update(**columns):
        raise _Superseded


class _Parts:
    """A file that can only be written, kept as rows of at most a megabyte."""

    def __init__(self, file: PreparedFile, progress: Progress) -> None:
        self._file, self._progress = file, progress
        self._waiting = bytearray()
        self._count = 0
        self.size = 0  # bytes

    def write(self, content: bytes) -> int:
        self._waiting += content
        self.size += len(content)
        while len(self._waiting) >= _PART_BYTES:
            self._keep(_PART_BYTES)
        return len(content)

    def flush(self) -> None:
        """Pieces are kept when they are full."""

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    @property
    def closed(self) -> bool:
        return False

    def close(self) -> None:
        if self._waiting:
            self._keep(len(self._waiting))

    def _keep(self, length: int) -> None:
        self._progress.alive()
        PreparedFilePart.objects.create(
            file=self._file, attempt=self._file.attempt, number=self._count, content=bytes(self._waiting[:length])
        )
        del self._waiting[:length]
        self._count += 1
