"""The web process as Daraja meets it: real HTTP, real commits."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from random import Random
from types import SimpleNamespace

import pytest
import requests
from django.db import connection
from django.utils import timezone
from django_tenants.utils import tenant_context

from config.launcher.processes import wait_until
from loyalty.models import AccrualRule, Member, PointsEntry, Program
from payments import drain
from payments.models import DayTotal, Payment, PaymentRequest
from tenants.models import CallbackRoute, InboundCallback
from tenants.routes import hash_token
from tests.factories import make_channel
from tests.processes import free_port, web_process

pytestmark = pytest.mark.processes

State = InboundCallback.State
Reason = InboundCallback.Reason


@pytest.fixture(scope="module")
def hooks_server(django_db_setup, tmp_path_factory):
    port = free_port()
    folder = tmp_path_factory.mktemp("hooks")
    process = web_process(folder, port, TUZO_SERVE="hooks")
    process.start()
    process.wait_for(f"http://127.0.0.1:{port}/health/")
    yield SimpleNamespace(base=f"http://127.0.0.1:{port}", process=process, folder=folder)
    process.stop()


@pytest.fixture
def kilimo(committed):
    """A business with a PayBill, committed, and a rival with another."""
    tenant, other = committed("kilimo"), committed("mpinzani")
    return SimpleNamespace(
        tenant=tenant,
        channel=make_channel(tenant, "600966", account_mapping={"default": "regulars"}),
        other=other,
        other_channel=make_channel(other, "600967"),
    )


@pytest.fixture
def post(hooks_server):
    def send(channel, kind, raw, **headers):
        token = channel if isinstance(channel, str) else channel.callback_token
        return requests.post(f"{hooks_server.base}/h/{token}/{kind}", data=raw, headers=headers, timeout=10)

    return send


def apply_all(tenant):
    with tenant_context(tenant):
        return drain.apply_pending(now=timezone.now())


def test_confirmation_is_durable_when_it_is_acknowledged(kilimo, post, body):
    raw = body("c2b_confirmation_masked.json")
    answer = post(kilimo.channel, "c2b-confirmation", raw)

    assert (answer.status_code, answer.json()) == (200, {"ResultCode": 0, "ResultDesc": "Success"})
    row = InboundCallback.objects.get()
    assert (row.tenant_id, row.channel_id) == (kilimo.tenant.pk, kilimo.channel.pk)
    assert bytes(row.body) == raw
    assert row.headers["content-length"] == str(len(raw))
    assert (row.address, row.address_is_listed, row.state) == ("127.0.0.1", False, State.PENDING)


def test_sixteen_deliveries_of_one_receipt_are_one_payment(kilimo, post, body, in_threads):
    raw = body("c2b_confirmation_masked.json")
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: post(kilimo.channel, "c2b-confirmation", raw).status_code, range(16)))
    taken = in_threads(*[lambda: apply_all(kilimo.tenant)] * 8)

    assert answers == [200] * 16
    assert sum(taken) == 16
    with tenant_context(kilimo.tenant):
        assert Payment.objects.count() == 1
        assert (DayTotal.objects.get().payment_count, str(DayTotal.objects.get().amount)) == (1, "5.00")
    assert InboundCallback.objects.filter(state=State.APPLIED).count() == 16


def test_confirmations_and_stk_results_of_one_receipt_at_once_are_one_payment_and_one_earn(
    kilimo, post, body, in_threads, run_due
):
    with tenant_context(kilimo.tenant):
        program = Program.objects.create(code="regulars", name="Regulars", member_key=Program.MemberKey.BY_REFERENCE)
        AccrualRule.objects.create(program=program, per_kes=1)
        PaymentRequest.objects.create(
            channel=kilimo.channel,
            environment=kilimo.channel.environment,
            phone_number="254708374149",
            amount=1,
            account_reference="INV-204",
            transaction_desc="Payment",
            requested_by="cashier@kilimo.example",
            checkout_request_id="ws_CO_191220191020363925",
        )
    confirmation = body(
        "c2b_confirmation_masked.json", TransID="NLJ7RT61SV", TransAmount="1.00", BillRefNumber="INV-204"
    )
    result = body("stk_callback_paid.json")
    deliveries = [("c2b-confirmation", confirmation), ("stk-callback", result)] * 8
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda delivery: post(kilimo.channel, *delivery), deliveries))
    taken = in_threads(*[lambda: apply_all(kilimo.tenant)] * 8)
    run_due()

    assert sum(taken) == 16
    with tenant_context(kilimo.tenant):
        payment = Payment.objects.get()
        assert PaymentRequest.objects.get().payment == payment
        assert [(entry.kind, entry.points) for entry in PointsEntry.objects.all()] == [("EARN", 1)]
        assert Member.objects.get().points_balance == 1
        assert DayTotal.objects.get().payment_count == 1


def test_workers_with_small_batches_of_one_days_news_wait_for_each_other_instead_of_deadlocking(
    kilimo, post, body, in_threads
):
    receipts = [f"SGB{number:07d}" for number in range(1, 25)]
    with tenant_context(kilimo.tenant):
        for receipt in receipts:
            PaymentRequest.objects.create(
                channel=kilimo.channel,
                environment=kilimo.channel.environment,
                phone_number="254708374149",
                amount=1,
                account_reference="INV-204",
                transaction_desc="Payment",
                requested_by="cashier@kilimo.example",
                checkout_request_id=f"ws_CO_{receipt}",
            )
    deliveries = []
    for receipt in receipts:
        confirmed = body("c2b_confirmation_masked.json", TransID=receipt, TransAmount="1.00", BillRefNumber="INV-204")
        answered = body("stk_callback_paid.json").replace(b"ws_CO_191220191020363925", f"ws_CO_{receipt}".encode())
        deliveries.append(("c2b-confirmation", confirmed))
        deliveries.append(("stk-callback", answered.replace(b"NLJ7RT61SV", receipt.encode())))
    Random(204).shuffle(deliveries)
    for delivery in deliveries:
        post(kilimo.channel, *delivery)

    def apply_in_small_batches():
        with tenant_context(kilimo.tenant):
            return drain.apply_pending(now=timezone.now(), limit=5)

    taken = in_threads(*[apply_in_small_batches] * 8)

    assert all(isinstance(count, int) for count in taken), taken
    apply_all(kilimo.tenant)
    with tenant_context(kilimo.tenant):
        assert Payment.objects.count() == len(receipts)
        assert PaymentRequest.objects.filter(status="SUCCEEDED").count() == len(receipts)
        assert sum(DayTotal.objects.values_list("payment_count", flat=True)) == len(receipts)


def test_many_receipts_in_many_orders_are_recorded_once_each(kilimo, post, body, in_threads):
    receipts = [f"SGA{number:07d}" for number in range(1, 61)]
    bodies = [body("c2b_confirmation_masked.json", TransID=receipt) for receipt in receipts]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda raw: post(kilimo.channel, "c2b-confirmation", raw), bodies + bodies[::-1]))
    in_threads(*[lambda: apply_all(kilimo.tenant)] * 6)

    with tenant_context(kilimo.tenant):
        assert sorted(Payment.objects.values_list("receipt", flat=True)) == receipts
        assert str(DayTotal.objects.get().amount) == "300.00"


@pytest.mark.parametrize("kind", ["stk-callback", "result", "timeout"])
@pytest.mark.parametrize("raw", [b"", b"{", b"\x00\xff\xfe", b"[[[[", "€".encode() * 10, b'{"Body":1e999}'])
def test_nonsense_is_kept_and_acknowledged(kilimo, post, kind, raw):
    answer = post(kilimo.channel, kind, raw)

    assert (answer.status_code, answer.json()) == (200, {"ResultCode": 0, "ResultDesc": "Accepted"})
    assert bytes(InboundCallback.objects.get().body) == raw


def test_64_kb_are_taken_and_one_byte_more_is_refused_but_kept(kilimo, post):
    assert post(kilimo.channel, "result", b"x" * 65_536).status_code == 200
    assert post(kilimo.channel, "result", b"y" * 65_537).status_code == 413

    kept, refused = InboundCallback.objects.order_by("id")
    assert (kept.state, len(kept.body)) == (State.PENDING, 65_536)
    assert (refused.state, refused.reason, len(refused.body)) == (State.QUARANTINED, Reason.TOO_LARGE, 65_536)


def test_a_wrong_token_is_not_found_and_reaches_nobody(kilimo, post, body):
    answer = post("bdfghjkmnprtvwxz2456789bdfghj", "c2b-confirmation", body("c2b_confirmation_masked.json"))

    assert answer.status_code == 404
    row = InboundCallback.objects.get()
    assert (row.tenant_id, row.state, row.reason) == (None, State.QUARANTINED, Reason.UNKNOWN_TOKEN)
    assert apply_all(kilimo.tenant) == 0
    with tenant_context(kilimo.tenant):
        assert not Payment.objects.exists()


def test_the_rivals_token_reaches_only_the_rival(kilimo, post, body):
    post(kilimo.other_channel, "c2b-confirmation", body("c2b_confirmation_masked.json"))  # names kilimo's shortcode
    apply_all(kilimo.tenant)
    apply_all(kilimo.other)

    row = InboundCallback.objects.get()
    assert (row.tenant_id, row.reason) == (kilimo.other.pk, Reason.FOREIGN_SHORTCODE)
    for tenant in (kilimo.tenant, kilimo.other):
        with tenant_context(tenant):
            assert not Payment.objects.exists()


def test_a_rotated_token_works_until_its_overlap_ends(kilimo, post, body):
    raw = body("c2b_confirmation_masked.json")
    route = CallbackRoute.objects.filter(token_hash=hash_token(kilimo.channel.callback_token))

    route.update(expires_at=timezone.now() + timedelta(hours=1))
    assert post(kilimo.channel, "c2b-confirmation", raw).status_code == 200
    route.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert wait_until(lambda: post(kilimo.channel, "c2b-confirmation", raw).status_code == 404, timeout_s=10)


def test_other_methods_and_paths_are_refused(kilimo, hooks_server):
    token = kilimo.channel.callback_token

    assert requests.get(f"{hooks_server.base}/h/{token}/result", timeout=5).status_code == 405
    assert requests.post(f"{hooks_server.base}/h/{token}/other", timeout=5).status_code == 404
    assert requests.post(f"{hooks_server.base}/h/{token}", timeout=5).status_code == 404
    assert requests.post(f"{hooks_server.base}/h/", timeout=5).status_code == 404
    assert not InboundCallback.objects.exists()


def ask(post, channel, body, **changes):
    answer = post(channel, "c2b-validation", body("c2b_validation.json", **changes))
    assert answer.status_code == 200
    return answer.json()["ResultCode"]


def test_validation_follows_the_channels_rules(kilimo, post, body):
    CallbackRoute.objects.filter(channel_id=kilimo.channel.pk).update(
        rules={
            "shortcodes": ["600966"], "is_open": True, "minimum": 10, "maximum": 70_000,
            "mapping": {"VIP*": "vip", "default": "regulars"},
        }
    )  # fmt: skip
    paid = {"BusinessShortCode": "600966", "TransAmount": "500.00", "BillRefNumber": "vip 001"}

    assert wait_until(
        lambda: ask(post, kilimo.channel, body, **paid | {"TransAmount": "9.99"}) == "C2B00013", timeout_s=10
    )
    assert ask(post, kilimo.channel, body, **paid) == "0"
    assert ask(post, kilimo.channel, body, **paid | {"TransAmount": "70000.01"}) == "C2B00013"
    assert ask(post, kilimo.channel, body, **paid | {"BillRefNumber": "stranger"}) == "C2B00012"
    assert ask(post, kilimo.channel, body, **paid | {"BusinessShortCode": "600967"}) == "C2B00015"


def test_validation_accepts_when_it_is_unsure_and_refuses_for_a_closed_channel(kilimo, post, body):
    nonsense = post(kilimo.channel, "c2b-validation", b"nonsense")
    assert nonsense.json() == {"ResultCode": "0", "ResultDesc": "Accepted"}

    CallbackRoute.objects.filter(channel_id=kilimo.channel.pk).update(
        rules={"shortcodes": ["600966"], "is_open": False}
    )
    assert wait_until(lambda: ask(post, kilimo.channel, body, BusinessShortCode="600966") == "C2B00016", timeout_s=10)


def test_what_validation_was_asked_and_answered_is_kept(kilimo, post, body):
    ask(post, kilimo.channel, body, BusinessShortCode="600967")

    assert wait_until(InboundCallback.objects.exists, timeout_s=5)
    row = InboundCallback.objects.get()
    assert (row.kind, row.state) == (InboundCallback.Kind.C2B_VALIDATION, State.APPLIED)
    assert row.error == "Answered C2B00015: Shortcode 600967 is not this channel's."
    with tenant_context(kilimo.tenant):
        assert not Payment.objects.exists()


def test_a_new_channel_is_known_at_once(kilimo, post, body):
    fresh = make_channel(kilimo.tenant, "600999")

    answer = post(fresh, "c2b-confirmation", body("c2b_confirmation_masked.json"))

    assert answer.status_code == 200
    assert InboundCallback.objects.get().channel_id == fresh.pk


def test_secrets_in_headers_are_not_kept_as_evidence(kilimo, post, body):
    post(kilimo.channel, "result", b"{}", Authorization="Bearer canary-secret", Cookie="canary-secret")

    assert "canary-secret" not in json.dumps(InboundCallback.objects.get().headers)


def test_deliveries_survive_a_kill_of_the_web_process(kilimo, post, body, hooks_server):
    acknowledged = []

    def send(number):
        raw = body("c2b_confirmation_masked.json", TransID=f"SGB{number:07d}")
        try:
            if post(kilimo.channel, "c2b-confirmation", raw).status_code == 200:
                acknowledged.append(f"SGB{number:07d}")
        except requests.ConnectionError:
            pass
        if number == 80:
            hooks_server.process.kill()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(1, 201)))
    hooks_server.process.start()
    hooks_server.process.wait_for(f"{hooks_server.base}/health/")
    apply_all(kilimo.tenant)

    assert len(acknowledged) >= 60
    with tenant_context(kilimo.tenant):
        assert set(acknowledged) <= set(Payment.objects.values_list("receipt", flat=True))
    connection.close()
