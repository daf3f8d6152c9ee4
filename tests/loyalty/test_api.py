import pytest
from django_tenants.utils import tenant_context

from audit.ids import public_id
from audit.services import system_actor
from loyalty.members import enrol_member
from loyalty.models import Member, PaymentOutcome, PointsEntry, Program, Reward
from loyalty.points import adjust_points
from tenants.models import Role
from tests.loyalty.conftest import JOHNS_NUMBER, NOW

V1 = "/api/v1"
MASKED = "2547 ***** 126"


def enrol(program, **given):
    given = {"environment": "PRACTICE", "code": "GOLD1", "name": "John"} | given
    return enrol_member(actor=system_actor("test"), program_id=program.pk, now=NOW, **given)


@pytest.fixture
def member(in_acme, loyalty):
    member = enrol(loyalty)
    adjust_points(actor=system_actor("test"), member_id=member.pk, points=300, reason="Paper card", now=NOW)
    return member


# -- Programs ---------------------------------------------------------------------------------------------------------


def test_a_program_is_created_read_and_changed(acme, api):
    client = api(acme)
    created = client.post(
        f"{V1}/programs/",
        {
            "code": "vip_customer",
            "name": "VIP",
            "member_key": "by_reference",
            "accrual_rule": {"multiplier": "2"},
            "stamp_rule": {
                "payments_needed": 5,
                "reward": "free delivery",
                "thanks": "Thanks for ordering!",
                "noun": "order",
                "noun_plural": "orders",
            },
        },
        format="json",
    )

    assert created.status_code == 201
    program = created.json()
    assert program["id"].startswith("prog_")
    assert (program["code"], program["member_key"], program["language"], program["is_active"]) == (
        "vip_customer", "by_reference", "en", True,
    )  # fmt: skip
    assert program["accrual_rule"] == {
        "points": 1, "per_kes": 100, "multiplier": "2.00", "minimum_kes": 0, "cap_points": None,
    }  # fmt: skip

    url = f"{V1}/programs/{program['id']}/"
    changed = client.patch(url, {"name": "Very important", "accrual_rule": None}, format="json")
    assert changed.status_code == 200
    assert changed.json() == client.get(url).json()
    assert (changed.json()["name"], changed.json()["accrual_rule"]) == ("Very important", None)
    assert changed.json()["stamp_rule"]["minimum_kes"] == 0
    assert [each["name"] for each in client.get(f"{V1}/programs/").json()["results"]] == ["Very important"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"code": "two words", "name": "X"}, "code"),
        ({"name": "X"}, "code"),
        ({"code": "x", "name": "X", "member_key": "by_magic"}, "member_key"),
        ({"code": "x", "name": "X", "language": "fr"}, "language"),
        ({"code": "x", "name": "X", "accrual_rule": {"per_kes": 0}}, "accrual_rule"),
        ({"code": "x", "name": "X", "accrual_rule": {"points": 1001}}, "accrual_rule"),
        ({"code": "x", "name": "X", "stamp_rule": {"payments_needed": 5}}, "stamp_rule"),
    ],
)
def test_a_program_that_makes_no_sense_is_refused_by_field(acme, api, body, field):
    response = api(acme).post(f"{V1}/programs/", body, format="json")

    assert (response.status_code, response.json()["code"]) == (400, "invalid")
    assert list(response.json()["errors"]) == [field]
    with tenant_context(acme):
        assert not Program.objects.exists()


def test_a_program_knows_its_members_by_the_payer_unless_told_otherwise(acme, api):
    response = api(acme).post(f"{V1}/programs/", {"code": "delivery", "name": "Delivery"}, format="json")

    assert response.json()["member_key"] == "by_payer"
    with tenant_context(acme):
        assert Program.objects.get().member_key == Program.MemberKey.BY_PAYER


def test_a_code_that_is_taken_is_a_conflict(acme, loyalty, api):
    response = api(acme).post(f"{V1}/programs/", {"code": "loyalty", "name": "Another"}, format="json")

    assert (response.status_code, response.json()["code"]) == (409, "program_exists")
    with tenant_context(acme):
        assert Program.objects.get().name == "Loyalty"


