import re

import pytest
from django_tenants.utils import tenant_context

from audit.ids import new_id
from audit.models import AuditEntry
from channels.models import Environment, SmsMessage
from channels.msisdn import sha256_hex
from channels.sms.outbox import NewSms, queue_messages
from loyalty import members
from loyalty.customers import customers_behind
from loyalty.members import (
    CodeRoutedElsewhere,
    ConsentMissing,
    MemberExists,
    change_member,
    enrol_member,
    get_member,
    members_of,
)
from loyalty.models import JoinLink, Member, Program
from tenants.errors import Invalid, NotFound, NotPermitted
from tenants.models import Role, Tenant
from tenants.permissions import BusinessClosed
from tests.loyalty.conftest import JOHNS_NUMBER, NOW


@pytest.fixture
def enrol(actor):
    def call(program, **given):
        return enrol_member(
            **{"actor": actor(Role.USER), "program_id": program.pk, "environment": "PRACTICE", "now": NOW} | given
        )

    return call


def test_a_member_is_enrolled_by_consent(in_acme, loyalty, enrol):
    member = enrol(loyalty, name=" Achieng Otieno ", phone_number="0712 345 126", consented=True)

    member.refresh_from_db()
    assert (member.name, member.phone_number, member.phone_hash) == (
        "Achieng Otieno",
        JOHNS_NUMBER,
        sha256_hex(JOHNS_NUMBER),
    )
    assert (member.consented_at, member.joined_at, member.environment) == (NOW, NOW, Environment.PRACTICE)
    assert (member.points_balance, member.stamps, member.is_active) == (0, 0, True)


def test_a_made_up_code_is_short_and_easily_typed(in_acme, loyalty, shop, enrol):
    codes = {enrol(loyalty).code for _ in range(20)}

    assert len(codes) == 20
    for code in codes:
        assert re.fullmatch(r"[CDFGHJKMNPQRTWXY34679]{6}", code)


def test_a_made_up_code_is_one_that_no_other_rule_takes(in_acme, loyalty, shop, enrol, monkeypatch):
    drawn = iter("X34679VVVVVVCDFGHJ")
    monkeypatch.setattr(members.secrets, "choice", lambda alphabet: next(drawn))
    shop.account_mapping = {"default": "loyalty", "X*": "gone", "VVV*": "vip"}
    shop.save()

    assert enrol(loyalty).code == "CDFGHJ"


def test_a_made_up_code_is_one_that_is_free(in_acme, loyalty, enrol, monkeypatch):
    enrol(loyalty, code="CCCCCC")
    drawn = iter("CCCCCCDDDDDD")
    monkeypatch.setattr(members.secrets, "choice", lambda alphabet: next(drawn))

    assert enrol(loyalty).code == "DDDDDD"


def test_where_every_code_is_taken_by_a_rule_members_are_still_enrolled(in_acme, loyalty, shop, enrol):
    shop.account_mapping = {"*": "vip"}
    shop.save()

    assert len(enrol(loyalty, phone_number=JOHNS_NUMBER, consented=True).code) == 6


def test_a_chosen_code_is_kept_as_the_mapping_reads_it(in_acme, vip, shop, enrol):
    assert enrol(vip, code=" vip-001 ").code == "VIP001"


def test_a_code_that_leads_to_another_program_is_refused(in_acme, loyalty, vip, shop, enrol):
    with pytest.raises(CodeRoutedElsewhere):
        enrol(loyalty, code="vip 7")

    assert not Member.objects.exists()
    assert not AuditEntry.objects.filter(action="member.enrolled").exists()


@pytest.mark.parametrize("code", ["--", " - ", "A" * 65])
def test_a_code_that_identifies_nobody_is_refused(in_acme, loyalty, enrol, code):
    with pytest.raises(Invalid) as refusal:
        enrol(loyalty, code=code)

    assert list(refusal.value.errors) == ["code"]
    assert not Member.objects.exists()


