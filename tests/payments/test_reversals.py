from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import public_id
from audit.models import AuditEntry, AuditRow
from audit.services import Actor
from channels.models import MpesaChannel
from loyalty.models import AccrualRule, Member, PaymentOutcome, PointsEntry, Program
from payments.models import DayTotal, Payment, PayoutPolicy, Reversal
from payments.reversals import approve_reversal, expire_reversal, request_reversal
from payments.services import PaymentReport, record_payments
from payments.tasks import expire_reversal as expire_reversal_task
from tenants.models import DueTask, Role
from tenants.reauthentication import Proof
from tenants.tokens import issue_tokens
from tests.conftest import ApiCaller
from tests.factories import make_channel

URL = "/api/v1/reversals/"
PROOF = {"password": "a long pass phrase"}
SAVED = {"initiator_credential": {"ends_in": None, "saved_at": "2026-11-21T09:00:00+03:00", "proved_at": None}}


@pytest.fixture
def paybill(acme):
    """Which calls nobody: what is approved stays reserved."""
    return make_channel(acme, "600966", initiator_name="apiop", initiator_credential="secret", secret_notes=SAVED)


@pytest.fixture
def pay(acme):
    """`pay(channel, "UKL0000001")` → a payment of KES 500."""

    def report(channel, receipt="UKL0000001", amount="500.00", **columns):
        with tenant_context(acme):
            record_payments(
                reports=[
                    PaymentReport(
                        **{
                            "receipt": receipt,
                            "channel": channel,
                            "payer": "254712345126",
                            "payer_name": "JOHN",
                            "amount": Decimal(amount),
                            "account_reference": "VIP001",
                            "routed_to": "vip",
                            "source": Payment.Source.CONFIRMATION,
                            "paid_at": timezone.now(),
                            "callback_id": None,
                        }
                        | columns
                    )
                ]
            )
            return Payment.objects.get(receipt=receipt)

    return report


@pytest.fixture
def caller(acme, member_of):
    """`caller()` → another person of acme's, at the API."""

    def sign_in(role=Role.MANAGER):
        client = ApiCaller(SERVER_NAME="localhost")
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {issue_tokens(member_of(acme, role))['access']}")
        return client

    return sign_in


def ask(client, payment, **given):
    body = {"payment_id": public_id("pay", payment.pk), "reason": "Paid twice"} | given
    return client.post(URL, body, format="json")


def approve(client, asked, **given):
    return client.post(f"{URL}{asked.json()['id']}/approve/", PROOF | given, format="json")


def stages(acme):
    with tenant_context(acme):
        return list(Reversal.objects.order_by("id").values_list("status", flat=True))


def test_a_payment_is_given_back_by_two_people_and_everything_follows(
    acme, connected, pay, caller, simulator, hear, run_due
):
    channel = connected()
    with tenant_context(acme):
        vip = Program.objects.create(code="vip", name="VIP", member_key=Program.MemberKey.BY_REFERENCE)
        AccrualRule.objects.create(program=vip)
    payment = pay(channel, simulator.pay(channel.shortcode, 500))
    run_due()

    asked = ask(caller(), payment)
    assert (asked.status_code, asked.json()["status"], asked.json()["amount"]) == (201, "awaiting_approval", 500)
    approved = approve(caller(), asked)
    assert (approved.status_code, approved.json()["status"], approved.json()["stage"]) == (202, "pending", "reserved")
    run_due()
    assert stages(acme) == ["ACCEPTED"]
    delivery = hear(channel)

    assert delivery.state == "APPLIED"
    shown = caller().get(f"{URL}{asked.json()['id']}/").json()
    assert (shown["status"], shown["stage"], shown["do_now"]) == ("succeeded", "succeeded", "")
    assert shown["meaning"] == "The customer has the money back."
    assert shown["receipt"] not in ("", payment.receipt)
    client = caller(Role.USER)
    reversed_payment = client.get(f"/api/v1/payments/{public_id('pay', payment.pk)}/").json()
    assert (reversed_payment["status"], reversed_payment["reversed_at"] is None) == ("reversed", False)
    (total,) = client.get("/api/v1/day-totals/").json()["results"]
    assert (total["payment_count"], total["amount"]) == (1, "500.00")
    assert (total["reversed_count"], total["reversed_amount"], total["net"]) == (1, "500.00", "0.00")
    with tenant_context(acme):
        assert list(PointsEntry.objects.order_by("id").values_list("kind", "points")) == [("EARN", 5), ("REVERSE", -5)]
        assert Member.objects.get().points_balance == 0
        assert PaymentOutcome.objects.get().status == "REVERSED"


