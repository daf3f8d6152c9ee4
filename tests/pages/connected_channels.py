"""A channel with everything its pages show: saved secrets, rules, runs that ended and one that has not, a problem."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import new_id
from channels.kept_drafts import keep
from channels.links import LINK_LASTS
from channels.models import ChannelRun, Credential, Environment, KeptDraft, MpesaChannel, Problem, RuleDraft, StepLink
from channels.steps import STEPS
from channels.transfer import KIND
from tenants.models import Tenant
from tenants.routes import hash_token
from tests.factories import make_channel


@dataclass(kw_only=True)
class ConnectedChannel:
    channel: MpesaChannel
    failed: ChannelRun
    examined: ChannelRun
    under_way: ChannelRun
    proved: ChannelRun
    refused: ChannelRun
    unanswered: ChannelRun
    link: str  # the token of one that is open
    used_link: str  # of one whose answer was proved just now
    problem: Problem
    importing: str  # the draft of an import that a worker makes
    not_imported: str  # of one that was refused


def entry(key: str, state: str, **said: str) -> dict[str, Any]:
    return {"key": key, "state": state, "tried": key, "said": "", "meaning": "", "do_now": "", "who": "nobody"} | said


def furnish_channels(tenant: Tenant) -> ConnectedChannel:
    now = timezone.now()
    saved = {"saved_at": now.isoformat(), "proved_at": now.isoformat()}
    channel = make_channel(
        tenant,
        "600300",
        name="Main shop",
        environment=Environment.SANDBOX,
        status=MpesaChannel.Status.CONFIGURED,
        secret_notes={
            "consumer_key": {"ends_in": "4f2a", **saved},
            "consumer_secret": {"ends_in": "9c1d", **saved},
            "passkey": {"ends_in": "77b1", **saved, "refused_at": now.isoformat()},
            "initiator_credential": {"ends_in": None, **saved},
        },
        initiator_name="apiop",
        account_mapping={"default": "loyalty", "VIP*": "vip"},
        is_primary=False,
    )
    with tenant_context(tenant):
        refused = {"said": "Invalid", "meaning": "Safaricom refuses the keys.", "do_now": "Copy them.", "who": "you"}
        steps = [entry(key, "ok") for key in STEPS[ChannelRun.Kind.VERIFY]]

        def run(
            kind: str, status: str, steps: list[dict[str, Any]], *, proved: Sequence[str] = (), **more: Any
        ) -> ChannelRun:
            details = {"proved": list(proved), "organisation_name": "", "codes": {}}
            return ChannelRun.objects.create(
                channel=channel, kind=kind, status=status, steps=steps, details=details, created_at=now, **more
            )

        def link(for_name: str, **more: Any) -> str:
            token = new_id().hex
            StepLink.objects.create(
                channel=channel,
                credential=Credential.KEYS,
                token_hash=hash_token(token),
                for_name=for_name,
                made_by="wanjiku@acme.example",
                created_at=now,
                expires_at=now + LINK_LASTS,
                **more,
            )
            return token

        def imported(**columns: Any) -> str:
            token = keep(KIND, {"text": "[]"}, rows=180, environment=Environment.PRACTICE, now=now)
            KeptDraft.objects.filter(kind=KIND.name, asked={}).update(asked={"said": {}, "token": token}, **columns)
            return token

        RuleDraft.objects.create(
            channel=channel,
            rules={"default": "vip", "GOLD*": "vip"},
            based_on={"default": "vip"},
            begun_by="wanjiku@acme.example",
            begun_at=now - timedelta(days=1),
            changed_by="otieno@acme.example",
            changed_at=now,
        )
        proved = run("PROVE_KEYS", "DONE", steps[1:2], finished_at=now, proved=["consumer_key", "consumer_secret"])
        to_come = [entry(step["key"], "waiting") for step in steps[1:]]
        failed = [steps[0], entry("access_token", "failed", **refused), *to_come[1:]]
        return ConnectedChannel(
            channel=channel,
            failed=run("VERIFY", "FAILED", failed, error_code="wrong_keys", finished_at=now),
            examined=run("DOCTOR", "DONE", [*failed[:2], entry("pull", "skipped")], finished_at=now),
            proved=proved,
            refused=run("PROVE_PASSKEY", "FAILED", [steps[1], entry("passkey", "failed", **refused)], finished_at=now),
            link=link("Otieno from the bank"),
            used_link=link("", used_at=now, run=proved),
            unanswered=run("PROVE_INITIATOR", "DONE", [entry("account_balance", "warning", **refused)]),
            under_way=run("VERIFY", "PENDING", [steps[0], *to_come]),
            importing=imported(rows_done=75, asked_at=now),
            not_imported=imported(
                refusal={
                    "code": "invalid",
                    "detail": "Nothing was imported.",
                    "errors": {"file": ["Duka 7: 12?"]},  # in the language of who asked for it
                }
            ),
            problem=Problem.objects.create(
                channel=channel,
                environment=channel.environment,
                kind=Problem.Kind.CONNECTION,
                subject="access_token",
                sentence="Safaricom refuses the keys.",
                do_now="Copy them from the Daraja portal again.",
                who="you",
                opened_at=now - timedelta(days=1),
                seen_at=now,
            ),
        )