def test_where_what_is_typed_is_the_member_the_code_is_needed(in_acme, vip, enrol):
    with pytest.raises(Invalid) as refusal:
        enrol(vip, name="John")

    assert list(refusal.value.errors) == ["code"]
    assert not Member.objects.exists()


def test_a_number_without_consent_is_refused(in_acme, loyalty, enrol):
    with pytest.raises(ConsentMissing) as refusal:
        enrol(loyalty, phone_number=JOHNS_NUMBER)

    assert list(refusal.value.errors) == ["consented"]
    assert not Member.objects.exists()


def test_a_number_that_is_not_kenyan_is_refused(in_acme, loyalty, enrol):
    with pytest.raises(Invalid) as refusal:
        enrol(loyalty, phone_number="+44 20 7946 0000", consented=True)

    assert refusal.value.errors == {"phone_number": ["Enter a Kenyan mobile number, like 0712 345 678."]}
    assert not Member.objects.exists()


@pytest.mark.parametrize(
    ("given", "field"),
    [({"code": "gold-1"}, "code"), ({"phone_number": "0712345126", "consented": True}, "phone_number")],
)
def test_a_code_and_a_number_are_one_member_s_in_a_program(in_acme, loyalty, enrol, given, field):
    enrol(loyalty, code="GOLD1", phone_number=JOHNS_NUMBER, consented=True)

    with pytest.raises(MemberExists) as refusal:
        enrol(loyalty, **given)

    assert list(refusal.value.errors) == [field]
    assert Member.objects.count() == 1
    assert AuditEntry.objects.filter(action="member.enrolled").count() == 1


def test_where_what_is_typed_is_the_member_a_phone_may_be_several_members(in_acme, vip, enrol, actor, pay):
    first = enrol(vip, code="VIP1", name="Amina", phone_number=JOHNS_NUMBER, consented=True)
    second = enrol(vip, code="VIP2", name="Baraka", consented=False)
    change_member(actor=actor(), member_id=second.pk, phone_number=JOHNS_NUMBER, consented=True, now=NOW)

    with pytest.raises(MemberExists) as refusal:
        enrol(vip, code="VIP2", phone_number=JOHNS_NUMBER, consented=True)
    assert list(refusal.value.errors) == ["code"]

    pay("VIP2", 100)
    newest = pay("VIP1", 300)
    (parent,) = customers_behind(actor=actor(), environment="PRACTICE", newest=[newest])
    assert (parent.name, [member.code for member in parent.members]) == ("John", ["VIP1", "VIP2"])
    balances = Member.objects.order_by("code").values_list("pk", "points_balance")
    assert list(balances) == [(first.pk, 6), (second.pk, 2)]
    messages = SmsMessage.objects.order_by("pk").values_list("phone_number", "body")
    assert list(messages) == [
        (JOHNS_NUMBER, "Hi Baraka! You earned 2 VIP points. Total: 2 points."),
        (JOHNS_NUMBER, "Hi Amina! You earned 6 VIP points. Total: 6 points."),
    ]

    change_member(actor=actor(), member_id=first.pk, phone_number="", is_active=False, now=NOW)
    assert SmsMessage.objects.filter(phone_number=JOHNS_NUMBER).count() == 2  # still the other child's


def test_who_joined_by_paying_may_have_the_phone_of_another(in_acme, vip, enrol, actor, pay):
    pay("VIP7", 100)
    enrol(vip, code="VIP1", phone_number=JOHNS_NUMBER, consented=True)

    joined = Member.objects.get(code="VIP7")
    change_member(actor=actor(), member_id=joined.pk, phone_number=JOHNS_NUMBER, consented=True, now=NOW)

    assert Member.objects.filter(phone_number=JOHNS_NUMBER).count() == 2


