"""How a business plugs in its PayBills and tills. What comes in which order is in `channels.status`; proving and
registering, which talk to Safaricom, are in `channels.runs`."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Unpack
from uuid import UUID

from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext as _

import audit.services
from audit.services import Actor
from channels import tasks
from channels.connection import is_connected_to
from channels.credentials import scope_of
from channels.details import FIXED, PROVED, REGISTERED, ChannelDetails, enter
from channels.models import Environment, MpesaChannel, Problem
from channels.signals import channel_activated
from channels.status import NotActive, Status, require_steps_before, status_of
from tenants.demo import require_not_demo
from tenants.errors import Conflict, Invalid, NotFound
from tenants.models import CallbackRoute, ProductionShortcode, TenantActivity
from tenants.permissions import Permission, require
from tenants.queue import enqueue, require_current_tenant
from tenants.routes import hash_token
from tenants.sentences import say

TOKEN_OVERLAP = timedelta(days=7)
# Consonants and digits that look different from each other: 131 bits that can't spell a word Safaricom refuses.
_TOKEN_ALPHABET = "bdfghjkmnprtvwxz2456789"  # noqa: S105
_TOKEN_LENGTH = 29


class ChannelNotFound(NotFound):
    def __init__(self) -> None:
        super().__init__(_("There is no such channel."))


class ShortcodeTaken(Conflict):
    code = "shortcode_taken"


class ShortcodeBelongsToAnother(Conflict):
    code = "shortcode_belongs_to_another_business"


class EnvironmentFixed(Conflict):
    code = "environment_fixed"


class FixedAfterVerification(Conflict):
    code = "fixed_after_verification"


class AlreadyActive(Conflict):
    code = "already_active"


class NeedsAPrimary(Conflict):
    code = "needs_a_primary"


@transaction.atomic
def create_channel(
    *, environment: str, actor: Actor, now: datetime, is_primary: bool = False, **details: Unpack[ChannelDetails]
) -> MpesaChannel:
    """Plug in a PayBill or till. The first channel of a business becomes its primary one.

    A practice channel without a shortcode gets one from the simulator and is connected to it, in the background.

    :raises Invalid: with a sentence for each field that can't be used.
    :raises ShortcodeTaken: if another channel of the business has one of the numbers.
    :raises NotInDemo: for another than a practice channel, in the demo.
    """
    require(actor, Permission.CHANNELS_CHANGE)
    if environment != Environment.PRACTICE:
        require_not_demo(_("A demo has practice channels only."))
    _wait_for_others()
    if environment not in Environment.values:
        raise Invalid("Unknown environment.", errors={"environment": ["Choose practice, sandbox or production."]})
    if not is_connected_to(environment):
        sentence = _("This installation is not connected to Safaricom's live service. Choose sandbox or practice.")
        raise Invalid(sentence, errors={"environment": [sentence]})
    channel = MpesaChannel(environment=environment, callback_token=_new_token(), configured_at=now)
    required: ChannelDetails = {"name": "", "kind": ""}
    changes = enter(channel, {**required, **details}, now=now)
    _require_free_numbers(channel)
    channel.status = status_of(channel)
    if is_primary or not MpesaChannel.objects.exists():
        _make_primary(channel)
    channel.save(force_insert=True)
    _write_route(channel)
    note_activity()
    audit.services.record(
        actor=actor,
        action="channel.created",
        subject=channel,
        after={"environment": environment, "is_primary": channel.is_primary, **_new_values(changes)},
    )
    if not channel.shortcode:
        enqueue(tasks.connect_practice_channel, channel_id=str(channel.pk))
    return channel


@transaction.atomic
def change_channel(
    *,
    channel_id: UUID,
    actor: Actor,
    now: datetime,
    environment: str | None = None,
    is_primary: bool | None = None,
    **details: Unpack[ChannelDetails],
) -> MpesaChannel:
    """Change what is sent, keep the rest; a secret that is left out stays.

    Another credential ends the proof of the old one: the channel is CONFIGURED until it is verified again, and what
    arrives for it meanwhile is recorded.

    :raises Invalid: with a sentence for each field that can't be used.
    :raises EnvironmentFixed: if `environment` is another one.
    :raises FixedAfterVerification: if a number or the kind would change although it was verified.
    :raises ShortcodeTaken: if another channel of the business has one of the numbers.
    :raises NeedsAPrimary: if the primary channel would no longer be it; make another one primary instead.
    """
    is_only_details = environment is None and is_primary is None
    require(actor, Permission.CHANNELS_CHANGE, scope=scope_of(channel_id, details) if is_only_details else "")
    channel = lock_to_change(channel_id)
    if environment is not None and environment != channel.environment:
        sentence = _("A channel stays in its environment. Create another channel for the other one.")
        raise EnvironmentFixed(sentence, errors={"environment": [sentence]})
    changes = enter(channel, details, now=now)
    if channel.first_verified_at and (fixed := FIXED & changes.keys()):
        sentence = _("This was verified and can't change any more. Create another channel for another number.")
        raise FixedAfterVerification(sentence, errors={name: [sentence] for name in fixed})
    if changes.keys() & {"shortcode", "store_number"}:
        _require_free_numbers(channel)
    if is_primary is False and channel.is_primary:
        raise NeedsAPrimary(_("One channel is always the primary one. Make another one primary instead."))
    if is_primary and not channel.is_primary:
        changes["is_primary"] = (False, True)
        _make_primary(channel)
    if not changes:
        return channel
    if changes.keys() & PROVED:
        channel.configured_at, channel.verified_at = now, None
    if changes.keys() & REGISTERED:
        channel.urls_asked_at = channel.urls_registered_at = None
    settle(channel)
    audit.services.record(
        actor=actor,
        action="channel.changed",
        subject=channel,
        before={name: before for name, (before, _) in changes.items()},
        after=_new_values(changes),
    )
    return channel


@transaction.atomic
def activate_channel(*, channel_id: UUID, actor: Actor, now: datetime) -> MpesaChannel:
    """Take payments on a channel, or take them again after it was switched off.

    :raises NotConfigured, NotVerified, UrlsNotRegistered: if a step before is missing.
    :raises AlreadyActive: if it is active.
    """
    require(actor, Permission.CHANNELS_CHANGE)
    channel = lock_channel(channel_id)
    require_steps_before(channel, "activate")
    if channel.status == Status.ACTIVE:
        raise AlreadyActive(_("This channel is active already. There is nothing to do."))
    before = channel.status
    channel.activated_at, channel.suspended_at = now, None
    settle(channel)
    _record_status(channel, action="channel.activated", before=before, actor=actor)
    return channel


@transaction.atomic
def deactivate_channel(*, channel_id: UUID, actor: Actor, now: datetime, reason: str = "") -> MpesaChannel:
    """Switch a channel off: validation refuses payments, where Safaricom asks; what still arrives is recorded.

    :raises NotActive: if it never was active, or is switched off already.
    """
    require(actor, Permission.CHANNELS_CHANGE)
    channel = lock_channel(channel_id)
    if channel.activated_at is None or channel.suspended_at is not None:
        raise NotActive(_("Only an active channel can be switched off, and this one is not active."))
    before = channel.status
    channel.suspended_at = now
    settle(channel)
    _record_status(channel, action="channel.deactivated", before=before, actor=actor, reason=reason)
    return channel


@dataclass(frozen=True, slots=True)
class Rotation:
    channel: MpesaChannel
    old_path_ends_at: datetime
    do_now: str


@transaction.atomic
def rotate_callback_token(*, channel_id: UUID, actor: Actor, now: datetime) -> Rotation:
    """Give the channel another secret path, at once; the old one is heard for `TOKEN_OVERLAP` more.

    Safaricom goes on calling the old one until the URLs are registered again.
    """
    require(actor, Permission.CHANNELS_CHANGE)
    channel = lock_channel(channel_id)
    old_ends_at = now + TOKEN_OVERLAP
    _routes(channel).filter(expires_at__lt=now).delete()
    _routes(channel).filter(expires_at=None).update(expires_at=old_ends_at)
    channel.callback_token = _new_token()
    channel.urls_asked_at = channel.urls_registered_at = None
    _write_route(channel)
    settle(channel)
    audit.services.record(
        actor=actor, action="channel.callback_token_rotated", subject=channel, after={"old_path_ends_at": old_ends_at}
    )
    sentence = _("Register this channel's URLs again before the old path ends, or its payments are no longer reported.")
    if channel.environment == Environment.PRODUCTION:
        first = _("On the Daraja portal, under Self Services, URL Management, remove the old URLs.")
        sentence = f"{first} {sentence}"
    return Rotation(channel, old_ends_at, sentence)


def callback_url(channel: MpesaChannel, kind: str, about: UUID | None = None) -> str:
    """Where Safaricom reports to. `about`: the row of ours that the answer will be about, for the drain to find it.

    `kind` is `c2b-validation`, `c2b-confirmation`, `stk-callback`, `result`, `timeout`, `standing-order` or
    `invoice-payment`.
    """
    url = f"{settings.TUZO_PUBLIC_URL}/h/{channel.callback_token}/{kind}"
    return f"{url}/{about.hex}" if about else url


def lock_channel(channel_id: UUID) -> MpesaChannel:
    """:raises ChannelNotFound: if the business has none such."""
    channels = MpesaChannel.objects.without_secrets().select_for_update(no_key=True)
    channel = channels.filter(pk=channel_id).first()
    if channel is None:
        raise ChannelNotFound
    return channel


def lock_to_change(channel_id: UUID) -> MpesaChannel:
    """Likewise, for who looks at a channel and then calls `change_channel`: in its order, so that none waits for both.

    :raises ChannelNotFound: if the business has none such.
    """
    _wait_for_others()
    return lock_channel(channel_id)


def settle(channel: MpesaChannel) -> None:
    """Save a channel whose facts changed, with all that follows from them, in the caller's commit."""
    before, channel.status = channel.status, status_of(channel)
    channel.save()
    if before != channel.status == Status.ACTIVE:
        channel_activated.send(sender=MpesaChannel, channel=channel)
    rules = _validation_rules(channel)
    _routes(channel).exclude(rules=rules).update(rules=rules)
    note_activity()


