"""The PayBill that every new business starts with: no real money, connected to the simulator by itself."""

from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from channels import runs
from channels.mapping import DEFAULT, known_programs
from channels.models import ChannelRun, Environment, MpesaChannel
from channels.practice import PRACTICE_ACTOR, open_practice_organisation
from channels.services import activate_channel, change_channel, create_channel
from channels.tasks import connect_practice_channel
from tenants.queue import enqueue, require_current_tenant

_LOOK_AGAIN_AFTER = timedelta(seconds=10)


def make_practice_channel() -> None:
    """A step of making a business: give it a practice PayBill, which connects itself in the background.

    Its payments go to the program that the business has by then, if it has one.
    """
    if not MpesaChannel.objects.filter(environment=Environment.PRACTICE).exists():
        programs = sorted(known_programs())
        create_channel(
            name="Practice PayBill",
            kind=MpesaChannel.Kind.PAYBILL,
            environment=Environment.PRACTICE,
            account_mapping={DEFAULT: programs[0]} if programs else {},
            actor=PRACTICE_ACTOR,
            now=timezone.now(),
        )


def connect(*, channel_id: UUID, now: datetime) -> None:
    """Do the next thing that is missing until a practice channel is active: number and keys, proof, URLs.

    What runs in the background calls this again when it ends; a failure is tried again later, by the queue or by the
    run. Does nothing to a channel that was active once.

    :raises PracticeUnavailable: if the simulator does not answer.
    """
    channel = MpesaChannel.objects.filter(pk=channel_id, activated_at=None).first()
    if channel is None:
        return
    if not channel.shortcode:
        _give_number(channel, now=now)
        channel.refresh_from_db()
    if channel.verified_at is not None and channel.urls_registered_at is not None:
        activate_channel(channel_id=channel.pk, actor=PRACTICE_ACTOR, now=now)
        return
    kind = ChannelRun.Kind.VERIFY if channel.verified_at is None else ChannelRun.Kind.REGISTER_URLS
    run = runs.request_run(channel_id=channel.pk, kind=kind, actor=PRACTICE_ACTOR, now=now)
    if run.requested_by["label"] != PRACTICE_ACTOR.label:  # somebody asked before us, and nobody goes on after that
        enqueue(connect_practice_channel, due_at=now + _LOOK_AGAIN_AFTER, channel_id=str(channel.pk))


def _give_number(channel: MpesaChannel, *, now: datetime) -> None:
    organisation = open_practice_organisation(
        name=require_current_tenant().business_name,
        kind=channel.kind.lower().replace("_", ""),
        external_reference=str(channel.pk),
    )
    change_channel(
        channel_id=channel.pk,
        actor=PRACTICE_ACTOR,
        now=now,
        **organisation.details,
    )
