"""A credential is saved and proved in one go, so that a wrong one is known while its page is still open."""

from datetime import datetime
from typing import Unpack
from uuid import UUID

from django.db import transaction

from audit.services import Actor
from channels.credentials import PROOFS
from channels.details import ChannelDetails
from channels.models import ChannelRun, Credential
from channels.runs import request_run
from channels.services import change_channel


@transaction.atomic
def save_and_prove(
    *, channel_id: UUID, credential: Credential, actor: Actor, now: datetime, **details: Unpack[ChannelDetails]
) -> ChannelRun | None:
    """Save what was entered of one credential, and begin to prove what is saved of it.

    None if it is saved and can't be proved yet, because the keys are missing.

    :raises Invalid: with a sentence for each field that can't be used.
    :raises NotConfigured: if nothing was entered, and nothing was saved before.
    :raises ShortcodeBelongsToAnother: if another business proved that the live number is its own.
    """
    channel = change_channel(channel_id=channel_id, actor=actor, now=now, **details)
    if not channel.has_keys:
        return None
    return request_run(channel_id=channel_id, kind=PROOFS[credential], actor=actor, now=now)