def claim_shortcode(channel: MpesaChannel, *, now: datetime) -> None:
    """Make a live number this business's, now that it was proved; the first that proves it has it.

    What is claimed is what Safaricom proved: a till's store number, else the shortcode. A mistyped till number so
    takes nothing away from its owner.

    :raises ShortcodeBelongsToAnother: if another business proved it before, or in the same moment.
    """
    if channel.environment != Environment.PRODUCTION:
        return
    claim = ProductionShortcode(
        shortcode=channel.business_shortcode,
        tenant=require_current_tenant(),
        channel_id=channel.pk,
        verified_at=now,
    )
    ProductionShortcode.objects.bulk_create([claim], ignore_conflicts=True)  # waits for who is claiming it just now
    refuse_anothers_shortcode(channel)


def refuse_anothers_shortcode(channel: MpesaChannel) -> None:
    """:raises ShortcodeBelongsToAnother: if another business proved that the live number is its own."""
    if channel.environment != Environment.PRODUCTION:
        return
    others = ProductionShortcode.objects.exclude(tenant_id=require_current_tenant().pk)
    if others.filter(shortcode=channel.business_shortcode).exists():
        raise ShortcodeBelongsToAnother(
            say(
                "Another business on this platform has proved that %(number)s is its own. "
                "Check the number; if it is yours, write to us.",
                number=channel.business_shortcode,
            )
        )


