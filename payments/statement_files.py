"""Large statement files, kept as they came until a worker has read them; people see how far it is."""

from datetime import datetime
from io import BytesIO
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import get_language, override
from django.utils.translation import gettext as _

import audit.services
from audit.models import AuditRow
from audit.services import Actor
from channels.models import MpesaChannel
from channels.services import ChannelNotFound
from payments.models import StatementFile
from payments.statements import MAXIMUM_BYTES, load_statement
from payments.tables import UnreadableTable
from payments.tasks import read_statement_file
from tenants.errors import Conflict, DomainError, NotFound
from tenants.permissions import Permission, require
from tenants.progress import Progress
from tenants.queue import enqueue, stay_alive

LARGE_BYTES = 150_000  # some thousand rows: more is not read while somebody waits for the page
MOST_WAITING = 5

Status = StatementFile.Status
UNREAD = (Status.WAITING, Status.READING)


class TooManyStatements(Conflict):
    code = "too_many_statements"


class NoSuchStatement(NotFound):
    code = "no_such_statement"


def give_statement(*, actor: Actor, channel_id: UUID, name: str, content: bytes, now: datetime) -> StatementFile:
    """Keep a statement file, and have a worker load it as `load_statement` does.

    :raises ChannelNotFound: if the business has none such.
    :raises UnreadableTable: if the file is larger than `MAXIMUM_BYTES`.
    :raises TooManyStatements: if `MOST_WAITING` are unread.
    """
    require(actor, Permission.PAYMENTS_SETTLE)
    channel = MpesaChannel.objects.without_secrets().filter(pk=channel_id).first()
    if channel is None:
        raise ChannelNotFound
    if len(content) > MAXIMUM_BYTES:
        sentence = _("The file is larger than %(most)s MB. Split it.") % {"most": MAXIMUM_BYTES // 1_000_000}
        raise UnreadableTable(sentence, errors={"file": [sentence]})
    if StatementFile.objects.filter(status__in=UNREAD).count() >= MOST_WAITING:
        raise TooManyStatements(_("Other statements are being read. Load this one when they are done."))
    with transaction.atomic():
        file = StatementFile.objects.create(
            channel=channel,
            name=name[:160],
            content=content,
            language=(get_language() or "en")[:5],
            requested_by=actor.label,
            requested_by_id=actor.id,
            requested_by_role=actor.role,
            created_at=now,
        )
        enqueue(read_statement_file, statement_id=str(file.pk))
        audit.services.record(actor=actor, action="statement.given", subject=file)
    return file


def statement_files(*, actor: Actor) -> QuerySet[StatementFile]:
    """Those of all environments, without their content."""
    require(actor, Permission.BALANCES_READ)
    return StatementFile.objects.defer("content")


def read_one(*, actor: Actor, statement_id: UUID) -> StatementFile:
    """:raises NoSuchStatement: if the business has none such."""
    found = statement_files(actor=actor).filter(pk=statement_id).first()
    if found is None:
        raise NoSuchStatement(_("There is no such statement."))
    return found


def load(*, statement_id: UUID, now: datetime) -> None:
    """Read a file that was given. One that was read is left alone; one that a worker left half read begins anew, which
    changes nothing that is here already."""
    reading = StatementFile.objects.filter(pk=statement_id, status__in=UNREAD)
    if not reading.update(status=Status.READING, rows=None, rows_done=0):
        return
    file = reading.get()

    def note(rows: int | None, done: int) -> None:
        reading.update(rows=rows, rows_done=done)
        stay_alive()

    try:
        with override(file.language):
            loaded = load_statement(
                actor=_who_gave(file),
                channel_id=file.channel_id,
                file=BytesIO(bytes(file.content or b"")),
                now=now,
                progress=Progress(note),
            )
    except DomainError as refusal:
        reading.update(
            status=Status.REFUSED, content=None, detail=refusal.detail, errors=refusal.errors, finished_at=now
        )
    else:
        reading.update(
            status=Status.LOADED,
            content=None,
            rows=loaded.line_count,
            rows_done=loaded.line_count,
            new_count=loaded.new_count,
            finished_at=now,
        )


def _who_gave(file: StatementFile) -> Actor:
    return Actor(
        kind=AuditRow.ActorKind.PERSON,
        id=file.requested_by_id,
        label=file.requested_by,
        role=file.requested_by_role,
    )
