"""What a business owns, one row of every kind, with a word planted in every text that can hold it."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, connection, models, transaction
from django.utils import timezone
from django_tenants.utils import tenant_context

import audit.services
from audit.ids import public_id
from audit.models import AuditEntry, AuditRow, PlatformAuditEntry
from audit.services import Actor
from channels.models import (
    ChannelRun,
    Credential,
    IdempotencyKey,
    KeptDraft,
    MpesaChannel,
    Problem,
    RuleDraft,
    SmsMessage,
    StepLink,
)
from loyalty.models import (
    AccrualRule,
    JoinLink,
    Member,
    PaymentOutcome,
    PointsEntry,
    PointsTotal,
    Program,
    Reward,
    StampRule,
)
from payments.models import (
    AllowedReceiver,
    BalanceQuery,
    DayTotal,
    HourTotal,
    Invoice,
    Payment,
    PaymentRequest,
    Payout,
    PayoutBatch,
    PayoutEntry,
    PayoutPolicy,
    Pull,
    ReconciliationDay,
    ReconciliationItem,
    Reversal,
    StandingOrder,
    StatementFile,
    StatementLine,
    StatusQuery,
)
from tenants.models import (
    Branding,
    CallbackRoute,
    Domain,
    DueTask,
    HandOver,
    InboundCallback,
    Invitation,
    Membership,
    PreparedFile,
    ProductionShortcode,
    Role,
    Tenant,
    TenantActivity,
    User,
)
from tests.factories import make_channel

PASSWORD = "a long pass phrase"

# Texts that keep their meaning: names of hosts and schemas, hashes, and what constraints and code are built on.
_NOT_PLANTED = {
    *("tenants.Tenant.schema_name", "tenants.Tenant.slug", "tenants.Tenant.business_name", "tenants.Domain.domain"),
    *("tenants.Tenant.status_before", "tenants.Tenant.provisioning_steps", "tenants.User.password"),
    *("tenants.User.language", "tenants.User.theme", "tenants.User.time_zone"),
    *("tenants.DueTask.task", "tenants.ProductionShortcode.shortcode"),
    *("channels.MpesaChannel.shortcode", "channels.MpesaChannel.store_number"),
    *("payments.StandingOrder.phone_number", "payments.Invoice.items", "payments.Payout.warnings"),
    *("payments.ReconciliationDay.sources", "payments.ReconciliationDay.balance_proof"),
    "payments.BalanceQuery.accounts",
    *("channels.ChannelRun.steps", "channels.ChannelRun.details", "channels.MpesaChannel.secret_notes"),
    "channels.MpesaChannel.low_float",
}


class Belongings:
    """One business's rows, by their model: `its[Payment]`."""

    def __init__(self, tenant: Tenant, *, word: str, shortcode: str) -> None:
        self.tenant = tenant
        self.word = word
        self._rows: dict[type[models.Model], models.Model] = {}
        self._make(shortcode)
        self._require_every_kind()
        self._plant()

    def __getitem__(self, model: type[models.Model]) -> Any:
        return self._rows[model]

    def rows(self) -> list[models.Model]:
        return list(self._rows.values())

    def id(self, prefix: str, model: type[models.Model]) -> str:
        return public_id(prefix, self._rows[model].pk)

    def _make(self, shortcode: str) -> None:
        now, tenant = timezone.now(), self.tenant
        connection.set_schema_to_public()
        user = User.objects.create(email=f"{self.word}@{tenant.slug}.example", password=make_password(PASSWORD))
        place = Membership.objects.create(user=user, tenant=tenant, role=Role.ORG_ADMIN)
        channel = make_channel(tenant, shortcode, account_mapping={"default": self.word})
        callback = InboundCallback.objects.create(
            tenant=tenant,
            channel_id=channel.pk,
            kind=InboundCallback.Kind.C2B_CONFIRMATION,
            body=f'{{"TransID": "{self.word}"}}'.encode(),
            headers={"user-agent": self.word},
            state=InboundCallback.State.QUARANTINED,
            reason=InboundCallback.Reason.UNREADABLE,
            received_at=now,
            due_at=now,
        )
        self._note(
            tenant,
            Domain.objects.get(tenant=tenant),
            TenantActivity.objects.get(tenant=tenant),
            user,
            place,
            callback,
            CallbackRoute.objects.get(channel_id=channel.pk),
            Invitation.objects.create(
                tenant=tenant, email=f"new@{tenant.slug}.example", role=Role.USER, expires_at=now + timedelta(days=1)
            ),
            HandOver.objects.create(
                membership=place, token_hash=tenant.pk.bytes * 2, expires_at=now + timedelta(minutes=1)
            ),
            ProductionShortcode.objects.create(
                shortcode=shortcode, tenant=tenant, channel_id=channel.pk, verified_at=now
            ),
            Branding.objects.create(tenant=tenant),
            PreparedFile.objects.create(
                tenant=tenant,
                kind="all-data",
                requested_by=self.word,
                name="all.zip",
                expires_at=now + timedelta(days=1),
            ),
            DueTask.objects.create(
                tenant=tenant, task="a.task", fingerprint=tenant.pk.bytes * 2, due_at=now + timedelta(days=1)
            ),
        )
        self._record_decision(PlatformAuditEntry, user)
        with tenant_context(tenant):
            self._note(channel)
            self._record_decision(AuditEntry, user)
            self._make_money(channel, callback, now)
            self._make_money_out(channel, now)
            self._make_evidence(channel, now)

    def _make_money(self, channel: MpesaChannel, callback: InboundCallback, now: Any) -> None:
        common = {"channel": channel, "environment": channel.environment}
        paid = common | {"amount": Decimal(5000), "payer": "2547 ***** 126", "paid_at": now, "created_at": now}
        waiting, earned = (
            Payment.objects.create(receipt=f"{self.word}{number}", callback_id=callback.pk, source="STK", **paid)
            for number in (1, 2)
        )
        # What strangers change where one may join, is by design: tests/pages/test_joining.py.
        program = Program.objects.create(code=self.word, name=self.word, is_joinable=False)
        member = Member.objects.create(
            program=program, environment=channel.environment, code=self.word, points_balance=50, joined_at=now
        )
        given = {"member": member, "payment": earned}
        PaymentOutcome.objects.create(
            program=program, status=PaymentOutcome.Status.EARNED, points=50, decided_at=now, **given
        )
        self._note(
            waiting,
            program,
            member,
            JoinLink.objects.create(
                program=program,
                environment=channel.environment,
                phone_number="254712345127",
                token_hash=self.tenant.pk.bytes * 2,
                asked_at=now,
                expires_at=now + timedelta(days=1),
            ),
            PaymentOutcome.objects.create(payment=waiting, program=program, status="WAITING", decided_at=now),
            AccrualRule.objects.create(program=program),
            StampRule.objects.create(
                program=program, payments_needed=5, reward="r", thanks="t", noun="n", noun_plural="n"
            ),
            PointsEntry.objects.create(kind="EARN", points=50, balance_after=50, created_at=now, **given),
            Reward.objects.create(description="free", created_at=now, **given),
            PointsTotal.objects.create(program=program, environment=channel.environment, date=now.date(), earned=50),
            DayTotal.objects.create(channel=channel, date=now.date(), payment_count=2, amount=Decimal(10_000)),
            HourTotal.objects.create(channel=channel, date=now.date(), hour=9, payment_count=2, amount=Decimal(10_000)),
            PaymentRequest.objects.create(
                phone_number="254712345126", amount=5000, transaction_desc="x", requested_by="x", **common
            ),
            ChannelRun.objects.create(
                channel=channel, kind=ChannelRun.Kind.VERIFY, status=ChannelRun.Status.PENDING, created_at=now
            ),
            RuleDraft.objects.create(channel=channel, begun_by="x", begun_at=now, changed_by="x", changed_at=now),
            StepLink.objects.create(
                channel=channel,
                credential=Credential.KEYS,
                token_hash=self.tenant.pk.bytes * 2,
                created_at=now,
                expires_at=now + timedelta(days=1),
            ),
            SmsMessage.objects.create(
                dedup_key="x", phone_number="254712345126", environment=channel.environment, due_at=now, created_at=now
            ),
        )

    def _make_money_out(self, channel: MpesaChannel, now: Any) -> None:
        common = {"channel": channel, "environment": channel.environment, "created_at": now}
        tomorrow = now + timedelta(days=1)
        batch = PayoutBatch.objects.create(
            status=PayoutBatch.Status.AWAITING_APPROVAL,
            payout_count=1,
            total_amount=500,
            fee_estimate=Decimal(5),
            expires_at=tomorrow,
            **common,
        )
        payout = Payout.objects.create(
            batch=batch,
            row=1,
            receiver="254712345126",
            amount=500,
            fee_estimate=Decimal(5),
            warnings=[self.word],
            **common,
        )
        self._note(
            PayoutPolicy.objects.create(environment=channel.environment),
            AllowedReceiver.objects.create(environment=channel.environment),
            KeptDraft.objects.create(
                kind="payouts",
                environment=channel.environment,
                token_hash=b"x" * 32,
                content={"reference": self.word},
                rows=500,
                asked_at=now,
                asked={"said": {"reference": self.word}, "token": self.word},
                expires_at=tomorrow,
            ),
            batch,
            payout,
            PayoutEntry.objects.create(payout=payout, kind=PayoutEntry.Kind.RESERVE, amount=500, created_at=now),
            Reversal.objects.create(payment=self[Payment], amount=5000, expires_at=tomorrow, **common),
            StandingOrder.objects.create(
                phone_number="254712345126",
                amount=500,
                frequency="4",
                start_date=now.date(),
                end_date=tomorrow.date(),
                **common,
            ),
            Invoice.objects.create(
                amount=500, due_date=tomorrow.date(), items=[{"item_name": self.word, "amount": 500}], **common
            ),
        )

    def _make_evidence(self, channel: MpesaChannel, now: Any) -> None:
        common = {"channel": channel, "environment": channel.environment}
        day = ReconciliationDay.objects.create(
            status="DIFFERS",
            date=now.date(),
            counted_at=now,
            sources={self.word: {"count": 1, "amount": "500.00"}},
            balance_proof={"basis": self.word},
            **common,
        )
        amounts = dict.fromkeys(("current", "available", "reserved", "uncleared"), "500.00")
        self._note(
            day,
            ReconciliationItem.objects.create(
                day=day, kind=ReconciliationItem.Kind.MISSING_HERE, found_at=now, theirs=Decimal(500)
            ),
            StatementLine.objects.create(  # the database lets nobody change this row
                channel=channel,
                source=StatementLine.Source.STATEMENT,
                receipt=self.word,
                details=self.word,
                party=self.word,
                account_reference=self.word,
                status=self.word,
                completed_at=now,
                line_hash=self.tenant.pk.bytes * 2,
                created_at=now,
            ),
            StatementFile.objects.create(
                channel=channel, name=self.word, content=b"x", requested_by=self.word, created_at=now
            ),
            Pull.objects.create(window_from=now - timedelta(hours=1), window_until=now, created_at=now, **common),
            StatusQuery.objects.create(receipt=self.word, asked_at=now, **common),
            BalanceQuery.objects.create(asked_at=now, accounts={self.word: {"currency": "KES"} | amounts}, **common),
            Problem.objects.create(kind=Problem.Kind.SILENT, opened_at=now, seen_at=now, **common),
            IdempotencyKey.objects.create(
                environment=channel.environment, key="x", request_hash=b"x", status=201, body={}, created_at=now
            ),
        )

    def _record_decision(self, table: type[AuditRow], user: User) -> None:
        """The database lets nobody change this row, so the word is in it from the start."""
        actor = Actor(
            kind=AuditRow.ActorKind.PERSON, id=user.pk, label=self.word, role=Role.ORG_ADMIN, user_agent=self.word
        )
        audit.services.record(
            actor=actor, action=self.word, subject=user, after={self.word: self.word}, reason=self.word
        )
        self._note(table.objects.latest("sequence"))

    def _note(self, *rows: models.Model) -> None:
        self._rows |= {type(row): row for row in rows}

    def _require_every_kind(self) -> None:
        kinds = [model for label in settings.TENANT_APPS for model in apps.get_app_config(label).get_models()]
        kinds += [model for model in apps.get_app_config("tenants").get_models() if _belongs_to_a_business(model)]
        missing = [model._meta.label for model in kinds if model not in self._rows]
        assert not missing, f"The isolation tests know no row of {missing}: make one in {__name__}.Belongings."

    def _plant(self) -> None:
        for row in self._rows.values():
            if isinstance(row, AuditRow):
                continue
            with tenant_context(self.tenant):
                for number, field in enumerate(row._meta.concrete_fields):
                    if text := self._text_for(field, number):
                        self._try(row, {field.name: text})
                row.refresh_from_db()

    def _text_for(self, field: Any, number: int) -> Any:
        if f"{field.model._meta.label}.{field.name}" in _NOT_PLANTED or field.choices:
            return None
        if isinstance(field, models.JSONField):
            return {self.word: f"{self.word}{number}"}
        if isinstance(field, models.EmailField):
            return f"{self.word}{number}@{self.tenant.slug}.example"
        if isinstance(field, models.CharField | models.TextField):
            return f"{self.word}{number}"[: field.max_length or 40]
        return None

    def _try(self, row: models.Model, values: dict[str, Any]) -> None:
        try:
            with transaction.atomic():
                type(row)._default_manager.filter(pk=row.pk).update(**values)
        except IntegrityError:
            pass  # a constraint wants something else there