def _wait_for_others() -> None:
    """Changes that look at all channels of the business come one after the other."""
    with connection.cursor() as cursor:
        key = f"channels:{require_current_tenant().schema_name}"
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])


def _require_free_numbers(channel: MpesaChannel) -> None:
    """No number of this channel is one of another's: Safaricom keeps one pair of URLs for each."""
    numbers = channel.shortcodes
    taken = Q(shortcode__in=numbers) | Q(store_number__in=numbers)
    if not channel.shortcode:
        taken = Q(shortcode="")
    others = MpesaChannel.objects.without_secrets().filter(environment=channel.environment).exclude(pk=channel.pk)
    other = others.filter(taken).first()
    if other is None:
        return
    if not channel.shortcode:
        raise ShortcodeTaken(_("A practice number is being opened already. Wait a few seconds."))
    field = "shortcode" if channel.shortcode in other.shortcodes else "store_number"
    sentence = _("Your channel “%(name)s” has this number already.") % {"name": other.name}
    raise ShortcodeTaken(sentence, errors={field: [sentence]})


def _make_primary(channel: MpesaChannel) -> None:
    MpesaChannel.objects.filter(is_primary=True).update(is_primary=False)
    channel.is_primary = True


def _new_values(changes: dict[str, tuple[Any, Any]]) -> dict[str, Any]:
    return {name: after for name, (_, after) in changes.items()}


