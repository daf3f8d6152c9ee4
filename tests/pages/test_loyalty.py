"""Programs, members and what people at the counter do for them; the SMS outbox; the member's own page."""

import re
from datetime import timedelta

import pytest
from django.core import signing
from django.db import connection
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import public_id
from audit.models import AuditEntry
from audit.services import system_actor
from channels.models import Environment, SmsMessage
from loyalty.members import enrol_member
from loyalty.models import Member, PaymentOutcome, PointsEntry, Program, Reward
from payments.models import Payment
from tenants import limits
from tenants.models import Role, Tenant
from tests.factories import make_channel
from tests.pages.markup import Markup

POINTS_TERMS = {
    "gives_points": "on",
    "points": "1",
    "per_kes": "100",
    "multiplier": "1.5",
    "minimum_kes": "",
    "cap_points": "",
}
NEW_PROGRAM = {"name": "Gold Club", "code": "", "member_key": "BY_PAYER", "language": "sw", **POINTS_TERMS}
STAMP_TERMS = {
    "gives_stamps": "on",
    "payments_needed": "6",
    "stamp_minimum_kes": "200",
    "reward": "a free lunch",
    "thanks": "Asante!",
    "noun": "lunch",
    "noun_plural": "lunches",
}


@pytest.fixture
def manager(cast, browser):
    return browser(cast.places[Role.MANAGER])


@pytest.fixture
def clerk(cast, browser):
    return browser(cast.places[Role.USER])


@pytest.fixture
def member(cast):
    return cast.loyal.member


@pytest.fixture
def address(member):
    return f"/members/{public_id('mem', member.pk)}/"


@pytest.fixture
def waiting(cast):
    """A payment of KES 3,000 to VIP whose payer nobody knows."""
    with tenant_context(cast.tenant):
        payment = Payment.objects.create(
            receipt="TLM00WAIT1",
            channel_id=Reward.objects.get().payment.channel_id,
            environment=Environment.PRACTICE,
            payer="2547****999",
            amount=3000,
            routed_to="vip",
            source=Payment.Source.CONFIRMATION,
            paid_at=timezone.now(),
            created_at=timezone.now(),
        )
        PaymentOutcome.objects.create(
            payment=payment,
            status=PaymentOutcome.Status.WAITING,
            program_id=cast.loyal.program.pk,
            decided_at=timezone.now(),
        )
    return payment


