"""Money that went out, its reconciliation and its balances: for the pages that show them."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import new_id
from audit.models import AuditRow
from audit.services import Actor
from channels.models import KeptDraft, MpesaChannel
from payments.models import (
    AllowedReceiver,
    BalanceQuery,
    Payment,
    Payout,
    PayoutBatch,
    Pull,
    ReconciliationDay,
    ReconciliationItem,
    Reversal,
    StatementFile,
    StatusQuery,
)
from payments.payouts.checking import GivenRow
from payments.payouts.drafts import Draft, keep_draft
from tenants.models import Role, Tenant
from tenants.sentences import say

SENDS_MONEY = {
    "initiator_name": "testapi",
    "secret_notes": {"initiator_credential": {"ends_in": None, "saved_at": None, "proved_at": None}},
}


FOUND = {
    "ReceiptNo": "SGE1AB23CD",
    "TransactionStatus": "Completed",
    "Amount": "1500.00",
    "DebitPartyName": "254708374149 - Jane Doe",
    "CreditPartyName": "600100 - Acme",
    "FinalisedTime": "20261121093000",
    "ReasonType": "Pay Bill Online",
}


@dataclass(kw_only=True)
class SentMoney:
    channel: MpesaChannel
    waiting: PayoutBatch  # for approval
    approved: PayoutBatch
    released: PayoutBatch
    to_review: Payout
    reversal: Reversal  # waits for approval
    reversal_to_review: Reversal
    day: ReconciliationDay
    item: ReconciliationItem
    draft: str
    being_made: str  # a draft
    statement: StatementFile  # being read
    unusable: StatementFile
    asked: StatusQuery  # M-PESA has not answered
    answered: StatusQuery


def furnish_money_out(tenant: Tenant, channel: MpesaChannel) -> SentMoney:
    """The channel can send money from here on."""
    with tenant_context(tenant):
        MpesaChannel.objects.filter(pk=channel.pk).update(
            **SENDS_MONEY, low_float={"Utility Account": 50_000}, pull_registered_at=timezone.now()
        )
        released = make_batch(channel, "Salaries November", ["SUCCEEDED", "ACCEPTED", "FAILED", "NEEDS_REVIEW"])
        reversals = [make_reversal(channel, status) for status in ("AWAITING_APPROVAL", "NEEDS_REVIEW")]
        day, item = _make_day(channel)
        _make_evidence(channel)
        actor = Actor(kind=AuditRow.ActorKind.PERSON, id=new_id(), label="somebody@acme.example", role=Role.MANAGER)
        row = GivenRow(2, {"phone_number": "0712 345 678", "amount": "1500", "name": "Achieng 2"})
        draft = Draft(rows=[row], channel_id=channel.pk, kind="PHONE", purpose="BUSINESS", reference="Casuals")
        being_made = keep_draft(actor=actor, draft=draft, now=timezone.now())
        asked = {"said": {"reference": "Casuals"}, "token": being_made}
        KeptDraft.objects.filter(kind="payouts").update(
            rows=10_000, rows_done=4_250, asked_at=timezone.now(), asked=asked
        )
        return SentMoney(
            channel=channel,
            being_made=being_made,
            asked=make_question(channel, reversal=reversals[1]),
            answered=make_question(
                channel, receipt="SGE1AB23CD", status="ANSWERED", found=FOUND, answered_at=timezone.now()
            ),
            waiting=make_batch(channel, "Suppliers", ["AWAITING_APPROVAL"] * 2, status="AWAITING_APPROVAL"),
            approved=make_batch(channel, "Casuals October", ["AWAITING_APPROVAL"], status="APPROVED"),
            released=released,
            to_review=released.payouts.get(status="NEEDS_REVIEW"),
            reversal=reversals[0],
            reversal_to_review=reversals[1],
            day=day,
            item=item,
            draft=keep_draft(actor=actor, draft=draft, now=timezone.now()),
            statement=_make_statement(channel, status="READING", content=b"x", rows=12_500, rows_done=4_250),
            unusable=_make_statement(
                channel,
                status="REFUSED",
                finished_at=timezone.now(),
                language="sw",  # of who gave it, in which the worker said what is wrong
                detail="Safu 1 haiwezi kutumika, kwa hivyo hakuna kilichopakiwa.",
                errors={"rows[7].paid_in": ["Hiki si kiasi kwa shilingi, kama 1,250.00."]},
            ),
        )


def _make_statement(channel: MpesaChannel, **columns: Any) -> StatementFile:
    return StatementFile.objects.create(
        channel=channel, name="November.csv", requested_by="amina@acme.example", created_at=timezone.now(), **columns
    )


def make_batch(
    channel: MpesaChannel,
    reference: str,
    states: list[str],
    *,
    status: str = "RELEASED",
    created_by_id: UUID | None = None,
) -> PayoutBatch:
    """A batch with a payout in each of the states: KES 500 to 0712345001, 1,000 to 0712345002, …"""
    now = timezone.now()
    amounts = [500 * number for number in range(1, len(states) + 1)]
    batch = PayoutBatch.objects.create(
        reference=reference,
        channel=channel,
        environment=channel.environment,
        status=status,
        payout_count=len(states),
        total_amount=sum(amounts),
        fee_estimate=Decimal(5) * len(states),
        flagged_count=1,
        created_by="amina@acme.example",
        created_by_id=created_by_id or new_id(),
        released_by="otieno@acme.example" if status == "RELEASED" else "",
        released_at=now if status == "RELEASED" else None,
        expires_at=now + timedelta(hours=24),
        created_at=now,
    )
    for row, (state, amount) in enumerate(zip(states, amounts, strict=True), start=1):
        ended = state in {"SUCCEEDED", "FAILED"}
        Payout.objects.create(
            batch=batch,
            row=row,
            channel=channel,
            environment=channel.environment,
            receiver=f"254712345{row:03d}",
            name="Achieng Otieno",
            amount=amount,
            warnings=[say("The name has digits in it.")] if row == 1 else [],
            fee_estimate=Decimal(5),
            status=state,
            sending_at=now if status == "RELEASED" else None,
            finished_at=now if ended else None,
            completed_at=now if state == "SUCCEEDED" else None,
            receipt=f"SGE{new_id().hex[-7:].upper()}" if state == "SUCCEEDED" else "",
            result_code="2040" if state == "FAILED" else "",
            review="M-PESA was asked 8 times." if state == "NEEDS_REVIEW" else "",
            created_at=now,
        )
    return batch


def make_reversal(channel: MpesaChannel, status: str, *, requested_by_id: UUID | None = None) -> Reversal:
    now = timezone.now()
    payment = Payment.objects.create(
        receipt=f"SGR{new_id().hex[-7:].upper()}",
        channel=channel,
        environment=channel.environment,
        payer="254708374149",
        payer_name="Jane Doe",
        amount=Decimal(750),
        account_reference="INV-204",
        source=Payment.Source.PULL,
        paid_at=now,
        created_at=now,
    )
    return Reversal.objects.create(
        payment=payment,
        channel=channel,
        environment=channel.environment,
        amount=750,
        reason="Paid twice",
        status=status,
        requested_by="amina@acme.example",
        requested_by_id=requested_by_id or new_id(),
        review="M-PESA was asked 8 times." if status == "NEEDS_REVIEW" else "",
        expires_at=now + timedelta(hours=24),
        created_at=now,
    )


def make_question(channel: MpesaChannel, **columns: Any) -> StatusQuery:
    values = {"requested_by": "amina@acme.example", "asked_at": timezone.now()} | columns
    return StatusQuery.objects.create(channel=channel, environment=channel.environment, **values)


def _make_day(channel: MpesaChannel) -> tuple[ReconciliationDay, ReconciliationItem]:
    now = timezone.now()
    day = ReconciliationDay.objects.create(
        channel=channel,
        environment=channel.environment,
        date=(now - timedelta(days=1)).date(),
        status=ReconciliationDay.Status.DIFFERS,
        sources={
            "payments": {"count": 12, "amount": "18400.00"},
            "callbacks": {"count": 12, "amount": "18400.00"},
            "pull": {"count": 13, "amount": "19150.00"},
        },
        balance_proof={
            "basis": "balances",
            "since": "2026-11-20T00:00:00+03:00",
            "until": "2026-11-21T00:00:00+03:00",
            **dict.fromkeys(("opening", "money_out", "charges"), "0.00"),
            "money_in": "18400.00",
            "expected_closing": "18400.00",
            "closing": "19150.00",
            "difference": "750.00",
            "holds": False,
        },
        counted_at=now,
    )
    item = ReconciliationItem.objects.create(
        day=day,
        kind=ReconciliationItem.Kind.MISSING_HERE,
        subject="SGE1AB23CD",
        theirs=Decimal(750),
        sentence="M-PESA lists SGE1AB23CD, and it was never reported here.",
        found_at=now,
    )
    return day, item


def _make_evidence(channel: MpesaChannel) -> None:
    now = timezone.now()
    common = {"channel": channel, "environment": channel.environment}
    AllowedReceiver.objects.create(
        environment=channel.environment, receiver="254712345678", name="Achieng", added_by="amina@acme.example"
    )
    amounts = {"current": "49217.00", "available": "49217.00", "reserved": "0.00", "uncleared": "0.00"}
    BalanceQuery.objects.create(
        status=BalanceQuery.Status.ANSWERED,
        accounts={"Utility Account": {"currency": "KES"} | amounts, "Working Account": {"currency": "KES"} | amounts},
        requested_by="by itself",
        as_at=now,
        asked_at=now,
        answered_at=now,
        **common,
    )
    BalanceQuery.objects.create(requested_by="amina@acme.example", asked_at=now, **common)
    Pull.objects.create(
        window_from=now - timedelta(hours=1),
        window_until=now,
        requested_by="amina@acme.example",
        created_at=now,
        **common,
    )
