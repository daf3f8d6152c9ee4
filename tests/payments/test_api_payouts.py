"""The doors of payouts, as a program uses them."""

import io
import math
import tracemalloc

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import new_id, public_id
from audit.models import AuditEntry
from channels.models import Environment
from payments.models import AllowedReceiver, Payout, PayoutBatch, PayoutEntry, PayoutPolicy
from tenants.models import AttemptCount, Role
from tests.factories import make_channel

PAYOUTS, BATCHES = "/api/v1/payouts/", "/api/v1/payout-batches/"
POLICY, RECEIVERS = "/api/v1/payout-policy/", "/api/v1/allowed-receivers/"
PASSWORD = {"password": "a long pass phrase"}
ROWS = [
    {"phone_number": "0712 345 678", "amount": 500, "name": "Amina", "account_reference": "W-1"},
    {"phone_number": "+254712345679", "amount": "1600", "transaction_desc": "March wages"},
]
SENDS_MONEY = {
    "initiator_name": "testapi",
    "initiator_credential": "a password",
    "secret_notes": {"initiator_credential": {"ends_in": None, "saved_at": None, "proved_at": None}},
}


@pytest.fixture
def acme_paybill(acme):
    return make_channel(acme, "600966", **SENDS_MONEY)


@pytest.fixture
def maker(acme, acme_paybill, api):
    return api(acme, Role.MANAGER)


@pytest.fixture
def second(acme, api):
    return api(acme, Role.MANAGER)


def made(client, **body):
    response = client.post(BATCHES, {"rows": ROWS} | body, format="json")
    assert response.status_code == 201, response.content
    return response.json()


def step(client, batch, name, body=None, **headers):
    return client.post(f"{BATCHES}{batch['id']}/{name}/", body or {}, format="json", **headers)


def upload(client, content, name="wages.csv", **fields):
    return client.post(BATCHES, {"file": SimpleUploadedFile(name, content), **fields}, format="multipart")


def in_the_books(acme):
    with tenant_context(acme):
        return PayoutBatch.objects.count(), Payout.objects.count(), PayoutEntry.objects.count()


def test_a_batch_goes_from_rows_to_a_release(acme, acme_paybill, maker, second):
    batch = made(maker, reference="March wages")

    assert {name: value for name, value in batch.items() if not name.endswith("_at")} == {
        "id": batch["id"],
        "reference": "March wages",
        "status": "awaiting_approval",
        "channel_id": public_id("ch", acme_paybill.pk),
        "environment": "practice",
        "payout_count": 2,
        "total_amount": 2_100,
        "fee_estimate": "14.00",
        "flagged_count": 0,
        "retry_of": None,
        "created_by": batch["created_by"],
        "approved_by": "",
        "released_by": "",
        "reason": "",
        "progress": {
            "awaiting_approval": {"count": 2, "amount": 2_100},
            **{word: {"count": 0, "amount": 0} for word in ("pending", "unknown", "succeeded", "failed")},
        },
    }
    assert step(second, batch, "approve").json()["status"] == "approved"
    released = step(second, batch, "release", PASSWORD)
    assert (released.status_code, released.json()["status"]) == (200, "released")
    assert released.json()["progress"]["pending"] == {"count": 2, "amount": 2_100}
    assert second.get(f"{BATCHES}{batch['id']}/").json() == released.json()
    assert in_the_books(acme) == (1, 2, 2)


def test_the_rows_of_a_batch_are_shown_in_their_order_and_whole(maker):
    batch = made(maker)

    first, other = maker.get(f"{BATCHES}{batch['id']}/rows/").json()["results"]

    assert (first["row"], first["phone_number"], first["amount"]) == (1, "254712345678", 500)
    assert (first["name"], first["account_reference"]) == ("Amina", "W-1")
    assert (other["row"], other["phone_number"], other["transaction_desc"]) == (2, "254712345679", "March wages")
    assert (other["status"], other["stage"], other["shortcode"]) == ("awaiting_approval", "awaiting_approval", None)
    assert other["meaning"] == "It waits to be approved or released. Nothing was sent."
    assert (other["fee_estimate"], other["charge"], other["batch_id"]) == ("9.00", None, batch["id"])
    assert maker.get(f"{PAYOUTS}{other['id']}/").json() == other


def test_one_payout_is_prepared_and_released_by_its_batch(acme, maker, second):
    response = maker.post(PAYOUTS, ROWS[0], format="json")

    assert response.status_code == 201, response.content
    payout = response.json()
    assert step(second, {"id": payout["batch_id"]}, "approve").status_code == 200
    assert step(second, {"id": payout["batch_id"]}, "release", PASSWORD).status_code == 200
    assert maker.get(f"{PAYOUTS}{payout['id']}/").json()["status"] == "pending"
    assert in_the_books(acme) == (1, 1, 1)