def text_of(answer):
    """What a person reads: without tags, and with one space where there are several."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()).replace("\N{NO-BREAK SPACE}", " "))


def stored(tenant: Tenant, model, **where):
    with tenant_context(tenant):
        return model.objects.filter(**where).first()


# Programs


def test_a_program_is_opened_with_points_and_a_stamp_card(cast, manager):
    answer = manager.post("/programs/new/", NEW_PROGRAM | STAMP_TERMS)

    assert (answer.status_code, answer["Location"]) == (302, "/programs/")
    with tenant_context(cast.tenant):
        program = Program.objects.select_related("accrual_rule", "stamp_rule").get(code="gold-club")
        assert (program.name, program.member_key, program.language) == ("Gold Club", "BY_PAYER", "sw")
        rule = program.accrual_rule
        assert (rule.points, rule.per_kes, str(rule.multiplier), rule.minimum_kes, rule.cap_points) == (
            1, 100, "1.50", 0, None,
        )  # fmt: skip
        assert (program.stamp_rule.payments_needed, program.stamp_rule.minimum_kes) == (6, 200)
    page = text_of(manager.get("/programs/"))
    assert "1 point for each KES 100, times 1.50" in page
    assert "After 6 lunches: a free lunch, from KES 200" in page


def test_what_is_missing_is_asked_for_where_it_is_missing_and_nothing_is_opened(cast, manager):
    answer = manager.post("/programs/new/", NEW_PROGRAM | STAMP_TERMS | {"per_kes": "", "reward": "", "points": "x"})

    page = answer.content.decode()
    assert answer.status_code == 422
    assert Markup(page).problems() == []
    assert 'href="#id_per_kes">Enter a number: payments earn points.' in page
    assert 'href="#id_reward">Fill this in: the SMS needs it.' in page
    assert 'href="#id_points">Enter a whole number, like 100.' in page
    assert 'value="Gold Club"' in page
    assert stored(cast.tenant, Program, name="Gold Club") is None


def test_a_code_that_is_taken_is_refused_beside_it(manager):
    answer = manager.post("/programs/new/", NEW_PROGRAM | {"code": "vip"})

    assert answer.status_code == 409
    assert "There is a program “vip” already." in answer.content.decode()


def test_the_rules_are_changed_and_a_card_is_taken_away(cast, manager):
    address = f"/programs/{public_id('prog', cast.loyal.program.pk)}/"
    shown = manager.get(address).content.decode()
    assert 'name="multiplier" value="2.00"' in shown
    assert 'name="reward" value="free delivery"' in shown

    answer = manager.post(address, {"name": "VIP+", "language": "en"} | POINTS_TERMS | {"cap_points": "500"})

    assert answer["Location"] == "/programs/"
    with tenant_context(cast.tenant):
        program = Program.objects.select_related("accrual_rule", "stamp_rule").get(code="vip")
        assert (program.name, program.accrual_rule.cap_points) == ("VIP+", 500)
        assert not hasattr(program, "stamp_rule")


def test_a_program_is_switched_off_and_on(cast, manager):
    address = f"/programs/{public_id('prog', cast.loyal.program.pk)}/switch/"

    assert manager.post(address, {"is_active": "no"}).status_code == 302
    assert stored(cast.tenant, Program, code="vip").is_active is False
    manager.post(address, {"is_active": "yes"})
    assert stored(cast.tenant, Program, code="vip").is_active is True


def test_a_clerk_sees_programs_and_can_change_none(cast, clerk):
    key = public_id("prog", cast.loyal.program.pk)

    page = clerk.get("/programs/").content.decode()
    assert "VIP" in page
    assert "/programs/new/" not in page
    assert "/switch/" not in page
    assert clerk.post("/programs/new/", NEW_PROGRAM).status_code == 403
    assert clerk.post(f"/programs/{key}/switch/", {"is_active": "no"}).status_code == 403
    assert stored(cast.tenant, Program, code="vip").is_active is True


# Members


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("vip-001", True),
        ("achieng", True),
        ("0712 345 126", True),
        ("+254712", True),
        ("126", True),
        ("26", False),
        ("VIP002", False),
        ("0799", False),
    ],
)
def test_members_are_found_by_code_name_and_phone(manager, text, is_found):
    page = text_of(manager.get("/members/", {"q": text}))

    assert ("VIP001 · Achieng Otieno" in page) is is_found
    assert ("Nobody found" in page) is not is_found


def test_members_of_another_program_and_environment_are_elsewhere(cast, manager):
    empty = stored(cast.tenant, Program, code="empty")

    assert "VIP001" not in text_of(manager.get("/members/", {"program": public_id("prog", empty.pk)}))
    assert "VIP001" in text_of(manager.get("/members/", {"program": "nonsense"}))
    assert "VIP001" not in text_of(manager.get("/members/?environment=sandbox"))


def test_many_members_stand_on_pages(cast, manager):
    with tenant_context(cast.tenant):
        for _ in range(30):
            enrol_member(
                actor=system_actor("test"),
                program_id=cast.loyal.program.pk,
                environment=Environment.PRACTICE,
                now=timezone.now(),
            )

    first = manager.get("/members/").content.decode()
    assert (first.count("<tr>"), "VIP001" in first) == (26, False)
    older = re.search(r'href="(\?[^"]*older=[^"]+)"', first)[1]
    last = manager.get(f"/members/{older}").content.decode()
    assert (last.count("<tr>"), "VIP001" in last) == (7, True)


def enrolment(program, **more):
    return {"program": public_id("prog", program.pk), "name": "Juma", "phone_number": "0733 000 111", "code": ""} | more


def test_a_clerk_enrols_a_member_who_agreed(cast, clerk):
    answer = clerk.post("/members/new/", enrolment(cast.loyal.program, consented="on"))

    member = stored(cast.tenant, Member, name="Juma")
    assert answer["Location"] == f"/members/{public_id('mem', member.pk)}/"
    assert (member.phone_number, member.environment, len(member.code)) == ("254733000111", "PRACTICE", 6)
    assert member.consented_at is not None


def test_without_consent_no_number_is_kept(cast, clerk):
    answer = clerk.post("/members/new/", enrolment(cast.loyal.program))

    assert answer.status_code == 400
    assert 'value="0733 000 111"' in answer.content.decode()
    assert "Ask the member first" in answer.content.decode()
    assert stored(cast.tenant, Member, name="Juma") is None


def test_a_number_is_a_members_once(cast, clerk):
    answer = clerk.post("/members/new/", enrolment(cast.loyal.program, phone_number="+254712345126", consented="on"))

    assert answer.status_code == 409
    assert "This number is a member&#x27;s of “VIP” already." in answer.content.decode()


def test_the_page_of_a_member_shows_what_they_hold_and_why(clerk, address):
    page = text_of(clerk.get(address))

    assert "180 Points" in page
    assert "0 of 5 orders to: free delivery" in page
    assert "1 Rewards to give out" in page
    assert "KES 5,000.00" in page
    assert "Spent · A mug" in page
    assert "Corrected · Moved from the old card" in page
    assert "0712 345 126" in page


def test_points_are_spent_and_never_more_than_are_held(cast, clerk, member, address):
    refused = clerk.post(f"{address}redeem/", {"points": "181", "note": ""})
    assert (refused.status_code, "holds 180 points" in refused.content.decode()) == (409, True)

    answer = clerk.post(f"{address}redeem/", {"points": "80", "note": "A cup"}, follow=True)

    assert "80 points are spent; 100 left." in text_of(answer)
    assert stored(cast.tenant, Member, pk=member.pk).points_balance == 100
    entry = stored(cast.tenant, PointsEntry, note="A cup")
    assert (entry.kind, entry.points, entry.balance_after) == ("REDEEM", -80, 100)


def test_a_button_that_is_pressed_twice_spends_once(clerk, address, member, acme):
    page = clerk.get(f"{address}redeem/").content.decode()
    key = re.search(r'name="form_key" value="([^"]+)"', page)[1]
    press = {"points": "80", "note": "A cup", "form_key": key}

    answers = [clerk.post(f"{address}redeem/", press) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [302, 302]
    with tenant_context(acme):
        assert PointsEntry.objects.filter(member=member, note="A cup").count() == 1
    changed = clerk.post(f"{address}redeem/", press | {"points": "70"})
    assert changed.status_code == 422
    with tenant_context(acme):
        assert PointsEntry.objects.filter(member=member, note="A cup").count() == 1


def test_a_reward_is_given_out_once(cast, clerk, address):
    collect = f"/rewards/{public_id('rew', cast.loyal.reward.pk)}/collect/"

    answer = clerk.post(collect)
    assert answer["Location"] == address
    assert stored(cast.tenant, Reward, pk=cast.loyal.reward.pk).status == "COLLECTED"
    assert clerk.post(collect).status_code == 409
    assert "given out" in text_of(clerk.get(address))


def test_rewards_of_all_members_wait_in_one_list(cast, clerk, rival, member_of, browser):
    collect = f"/rewards/{public_id('rew', cast.loyal.reward.pk)}/collect/"
    page = clerk.get("/rewards/")
    assert "free delivery" in text_of(page)
    assert f'action="{collect}"' in page.content.decode()
    assert "free delivery" not in text_of(clerk.get("/rewards/?state=collected"))

    clerk.post(collect)

    assert "No reward waits" in text_of(clerk.get("/rewards/"))
    given_out = clerk.get("/rewards/?state=collected")
    assert "free delivery" in text_of(given_out)
    assert collect not in given_out.content.decode()
    assert "free delivery" not in text_of(clerk.get("/rewards/?environment=sandbox&state=collected"))
    assert "free delivery" not in text_of(browser(member_of(rival)).get("/rewards/?state=collected"))


def test_a_waiting_payment_is_claimed_by_its_receipt(cast, clerk, member, address, waiting):
    answer = clerk.post(f"{address}claim/", {"receipt": " tlm00wait1 "}, follow=True)

    assert "Payment TLM00WAIT1 gave 60 points." in text_of(answer)
    assert stored(cast.tenant, Member, pk=member.pk).points_balance == 240
    again = clerk.post(f"{address}claim/", {"receipt": "TLM00WAIT1"})
    assert (again.status_code, "was claimed already" in again.content.decode()) == (409, True)


def test_a_waiting_payment_leads_to_its_member(cast, clerk, address, waiting):
    page = clerk.get("/members/waiting-payments/")
    assert "TLM00WAIT1" in text_of(page)
    assert "2547****999" in text_of(page)
    assert "KES 3,000.00" in text_of(page)
    choice = re.search(r'href="(/members/\?program=[^"]+claim=TLM00WAIT1)"', page.content.decode())[1]

    members = clerk.get(choice.replace("&amp;", "&")).content.decode()
    assert "Choose the member who made payment TLM00WAIT1." in members
    assert f'href="{address}claim/?receipt=TLM00WAIT1"' in members
    assert 'value="TLM00WAIT1"' in clerk.get(f"{address}claim/?receipt=TLM00WAIT1").content.decode()

    clerk.post(f"{address}claim/", {"receipt": "TLM00WAIT1"})
    assert "None waits" in text_of(clerk.get("/members/waiting-payments/"))


def test_only_who_may_change_programs_corrects_points(cast, clerk, manager, member, address):
    assert f"{address}adjust/" not in clerk.get(address).content.decode()
    assert clerk.post(f"{address}adjust/", {"points": "5", "reason": "x"}).status_code == 403
    assert manager.post(f"{address}adjust/", {"points": "5", "reason": ""}).status_code == 422
    assert stored(cast.tenant, Member, pk=member.pk).points_balance == 180

    manager.post(f"{address}adjust/", {"points": "-50", "reason": "Counted twice"})

    assert stored(cast.tenant, Member, pk=member.pk).points_balance == 130
    assert stored(cast.tenant, AuditEntry, action="points.adjusted", reason="Counted twice") is not None


def test_a_member_is_renamed_forgotten_and_rested(cast, clerk, member, address):
    clerk.post(f"{address}change/", {"name": "Achieng", "phone_number": "", "is_active": ""})

    changed = stored(cast.tenant, Member, pk=member.pk)
    assert (changed.name, changed.phone_number, changed.consented_at, changed.is_active) == ("Achieng", "", None, False)
    page = clerk.get(address).content.decode()
    assert "Does not take part any more" in page
    assert "/redeem/" not in page
    assert "/m/" not in page


def test_the_rival_finds_none_of_it(cast, rival, browser, member_of, member, address):
    make_channel(rival, "600300")
    thief = browser(member_of(rival))
    program = public_id("prog", cast.loyal.program.pk)
    reward = public_id("rew", cast.loyal.reward.pk)

    for path in (address, f"{address}redeem/", f"{address}change/", f"/programs/{program}/"):
        assert thief.get(path).status_code == 404
    assert thief.post(f"{address}redeem/", {"points": "1"}).status_code == 404
    assert thief.post(f"/rewards/{reward}/collect/").status_code == 404
    assert thief.post(f"/programs/{program}/switch/", {"is_active": "no"}).status_code == 404
    for path in ("/members/", "/members/waiting-payments/", "/programs/", "/sms/"):
        page = text_of(thief.get(path))
        assert "VIP" not in page
        assert "Achieng" not in page
    assert stored(cast.tenant, Member, pk=member.pk).points_balance == 180
    assert stored(cast.tenant, Reward, pk=cast.loyal.reward.pk).status == "READY"


# SMS


def test_the_outbox_shows_states_and_reasons(cast, clerk):
    page = text_of(clerk.get("/sms/"))
    assert "0712 345 126 Hi Achieng! You earned 100 VIP points. Total: 180 points. Not sent" in page
    assert "The number is not in service." in page
    assert "No SMS leaves the house from here" in page

    assert "Hi Achieng" in text_of(clerk.get("/sms/?state=failed"))
    assert "None in this state" in text_of(clerk.get("/sms/?state=sent"))
    assert "Hi Achieng" in text_of(clerk.get("/sms/?state=nonsense"))
    assert "No SMS yet" in text_of(clerk.get("/sms/?environment=sandbox"))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("QUEUED", "Waiting to be sent"),
        ("SENDING", "Being sent"),
        ("SENT", "Sent"),
        ("UNKNOWN", "Perhaps sent The number is not in service. The provider may have taken it"),
    ],
)
def test_each_state_of_a_message_has_its_words(cast, clerk, status, words):
    with tenant_context(cast.tenant):
        SmsMessage.objects.update(status=status, sent_at=timezone.now())

    table = text_of(clerk.get("/sms/")).split("180 points.")[1]
    assert words in table


# The member's own page


@pytest.fixture
def own(cast):
    return f"/m/{cast.loyal.token}/"


@pytest.fixture
def phone(browser):
    """The member's: signed in nowhere."""
    return browser(host="acme.localhost")