# -- Members ----------------------------------------------------------------------------------------------------------


def test_a_member_is_enrolled_found_and_changed(acme, loyalty, api):
    client = api(acme, Role.USER)
    enrolled = client.post(
        f"{V1}/members/",
        {
            "program_id": public_id("prog", loyalty.pk),
            "environment": "practice",
            "name": "Achieng",
            "phone_number": "0712 345 126",
            "consented": True,
        },
        format="json",
    )

    assert enrolled.status_code == 201
    member = enrolled.json()
    assert (member["phone_number"], member["points_balance"], member["stamps"]) == (JOHNS_NUMBER, 0, 0)
    assert (member["program_code"], member["environment"], len(member["code"])) == ("loyalty", "practice", 6)
    url = f"{V1}/members/{member['id']}/"
    assert client.get(url).json() == member
    changed = client.patch(url, {"name": "Achieng O."}, format="json")
    assert (changed.status_code, changed.json()["name"], changed.json()["phone_number"]) == (
        200, "Achieng O.", JOHNS_NUMBER,
    )  # fmt: skip
    assert client.patch(url, {"is_active": False}, format="json").json()["is_active"] is False


def test_a_number_without_consent_is_refused(acme, loyalty, api):
    response = api(acme).post(
        f"{V1}/members/",
        {"program_id": public_id("prog", loyalty.pk), "environment": "practice", "phone_number": "0712345126"},
        format="json",
    )

    assert (response.status_code, response.json()["code"]) == (400, "consent_missing")
    with tenant_context(acme):
        assert not Member.objects.exists()


@pytest.mark.parametrize(
    ("query", "codes"),
    [
        ("", ["VIP1", "GOLD2", "GOLD1"]),
        ("?environment=production", ["GOLD1"]),
        ("?environment=sandbox", []),
        ("?code=gold-1", ["GOLD1"]),
        ("?phone_number=0712 345 126", ["GOLD2"]),
        ("?program={vip}", ["VIP1"]),
        ("?program={vip}&code=GOLD1", []),
    ],
)
def test_members_are_listed_newest_first_within_one_environment(acme, loyalty, vip, api, query, codes):
    enrol(loyalty, code="GOLD1", name="Live", environment="PRODUCTION")
    enrol(loyalty, code="GOLD1")
    enrol(loyalty, code="GOLD2", phone_number=JOHNS_NUMBER, consented=True)
    enrol(vip, code="VIP1")

    response = api(acme).get(f"{V1}/members/{query.format(vip=public_id('prog', vip.pk))}")

    assert [member["code"] for member in response.json()["results"]] == codes


def test_the_primary_channel_s_environment_is_listed_by_default(acme, loyalty, shop, live_shop, api):
    enrol(loyalty, code="GOLD1")
    enrol(loyalty, code="GOLD2", environment="PRODUCTION")
    shop.is_primary, live_shop.is_primary = False, True
    shop.save()
    live_shop.save()

    assert [member["code"] for member in api(acme).get(f"{V1}/members/").json()["results"]] == ["GOLD2"]


@pytest.mark.parametrize(
    ("query", "field"),
    [("environment=live", "environment"), ("phone_number=12", "phone_number"), ("program=x", "program")],
)
def test_a_filter_that_can_not_be_read_is_refused_by_name(acme, api, query, field):
    response = api(acme).get(f"{V1}/members/?{query}")

    assert (response.status_code, list(response.json()["errors"])) == (400, [field])


# -- Points -----------------------------------------------------------------------------------------------------------