def test_whoever_asked_can_not_approve_above_the_threshold(acme, paybill, pay, caller):
    client = caller()
    asked = ask(client, pay(paybill))

    refused = approve(client, asked)

    assert (refused.status_code, refused.json()["code"]) == (403, "own_reversal")
    assert stages(acme) == ["AWAITING_APPROVAL"]


def test_at_the_threshold_one_person_is_enough(acme, paybill, pay, caller):
    with tenant_context(acme):
        PayoutPolicy.objects.create(environment="PRACTICE", approval_threshold=500)
    client = caller()

    approved = approve(client, ask(client, pay(paybill)))
    above = approve(client, ask(client, pay(paybill, "UKL0000002", "501.00")))

    assert (approved.status_code, above.status_code) == (202, 403)
    assert stages(acme) == ["RESERVED", "AWAITING_APPROVAL"]


@pytest.mark.parametrize("proof", [{}, {"password": "a wrong pass phrase"}, {"second_factor": "123456"}])
def test_approval_asks_again_who_one_is(acme, paybill, pay, caller, proof):
    asked = ask(caller(), pay(paybill))

    refused = caller().post(f"{URL}{asked.json()['id']}/approve/", proof, format="json")

    assert (refused.status_code, refused.json()["code"]) == (400, "not_proved")
    assert stages(acme) == ["AWAITING_APPROVAL"]


def test_an_approval_that_is_sent_again_is_one(acme, paybill, pay, caller):
    asked, client = ask(caller(), pay(paybill)), caller()

    first = approve_with(client, asked, "rev-1")
    second = approve_with(client, asked, "rev-1")
    third = approve_with(client, asked, "rev-2")

    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert (third.status_code, third.json()["code"]) == (409, "wrong_state")
    with tenant_context(acme):
        assert AuditEntry.objects.filter(action="reversal.approved").count() == 1


def approve_with(client, asked, key):
    return client.post(f"{URL}{asked.json()['id']}/approve/", PROOF, format="json", HTTP_IDEMPOTENCY_KEY=key)


def test_a_payment_is_reversed_at_most_once(acme, paybill, pay, caller):
    payment, client = pay(paybill), caller()
    ask(client, payment)

    again = ask(client, payment)
    with tenant_context(acme):
        Reversal.objects.update(status="SUCCEEDED", finished_at=timezone.now())
        Payment.objects.update(reversed_at=timezone.now())
    reversed_before = ask(client, payment)

    assert (again.status_code, again.json()["code"]) == (409, "reversal_open")
    assert (reversed_before.status_code, reversed_before.json()["code"]) == (409, "already_reversed")
    assert stages(acme) == ["SUCCEEDED"]


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED"])
def test_what_failed_or_was_withdrawn_may_be_asked_for_anew(acme, paybill, pay, caller, status):
    payment, client = pay(paybill), caller()
    ask(client, payment)
    with tenant_context(acme):
        Reversal.objects.update(status=status, finished_at=timezone.now())

    assert ask(client, payment).status_code == 201
    assert stages(acme) == [status, "AWAITING_APPROVAL"]


def test_a_part_of_a_payment_is_refused_with_the_way_by_hand(acme, paybill, pay, caller):
    payment, client = pay(paybill), caller()

    refused = ask(client, payment, amount="200.00")

    assert (refused.status_code, refused.json()["code"]) == (409, "partial_reversal")
    assert "M-PESA portal" in refused.json()["detail"]
    assert refused.json()["errors"] == {"amount": ["The payment is KES 500.00."]}
    assert stages(acme) == []
    assert ask(client, payment, amount="500").status_code == 201


def test_a_payout_is_refused_with_the_way_by_hand(acme, paybill, caller):
    refused = caller().post(URL, {"payment_id": "pout_" + "0" * 26, "reason": "Wrong number"}, format="json")

    assert refused.status_code == 400
    assert "M-PESA portal" in refused.json()["errors"]["payment_id"][0]
    assert stages(acme) == []