def test_the_link_on_a_members_page_opens_theirs_without_a_password(clerk, phone, address):
    link = re.search(r'href="http://acme\.localhost(/m/[^"]+)"', clerk.get(address).content.decode())[1]

    answer = phone.get(link)

    page = text_of(answer)
    assert "Hello Achieng Otieno" in page
    assert "180 VIP points" in page
    assert "Yours to collect free delivery" in page
    assert "0 of 5 orders to: free delivery" in page
    assert "Spent · A mug" in page
    assert "0712" not in page
    assert (answer["X-Robots-Tag"], "no-store" in answer["Cache-Control"]) == ("noindex", True)


def test_the_link_opens_nothing_else_and_nothing_on_another_host(cast, rival, browser, phone, own):
    token = cast.loyal.token

    assert browser(host="rival.localhost").get(own).status_code == 404
    assert browser(host="localhost").get(own).status_code == 404
    assert phone.get(f"/m/{token[:-1]}{'A' if token[-1] != 'A' else 'B'}/").status_code == 404
    assert phone.get("/members/").status_code == 302
    forged = signing.dumps(cast.loyal.member.pk.hex, salt=f"loyalty.own_page:{rival.pk.hex}")
    assert phone.get(f"/m/{forged}/").status_code == 404


def test_the_link_ends_by_itself(phone, own, monkeypatch):
    later = timezone.now() + timedelta(days=91)
    monkeypatch.setattr(signing.time, "time", later.timestamp)

    answer = phone.get(own)
    assert answer.status_code == 404
    assert "Ask the business for a new one." in answer.content.decode()


