import threading
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django_tenants.utils import tenant_context
from drf_spectacular.generators import SchemaGenerator
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from audit.ids import public_id
from audit.services import Actor, system_actor
from channels.idempotency import (
    IdempotencyKeyRequired,
    IdempotencyKeyReused,
    RequestInProgress,
    answer_once,
    do_once,
    environment_of,
    forget_old_keys,
)
from channels.models import Environment, IdempotencyKey
from loyalty.members import enrol_member
from loyalty.models import Member, PointsEntry, Program
from loyalty.points import adjust_points
from payments.models import PaymentRequest
from tenants.errors import Conflict
from tests.factories import make_channel

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
PERSON = uuid.uuid4()


def send(body=None, *, key="order-204", path="/api/v1/things/", actor=PERSON, form="json", **columns):
    made = APIRequestFactory().post(path, body or {"amount": 5}, format=form, HTTP_IDEMPOTENCY_KEY=key)
    made.actor = Actor(kind="PERSON", label="x", id=actor)
    return Request(made, parsers=[JSONParser(), MultiPartParser()])


class Work:
    """Counts how often it was done."""

    def __init__(self):
        self.count = 0

    def __call__(self):
        self.count += 1
        return 201, {"count": self.count, "at": NOW, "amount": "5.00"}


@pytest.fixture
def work():
    return Work()


def once(request, work, environment="PRACTICE"):
    return answer_once(request, environment=environment, work=work)


def test_the_same_request_is_done_once_and_answered_alike(in_acme, work):
    first, second = once(send(), work), once(send(), work)

    assert work.count == 1
    assert first.status_code == second.status_code == 201
    assert first.data == second.data == {"count": 1, "at": "2026-11-21T09:00:00Z", "amount": "5.00"}
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize(
    "other",
    [
        {"body": {"amount": 6}},
        {"body": {"amount": "5"}},
        {"body": {"amount": 5, "note": None}},
        {"path": "/api/v1/others/"},
        {"path": "/api/v1/things/?wait=1"},
        {"actor": uuid.uuid4()},
    ],
)
def test_another_request_under_the_same_key_is_refused_and_not_done(in_acme, work, other):
    once(send(), work)

    with pytest.raises(IdempotencyKeyReused) as refused:
        once(send(**other), work)

    assert (refused.value.status, refused.value.code) == (422, "idempotency_key_reused")
    assert work.count == 1
    assert IdempotencyKey.objects.count() == 1


def test_spelling_and_proofs_do_not_make_another_request(in_acme, work):
    once(send({"amount": 5, "name": "A", "password": "wrong then right"}), work)
    again = once(send({"name": "A", "second_factor": "123456", "amount": 5}), work)

    assert again.headers["Idempotency-Replayed"] == "true"
    assert work.count == 1


def test_a_file_is_compared_by_its_content(in_acme, work):
    def upload(content, name="rows.csv"):
        return send({"reference": "MAY", "file": SimpleUploadedFile(name, content)}, form="multipart")

    request = upload(b"phone,amount")
    once(request, work)

    assert request.data["file"].read() == b"phone,amount"
    assert once(upload(b"phone,amount"), work).headers["Idempotency-Replayed"] == "true"
    with pytest.raises(IdempotencyKeyReused):
        once(upload(b"phone,amounts"), work)
    assert work.count == 1


@pytest.mark.parametrize("key", ["", "   ", "x" * 256, "né", "tab\there"])
def test_a_request_without_a_usable_key_is_refused_and_not_done(in_acme, work, key):
    with pytest.raises(IdempotencyKeyRequired) as refused:
        once(send(key=key), work)

    assert (refused.value.status, refused.value.code) == (400, "idempotency_key_required")
    assert work.count == 0


def test_a_refused_request_is_not_remembered(in_acme, work):
    def refuse():
        PaymentRequest.objects.filter(amount=1).update(amount=2)
        raise Conflict("Not now.")

    with pytest.raises(Conflict, match="Not now"):
        once(send(), refuse)

    assert not IdempotencyKey.objects.exists()
    assert once(send({"amount": 6}), work).data["count"] == 1


def test_keys_are_counted_in_each_environment_for_itself(in_acme, work):
    once(send(), work, "PRACTICE")
    live = once(send(), work, "PRODUCTION")

    assert live.data["count"] == 2
    assert set(IdempotencyKey.objects.values_list("environment", "key")) == {
        ("PRACTICE", "order-204"),
        ("PRODUCTION", "order-204"),
    }


def test_the_rival_may_use_the_same_key(acme, rival, work):
    with tenant_context(acme):
        once(send(), work)
    with tenant_context(rival):
        assert not IdempotencyKey.objects.exists()
        rivals = once(send({"amount": 6}), work)

    assert rivals.data["count"] == 2


def test_keys_count_in_the_environment_of_the_channel_that_is_named(acme):
    make_channel(acme, "600966")
    live = make_channel(acme, "600980", environment=Environment.PRODUCTION)
    with tenant_context(acme):
        assert environment_of(live.pk) == "PRODUCTION"
        assert environment_of(None) == "PRACTICE"
        assert environment_of(uuid.uuid4()) == "PRACTICE"


def test_keys_are_forgotten_after_seven_days(in_acme, work):
    for key, age in (("old", timedelta(days=7, seconds=1)), ("kept", timedelta(days=7))):
        do_once(key=key, environment="PRACTICE", request_hash=b"x", work=work, now=NOW - age)

    assert forget_old_keys(now=NOW) == 1
    assert IdempotencyKey.objects.get().key == "kept"


