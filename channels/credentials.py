"""What a business copies from Safaricom's portals, one credential at a time: its columns, the steps that prove it, and
what a run that ended says about it."""

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from channels.models import ChannelRun, Credential, MpesaChannel, StepLink

Kind = ChannelRun.Kind

COLUMNS: Mapping[Credential, tuple[str, ...]] = {
    Credential.KEYS: ("consumer_key", "consumer_secret"),
    Credential.PASSKEY: ("passkey",),
    Credential.INITIATOR: ("initiator_name", "initiator_credential"),
}
PROOFS: Mapping[Credential, Kind] = {
    Credential.KEYS: Kind.PROVE_KEYS,
    Credential.PASSKEY: Kind.PROVE_PASSKEY,
    Credential.INITIATOR: Kind.PROVE_INITIATOR,
}
# Those steps of a verification that are about the one credential. No phone rings.
PROOF_STEPS: Mapping[Kind, tuple[str, ...]] = {
    Kind.PROVE_KEYS: ("access_token",),
    Kind.PROVE_PASSKEY: ("access_token", "passkey"),
    Kind.PROVE_INITIATOR: ("access_token", "account_balance"),
}
# Codes of findings by which Safaricom refuses what is saved; others speak of the number, of products, of bad weather.
_REFUSALS: Mapping[str, tuple[str, ...]] = {
    "wrong_keys": ("consumer_key", "consumer_secret"),
    "wrong_passkey": ("passkey",),
    "initiator_refused": ("initiator_credential",),
    "initiator_locked": ("initiator_credential",),
    "initiator_role_missing": ("initiator_credential",),
}


def credential_of(kind: str) -> Credential | None:
    """What a run of this kind proves alone; None for the other kinds."""
    return next((credential for credential, proof in PROOFS.items() if proof == kind), None)


def secrets_of(credential: Credential) -> set[str]:
    return set(COLUMNS[credential]) & set(MpesaChannel.SECRETS)


def is_saved(channel: MpesaChannel, credential: Credential) -> bool:
    """Is there something to prove? Known without reading a secret."""
    has_name = credential != Credential.INITIATOR or bool(channel.initiator_name)
    return has_name and secrets_of(credential) <= channel.secret_notes.keys()


def is_refused(channel: MpesaChannel, credential: Credential) -> bool:
    """Was M-PESA's last word about it no?"""
    return any(channel.secret_notes.get(name, {}).get("refused_at") for name in secrets_of(credential))


def scope_of(channel_id: UUID, columns: Collection[str]) -> str:
    """How `require` is asked to let somebody change these columns of a channel: as one credential of it, else as no
    single thing ("")."""
    for credential, known in COLUMNS.items():
        if columns and set(columns) <= set(known):
            return f"channel:{channel_id}:{credential}"
    return ""


def as_saved(channel: MpesaChannel, credential: Credential) -> dict[str, str | None]:
    """What a proof is about: once it has changed, the proof says nothing. Holds no secret."""
    names = sorted(secrets_of(Credential.KEYS) | secrets_of(credential))
    about = {name: channel.secret_notes.get(name, {}).get("saved_at") for name in names}
    name = channel.initiator_name if credential == Credential.INITIATOR else ""
    return about | {"number": channel.business_shortcode, "initiator_name": name}


def is_proved(run: ChannelRun) -> bool:
    """Did a proof of one credential prove it? One that got no answer ends without that."""
    credential = credential_of(run.kind)
    return credential is not None and secrets_of(credential) <= set(run.details["proved"])


def to_blame(run: ChannelRun) -> Credential | None:
    """Which credential is to be entered again for a run that failed: the one that was refused, else the one that it
    was about; None where it failed of something else."""
    refused = set(_REFUSALS.get(run.error_code, ()))
    return next((each for each in Credential if secrets_of(each) & refused), credential_of(run.kind))


def note_verdict(channel: MpesaChannel, run: ChannelRun, *, now: datetime) -> None:
    """Write beside the channel's secrets, unsaved, which of them a run found to be right or wrong."""
    refused = {name for code in run.details["codes"].values() for name in _REFUSALS.get(code, ())}
    for name, note in channel.secret_notes.items():
        if name in run.details["proved"]:
            note |= {"proved_at": now.isoformat(), "refused_at": None}
        elif name in refused:
            note["refused_at"] = now.isoformat()


def end_links(run: ChannelRun, *, now: datetime) -> None:
    """End the channel's open links to what a run was asked to prove, and did: nobody is to enter it any more.

    Called with the channel locked. The doctor, who looks every night, ends none.
    """
    credential = credential_of(run.kind)
    asked = {credential} if credential else set(Credential) if run.kind == Kind.VERIFY else set()
    proved = [each for each in asked if secrets_of(each) <= set(run.details["proved"])]
    links = StepLink.objects.filter(channel_id=run.channel_id, used_at=None, withdrawn_at=None)
    links.filter(credential__in=proved, run=run).update(used_at=now)
    links.filter(credential__in=proved).update(withdrawn_at=now)
