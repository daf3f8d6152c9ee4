"""Payouts under every order of events that Hypothesis can think of, against a model of plain dicts."""

import contextlib
from datetime import timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
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
from payments.models import Payout, PayoutBatch, PayoutEntry, StatusQuery
from payments.money_out import deciding, following, sending
from payments.money_out.payouts import reserve_batch
from tenants.models import DueTask, InboundCallback, Role
from tests.factories import make_channel
from tests.payments.money_out.conftest import NOON
from tests.payments.money_out.making import make_batch
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

AMOUNT = 100
BOSS = Actor(kind=AuditRow.ActorKind.PERSON, id=new_id(), label="boss@acme.example", role=Role.ORG_ADMIN)
STEPS = {"accepted": None, "refused": REFUSED, "not_sent": NOT_SENT, "unclear": UNCLEAR}
OPEN = {"RESERVED", "SENDING", "ACCEPTED", "UNKNOWN"}
WHICH = st.integers(0, 2)


class Killed(BaseException):
    """The worker died here."""


class Payouts(RuleBasedStateMachine):
    """Three payouts of one batch. `model[n]` is what should be true of the n-th."""

    tenant: Any
    patch: Any

    @initialize()
    def release(self) -> None:
        self.now = NOON
        self.around = transaction.atomic()
        self.around.__enter__()
        self.channel = make_channel(self.tenant, "600966", initiator_name="apiop")
        connection.set_tenant(self.tenant)
        self.client = ScriptedClient()
        script(self.patch, self.channel, self.client)
        self.batch = make_batch(self.channel, AMOUNT, AMOUNT, AMOUNT, now=self.now)
        reserve_batch(batch=self.batch, now=self.now)
        self.ids = list(self.batch.payouts.order_by("row").values_list("pk", flat=True))
        self.model = [
            {"status": "RESERVED", "books": ["RESERVE"], "receipt": "", "may_have_it": 0, "was_called": False}
            for _ in self.ids
        ]
        self.finished = False

    def teardown(self) -> None:
        if hasattr(self, "around"):
            transaction.set_rollback(True)
            self.around.__exit__(None, None, None)

    # -- What we do ---------------------------------------------------------------------------------------------------

    @rule(answer=st.sampled_from(sorted(STEPS)))
    def send(self, answer: str) -> None:
        self.client.answer = STEPS[answer]
        self.forget_promise("send_money_out")
        for one in self.called(lambda: sending.send_due(channel_id=self.channel.pk, clock=lambda: self.now)):
            assert one["status"] == "RESERVED"
            one["was_called"] = True
            one["may_have_it"] += answer in {"accepted", "unclear"}
            if answer == "refused":
                self.settle(one, "FAILED")
            elif answer != "not_sent":
                one["status"] = {"accepted": "ACCEPTED", "unclear": "UNKNOWN"}[answer]

    @rule(point=st.sampled_from(["after-sending-committed", "after-call", "before-settle"]))
    def die_while_sending(self, point: str) -> None:
        def reach(name: str) -> None:
            if name == point:
                raise Killed

        self.client.answer = None
        due = set(Payout.objects.filter(status="RESERVED", due_at__lte=self.now).values_list("pk", flat=True))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sending, "reach", reach)
            called = []
            try:
                called = self.called(
                    lambda: sending.send_due(channel_id=self.channel.pk, clock=lambda: self.now), quiet=[Killed]
                )
            finally:
                for one, pk in zip(self.model, self.ids, strict=True):
                    if pk in due:
                        one["status"], one["was_called"] = "SENDING", True
                        one["may_have_it"] += any(one is other for other in called)

    @rule(seconds=st.sampled_from([1, 20, 120, 700]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(is_reachable=st.booleans())
    def follow(self, is_reachable: bool) -> None:
        self.client.question_answer = None if is_reachable else NOT_SENT
        before = dict(Payout.objects.values_list("pk", "status"))
        overdue = set(Payout.objects.filter(due_at__lte=self.now).values_list("pk", flat=True))
        self.forget_promise("follow_money_out")
        following.follow(channel_id=self.channel.pk, clock=lambda: self.now)
        for one, payout in self.each():
            if payout.pk in overdue and before[payout.pk] == "SENDING":
                one["status"] = "UNKNOWN"
            elif (
                payout.pk in overdue
                and before[payout.pk] in {"ACCEPTED", "UNKNOWN"}
                and payout.status == "NEEDS_REVIEW"
            ):
                assert payout.checks == 9
                one["status"] = "NEEDS_REVIEW"

    @precondition(lambda self: any(one["status"] == "NEEDS_REVIEW" for one in self.model))
    @rule(moved=st.booleans())
    def decide(self, moved: bool) -> None:
        one, payout = next(pair for pair in self.each() if pair[0]["status"] == "NEEDS_REVIEW")
        deciding.decide_payout(
            actor=BOSS,
            payout_id=payout.pk,
            verdict=Verdict.SUCCEEDED if moved else Verdict.FAILED,
            receipt=self.receipt(payout) if moved else "",
            note="Seen on the portal.",
            now=self.now,
        )
        if moved:
            one["receipt"] = self.receipt(payout)
        self.settle(one, "SUCCEEDED" if moved else "FAILED")

    # -- What M-PESA does ---------------------------------------------------------------------------------------------

    @rule(which=WHICH, says=st.sampled_from(["0", "2001", "17"]), amount=st.sampled_from([AMOUNT] * 4 + [AMOUNT + 1]))
    def result(self, which: int, says: str, amount: int) -> None:
        payout = Payout.objects.get(pk=self.ids[which])
        receipt = self.receipt(payout) if says == "0" else ""
        body = result(says, receipt=receipt, TransactionAmount=amount)
        for _ in range(2):  # M-PESA repeats itself, and that changes nothing
            row = deliver(self.channel, body, about=payout.pk, now=self.now)
        assert row.state == self.hear(which, {"0": "SUCCEEDED", "2001": "FAILED", "17": ""}[says], amount, receipt)

    @rule(which=WHICH)
    def queue_timeout(self, which: int) -> None:
        row = deliver(self.channel, {}, about=self.ids[which], kind=InboundCallback.Kind.TIMEOUT, now=self.now)
        assert row.state == self.hear(which, "", AMOUNT, "")

    @rule(which=WHICH, says=st.sampled_from(["Completed", "Declined", "Initiated"]))
    def status(self, which: int, says: str) -> None:
        question = StatusQuery.objects.filter(payout_id=self.ids[which]).exclude(status="ANSWERED").first()
        if question is None:
            return
        payout = Payout.objects.get(pk=self.ids[which])
        body = status_result(says, receipt=self.receipt(payout) if says == "Completed" else "", amount=AMOUNT)
        row = deliver(self.channel, body, about=question.pk, now=self.now)
        question.refresh_from_db()
        assert question.status == "ANSWERED"
        if says == "Initiated":
            assert row.state == "APPLIED"
            return
        said = {"Completed": "SUCCEEDED", "Declined": "FAILED"}[says]
        assert row.state == self.hear(which, said, AMOUNT, self.receipt(payout))

    @rule(which=WHICH)
    def not_found(self, which: int) -> None:
        question = StatusQuery.objects.filter(payout_id=self.ids[which]).exclude(status="ANSWERED").first()
        if question is None:
            return
        before = Payout.objects.get(pk=self.ids[which])
        deliver(self.channel, status_result("2032"), about=question.pk, now=self.now)
        after = Payout.objects.get(pk=self.ids[which])
        if after.status == before.status:
            return
        assert before.status in {"ACCEPTED", "UNKNOWN"}
        assert (after.status, after.not_found) == ("FAILED", 3)
        assert self.now - before.sending_at >= timedelta(seconds=30)
        self.settle(self.model[which], "FAILED")

    # -- What is always true ------------------------------------------------------------------------------------------

    @invariant()
    def it_is_as_the_model_says(self) -> None:
        for one, payout in self.each():
            assert (payout.status, payout.receipt) == (one["status"], one["receipt"])

    @invariant()
    def the_books_agree_with_the_status(self) -> None:
        for one, payout in self.each():
            entries = list(PayoutEntry.objects.filter(payout=payout).order_by("created_at", "id"))
            assert [entry.kind for entry in entries] == one["books"]
            assert {entry.amount for entry in entries} == {AMOUNT}

    @invariant()
    def m_pesa_may_have_it_at_most_once(self) -> None:
        for one, _ in self.each():
            assert one["may_have_it"] <= 1

    @invariant()
    def nothing_open_is_forgotten(self) -> None:
        for states, task in (({"RESERVED"}, "send_money_out"), (OPEN - {"RESERVED"}, "follow_money_out")):
            dues = [payout.due_at for _, payout in self.each() if payout.status in states]
            if dues:
                promised = DueTask.objects.get(task=f"payments.money_out.tasks.{task}").due_at
                assert promised <= max(min(dues), self.now + timedelta(seconds=2))

    @invariant()
    def the_batch_is_finished_when_its_last_payout_is(self) -> None:
        if not hasattr(self, "batch"):
            return
        self.finished |= all(one["status"] in {"SUCCEEDED", "FAILED"} for one in self.model)
        status = PayoutBatch.objects.get(pk=self.batch.pk).status
        assert status == ("FINISHED" if self.finished else "RELEASED")

    # -- The model ----------------------------------------------------------------------------------------------------

    def each(self) -> list[tuple[dict[str, Any], Payout]]:
        if not hasattr(self, "ids"):
            return []
        rows = Payout.objects.in_bulk(self.ids)
        return [(one, rows[pk]) for one, pk in zip(self.model, self.ids, strict=True)]

    def receipt(self, payout: Payout) -> str:
        return f"SGA000R{payout.row}"

    def settle(self, one: dict[str, Any], status: str) -> None:
        one["status"] = status
        if len(one["books"]) == 1:
            one["books"].append("POST" if status == "SUCCEEDED" else "VOID")
        elif status == "SUCCEEDED":
            one["books"].append("CORRECT")

    def hear(self, which: int, said: str, amount: int, receipt: str) -> str:
        """What becomes of a payout that M-PESA speaks of, and of the delivery; `said` is '' for “who knows”."""
        one = self.model[which]
        if not one["was_called"] or amount != AMOUNT:
            return "QUARANTINED"
        if len(one["books"]) > 1:
            if said == "SUCCEEDED" and one["status"] != "SUCCEEDED":
                one["status"] = "NEEDS_REVIEW"
                return "QUARANTINED"
            return "QUARANTINED" if said == "FAILED" and one["status"] == "SUCCEEDED" else "APPLIED"
        if said:
            self.settle(one, said)
            one["receipt"] = receipt if said == "SUCCEEDED" else ""
        elif one["status"] != "NEEDS_REVIEW":
            one["status"] = "UNKNOWN"
        return "APPLIED"

    def called(self, do: Any, *, quiet: Any = ()) -> list[dict[str, Any]]:
        """The payouts for which M-PESA was called meanwhile."""
        before = len(self.client.money_calls())
        with contextlib.suppress(*quiet):
            do()
        by_hex = {pk.hex: one for one, pk in zip(self.model, self.ids, strict=True)}
        return [by_hex[about] for about in self.client.money_calls()[before:]]

    def forget_promise(self, task: str) -> None:
        """As the queue does with a task that runs to its end."""
        DueTask.objects.filter(task=f"payments.money_out.tasks.{task}").delete()


def test_payouts_keep_their_word_whatever_happens(acme, monkeypatch):
    Payouts.tenant, Payouts.patch = acme, monkeypatch
    with tenant_context(acme):
        run_state_machine_as_test(
            Payouts,
            settings=settings(
                max_examples=20,
                stateful_step_count=20,
                suppress_health_check=list(HealthCheck),
            ),
        )