def test_the_same_person_is_another_member_in_another_program_or_environment(in_acme, loyalty, delivery, enrol):
    given = {"code": "GOLD1", "phone_number": JOHNS_NUMBER, "consented": True}
    enrol(loyalty, **given)
    enrol(delivery, **given)
    enrol(loyalty, environment="PRODUCTION", **given)

    assert Member.objects.filter(phone_number=JOHNS_NUMBER).count() == 3


def test_enrolling_is_written_down_without_the_whole_number(in_acme, loyalty, enrol):
    enrol(loyalty, code="GOLD1", name="John", phone_number=JOHNS_NUMBER, consented=True)

    entry = AuditEntry.objects.get(action="member.enrolled")
    assert (entry.subject_label, entry.actor_role) == ("GOLD1 John", "user")
    assert entry.after["phone_number"] == "2547****126"
    assert JOHNS_NUMBER not in str(entry.after)


def test_a_member_is_changed_and_the_change_is_written_down(in_acme, loyalty, enrol, actor):
    member = enrol(loyalty, code="GOLD1", name="John")
    change_member(actor=actor(), member_id=member.pk, name="Jane", phone_number="0712345126", consented=True, now=NOW)

    member.refresh_from_db()
    assert (member.name, member.phone_number, member.code) == ("Jane", JOHNS_NUMBER, "GOLD1")
    entry = AuditEntry.objects.get(action="member.changed")
    assert entry.before == {"name": "John", "phone_number": "", "consent": ""}
    assert entry.after == {"name": "Jane", "phone_number": "2547****126", "consent": "TOLD"}


def test_a_new_number_needs_a_new_consent_and_the_old_one_none(in_acme, loyalty, enrol, actor):
    member = enrol(loyalty, phone_number=JOHNS_NUMBER, consented=True)

    change_member(actor=actor(), member_id=member.pk, phone_number="0712 345 126", now=NOW)
    with pytest.raises(ConsentMissing):
        change_member(actor=actor(), member_id=member.pk, phone_number="0712 345 127", now=NOW)

    member.refresh_from_db()
    assert member.phone_number == JOHNS_NUMBER


def test_a_number_can_be_forgotten(in_acme, loyalty, enrol, actor):
    member = enrol(loyalty, phone_number=JOHNS_NUMBER, consented=True)
    change_member(actor=actor(), member_id=member.pk, phone_number="", now=NOW)

    member.refresh_from_db()
    assert (member.phone_number, member.phone_hash, member.consented_at) == ("", "", None)


def test_another_member_s_number_is_refused(in_acme, loyalty, enrol, actor):
    enrol(loyalty, phone_number=JOHNS_NUMBER, consented=True)
    member = enrol(loyalty)

    with pytest.raises(MemberExists):
        change_member(actor=actor(), member_id=member.pk, phone_number=JOHNS_NUMBER, consented=True, now=NOW)

    member.refresh_from_db()
    assert member.phone_number == ""


def written_to(number, environment="PRACTICE"):
    """A sent and a queued SMS to it, and a link that waits on it."""
    keys = [f"test:{environment}:{number}:{each}" for each in (1, 2)]
    messages = [NewSms(dedup_key=key, phone_number=number, body="Hi Achieng!", environment=environment) for key in keys]
    queue_messages(messages=messages, now=NOW)
    SmsMessage.objects.filter(dedup_key=keys[0]).update(status="SENT", sent_at=NOW)
    JoinLink.objects.create(
        program=Program.objects.first(), environment=environment, phone_number=number, asked_at=NOW, expires_at=NOW
    )


def outbox(environment="PRACTICE"):
    rows = SmsMessage.objects.filter(environment=environment).order_by("pk")
    return list(rows.values_list("phone_number", "body", "status", "sent_at"))


WHOLE = [(JOHNS_NUMBER, "Hi Achieng!", "SENT", NOW), (JOHNS_NUMBER, "Hi Achieng!", "QUEUED", None)]
FORGOTTEN = [("", "", "SENT", NOW), ("", "", "FAILED", None)]