def test_a_member_claims_a_payment_themselves_and_can_not_guess(cast, phone, own, member, waiting):
    for number in range(limits.OWN_CLAIMS_PER_HOUR - 1):
        assert phone.post(own, {"receipt": f"TLM00GUESS{number}"}).status_code == 404
    with tenant_context(cast.tenant):
        Payment.objects.filter(pk=waiting.pk).update(payer="2547****126")
    answer = phone.post(own, {"receipt": "TLM00WAIT1"}, follow=True)

    assert "Payment TLM00WAIT1 gave 60 points." in text_of(answer)
    assert stored(cast.tenant, Member, pk=member.pk).points_balance == 240
    entry = stored(cast.tenant, AuditEntry, action="payment.claimed")
    assert (entry.actor_kind, entry.actor_label) == ("SYSTEM", "member VIP001, on their own page")

    refused = phone.post(own, {"receipt": "TLM00WAIT1"})
    assert (refused.status_code, "Too many attempts" in refused.content.decode()) == (429, True)


def test_a_member_does_not_claim_what_another_phone_paid(cast, phone, own, member, waiting, clerk, address):
    refused = phone.post(own, {"receipt": "TLM00WAIT1"})

    assert refused.status_code == 409
    assert "That payment came from another phone. Show its SMS at the counter." in text_of(refused)
    assert stored(cast.tenant, Member, pk=member.pk).points_balance == 180
    counter = clerk.post(f"{address}claim/", {"receipt": "TLM00WAIT1"}, follow=True)
    assert "Payment TLM00WAIT1 gave 60 points." in text_of(counter)