def test_points_are_redeemed_and_corrected_and_listed(acme, member, api):
    client, url = api(acme), f"{V1}/members/{public_id('mem', member.pk)}"
    redeemed = client.post(f"{url}/redeem-points/", {"points": 120, "note": "A mug"}, format="json")
    adjusted = client.post(f"{url}/adjust-points/", {"points": 20, "reason": "Sorry"}, format="json")

    assert (redeemed.status_code, adjusted.status_code) == (201, 201)
    assert (redeemed.json()["kind"], redeemed.json()["points"], redeemed.json()["balance_after"]) == (
        "redeem", -120, 180,
    )  # fmt: skip
    entries = client.get(f"{url}/points-entries/").json()["results"]
    assert [(each["kind"], each["points"], each["note"]) for each in entries] == [
        ("adjust", 20, "Sorry"),
        ("redeem", -120, "A mug"),
        ("adjust", 300, "Paper card"),
    ]


def test_the_ledger_is_read_page_by_page(acme, member, api):
    for _ in range(4):
        adjust_points(actor=system_actor("test"), member_id=member.pk, points=1, reason="One more", now=NOW)
    client = api(acme)

    page = client.get(f"{V1}/members/{public_id('mem', member.pk)}/points-entries/?page_size=3").json()
    rest = client.get(page["next"]).json()
    assert [each["balance_after"] for each in page["results"] + rest["results"]] == [304, 303, 302, 301, 300]
    assert rest["next"] is None


def test_too_many_points_are_a_conflict(acme, member, api):
    response = api(acme).post(
        f"{V1}/members/{public_id('mem', member.pk)}/redeem-points/", {"points": 301}, format="json"
    )

    assert (response.status_code, response.json()["code"]) == (409, "insufficient_points")
    with tenant_context(acme):
        assert Member.objects.get().points_balance == 300


@pytest.mark.parametrize(
    ("action", "body", "field"),
    [
        ("redeem-points", {"points": 0}, "points"),
        ("redeem-points", {"points": -4}, "points"),
        ("redeem-points", {}, "points"),
        ("adjust-points", {"points": 5}, "reason"),
        ("adjust-points", {"points": 0, "reason": "Why not"}, "points"),
        ("claim-payment", {}, "receipt"),
    ],
)
def test_what_makes_no_sense_is_refused_by_field(acme, member, api, action, body, field):
    response = api(acme).post(f"{V1}/members/{public_id('mem', member.pk)}/{action}/", body, format="json")

    assert (response.status_code, list(response.json()["errors"])) == (400, [field])
    with tenant_context(acme):
        assert PointsEntry.objects.count() == 1


def test_a_waiting_payment_is_listed_and_claimed(acme, member, pay, api):
    payment = pay("shoes", payer=MASKED)
    client = api(acme, Role.USER)

    (waiting,) = client.get(f"{V1}/waiting-payments/").json()["results"]
    assert (waiting["id"], waiting["receipt"], waiting["payer"]) == (
        public_id("pay", payment.pk), payment.receipt, MASKED,
    )  # fmt: skip
    assert (waiting["program_code"], waiting["amount"], waiting["account_reference"]) == ("loyalty", "5000.00", "shoes")
    assert client.get(f"{V1}/waiting-payments/?environment=production").json()["results"] == []

    url = f"{V1}/members/{public_id('mem', member.pk)}"
    claimed = client.post(f"{url}/claim-payment/", {"receipt": payment.receipt}, format="json")
    assert claimed.status_code == 200
    assert claimed.json() == {
        "payment_id": public_id("pay", payment.pk),
        "receipt": payment.receipt,
        "member_id": public_id("mem", member.pk),
        "status": "earned",
        "points": 50,
        "gave_stamp": False,
    }
    assert client.get(f"{V1}/waiting-payments/").json()["results"] == []
    (entry, _) = client.get(f"{url}/points-entries/").json()["results"]
    assert (entry["kind"], entry["receipt"]) == ("earn", payment.receipt)