def test_thirty_two_callers_with_one_key_have_one_effect(committed, in_threads):
    kilimo = committed("kilimo")
    with tenant_context(kilimo):
        program = Program.objects.create(code="regulars", name="Regulars")
        system = system_actor("test")
        member = enrol_member(actor=system, program_id=program.pk, environment="PRACTICE", code="GOLD1", now=NOW)

    def adjust():
        entry = adjust_points(actor=system, member_id=member.pk, points=7, reason="Sorry", now=NOW)
        return 201, {"id": str(entry.pk)}

    def caller():
        with tenant_context(kilimo):
            while True:
                try:
                    return once(send(), adjust)
                except RequestInProgress:
                    continue

    answers = in_threads(*[caller] * 32)

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.data["id"] for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    with tenant_context(kilimo):
        assert PointsEntry.objects.count() == 1
        assert Member.objects.get().points_balance == 7
        assert IdempotencyKey.objects.count() == 1


def test_while_the_first_is_running_the_second_is_told_so_at_once(committed, in_threads, work):
    kilimo = committed("kilimo")
    running, told = threading.Event(), threading.Event()

    def slow():
        running.set()
        assert told.wait(10)
        return work()

    def first():
        with tenant_context(kilimo):
            return once(send(), slow)

    def second():
        assert running.wait(10)
        try:
            with tenant_context(kilimo):
                return once(send(), work)
        finally:
            told.set()

    answer, refused = in_threads(first, second)

    assert answer.status_code == 201
    assert isinstance(refused, RequestInProgress)
    assert (refused.status, refused.code) == (409, "request_in_progress")
    assert work.count == 1


def test_a_commit_that_fails_leaves_neither_effect_nor_key(committed, work):
    kilimo = committed("kilimo")
    with tenant_context(kilimo), pytest.raises(RuntimeError, match="the lights went out"), transaction.atomic():
        once(send(), work)
        raise RuntimeError("the lights went out")

    with tenant_context(kilimo):
        assert not IdempotencyKey.objects.exists()
        assert once(send(), work).data["count"] == 2


# -- Through the API --------------------------------------------------------------------------------------------------


@pytest.fixture
def paybill(acme):
    return make_channel(acme, "600966")


PROMPT = {"phone_number": "0712345678", "amount": 1200, "account_reference": "INV-204"}


def test_a_phone_is_prompted_once_for_a_request_that_is_sent_again(acme, paybill, api):
    client = api(acme)

    first, second = (
        client.post("/api/v1/payment-requests/", PROMPT, format="json", HTTP_IDEMPOTENCY_KEY="inv-204")
        for _ in range(2)
    )

    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert second["Idempotency-Replayed"] == "true"
    with tenant_context(acme):
        assert PaymentRequest.objects.count() == 1


def test_a_prompt_needs_a_key(acme, paybill, api):
    refused = api(acme).post("/api/v1/payment-requests/", PROMPT, format="json", HTTP_IDEMPOTENCY_KEY="")

    assert (refused.status_code, refused.json()["code"]) == (400, "idempotency_key_required")
    with tenant_context(acme):
        assert not PaymentRequest.objects.exists()


def test_a_passkey_that_can_not_be_read_is_a_named_refusal(acme, paybill, api):
    with tenant_context(acme), connection.cursor() as cursor:
        cursor.execute("UPDATE channels_mpesachannel SET passkey = callback_token, consumer_key = callback_token")
    client = api(acme)

    refused = client.post("/api/v1/payment-requests/", PROMPT, format="json")

    assert (refused.status_code, refused.json()["code"]) == (409, "secret_unreadable")
    assert "Save it again" in refused.json()["detail"]
    assert client.get("/api/v1/payment-requests/").json()["results"] == []
    assert client.get("/api/v1/payments/").status_code == 200
    with tenant_context(acme):
        assert not PaymentRequest.objects.exists()


@pytest.mark.parametrize(
    ("action", "body"),
    [("redeem-points", {"points": 5}), ("adjust-points", {"points": 5, "reason": "x"})],
)
def test_points_move_once_for_a_request_that_is_sent_again(acme, api, action, body):
    with tenant_context(acme):
        program = Program.objects.create(code="gold", name="Gold")
        system = system_actor("test")
        member = enrol_member(actor=system, program_id=program.pk, environment="PRACTICE", code="GOLD1", now=NOW)
        adjust_points(actor=system, member_id=member.pk, points=300, reason="Paper card", now=NOW)
    client, path = api(acme), f"/api/v1/members/{public_id('mem', member.pk)}/{action}/"

    first, second = (client.post(path, body, format="json", HTTP_IDEMPOTENCY_KEY="till-7") for _ in range(2))
    without = client.post(path, body, format="json", HTTP_IDEMPOTENCY_KEY="")

    assert (first.status_code, second.status_code, without.status_code) == (201, 201, 400)
    assert first.json() == second.json()
    with tenant_context(acme):
        assert PointsEntry.objects.count() == 2


def test_the_description_tells_of_the_header():
    paths = SchemaGenerator(urlconf="config.urls_public").get_schema(public=True)["paths"]
    needing = {
        path
        for path, operations in paths.items()
        for operation in operations.values()
        if any(each["name"] == "Idempotency-Key" and each["required"] for each in operation.get("parameters", []))
    }

    assert needing >= {
        "/api/v1/payment-requests/",
        "/api/v1/members/{member_id}/adjust-points/",
        "/api/v1/members/{member_id}/redeem-points/",
        "/api/v1/members/{member_id}/claim-payment/",
    }
