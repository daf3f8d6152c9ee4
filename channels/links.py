"""Handing one question to somebody who has no place in the business: a link instead of a password.

Whoever holds the link may answer that question of that channel, and see how their answer is proved. It shows the names
of business and channel and nothing else, ends with the first answer that is proved, after `LINK_LASTS`, or when it is
withdrawn. Its token is stored as a hash; everything about a channel's links happens under the channel's lock.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Unpack
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

import audit.services
from audit.models import AuditRow
from audit.services import Actor
from channels.credentials import COLUMNS, scope_of
from channels.details import ChannelDetails
from channels.models import ChannelRun, Credential, MpesaChannel, StepLink
from channels.proofs import save_and_prove
from channels.services import lock_channel
from channels.status import NotConfigured, require_steps_before
from tenants.errors import Conflict, NotFound
from tenants.limits import count_attempt, give_back
from tenants.permissions import BusinessClosed, Permission, require, require_open
from tenants.queue import require_current_tenant
from tenants.routes import hash_token
from tenants.services import one_line

LINK_LASTS = timedelta(days=7)
MOST_OPEN = 10  # of one channel
RESULT_SHOWN = timedelta(hours=1)  # how long who used a link up still sees what came of it
_TOKEN_BYTES = 32
_LISTED = 10


class LinkNotFound(NotFound):
    def __init__(self) -> None:
        super().__init__(_("There is no such link."))


class LinkClosed(NotFound):
    """One sentence for every link that opens nothing, so that it can't be told what it once was."""

    def __init__(self) -> None:
        super().__init__(
            _("It may have been used, withdrawn, or be too old. Ask whoever sent it to you for a new one.")
        )


class LinkEnded(Conflict):
    code = "link_ended"


class TooManyLinks(Conflict):
    code = "too_many_links"


class StillBeingProved(Conflict):
    code = "still_being_proved"


# -- For the business -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewLink:
    link: StepLink
    token: str  # shown now, and never again


@transaction.atomic
def make_link(*, channel_id: UUID, credential: Credential, actor: Actor, now: datetime, for_name: str = "") -> NewLink:
    """Make a link to one question of a channel, to be sent to somebody.

    :raises NotConfigured: if the keys come first, or the channel's number.
    :raises TooManyLinks: if `MOST_OPEN` of this channel are open.
    """
    require(actor, Permission.CHANNELS_CHANGE)
    channel = lock_channel(channel_id)
    if credential != Credential.KEYS:
        require_steps_before(channel, "verify")
    if not channel.shortcode:
        raise NotConfigured(_("Wait until the practice number is open, which takes a few seconds."))
    if channel.links.filter(used_at=None, withdrawn_at=None, expires_at__gt=now).count() >= MOST_OPEN:
        raise TooManyLinks(_("Too many links of this channel are open. Withdraw those that nobody needs."))
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    link = StepLink.objects.create(
        channel=channel,
        credential=credential,
        token_hash=hash_token(token),
        for_name=one_line(for_name)[:80],
        made_by=actor.label,
        created_at=now,
        expires_at=now + LINK_LASTS,
    )
    audit.services.record(
        actor=actor,
        action="step_link.made",
        subject=link,
        after={"channel": str(channel), "step": credential.lower(), "for": link.for_name, "until": link.expires_at},
    )
    return NewLink(link, token)


@transaction.atomic
def withdraw_link(*, channel_id: UUID, link_id: UUID, actor: Actor, now: datetime) -> StepLink:
    """End a link that is open. One that was withdrawn or has expired stays as it is.

    :raises ChannelNotFound, LinkNotFound: if the business has none such.
    :raises LinkEnded: if it was used meanwhile.
    """
    require(actor, Permission.CHANNELS_CHANGE)
    channel = lock_channel(channel_id)
    link = channel.links.select_for_update().filter(pk=link_id).first()
    if link is None:
        raise LinkNotFound
    if link.used_at:
        raise LinkEnded(_("This link was used already. Look at what is saved."))
    if link.state_at(now) == "open":
        link.withdrawn_at = now
        link.save(update_fields=["withdrawn_at"])
        audit.services.record(actor=actor, action="step_link.withdrawn", subject=link, after={"channel": str(channel)})
    return link