@pytest.mark.parametrize(
    ("amount", "sentence"),
    [
        (0, "M-PESA sends KES 10 or more."),
        (9, "M-PESA sends KES 10 or more."),
        (-500, "M-PESA sends KES 10 or more."),
        (250_001, "M-PESA sends at most KES 250,000 at a time."),
        *((bad, "Write whole shillings in digits only") for bad in (1.5, "1e3", "NaN", "1,000", "1.5", "KES 5")),
    ],
)
def test_a_bad_amount_has_a_sentence_and_nothing_is_kept(acme, maker, amount, sentence):
    single = maker.post(PAYOUTS, ROWS[0] | {"amount": amount}, format="json")
    batch = maker.post(BATCHES, {"rows": [ROWS[0], ROWS[1] | {"amount": amount}]}, format="json")

    assert (single.status_code, batch.status_code) == (400, 400)
    assert (single.json()["code"], batch.json()["code"]) == ("unpayable_row", "unpayable_rows")
    assert single.json()["errors"]["amount"][0].startswith(sentence)
    assert batch.json()["errors"]["rows[2].amount"][0].startswith(sentence)
    assert in_the_books(acme) == (0, 0, 0)


def test_a_number_that_json_does_not_know_is_refused(acme, maker):
    body = '{"phone_number": "0712345678", "amount": NaN}'

    assert math.isnan(float("NaN"))
    assert maker.post(PAYOUTS, body, content_type="application/json").status_code == 400
    assert in_the_books(acme) == (0, 0, 0)


@pytest.mark.parametrize("rows", ["text", {"a": 1}, [1, 2], [[1]], [], None])
def test_rows_are_a_list_of_objects(acme, maker, rows):
    assert maker.post(BATCHES, {"rows": rows}, format="json").status_code == 400
    assert in_the_books(acme) == (0, 0, 0)


def test_rows_or_a_file_and_not_both_or_neither(acme, maker):
    assert maker.post(BATCHES, {}, format="json").json()["errors"] == {"rows": ["Give rows, or a file, and not both."]}


def test_a_batch_is_read_from_a_csv(acme, maker):
    response = upload(
        maker, "Phone;Amount;Name\r\n0712345678;500;Zoë\r\n".encode("cp1252"), reference="April", purpose="salary"
    )

    assert response.status_code == 201, response.content
    assert (response.json()["reference"], response.json()["total_amount"]) == ("April", 500)
    with tenant_context(acme):
        payout = Payout.objects.get()
    assert (payout.row, payout.receiver, payout.name, payout.purpose) == (2, "254712345678", "Zoë", "SALARY")


def test_a_batch_is_read_from_an_xlsx(acme, maker):
    workbook, content = openpyxl.Workbook(), io.BytesIO()
    workbook.active.append(["phone", "amount"])
    workbook.active.append([712345678, 500])
    workbook.save(content)

    assert upload(maker, content.getvalue(), "wages.xlsx").json()["total_amount"] == 500


def test_a_bad_file_has_a_sentence_for_the_file_or_the_row_and_nothing_is_kept(acme, maker):
    for content, where in (
        (b"phone,amuont\n0712345678,500\n", "file"),
        (b"phone,amount\n0712345678,500\n0712345678,=1+1\n", "rows[3].amount"),
        (b"phone,amount\n+256712345678,500\n", "rows[2].phone_number"),
        (b"\x89PNG\r\n\x1a\n" + b"\0\x81" * 300, "file"),
    ):
        response = upload(maker, content)
        assert response.status_code == 400, response.content
        assert where in response.json()["errors"]

    assert in_the_books(acme) == (0, 0, 0)