@pytest.mark.parametrize("reason", ["", "x", "x" * 101, "  x "])
def test_a_reason_is_what_m_pesa_takes(acme, paybill, pay, caller, reason):
    refused = ask(caller(), pay(paybill), reason=reason)

    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["reason"])
    assert stages(acme) == []


@pytest.mark.parametrize(
    "columns", [{"initiator_name": ""}, {"secret_notes": {}}, {"status": MpesaChannel.Status.SUSPENDED}]
)
def test_a_channel_that_can_not_send_can_not_give_back(acme, paybill, pay, caller, columns):
    payment, client = pay(paybill), caller()
    asked = ask(client, payment)
    with tenant_context(acme):
        MpesaChannel.objects.filter(pk=paybill.pk).update(**columns)

    refused = approve(caller(), asked)
    other = ask(client, pay(paybill, "UKL0000002"))

    assert (refused.status_code, refused.json()["code"]) == (409, "no_usable_channel")
    assert (other.status_code, other.json()["code"]) == (409, "no_usable_channel")
    assert stages(acme) == ["AWAITING_APPROVAL"]


def test_one_that_waits_is_withdrawn_and_one_that_was_approved_is_not(acme, paybill, pay, caller):
    client = caller()
    first, second = ask(client, pay(paybill)), ask(client, pay(paybill, "UKL0000002"))
    approve(caller(), second)

    withdrawn = client.post(f"{URL}{first.json()['id']}/cancel/", {"reason": "A mistake"}, format="json")
    refused = client.post(f"{URL}{second.json()['id']}/cancel/", {}, format="json")

    assert withdrawn.status_code == 200
    shown = withdrawn.json()
    assert (shown["status"], shown["stage"], shown["meaning"]) == ("failed", "cancelled", "A mistake")
    assert (refused.status_code, refused.json()["code"]) == (409, "wrong_state")
    assert stages(acme) == ["CANCELLED", "RESERVED"]
    assert (approve(caller(), first).status_code, stages(acme)) == (409, ["CANCELLED", "RESERVED"])


def test_what_nobody_approves_in_a_day_is_withdrawn(acme, paybill, pay, caller):
    asked = ask(caller(), pay(paybill))
    with tenant_context(acme):
        reversal = Reversal.objects.get()
        assert reversal.expires_at - reversal.created_at == timedelta(hours=24)
        assert DueTask.objects.get(task=expire_reversal_task.name).due_at == reversal.expires_at
        DueTask.objects.all().delete()
        expire_reversal(reversal_id=reversal.pk, now=reversal.expires_at - timedelta(seconds=1))
        assert stages(acme) == ["AWAITING_APPROVAL"]
        assert DueTask.objects.get(task=expire_reversal_task.name).due_at == reversal.expires_at
        Reversal.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    late = approve(caller(), asked)
    with tenant_context(acme):
        expire_reversal(reversal_id=reversal.pk, now=timezone.now())

    assert (late.status_code, late.json()["code"]) == (409, "reversal_expired")
    assert stages(acme) == ["CANCELLED"]
    with tenant_context(acme):
        assert Reversal.objects.get().note == "It was not approved in time."


def test_an_approval_gives_another_day_to_send_it(acme, paybill, pay, caller):
    asked = ask(caller(), pay(paybill))
    with tenant_context(acme):
        Reversal.objects.update(expires_at=timezone.now() + timedelta(minutes=1))

    approve(caller(), asked)

    with tenant_context(acme):
        reversal = Reversal.objects.get()
    assert reversal.expires_at == reversal.approved_at + timedelta(hours=24)


def test_a_person_decides_what_nobody_could_find_out(acme, paybill, pay, caller):
    payment, maker = pay(paybill), caller()
    asked = ask(maker, payment)
    with tenant_context(acme):
        now = timezone.now()
        Reversal.objects.update(status="NEEDS_REVIEW", review="M-PESA could not say.", sending_at=now, accepted_at=now)
    path, found = f"{URL}{asked.json()['id']}/decide/", {"note": "On the portal", "receipt": "UKM0000009"}

    by_maker = maker.post(path, {"verdict": "succeeded"} | found, format="json")
    shown = maker.get(f"{URL}{asked.json()['id']}/").json()
    decided = caller().post(path, {"verdict": "succeeded"} | found, format="json")

    assert by_maker.status_code == 403
    assert (shown["status"], shown["meaning"]) == ("unknown", "M-PESA could not say.")
    assert decided.status_code == 200
    assert (decided.json()["status"], decided.json()["receipt"]) == ("succeeded", "UKM0000009")
    with tenant_context(acme):
        assert Payment.objects.get().reversed_at is not None
        assert DayTotal.objects.get().reversed_amount == Decimal("500.00")