@pytest.mark.parametrize("number", ["", "0712 345 999"])
def test_a_number_that_goes_is_forgotten_in_what_was_sent_to_it(in_acme, loyalty, enrol, actor, number):
    member = enrol(loyalty, phone_number=JOHNS_NUMBER, consented=True)
    written_to(JOHNS_NUMBER)
    written_to(JOHNS_NUMBER, "PRODUCTION")
    written_to("254712345777")

    change_member(actor=actor(), member_id=member.pk, phone_number=number, consented=True, now=NOW)

    assert outbox() == [*FORGOTTEN, *((("254712345777", *row[1:])) for row in WHOLE)]
    assert outbox("PRODUCTION") == WHOLE  # what is live has members of its own
    failed = SmsMessage.objects.get(environment="PRACTICE", status="FAILED")
    assert failed.error == "The number was forgotten before it was sent."
    links = JoinLink.objects.order_by("pk").values_list("phone_number", "environment")
    assert list(links) == [(JOHNS_NUMBER, "PRODUCTION"), ("254712345777", "PRACTICE")]


def test_a_number_that_is_another_membership_s_is_kept(in_acme, loyalty, vip, enrol, actor):
    member = enrol(loyalty, phone_number=JOHNS_NUMBER, consented=True)
    other = enrol(vip, code="VIP1", phone_number=JOHNS_NUMBER, consented=True)
    written_to(JOHNS_NUMBER)

    change_member(actor=actor(), member_id=member.pk, phone_number="", is_active=False, now=NOW)
    assert (outbox(), JoinLink.objects.count()) == (WHOLE, 1)

    change_member(actor=actor(), member_id=other.pk, name="Somebody", now=NOW)
    assert (outbox(), JoinLink.objects.count()) == (WHOLE, 1)

    change_member(actor=actor(), member_id=other.pk, phone_number="", now=NOW)
    assert (outbox(), JoinLink.objects.count()) == (FORGOTTEN, 0)


def test_who_leaves_in_one_business_is_not_forgotten_in_another(in_acme, rival, loyalty, enrol, actor):
    member = enrol(loyalty, phone_number=JOHNS_NUMBER, consented=True)
    with tenant_context(rival):
        Program.objects.create(code="loyalty", name="Loyalty")
        written_to(JOHNS_NUMBER)

    change_member(actor=actor(), member_id=member.pk, phone_number="", now=NOW)

    with tenant_context(rival):
        assert (outbox(), JoinLink.objects.count()) == (WHOLE, 1)


def test_a_business_that_is_suspended_enrols_nobody_and_still_reads(in_acme, loyalty, enrol, actor):
    member = enrol(loyalty)
    in_acme.status = Tenant.Status.SUSPENDED

    with pytest.raises(BusinessClosed):
        enrol(loyalty)
    with pytest.raises(BusinessClosed):
        change_member(actor=actor(), member_id=member.pk, name="X", now=NOW)

    assert [each.pk for each in members_of(actor=actor())] == [member.pk]


def test_nobody_without_a_role_sees_a_member(in_acme, loyalty, enrol, actor):
    member = enrol(loyalty)

    with pytest.raises(NotPermitted):
        get_member(actor=actor("stranger"), member_id=member.pk)
    with pytest.raises(NotPermitted):
        enrol(loyalty, actor=actor("stranger"))


def test_a_member_is_not_there_for_rival(in_acme, rival, loyalty, enrol, actor):
    member = enrol(loyalty)

    with tenant_context(rival):
        assert not members_of(actor=actor()).exists()
        with pytest.raises(NotFound):
            get_member(actor=actor(), member_id=member.pk)
        with pytest.raises(NotFound):
            change_member(actor=actor(), member_id=member.pk, name="Rival's", now=NOW)
        with pytest.raises(NotFound):
            enrol(loyalty)


def test_nobody_is_enrolled_in_a_program_that_is_not_there(in_acme, actor):
    with pytest.raises(NotFound):
        enrol_member(actor=actor(), program_id=new_id(), environment="PRACTICE", now=NOW)