def _belongs_to_a_business(model: type[models.Model]) -> bool:
    related = {field.related_model for field in model._meta.concrete_fields if field.is_relation}
    return model in {Tenant, User} or bool(related & {Tenant, Membership})


def fingerprint(tenant: Tenant) -> dict[str, str]:
    """A hash of every table of a business's schema, and of its rows in each public table."""
    connection.set_schema_to_public()
    with connection.cursor() as cursor:
        return {name: _hash(cursor, query) for name, query in _queries(cursor, tenant).items()}


def _queries(cursor: Any, tenant: Tenant) -> dict[str, str]:
    cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [tenant.schema_name])
    queries = {name: f'"{tenant.schema_name}"."{name}"' for (name,) in cursor.fetchall()}
    places = f"SELECT id FROM tenants_membership WHERE tenant_id = '{tenant.pk}'"
    people = f"SELECT user_id FROM tenants_membership WHERE tenant_id = '{tenant.pk}'"
    conditions = {"tenant_id": f"= '{tenant.pk}'", "membership_id": f"IN ({places})", "user_id": f"IN ({people})"}
    cursor.execute(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND column_name = ANY(%s)",
        [list(conditions)],
    )
    for table, column in cursor.fetchall():
        queries[f"public {table} by {column}"] = f"{table} WHERE {column} {conditions[column]}"
    queries["public tenants_tenant"] = f"tenants_tenant WHERE id = '{tenant.pk}'"
    queries["public tenants_user"] = f"tenants_user WHERE id IN ({people})"
    return queries


def _hash(cursor: Any, rows: str) -> str:
    text = "string_agg(rows::text, chr(10) ORDER BY rows::text)"
    cursor.execute(f"SELECT md5(coalesce({text}, '')) FROM (SELECT * FROM {rows}) AS rows")
    return str(cursor.fetchone()[0])