def test_who_may_do_what(acme, paybill, pay, caller):
    clerk, payment = caller(Role.USER), pay(paybill)

    assert ask(clerk, payment).status_code == 403
    asked = ask(caller(), payment)
    assert approve(clerk, asked).status_code == 403
    assert clerk.post(f"{URL}{asked.json()['id']}/cancel/", {}, format="json").status_code == 403
    assert clerk.get(URL).json()["results"][0]["id"] == asked.json()["id"]
    assert stages(acme) == ["AWAITING_APPROVAL"]


def test_what_people_decide_is_in_the_audit_trail(acme, paybill, pay, caller):
    approve(caller(), ask(caller(), pay(paybill)))

    with tenant_context(acme):
        rows = AuditEntry.objects.filter(action__startswith="reversal.").order_by("sequence")
        assert [(row.action, row.after["receipt"], row.reason) for row in rows] == [
            ("reversal.requested", "UKL0000001", "Paid twice"),
            ("reversal.approved", "UKL0000001", ""),
        ]


def test_reversals_are_listed_by_environment_payment_and_stage(acme, paybill, pay, caller):
    client = caller()
    first, second = (ask(client, pay(paybill, f"UKL000000{number}")).json() for number in (1, 2))
    client.post(f"{URL}{first['id']}/cancel/", {}, format="json")

    def listed(query):
        return [row["id"] for row in client.get(f"{URL}?{query}").json()["results"]]

    assert listed("") == [second["id"], first["id"]]
    assert listed("stage=cancelled") == [first["id"]]
    assert listed(f"payment={second['payment_id']}") == [second["id"]]
    assert listed("environment=production") == []


def test_the_rival_finds_nothing_and_reverses_nothing(acme, rival, paybill, pay, caller, api):
    payment = pay(paybill)
    asked = ask(caller(), payment)
    client = api(rival)

    assert client.get(URL).json()["results"] == []
    assert client.get("/api/v1/day-totals/").json()["results"] == []
    assert ask(client, payment).status_code == 404
    for action, body in (("approve", PROOF), ("cancel", {}), ("decide", {"verdict": "failed", "note": "x"})):
        assert client.post(f"{URL}{asked.json()['id']}/{action}/", body, format="json").status_code == 404
    assert client.get(f"{URL}{asked.json()['id']}/").status_code == 404
    assert stages(acme) == ["AWAITING_APPROVAL"]


def test_two_people_who_approve_at_once_approve_once(committed, in_threads, member_of):
    kilimo = committed("kilimo")
    channel = make_channel(kilimo, "600966", initiator_name="x", initiator_credential="y", secret_notes=SAVED)

    def person(label):
        place = member_of(kilimo, Role.MANAGER)
        return Actor(kind=AuditRow.ActorKind.PERSON, id=place.user_id, label=label, role=Role.MANAGER)

    maker, one, other = person("maker"), person("one"), person("other")
    with tenant_context(kilimo):
        (new,) = record_payments(
            reports=[
                PaymentReport(
                    receipt="UKL0000001",
                    channel=channel,
                    payer="254712345126",
                    payer_name="JOHN",
                    amount=Decimal(500),
                    account_reference="A",
                    routed_to="",
                    source=Payment.Source.CONFIRMATION,
                    paid_at=timezone.now(),
                    callback_id=None,
                )
            ]
        )
        reversal = request_reversal(actor=maker, payment_id=new.id, reason="Paid twice", now=timezone.now())

    def approving(actor):
        def run():
            now = timezone.now()
            with tenant_context(kilimo):
                return approve_reversal(actor=actor, reversal_id=reversal.pk, proof=Proof(actor.id, now), now=now)

        return run

    results = in_threads(approving(one), approving(other), approving(one), approving(other))

    assert sum(isinstance(result, Reversal) for result in results) == 1
    assert {result.code for result in results if isinstance(result, Exception)} == {"wrong_state"}
    with tenant_context(kilimo):
        assert Reversal.objects.get().status == "RESERVED"
        assert AuditEntry.objects.filter(action="reversal.approved").count() == 1
