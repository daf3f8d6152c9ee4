"""Who did what, and when: one function writes it down, one proves that nothing was changed since."""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, models, transaction
from django.utils import timezone

from audit.models import AuditEntry, AuditRow, PlatformAuditEntry
from audit.redaction import HIDDEN, is_secret

_SIGNED_COLUMNS = [field.attname for field in AuditRow._meta.concrete_fields if field.name != "entry_hash"]


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who decides: travels from the door through the service into the audit trail.

    `role` is the membership's role (`org_admin`, `manager`, `user`), `super_admin` for operators, empty for the system.
    `scope` is the one thing that a link is for, as `tenants.permissions.require` is asked for it; else empty.
    """

    kind: AuditRow.ActorKind
    label: str
    id: UUID | None = None
    role: str = ""
    address: str = ""
    user_agent: str = ""
    scope: str = ""


def system_actor(label: str) -> Actor:
    """The platform acting by itself; `label` names the job."""
    return Actor(kind=AuditRow.ActorKind.SYSTEM, label=label)


def record(
    *,
    actor: Actor,
    action: str,
    subject: models.Model,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
) -> AuditRow:
    """Write down a decision, in the caller's commit and in the trail of the present schema.

    `before` and `after` hold the changed columns as plain values. A column whose name speaks of a secret is hidden,
    at any depth: the trail says that it was set or emptied, never what it was. From here to the end of the commit
    nobody else writes to the same trail, so call it last.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("An audit row is written in the same commit as its change.")
    table = _present_table()
    with connection.cursor() as cursor:
        # One writer per schema at a time, until its commit: a chain can't fork.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"audit:{_present_schema()}"])
    last = table.objects.order_by("-sequence").values("sequence", "entry_hash").first()
    row = table(
        sequence=last["sequence"] + 1 if last else 1,
        occurred_at=timezone.now(),
        action=action,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_label=actor.label[:254],
        actor_role=actor.role,
        address=actor.address[:45],
        user_agent=actor.user_agent[:256],
        subject_kind=subject._meta.label_lower,
        subject_id=str(subject.pk),
        subject_label=str(subject)[:254],
        before=_readable(before or {}),
        after=_readable(after or {}),
        reason=reason,
        previous_hash=last["entry_hash"] if last else "",
    )
    row.entry_hash = _sign({name: getattr(row, name) for name in _SIGNED_COLUMNS})
    row.save(force_insert=True)
    return row


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What became of a check: the rows that hold, from the first on, and the first that does not, if any.

    `head` is the `entry_hash` of the last row that holds. A trail that was cut off at its end still holds; what
    shows it is a head or a count that was noted elsewhere before.
    """

    rows: int
    head: str
    problem: str = ""


def verify_chain() -> Verification:
    """Check the present schema's trail row by row: finds what was edited, deleted, inserted or put in another order."""
    rows, head = 0, ""
    with transaction.atomic():  # one snapshot, streamed
        trail = _present_table().objects.order_by("sequence").values(*_SIGNED_COLUMNS, "entry_hash")
        for row in trail.iterator(chunk_size=2000):
            expected, signature = rows + 1, row.pop("entry_hash")
            problem = ""
            if row["sequence"] != expected:
                problem = f"Row {expected} is missing."
            elif not hmac.compare_digest(signature, _sign(row)):
                problem = f"Row {expected} is not as it was written."
            elif row["previous_hash"] != head:
                problem = f"Row {expected} does not follow the row before it."
            if problem:
                return Verification(rows=rows, head=head, problem=problem)
            rows, head = expected, signature
    return Verification(rows=rows, head=head)


def _present_schema() -> str:
    return str(connection.schema_name)  # type: ignore[attr-defined]  # django-tenants' connection


def _present_table() -> type[AuditEntry] | type[PlatformAuditEntry]:
    return PlatformAuditEntry if _present_schema() == "public" else AuditEntry


def _sign(row: Mapping[str, Any]) -> str:
    """The row's signature. It covers the schema's name too: a row from another business's trail does not hold."""
    canonical = json.dumps(row, default=_as_text, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    signed = f"{_present_schema()}\n{canonical}".encode()
    return hmac.digest(settings.AUDIT_KEY.encode(), signed, "sha256").hex()


def _readable(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as plain JSON that is the same after loading as before saving, without secrets."""
    return {name: HIDDEN if value and is_secret(name) else _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _readable(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    return _as_text(value)


def _as_text(value: Any) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)
