"""What a person has to know of a channel, found by whoever looks after it: the doctor, Pull, balances, reconciliation.

Whoever finds something wrong notes it each time it looks, and closes it when it looks and all is well. In between a
person may dismiss it: it is then out of sight until it was well once.
"""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

import audit.services
from audit.services import Actor
from channels.models import MpesaChannel, Problem
from channels.services import note_activity
from tenants.errors import Conflict, NotFound, NotPermitted
from tenants.permissions import Permission, require
from tenants.sentences import fitting

Kind = Problem.Kind

# Who may see what a problem tells of; the rest is for everybody who sees the channel.
_NEEDS = {
    Kind.LOW_FLOAT: Permission.BALANCES_READ,
    Kind.BALANCE_FAILED: Permission.BALANCES_READ,
    Kind.REVIEW: Permission.PAYOUTS_READ,
}


class ProblemNotFound(NotFound):
    def __init__(self) -> None:
        super().__init__(_("There is no such problem."))


class ProblemClosed(Conflict):
    code = "problem_closed"


@transaction.atomic
def note_problem(
    *, channel: MpesaChannel, kind: Kind, subject: str = "", sentence: str, do_now: str, who: str, now: datetime
) -> None:
    """Open a problem, or note that the open one is still there, with the words of now.

    `subject` tells problems of one kind apart: an account, a step, a day. `sentence` says what is wrong, `do_now` one
    action, `who` has to take it (`channels.daraja.explanations.Who`). What is too long is cut.
    """
    said = {"sentence": fitting(sentence, 254), "do_now": fitting(do_now, 254), "who": who}
    if _unclosed(channel, kind, subject).update(seen_at=now, **said):
        return
    problem = Problem(
        channel=channel,
        environment=channel.environment,
        kind=kind,
        subject=subject,
        opened_at=now,
        seen_at=now,
        **said,
    )
    Problem.objects.bulk_create([problem], ignore_conflicts=True)  # somebody else may have noted it just now
    note_activity()


@transaction.atomic
def close_problem(*, channel: MpesaChannel, kind: Kind, subject: str = "", now: datetime) -> None:
    """Note that all is well; does nothing if nothing was wrong."""
    if _unclosed(channel, kind, subject).update(closed_at=now):
        note_activity()


def problems(*, actor: Actor) -> QuerySet[Problem]:
    """Every problem of the business that the actor may know of, open or not."""
    require(actor, Permission.CHANNELS_READ)
    hidden = [kind for kind, permission in _NEEDS.items() if not _may(actor, permission)]
    return Problem.objects.exclude(kind__in=hidden).select_related("channel").defer(*_CHANNELS_SECRETS)


@transaction.atomic
def dismiss_problem(*, actor: Actor, problem_id: UUID, now: datetime) -> Problem:
    """Put an open problem out of sight: somebody knows of it. Once it was well, it can come up again.

    :raises ProblemNotFound: if the business has none such.
    :raises ProblemClosed: if it went away, or was dismissed before.
    """
    require(actor, Permission.PAYMENTS_SETTLE)
    problem = problems(actor=actor).select_for_update(of=("self",)).filter(pk=problem_id).first()
    if problem is None:
        raise ProblemNotFound
    if problem.closed_at or problem.dismissed_at:
        raise ProblemClosed(_("This problem is not open any more. There is nothing to do."))
    problem.dismissed_at, problem.dismissed_by = now, actor.label
    problem.save(update_fields=["dismissed_at", "dismissed_by"])
    note_activity()
    audit.services.record(actor=actor, action="problem.dismissed", subject=problem, after={"kind": problem.kind})
    return problem


_CHANNELS_SECRETS = tuple(f"channel__{name}" for name in MpesaChannel.UNREAD)


def _unclosed(channel: MpesaChannel, kind: Kind, subject: str) -> QuerySet[Problem]:
    return Problem.objects.filter(channel=channel, kind=kind, subject=subject, closed_at=None)


def _may(actor: Actor, permission: Permission) -> bool:
    try:
        require(actor, permission)
    except NotPermitted:
        return False
    return True