def _record_status(channel: MpesaChannel, *, action: str, before: str, actor: Actor, reason: str = "") -> None:
    audit.services.record(
        actor=actor,
        action=action,
        subject=channel,
        before={"status": before},
        after={"status": channel.status},
        reason=reason,
    )


def _new_token() -> str:
    return "".join(secrets.choice(_TOKEN_ALPHABET) for _ in range(_TOKEN_LENGTH))


def _routes(channel: MpesaChannel) -> models.QuerySet[CallbackRoute]:
    return CallbackRoute.objects.filter(tenant_id=require_current_tenant().pk, channel_id=channel.pk)


def _write_route(channel: MpesaChannel) -> None:
    CallbackRoute.objects.create(
        token_hash=hash_token(channel.callback_token),
        tenant=require_current_tenant(),
        channel_id=channel.pk,
        rules=_validation_rules(channel),
    )


def _validation_rules(channel: MpesaChannel) -> dict[str, Any]:
    """What the hooks need to answer a validation from memory (`payments.validation` reads it)."""
    return {
        "shortcodes": sorted(channel.shortcodes),
        "is_open": channel.status != Status.SUSPENDED,
        "minimum": channel.minimum_amount,
        "maximum": channel.maximum_amount,
        "mapping": None if channel.accepts_unmapped else channel.account_mapping,
    }


def lock_activity() -> None:
    """Wait until who writes of this business's channels just now has committed, so that what is counted is true."""
    list(TenantActivity.objects.select_for_update(no_key=True).filter(tenant=require_current_tenant()))


def note_activity() -> None:
    """Write down what operators see of the channels without opening the schema, in the caller's commit."""
    lock_activity()
    in_service = MpesaChannel.objects.exclude(activated_at=None).filter(suspended_at=None)
    is_troubled = Exists(Problem.objects.filter(channel=OuterRef("pk"), closed_at=None, dismissed_at=None))
    troubled = in_service.filter(Q(verified_at=None) | Q(urls_registered_at=None) | is_troubled)
    health = TenantActivity.Health.NONE
    if in_service.exists():
        health = TenantActivity.Health.PROBLEM if troubled.exists() else TenantActivity.Health.GOOD
    TenantActivity.objects.bulk_create(
        [
            TenantActivity(
                tenant=require_current_tenant(),
                channels_active=MpesaChannel.objects.filter(status=Status.ACTIVE).count(),
                channel_health=health,
            )
        ],
        update_conflicts=True,
        unique_fields=["tenant"],
        update_fields=["channels_active", "channel_health"],
    )