def test_who_leaves_is_forgotten_and_keeps_no_page(cast, phone, own, member, clerk):
    question = phone.get(f"{own}leave/")
    assert "You hold 180 points." in text_of(question)
    assert stored(cast.tenant, Member, pk=member.pk).is_active is True

    answer = phone.post(f"{own}leave/", follow=True)

    assert "You take no part in this program. To join again, ask at Acme." in text_of(answer)
    assert "180" not in text_of(answer)
    left = stored(cast.tenant, Member, pk=member.pk)
    assert (left.is_active, left.name, left.phone_number, left.consented_at) == (False, "", "", None)
    assert left.points_balance == 180
    assert phone.post(own, {"receipt": "TLM00WAIT1"}).status_code in {404, 409}
    outbox = clerk.get("/sms/")
    assert "– Forgotten: its receiver is no member any more. Not sent" in text_of(outbox)
    assert "Achieng" not in outbox.content.decode()
    assert "0712" not in outbox.content.decode()
    assert phone.post(f"{own}leave/").status_code == 302


def test_nothing_changes_from_there_while_the_business_is_closed(cast, phone, own, member, waiting):
    connection.set_schema_to_public()
    Tenant.objects.filter(pk=cast.tenant.pk).update(status=Tenant.Status.SUSPENDED)

    assert phone.get(own).status_code == 200
    assert phone.post(own, {"receipt": "TLM00WAIT1"}).status_code == 409
    assert phone.post(f"{own}leave/").status_code == 409
    kept = stored(cast.tenant, Member, pk=member.pk)
    assert (kept.is_active, kept.points_balance) == (True, 180)
