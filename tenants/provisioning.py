"""What is made for a new business, step by step, after the answer to its sign-up.

Each step and the note that it is done are one commit, so a crash anywhere is finished by the next attempt, and a step
that was done is not done again. The rooms above register theirs (`register_step`, when Django starts). A business that
fails again and again is taken back whole, so that its owner can sign up afresh.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.utils import timezone, translation
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_tenants.utils import schema_context

import audit.services
from tenants.errors import NotFound
from tenants.models import DueTask, InboundCallback, Membership, Tenant, User
from tenants.queue import require_current_tenant
from tenants.schema import build_schema
from tenants.tasks import provision_tenant

ATTEMPTS_BEFORE_GIVING_UP = 8  # with the queue's pauses: after some eighty minutes
PROGRESS_READABLE_S = 24 * 60 * 60
_PROGRESS_SALT = "tenants.progress"


@dataclass(frozen=True)
class Step:
    key: str
    order: int
    sentence: str | Promise  # for the owner who watches
    run: Callable[[], None]


_steps: dict[str, Step] = {}


def register_step(*, key: str, order: int, sentence: str | Promise, run: Callable[[], None]) -> None:
    """Add a step to every sign-up from now on. `run` works in the new business, inside a transaction: no network."""
    _steps[key] = Step(key, order, sentence, run)


def planned_steps() -> list[dict[str, Any]]:
    """What `Tenant.provisioning_steps` holds before anything is done."""
    with translation.override(settings.LANGUAGE_CODE):
        sentences = {step.key: str(step.sentence) for step in _in_order()}
    return [{"key": key, "sentence": sentence, "state": "waiting", "at": None} for key, sentence in sentences.items()]


def provision() -> None:
    """Do what is left to do for the present business, and open it."""
    tenant = require_current_tenant()
    for step in _in_order():
        _run(step, tenant)
    Tenant.objects.filter(pk=tenant.pk, status=Tenant.Status.PROVISIONING).update(status=Tenant.Status.TRIAL)


def _run(step: Step, tenant: Tenant) -> None:
    if _note(tenant, step, "running") == "done":
        return
    try:
        with transaction.atomic():
            if _note(tenant, step, "done") != "done":
                step.run()
    except Exception:
        _note(tenant, step, "failed")
        raise


@transaction.atomic
def _note(tenant: Tenant, step: Step, state: str) -> str:
    """Write down how far a step is, unless it is done; returns what it was before. Holds the business's row."""
    held = Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
    known = {entry["key"]: entry for entry in held.provisioning_steps}
    before: str = known.get(step.key, {}).get("state", "waiting")
    if before != "done":
        known[step.key] = {"state": state, "at": timezone.now().isoformat()}
        steps = [planned | known.get(planned["key"], {}) for planned in planned_steps()]
        Tenant.objects.filter(pk=tenant.pk).update(provisioning_steps=steps)
    return before


def shown_steps(tenant: Tenant) -> list[dict[str, str]]:
    """The steps in the reader's language: `state` (waiting, running, done, failed) and `sentence` of each."""
    sentences = {step.key: str(step.sentence) for step in _in_order()}
    return [
        {"state": entry["state"], "sentence": sentences.get(entry["key"], entry["sentence"])}
        for entry in tenant.provisioning_steps
    ]


def progress_token(tenant: Tenant) -> str:
    """What the owner watches with, before they can sign in. Shows the steps and nothing else, for a day."""
    return signing.dumps(tenant.pk.hex, salt=_PROGRESS_SALT)


def progress_of(token: str) -> Tenant:
    """The business that is being made.

    :raises NotFound: if the token is not ours or a day old, or the business could not be made.
    """
    try:
        tenant_id = UUID(signing.loads(token, salt=_PROGRESS_SALT, max_age=PROGRESS_READABLE_S))
    except signing.BadSignature:
        raise NotFound(_("There is no such sign-up.")) from None
    tenant: Tenant | None = Tenant.objects.filter(pk=tenant_id).first()
    if tenant is None:
        raise NotFound(_("This business could not be made, and nothing of it was kept. Please sign up again."))
    return tenant


def discard_hopeless() -> int:
    """Take back what failed again and again; returns how many. Run every few minutes by beat."""
    hopeless = DueTask.objects.filter(
        task=provision_tenant.name,
        attempts__gte=ATTEMPTS_BEFORE_GIVING_UP,
        leased_until=None,
        tenant__status=Tenant.Status.PROVISIONING,
    )
    rows = list(hopeless.values_list("tenant_id", "last_error"))
    for tenant_id, error in rows:
        _discard(tenant_id, reason=error)
    return len(rows)


@transaction.atomic
def _discard(tenant_id: UUID, *, reason: str) -> None:
    tenant = Tenant.objects.select_for_update().filter(pk=tenant_id, status=Tenant.Status.PROVISIONING).first()
    if tenant is None:
        return
    owners = list(Membership.objects.filter(tenant=tenant).values_list("user_id", flat=True))
    InboundCallback.objects.filter(tenant=tenant).update(
        tenant=None, state=InboundCallback.State.QUARANTINED, reason=InboundCallback.Reason.UNKNOWN_TOKEN
    )
    tenant.delete(force_drop=True)
    tenant.pk = tenant_id  # for the trail: Django has emptied it
    User.objects.filter(pk__in=owners, memberships=None, is_staff=False).delete()
    with schema_context("public"):
        audit.services.record(
            actor=audit.services.system_actor("provisioning"),
            action="business.discarded",
            subject=tenant,
            before={"slug": tenant.slug, "email": tenant.email},
            reason=reason,
        )


def _in_order() -> list[Step]:
    return sorted(_steps.values(), key=lambda step: step.order)


def _build_present_schema() -> None:
    build_schema(require_current_tenant())


register_step(
    key="schema", order=10, sentence=gettext_lazy("Your own place in the database"), run=_build_present_schema
)
