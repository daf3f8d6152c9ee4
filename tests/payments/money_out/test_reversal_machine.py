"""Reversals of one payment under every order of events that Hypothesis can think of, against a model of plain dicts."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import hypothesis.strategies as st
from django.db import connection, transaction
from django_tenants.utils import tenant_context
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from audit.ids import new_id
from audit.models import AuditRow
from audit.services import Actor
from channels.daraja.verdicts import Verdict
from payments.models import DayTotal, Payment, Reversal, StatusQuery
from payments.money_out import deciding, following, sending
from payments.money_out.reversals import reserve_reversal
from payments.signals import payment_reversed
from tenants.models import InboundCallback, Role
from tests.factories import make_channel
from tests.payments.money_out.conftest import NOON
from tests.payments.money_out.making import make_payment, make_reversal
from tests.payments.money_out.mpesa import (
    NOT_SENT,
    REFUSED,
    UNCLEAR,
    ScriptedClient,
    deliver,
    result,
    script,
    status_result,
)

AMOUNT = 900
BOSS = Actor(kind=AuditRow.ActorKind.PERSON, id=new_id(), label="boss@acme.example", role=Role.ORG_ADMIN)
ANSWERS = {"accepted": None, "refused": REFUSED, "not_sent": NOT_SENT, "unclear": UNCLEAR}
RECEIPT = "SGR000000R"
ASKS = 9  # of M-PESA in practice, before a person has to look


class Reversals(RuleBasedStateMachine):
    """Attempts to give one payment back; `model[n]` is what should be true of the n-th."""

    tenant: Any
    patch: Any

    @initialize()
    def be_paid(self) -> None:
        self.now = NOON
        self.around = transaction.atomic()
        self.around.__enter__()
        self.channel = make_channel(self.tenant, "600966", initiator_name="apiop")
        connection.set_tenant(self.tenant)
        self.client = ScriptedClient()
        script(self.patch, self.channel, self.client)
        self.payment = make_payment(self.channel, "SGA1B2C3D4", AMOUNT, paid_at=self.now)
        self.model: list[dict[str, Any]] = []
        self.told: list[Any] = []
        payment_reversed.connect(self.hear_of_it, dispatch_uid="the machine")

    def hear_of_it(self, payment_id: Any, **kwargs: Any) -> None:
        self.told.append(payment_id)

    def teardown(self) -> None:
        payment_reversed.disconnect(dispatch_uid="the machine")
        if hasattr(self, "around"):
            transaction.set_rollback(True)
            self.around.__exit__(None, None, None)

    @precondition(lambda self: all(one["status"] == "FAILED" for one in self.model))
    @rule()
    def ask_for_it(self) -> None:
        reversal = make_reversal(self.payment, now=self.now)
        reserve_reversal(reversal=reversal, now=self.now)
        self.model.append({"pk": reversal.pk, "status": "RESERVED", "may_have_it": 0, "called": False, "final": ""})

    @precondition(lambda self: any(one["status"] == "RESERVED" for one in self.model))
    @rule(answer=st.sampled_from(sorted(ANSWERS)))
    def send(self, answer: str) -> None:
        one = next(one for one in self.model if one["status"] == "RESERVED")
        before = len(self.client.money_calls())
        self.client.answer = ANSWERS[answer]
        sending.send_due(channel_id=self.channel.pk, clock=lambda: self.now)
        if len(self.client.money_calls()) == before:  # it waits, because it did not get through before
            return
        one["called"] = True
        one["may_have_it"] += answer in {"accepted", "unclear"}
        if answer == "refused":
            one["status"] = one["final"] = "FAILED"
        elif answer != "not_sent":
            one["status"] = {"accepted": "ACCEPTED", "unclear": "UNKNOWN"}[answer]

    @rule(seconds=st.sampled_from([1, 20, 120]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def follow(self) -> None:
        """Without an answer to the call there is no number to ask by, so a person has to look."""
        overdue = Reversal.objects.filter(due_at__lte=self.now).in_bulk()
        following.follow(channel_id=self.channel.pk, clock=lambda: self.now)
        for one in self.model:
            if one["pk"] in overdue and one["status"] in {"ACCEPTED", "UNKNOWN"}:
                before = overdue[one["pk"]]
                is_hopeless = not before.conversation_id or before.checks == ASKS
                one["status"] = "NEEDS_REVIEW" if is_hopeless else one["status"]

    @precondition(lambda self: self.model)
    @rule(says=st.sampled_from(["0", "R000002", "17"]), amount=st.sampled_from([AMOUNT, AMOUNT, AMOUNT - 1]))
    def result(self, says: str, amount: int) -> None:
        one = self.model[-1]
        body = result(says, receipt=RECEIPT if says == "0" else "", Amount=amount)
        for _ in range(2):
            row = deliver(self.channel, body, about=one["pk"], now=self.now)
        said = {"0": "SUCCEEDED", "R000002": "FAILED", "17": ""}[says]
        assert row.state == self.hear(one, said, is_right=amount == AMOUNT)

    @precondition(lambda self: self.model)
    @rule(which=st.integers(0, 3))
    def late_result(self, which: int) -> None:
        one = self.model[which % len(self.model)]
        body = result("0", receipt=RECEIPT, Amount=AMOUNT)
        row = deliver(self.channel, body, about=one["pk"], now=self.now)
        assert row.state == self.hear(one, "SUCCEEDED", is_right=True)

    @precondition(lambda self: self.model)
    @rule()
    def queue_timeout(self) -> None:
        one = self.model[-1]
        row = deliver(self.channel, {}, about=one["pk"], kind=InboundCallback.Kind.TIMEOUT, now=self.now)
        assert row.state == self.hear(one, "", is_right=True)

    @rule(says=st.sampled_from(["Completed", "Declined", "Initiated"]))
    def status(self, says: str) -> None:
        question = StatusQuery.objects.exclude(status="ANSWERED").first()
        if question is None:
            return
        one = next(one for one in self.model if one["pk"] == question.reversal_id)
        body = status_result(says, receipt=RECEIPT if says == "Completed" else "", amount=AMOUNT)
        row = deliver(self.channel, body, about=question.pk, now=self.now)
        if says == "Initiated":
            assert row.state == "APPLIED"
        else:
            said = {"Completed": "SUCCEEDED", "Declined": "FAILED"}[says]
            assert row.state == self.hear(one, said, is_right=True)

    @precondition(lambda self: any(one["status"] == "NEEDS_REVIEW" for one in self.model))
    @rule(moved=st.booleans())
    def decide(self, moved: bool) -> None:
        one = next(one for one in self.model if one["status"] == "NEEDS_REVIEW")
        deciding.decide_reversal(
            actor=BOSS,
            reversal_id=one["pk"],
            verdict=Verdict.SUCCEEDED if moved else Verdict.FAILED,
            receipt=RECEIPT if moved else "",
            note="Seen on the portal.",
            now=self.now,
        )
        one["status"] = one["final"] = "SUCCEEDED" if moved else "FAILED"

    def hear(self, one: dict[str, Any], said: str, *, is_right: bool) -> str:
        if not one["called"] or not is_right:
            return "QUARANTINED"
        if one["final"]:
            if said == "SUCCEEDED" and one["status"] != "SUCCEEDED":
                others = [other for other in self.model if other is not one and other["status"] != "FAILED"]
                one["status"] = one["status"] if others else "NEEDS_REVIEW"
                return "QUARANTINED"
            return "QUARANTINED" if said == "FAILED" and one["status"] == "SUCCEEDED" else "APPLIED"
        if said:
            one["status"] = one["final"] = said
        elif one["status"] != "NEEDS_REVIEW":
            one["status"] = "UNKNOWN"
        return "APPLIED"

    @invariant()
    def it_is_as_the_model_says(self) -> None:
        for one in getattr(self, "model", []):
            assert Reversal.objects.get(pk=one["pk"]).status == one["status"]
            assert one["may_have_it"] <= 1

    @invariant()
    def the_payment_and_its_day_are_reversed_exactly_when_a_reversal_succeeded(self) -> None:
        if not hasattr(self, "payment"):
            return
        is_back = any(one["status"] == "SUCCEEDED" for one in self.model)
        total = DayTotal.objects.get()
        assert (Payment.objects.get().reversed_at is not None) == is_back
        assert (total.reversed_count, total.reversed_amount) == ((1, Decimal(AMOUNT)) if is_back else (0, Decimal(0)))
        assert self.told == ([self.payment.pk] if is_back else [])
        assert (total.payment_count, total.amount) == (1, Decimal(AMOUNT))


def test_reversals_keep_their_word_whatever_happens(acme, monkeypatch):
    Reversals.tenant, Reversals.patch = acme, monkeypatch
    with tenant_context(acme):
        run_state_machine_as_test(
            Reversals,
            settings=settings(max_examples=20, stateful_step_count=20, suppress_health_check=list(HealthCheck)),
        )