def test_fifty_megabytes_are_refused_without_being_read(acme, maker):
    class Endless(io.RawIOBase):
        """A body that counts what is read of it."""

        taken = 0

        def read(self, size=-1):
            Endless.taken += max(size, 0)
            return b"x" * max(size, 0)

    tracemalloc.start()
    response = maker.generic(
        "POST",
        BATCHES,
        b"x",
        content_type="multipart/form-data; boundary=b",
        CONTENT_LENGTH="50000000",
        **{"wsgi.input": Endless()},
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert (response.status_code, response.json()["code"]) == (413, "too_large")
    assert response.json()["detail"] == "This is larger than 5 MB. Split it."
    assert Endless.taken == 0
    assert peak < 5_000_000
    assert in_the_books(acme) == (0, 0, 0)


def test_a_dry_run_tells_totals_fees_and_warnings_and_keeps_nothing(acme, maker):
    response = maker.post(
        BATCHES, {"rows": [ROWS[0], ROWS[0]], "dry_run": True}, format="json", HTTP_IDEMPOTENCY_KEY=""
    )

    assert (response.status_code, response.json()) == (
        200,
        {
            "payout_count": 2,
            "total_amount": 1_000,
            "fee_estimate": "10.00",
            "flagged_count": 1,
            "flagged": [{"row": 2, "warnings": ["Row 1 pays the same amount to the same receiver."]}],
            "needs_approval": True,
        },
    )
    assert in_the_books(acme) == (0, 0, 0)


def test_a_release_asks_for_the_password_again_and_counts_wrong_ones(acme, maker, second):
    batch = made(maker)
    step(second, batch, "approve")

    for body in ({}, {"password": "wrong"}, {"second_factor": "123456"}):
        response = step(second, batch, "release", body)
        assert (response.status_code, response.json()["code"]) == (400, "not_proved")

    assert AttemptCount.objects.get(door="prove_again").count == 2
    assert in_the_books(acme) == (1, 2, 0)


def test_nobody_approves_or_releases_their_own(acme, maker, second):
    batch = made(maker)

    assert step(maker, batch, "approve").json()["code"] == "own_batch"
    step(second, batch, "approve")
    refused = step(maker, batch, "release", PASSWORD)
    assert (refused.status_code, refused.json()["code"]) == (403, "own_batch")
    assert in_the_books(acme) == (1, 2, 0)


def test_below_the_threshold_the_maker_releases(acme, maker):
    with tenant_context(acme):
        PayoutPolicy.objects.create(environment="PRACTICE", approval_threshold=5_000)

    assert step(maker, made(maker), "release", PASSWORD).json()["status"] == "released"


def test_the_same_key_makes_and_releases_once(acme, maker, second):
    key = {"HTTP_IDEMPOTENCY_KEY": "march"}
    body = {"rows": ROWS}
    first, again = (maker.post(BATCHES, body, format="json", **key) for _ in range(2))
    batch = first.json()
    step(second, batch, "approve")
    released = [step(second, batch, "release", PASSWORD, HTTP_IDEMPOTENCY_KEY="go") for _ in range(2)]

    assert again.json() == batch
    assert again["Idempotency-Replayed"] == "true"
    assert [answer.status_code for answer in released] == [200, 200]
    assert step(second, batch, "release", PASSWORD).json()["code"] == "wrong_state"
    assert maker.post(BATCHES, {"rows": ROWS[:1]}, format="json", **key).status_code == 422
    assert in_the_books(acme) == (1, 2, 2)


@pytest.mark.parametrize("name", ["", "release/", "retry-failed/"])
def test_whatever_moves_money_needs_a_key(acme, maker, second, name):
    batch = made(maker)
    step(second, batch, "approve")
    path = f"{BATCHES}{batch['id']}/{name}" if name else BATCHES

    response = second.post(path, {"rows": ROWS} | PASSWORD, format="json", HTTP_IDEMPOTENCY_KEY="")

    assert (response.status_code, response.json()["code"]) == (400, "idempotency_key_required")
    assert in_the_books(acme) == (1, 2, 0)


def test_a_batch_is_withdrawn_with_a_reason(maker):
    batch = made(maker)

    cancelled = step(maker, batch, "cancel", {"reason": "a wrong file"}).json()

    assert (cancelled["status"], cancelled["reason"]) == ("cancelled", "a wrong file")
    assert cancelled["progress"]["failed"] == {"count": 2, "amount": 2_100}


def test_failed_rows_are_tried_again_in_a_new_batch(acme, maker, second):
    batch = made(maker)
    step(second, batch, "approve")
    step(second, batch, "release", PASSWORD)
    assert step(maker, batch, "retry-failed").json()["code"] == "nothing_to_retry"
    with tenant_context(acme):
        Payout.objects.filter(row=2).update(status="FAILED")

    again = step(maker, batch, "retry-failed", {"reference": "March, again"})

    assert again.status_code == 201, again.content
    assert (again.json()["retry_of"], again.json()["payout_count"]) == (batch["id"], 1)
    assert (again.json()["reference"], again.json()["status"]) == ("March, again", "awaiting_approval")


def test_the_result_file_is_downloaded_as_csv_or_xlsx(maker):
    batch = made(maker)
    path = f"{BATCHES}{batch['id']}/download/"

    as_csv, as_xlsx = maker.get(path), maker.get(f"{path}?type=xlsx")

    assert as_csv["Content-Disposition"] == f'attachment; filename="{batch["id"]}.csv"'
    assert as_csv.content.decode("utf-8-sig").splitlines()[1].startswith("1,254712345678,500,Amina,W-1,,")
    assert as_xlsx["Content-Disposition"].endswith('.xlsx"')
    assert openpyxl.load_workbook(io.BytesIO(as_xlsx.content)).active["B3"].value == "254712345679"
    assert maker.get(f"{path}?type=pdf").status_code == 400


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("status=awaiting_approval", {1, 2}),
        ("status=pending", set()),
        ("receiver=254712345678", {1}),
        ("account_reference=w-1", {1}),
        ("amount=1600", {2}),
        ("environment=practice", {1, 2}),
        ("environment=sandbox", set()),
    ],
)
def test_payouts_are_filtered(maker, query, rows):
    made(maker)

    response = maker.get(f"{PAYOUTS}?{query}")

    assert response.status_code == 200, response.content
    assert {row["row"] for row in response.json()["results"]} == rows