def links_of(channel: MpesaChannel, *, now: datetime) -> list[tuple[StepLink, str]]:
    """The newest links of a channel, each with its state; withdrawn ones are left out."""
    rows = channel.links.filter(withdrawn_at=None).order_by("-pk")[:_LISTED]
    return [(link, link.state_at(now)) for link in rows]


# -- For who holds a link ---------------------------------------------------------------------------------------------


def question_behind(*, token: str, visitor: Actor, now: datetime) -> StepLink:
    """The link, with its channel without secrets, while it is open.

    :raises LinkClosed: if it is nothing here, or opens nothing any more, or the business takes no changes.
    :raises TooManyAttempts: if the visitor tried too many that open nothing.
    """
    return _find(token, visitor, lambda link: link.state_at(now) == "open")


def progress_behind(*, token: str, visitor: Actor, now: datetime) -> StepLink:
    """The link with the last proof that was begun through it, a while longer than the question is open.

    :raises LinkClosed, TooManyAttempts: as for the question.
    """
    return _find(
        token,
        visitor,
        lambda link: link.state_at(now) == "open" or (link.used_at is not None and now < link.used_at + RESULT_SHOWN),
    )


def answer_by_link(*, token: str, visitor: Actor, now: datetime, **details: Unpack[ChannelDetails]) -> ChannelRun:
    """Save the answer to the question that the link is for, and begin to prove it. An answer that turns out right
    uses the link up.

    :raises LinkClosed: if the link opens nothing (any more).
    :raises NotPermitted: if the details are more than the question.
    :raises StillBeingProved: if another answer through this link is.
    :raises TooManyAttempts: after `STEP_ANSWERS_PER_HOUR` answers.
    :raises Invalid: with a sentence for each field that can't be used.
    """
    link = question_behind(token=token, visitor=visitor, now=now)
    count_attempt("step_answer", who=link.pk.hex)
    with transaction.atomic():
        run = save_and_prove(
            channel_id=link.channel_id,
            credential=Credential(link.credential),
            actor=_holder(link, visitor),
            now=now,
            **details,
        )
        if run is None:
            raise NotConfigured(_("The keys of this channel are missing. Ask whoever sent you the link."))
        link = StepLink.objects.select_for_update(of=("self",)).select_related("run").get(pk=link.pk)
        if link.state_at(now) != "open":
            raise LinkClosed
        if link.run and link.run != run and link.run.status == ChannelRun.Status.PENDING:
            raise StillBeingProved(_("What was entered before is still being proved. Wait until that has ended."))
        link.run = run
        link.save(update_fields=["run"])
    return run


def _holder(link: StepLink, visitor: Actor) -> Actor:
    """As whom the services and the trail know somebody who came by this link: with no role, and one scope."""
    credential = Credential(link.credential)
    return replace(
        visitor,
        kind=AuditRow.ActorKind.LINK,
        id=link.pk,
        label=f"{link}, {link.made_by}",
        role="",
        scope=scope_of(link.channel_id, COLUMNS[credential]),
    )


def _find(token: str, visitor: Actor, may_pass: Callable[[StepLink], bool]) -> StepLink:
    """Every look is a knock at the door, given back to who may enter."""
    count_attempt("step_link", who=visitor.address)
    unread = [f"channel__{name}" for name in MpesaChannel.UNREAD]
    links = StepLink.objects.select_related("channel", "run").defer(*unread)
    link = links.filter(token_hash=hash_token(token)).first()
    try:
        require_open(require_current_tenant())
    except BusinessClosed:
        raise LinkClosed from None
    if link is None or not may_pass(link):
        raise LinkClosed
    give_back("step_link", who=visitor.address)
    return link