def test_a_reward_is_listed_and_collected(acme, delivery, pay, api):
    member = enrol(delivery, phone_number=JOHNS_NUMBER, consented=True)
    Member.objects.update(stamps=4)
    payment = pay("DELIVERY", 1200)
    client = api(acme, Role.USER)

    (reward,) = client.get(f"{V1}/rewards/?status=ready&member={public_id('mem', member.pk)}").json()["results"]
    assert (reward["description"], reward["status"], reward["receipt"]) == ("free delivery", "ready", payment.receipt)
    assert client.get(f"{V1}/rewards/?environment=production").json()["results"] == []

    collected = client.post(f"{V1}/rewards/{reward['id']}/collect/")
    assert (collected.status_code, collected.json()["status"]) == (200, "collected")
    again = client.post(f"{V1}/rewards/{reward['id']}/collect/")
    assert (again.status_code, again.json()["code"]) == (409, "reward_collected")
    assert client.get(f"{V1}/rewards/?status=ready").json()["results"] == []


# -- Who may ----------------------------------------------------------------------------------------------------------


def everything(acme, loyalty, member, pay, delivery):
    """Every route of loyalty with acme's identifiers: method, path, a body that acme could send."""
    waiting = pay("shoes", payer=MASKED)
    reward = Reward.objects.create(member=member, description="free delivery", payment=waiting, created_at=NOW)
    program_id, member_id = public_id("prog", loyalty.pk), public_id("mem", member.pk)
    return [
        ("get", f"/programs/{program_id}/", None),
        ("patch", f"/programs/{program_id}/", {"name": "Rival's"}),
        ("post", "/members/", {"program_id": program_id, "environment": "practice"}),
        ("get", f"/members/{member_id}/", None),
        ("patch", f"/members/{member_id}/", {"name": "Rival's"}),
        ("get", f"/members/{member_id}/points-entries/", None),
        ("post", f"/members/{member_id}/adjust-points/", {"points": 5, "reason": "Rival's"}),
        ("post", f"/members/{member_id}/redeem-points/", {"points": 5}),
        ("post", f"/members/{member_id}/claim-payment/", {"receipt": waiting.receipt}),
        ("post", f"/rewards/{public_id('rew', reward.pk)}/collect/", None),
    ]


LISTS = ["/programs/", "/members/", "/waiting-payments/", "/rewards/"]


def test_rival_finds_nothing_of_acmes_behind_any_route(acme, rival, loyalty, member, pay, delivery, api):
    requests = everything(acme, loyalty, member, pay, delivery)
    client = api(rival)

    for method, path, body in requests:
        response = getattr(client, method)(f"{V1}{path}", body, format="json")
        assert (response.status_code, response.json()["code"]) == (404, "not_found"), f"{method} {path}"
    for path in LISTS:
        assert client.get(f"{V1}{path}").json()["results"] == [], path
    with tenant_context(acme):
        member.refresh_from_db()
        assert (member.name, member.points_balance) == ("John", 300)
        assert PointsEntry.objects.count() == 1
        assert PaymentOutcome.objects.get().status == "WAITING"
        assert Reward.objects.get().status == "READY"


def test_nobody_gets_in_without_signing_in(acme, loyalty, member, pay, delivery, client):
    requests = everything(acme, loyalty, member, pay, delivery) + [("get", path, None) for path in LISTS]

    for method, path, body in requests:
        response = getattr(client, method)(f"{V1}{path}", body or {}, content_type="application/json")
        assert response.status_code == 401, f"{method} {path}"


def test_a_user_may_all_but_change_programs_and_correct_points(acme, loyalty, member, pay, delivery, api):
    requests = everything(acme, loyalty, member, pay, delivery)
    client = api(acme, Role.USER)

    refused = {
        f"{method} {path.rstrip('/').rpartition('/')[2]}"
        for method, path, body in requests
        if getattr(client, method)(f"{V1}{path}", body, format="json").status_code == 403
    }
    assert refused == {f"patch {public_id('prog', loyalty.pk)}", "post adjust-points"}
    assert client.post(f"{V1}/programs/", {"code": "x", "name": "X"}, format="json").status_code == 403


@pytest.mark.parametrize("path", ["/programs/mem_1/", "/members/x/", "/members/x/points-entries/"])
def test_an_identifier_that_can_not_be_read_is_nothing(acme, api, path):
    response = api(acme).get(f"{V1}{path}")

    assert (response.status_code, response.json()["code"]) == (404, "not_found")