def test_batches_are_listed_newest_first_and_in_one_environment(acme, maker):
    first, second = made(maker), made(maker)
    with tenant_context(acme):
        PayoutBatch.objects.filter(reference=first["reference"]).update(environment=Environment.SANDBOX)

    def ids(query):
        return [batch["id"] for batch in maker.get(f"{BATCHES}?{query}").json()["results"]]

    assert ids("") == ids("status=awaiting_approval") == [second["id"]]
    assert ids("environment=sandbox") == [first["id"]]
    assert ids("status=released") == []
    assert ids(f"reference={second['reference']}") == [second["id"]]


def test_the_policy_is_read_and_changed_by_administrators(acme, acme_paybill, api, maker):
    administrator = api(acme)
    assert administrator.get(POLICY).json() == {
        "environment": "practice",
        "approval_threshold": 0,
        "maximum_per_payout": 250_000,
        "maximum_per_day": 1_000_000,
        "maximum_per_actor": None,
        "allowed_receivers_only": False,
        "updated_at": None,
    }

    limits = {"approval_threshold": 5_000, "maximum_per_actor": 20_000}
    for refused in ({}, {"password": "wrong"}, {"second_factor": "123456"}):
        assert administrator.patch(POLICY, limits | refused, format="json").status_code == 400
    changed = administrator.patch(POLICY, limits | PASSWORD, format="json")

    assert changed.status_code == 200, changed.content
    assert (changed.json()["approval_threshold"], changed.json()["maximum_per_actor"]) == (5_000, 20_000)
    assert administrator.get(f"{POLICY}?environment=sandbox").json()["approval_threshold"] == 0
    assert maker.patch(POLICY, {"approval_threshold": 9} | PASSWORD, format="json").status_code == 403
    assert maker.get(POLICY).json()["approval_threshold"] == 5_000
    with tenant_context(acme):
        row = AuditEntry.objects.latest("sequence")
    assert (row.action, row.before["approval_threshold"], row.after["approval_threshold"]) == (
        "payout_policy.changed",
        0,
        5_000,
    )


@pytest.mark.parametrize("limit", [-1, 2**31, None, "1e3", 1.5])
def test_a_limit_that_is_none_is_refused(acme, acme_paybill, api, limit):
    response = api(acme).patch(POLICY, {"maximum_per_payout": limit} | PASSWORD, format="json")

    assert response.status_code == 400, response.content
    assert list(response.json()["errors"]) == ["maximum_per_payout"]
    assert api(acme).get(POLICY).json()["maximum_per_payout"] == 250_000


def test_where_the_policy_says_so_only_receivers_on_the_list_are_paid(acme, acme_paybill, api, maker):
    administrator = api(acme)
    administrator.patch(POLICY, {"allowed_receivers_only": True} | PASSWORD, format="json")

    refused = maker.post(BATCHES, {"rows": ROWS}, format="json").json()
    assert set(refused["errors"]) == {"rows[1].phone_number", "rows[2].phone_number"}
    for row in ROWS:
        added = administrator.post(RECEIVERS, {"phone_number": row["phone_number"], "name": "Amina"}, format="json")
        assert added.status_code == 201, added.content
    assert maker.post(BATCHES, {"rows": ROWS}, format="json").status_code == 201
    assert [row["receiver"] for row in maker.get(RECEIVERS).json()["results"]] == ["254712345679", "254712345678"]
    assert administrator.post(RECEIVERS, {"phone_number": "0712345678"}, format="json").json()["code"] == (
        "already_allowed"
    )
    assert administrator.delete(f"{RECEIVERS}{added.json()['id']}/").status_code == 204
    assert maker.post(BATCHES, {"rows": ROWS}, format="json").status_code == 400


@pytest.mark.parametrize(
    "body",
    [{}, {"phone_number": "x"}, {"shortcode": "12"}, {"phone_number": "0712345678", "shortcode": "600966"}],
)
def test_a_receiver_is_a_phone_or_a_business(acme, acme_paybill, api, body):
    assert api(acme).post(RECEIVERS, body, format="json").status_code == 400
    with tenant_context(acme):
        assert not AllowedReceiver.objects.exists()


def test_a_user_sees_and_does_nothing(acme, maker, api):
    batch, user = made(maker), api(acme, Role.USER)

    paths = [PAYOUTS, BATCHES, POLICY, RECEIVERS, *(f"{BATCHES}{batch['id']}/{each}" for each in ("", "rows/"))]
    assert [user.get(path).status_code for path in paths] == [403] * len(paths)
    assert user.get(f"{BATCHES}{batch['id']}/download/").status_code == 403
    for name in ("approve", "release", "cancel", "retry-failed"):
        assert step(user, batch, name, PASSWORD).status_code == 403
    assert user.post(PAYOUTS, ROWS[0], format="json").status_code == 403
    assert in_the_books(acme) == (1, 2, 0)


def test_the_rival_finds_nothing(acme, maker, rival, api):
    batch, stranger = made(maker), api(rival)
    make_channel(rival, "600967", **SENDS_MONEY)
    (payout,) = maker.get(f"{PAYOUTS}?amount=500").json()["results"]

    assert stranger.get(PAYOUTS).json()["results"] == stranger.get(BATCHES).json()["results"] == []
    for path in (
        f"{PAYOUTS}{payout['id']}/",
        *(f"{BATCHES}{batch['id']}/{each}" for each in ("", "rows/", "download/")),
    ):
        assert stranger.get(path).status_code == 404
    for name in ("approve", "release", "cancel", "retry-failed"):
        assert step(stranger, batch, name, PASSWORD).status_code == 404
    with_our_channel = {"rows": ROWS, "channel": batch["channel_id"]}
    decision = {"verdict": "failed", "note": "x"}
    assert stranger.post(f"{PAYOUTS}{payout['id']}/decide/", decision, format="json").status_code == 404
    assert stranger.post(BATCHES, with_our_channel, format="json").status_code == 404
    with tenant_context(rival):
        assert not PayoutBatch.objects.exists()
    assert in_the_books(acme) == (1, 2, 0)


def test_a_second_person_decides_what_m_pesa_never_told(acme, maker, second):
    batch = made(maker)
    step(second, batch, "approve")
    step(second, batch, "release", PASSWORD)
    with tenant_context(acme):
        unsure = Payout.objects.filter(row=1)
        unsure.update(status="NEEDS_REVIEW", review="Nobody knows.", sending_at=timezone.now())
    first, other = maker.get(f"{BATCHES}{batch['id']}/rows/").json()["results"]
    path, word = f"{PAYOUTS}{first['id']}/decide/", {"verdict": "succeeded", "note": "The portal shows it."}

    assert (first["status"], first["stage"], first["meaning"]) == ("unknown", "needs_review", "Nobody knows.")
    assert maker.post(path, word | {"receipt": "UKL1AB23CD"}, format="json").status_code == 403
    assert list(second.post(path, word, format="json").json()["errors"]) == ["receipt"]
    assert second.post(f"{PAYOUTS}{other['id']}/decide/", word, format="json").json()["code"] == "not_under_review"
    decided = second.post(path, word | {"receipt": "UKL1AB23CD"}, format="json")
    assert decided.status_code == 200, decided.content
    assert (decided.json()["status"], decided.json()["receipt"]) == ("succeeded", "UKL1AB23CD")
    assert decided.json()["note"] == "The portal shows it."


@pytest.mark.parametrize("path", [PAYOUTS, BATCHES, RECEIVERS])
def test_an_identifier_of_another_kind_is_not_found(acme, maker, api, path):
    for name in ("x", public_id("pay", new_id()), public_id("pbat", new_id()), public_id("pout", new_id())):
        answer = api(acme).delete(f"{path}{name}/") if path == RECEIVERS else maker.get(f"{path}{name}/")
        assert answer.status_code == 404
