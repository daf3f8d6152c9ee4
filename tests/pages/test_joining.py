"""Joining by oneself: a number that is typed does nothing but send its holder a link."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import public_id
from audit.models import AuditEntry
from audit.services import system_actor
from channels.models import MpesaChannel, SmsMessage
from loyalty import joining
from loyalty.accrual import AccrualTerms
from loyalty.members import enrol_member
from loyalty.models import JoinLink, Member, Program
from loyalty.services import change_program, create_program
from tenants import limits
from tenants.hosts import forget_hosts
from tenants.models import AttemptCount, Role, Tenant
from tests.factories import make_channel
from tests.pages.test_loyalty import text_of

MINE = "0733 444 555"
TYPED = {"program": "vip", "phone_number": MINE, "name": "Juma Ali", "consented": "on"}


@pytest.fixture
def phone(cast, browser):
    """A stranger's, on acme's host."""
    return browser(host="acme.localhost")


def sms_of(tenant):
    with tenant_context(tenant):
        return list(SmsMessage.objects.filter(dedup_key__startswith="join:").order_by("pk"))


def link_in(message):
    """The path that the SMS leads to."""
    return re.search(r"http://acme\.localhost:8000(/\S+)", message.body)[1]


def ask(client, tenant, **other):
    """Type the number; returns the path in the SMS that came of it."""
    answer = client.post("/join/", TYPED | other)
    assert (answer.status_code, answer["Location"]) == (302, "/join/sent/")
    return link_in(sms_of(tenant)[-1])


def members_named(tenant, name="Juma Ali"):
    with tenant_context(tenant):
        return list(Member.objects.filter(name=name).select_related("program"))


def test_a_customer_joins_by_the_link_that_was_sent_to_their_phone(cast, phone):
    page = text_of(phone.get("/join/"))
    assert "Acme keeps your phone number and your name" in page
    assert "You can leave on your page at any time" in page

    link = ask(phone, cast.tenant)

    (message,) = sms_of(cast.tenant)
    assert re.fullmatch(
        r"Acme: open http://acme\.localhost:8000/join/[\w-]{22}/ within 24 hours to join VIP\."
        r" You did not ask for this\? Leave it\.",
        message.body,
    )
    assert (message.phone_number, message.environment) == ("254733444555", "PRACTICE")
    assert members_named(cast.tenant) == []
    question = phone.get(link)
    assert "2547****555" in text_of(question)
    assert 'value="Juma Ali"' in question.content.decode()
    assert question["X-Robots-Tag"] == "noindex"
    assert members_named(cast.tenant) == []  # phones open links to preview them

    answer = phone.post(link, {"name": "Juma Ali"}, follow=True)

    (member,) = members_named(cast.tenant)
    assert (member.program.code, member.environment, member.phone_number) == ("vip", "PRACTICE", "254733444555")
    assert (member.consent_way, member.consent_note) == ("SELF", joining.CONSENT_TEXT)
    assert timezone.now() - member.consented_at < timedelta(minutes=1)
    assert answer.redirect_chain[-1][0].startswith("/m/")
    assert "Hello Juma Ali" in text_of(answer)
    assert "0 VIP points" in text_of(answer)
    with tenant_context(cast.tenant):
        entry = AuditEntry.objects.get(action="member.enrolled", subject_id=str(member.pk))
    assert (entry.actor_kind, entry.actor_label) == ("SYSTEM", "customer, by the link sent to their phone")
    assert entry.after["consent"] == f"SELF {joining.CONSENT_TEXT}"
    assert entry.after["phone_number"] == "2547****555"


def test_nothing_tells_a_members_number_from_a_strangers(cast, phone, browser):
    answers = [
        client.post("/join/", TYPED | {"phone_number": number}, follow=True)
        for client, number in ((phone, MINE), (browser(host="acme.localhost"), "0712 345 126"))
    ]

    tokens = r'name="csrfmiddlewaretoken" value="\w+"'
    first, second = (re.sub(tokens, "", answer.content.decode()) for answer in answers)
    assert first == second
    assert [answer.status_code for answer in answers] == [200, 200]
    assert "Look at your phone" in first


def test_a_member_who_lost_the_link_gets_another_and_the_visitor_gets_nothing(cast, phone):
    link = ask(phone, cast.tenant, phone_number="0712 345 126", name="A Thief")

    (message,) = sms_of(cast.tenant)
    assert message.phone_number == "254712345126"
    assert message.body.startswith("Acme: your VIP page is http://acme.localhost:8000/m/")
    assert message.body.endswith("Keep this link to yourself.")
    assert "Hello Achieng Otieno" in text_of(phone.get(link))
    assert members_named(cast.tenant, "A Thief") == []
    with tenant_context(cast.tenant):
        assert JoinLink.objects.get(phone_number="254712345126").token_hash is None


def test_the_visitors_words_are_never_in_the_sms(cast, phone):
    ask(phone, cast.tenant, name="Win now at http://evil.example")

    (message,) = sms_of(cast.tenant)
    assert "evil" not in message.body


def test_a_link_works_once(cast, phone):
    link = ask(phone, cast.tenant)
    assert phone.post(link, {"name": "Juma Ali"}).status_code == 302

    for answer in (phone.get(link), phone.post(link, {"name": "Another"})):
        assert answer.status_code == 404
        assert "This link was used, or is more than a day old." in text_of(answer)
        assert 'href="/join/"' in answer.content.decode()
    assert len(members_named(cast.tenant)) == 1
    assert members_named(cast.tenant, "Another") == []


def test_a_link_ends_after_a_day(cast, phone, monkeypatch):
    link = ask(phone, cast.tenant)
    with tenant_context(cast.tenant):
        JoinLink.objects.filter(phone_number="254733444555").update(expires_at=timezone.now())

    assert phone.get(link).status_code == 404
    assert phone.post(link, {"name": "Juma Ali"}).status_code == 404
    assert members_named(cast.tenant) == []


def test_a_link_is_one_businesss_and_can_not_be_made_up(cast, rival, phone, browser):
    make_channel(rival, "600300")
    with tenant_context(rival):
        Program.objects.create(code="vip", name="VIP")
    link = ask(phone, cast.tenant)
    elsewhere = browser(host="rival.localhost")

    for path in (link, f"/join/{'A' * 22}/", f"/join/{cast.loyal.token}/"):
        assert elsewhere.get(path).status_code == 404
        assert elsewhere.post(path, {"name": "Juma Ali"}).status_code == 404
    assert browser(host="localhost").get(link).status_code == 404
    assert phone.get(f"/join/{link.removeprefix('/join/').swapcase()}").status_code == 404
    assert phone.get(link.replace("/join/", "/m/")).status_code == 404
    with tenant_context(rival):
        assert Member.objects.count() == 0
    assert members_named(cast.tenant) == []


def test_typing_anothers_number_enrols_nobody_and_opens_nothing(cast, phone):
    phone.post("/join/", TYPED)

    with tenant_context(cast.tenant):
        stored = JoinLink.objects.get(phone_number="254733444555")
    for guess in (stored.pk.hex, bytes(stored.token_hash).hex(), public_id("join", stored.pk)):
        assert phone.post(f"/join/{guess}/", {"name": "A Thief"}).status_code == 404
    assert members_named(cast.tenant, "A Thief") == []
    assert stored.used_at is None


def test_a_number_is_sent_three_links_a_day_whoever_asks(cast, browser):
    for number in range(joining.SMS_PER_NUMBER):
        ask(browser(host="acme.localhost", REMOTE_ADDR=f"10.0.0.{number}"), cast.tenant)

    refused = browser(host="acme.localhost", REMOTE_ADDR="10.0.0.9").post("/join/", TYPED)

    assert refused.status_code == 429
    assert "We have sent this number enough links today." in text_of(refused)
    assert len(sms_of(cast.tenant)) == 3
    with tenant_context(cast.tenant):
        JoinLink.objects.filter(phone_number="254733444555").update(expires_at=timezone.now())
    ask(browser(host="acme.localhost"), cast.tenant)


def test_a_business_pays_for_so_many_sms_a_day(cast, phone, monkeypatch):
    monkeypatch.setattr(joining, "SMS_PER_DAY", 3)  # one was asked for before
    ask(phone, cast.tenant)
    ask(phone, cast.tenant, phone_number="0712 345 126")

    refused = phone.post("/join/", TYPED | {"phone_number": "0733 444 777"})

    assert (refused.status_code, "No more can join here today." in text_of(refused)) == (429, True)
    assert len(sms_of(cast.tenant)) == 2


def test_a_caller_asks_so_often_an_hour(cast, phone, monkeypatch):
    monkeypatch.setattr(limits, "JOINS_PER_HOUR", 2)
    for number in ("0733 444 001", "0733 444 002"):
        ask(phone, cast.tenant, phone_number=number)

    refused = phone.post("/join/", TYPED | {"phone_number": "0733 444 003"})

    assert (refused.status_code, "Too many attempts" in text_of(refused)) == (429, True)
    assert len(sms_of(cast.tenant)) == 2
    connection.set_schema_to_public()
    assert AttemptCount.objects.get(door="join").count == 3


@pytest.mark.parametrize(
    ("change", "status", "sentence"),
    [
        ({"consented": ""}, 422, "Tick this to join: we may not keep your number without it."),
        ({"phone_number": "12"}, 400, "Enter a Kenyan mobile number, like 0712 345 678."),
        ({"phone_number": ""}, 422, "Enter your phone number, like 0712 345 678."),
        ({"program": "gone"}, 422, "Select a valid choice"),
    ],
)
def test_what_can_not_be_used_is_said_beside_it_and_nothing_is_sent(cast, phone, change, status, sentence):
    answer = phone.post("/join/", TYPED | change)

    assert answer.status_code == status
    assert sentence in text_of(answer)
    assert sms_of(cast.tenant) == []


def test_a_program_that_does_not_let_join_is_not_offered_and_its_links_end(cast, phone):
    link = ask(phone, cast.tenant)
    with tenant_context(cast.tenant):
        for program in Program.objects.all():
            change_program(actor=system_actor("test"), program_id=program.pk, is_joinable=False)

    assert phone.get(link).status_code == 404
    closed = phone.post("/join/", TYPED)
    assert (closed.status_code, "Ask at the counter" in text_of(closed)) == (404, True)
    assert len(sms_of(cast.tenant)) == 1


def test_one_joins_only_what_gives_something_and_several_are_chosen_from(cast, phone):
    assert '<input type="hidden" name="program" value="vip"' in phone.get("/join/").content.decode()
    assert "Nothing yet" not in text_of(phone.get("/join/"))
    assert phone.post("/join/", TYPED | {"program": "empty"}).status_code == 422
    with tenant_context(cast.tenant):
        create_program(actor=system_actor("test"), code="gold", name="Gold", accrual=AccrualTerms())
        create_program(
            actor=system_actor("test"), code="fees", name="Fees", member_key="BY_REFERENCE", accrual=AccrualTerms()
        )

    page = phone.get("/join/?program=vip").content.decode()
    assert re.findall(r'<option value="(\w+)"', page) == ["gold", "vip"]
    assert '<option value="vip" selected>' in page
    link = ask(phone, cast.tenant, program="gold")
    phone.post(link, {"name": "Juma Ali"})
    (member,) = members_named(cast.tenant)
    assert member.program.code == "gold"


def test_who_was_enrolled_at_the_counter_meanwhile_is_led_to_their_page(cast, phone):
    link = ask(phone, cast.tenant)
    with tenant_context(cast.tenant):
        enrol_member(
            actor=system_actor("counter"),
            program_id=cast.loyal.program.pk,
            environment="PRACTICE",
            now=timezone.now(),
            name="Juma Ali",
            phone_number=MINE,
            consented=True,
        )

    answer = phone.post(link, {"name": "Juma Ali"}, follow=True)

    assert "Hello Juma Ali" in text_of(answer)
    (member,) = members_named(cast.tenant)
    assert member.consent_way == "TOLD"
    assert phone.get(link).status_code == 404


def test_who_left_may_join_again_as_somebody_new(cast, phone):
    own = f"/m/{cast.loyal.token}/"
    phone.post(f"{own}leave/")
    assert 'href="/join/?program=vip"' in phone.get(own).content.decode()

    link = ask(phone, cast.tenant, phone_number="0712 345 126", name="Achieng")
    phone.post(link, {"name": "Achieng"})

    (member,) = members_named(cast.tenant, "Achieng")
    assert (member.pk != cast.loyal.member.pk, member.points_balance) == (True, 0)


def test_nobody_joins_a_closed_business(cast, phone):
    link = ask(phone, cast.tenant)
    connection.set_schema_to_public()
    Tenant.objects.filter(pk=cast.tenant.pk).update(status=Tenant.Status.SUSPENDED)
    forget_hosts()

    assert phone.post(link, {"name": "Juma Ali"}).status_code == 409
    assert phone.post("/join/", TYPED | {"phone_number": "0733 444 777"}).status_code == 409
    assert members_named(cast.tenant) == []
    assert len(sms_of(cast.tenant)) == 1


def test_what_was_typed_is_forgotten_after_a_day(cast, phone, run_due):
    ask(phone, cast.tenant)

    with tenant_context(cast.tenant):
        assert joining.forget_expired(now=timezone.now() + timedelta(hours=23)) == 0
        assert joining.forget_expired(now=timezone.now() + timedelta(hours=25)) == 2
        assert JoinLink.objects.count() == 0


@pytest.mark.parametrize("environment", ["practice", "production"])
def test_nobody_but_the_receiver_reads_the_key_of_a_link(cast, phone, browser, api, environment):
    own = ask(phone, cast.tenant, phone_number="0712 345 126")
    link = ask(phone, cast.tenant)
    with tenant_context(cast.tenant):
        SmsMessage.objects.update(environment=environment.upper())
        MpesaChannel.objects.filter(is_primary=True).update(environment=environment.upper())

    page = browser(cast.places[Role.USER]).get(f"/sms/?environment={environment}").content.decode()
    rows = api(cast.tenant).get(f"/api/v1/sms-messages/?environment={environment}").json()["results"]

    joining_sms = (
        "Acme: open http://acme.localhost:8000/join/(token)/ within 24 hours to join VIP."
        " You did not ask for this? Leave it."
    )
    own_sms = "Acme: your VIP page is http://acme.localhost:8000/m/(token)/ Keep this link to yourself."
    assert joining_sms in page
    assert own_sms in page
    assert [row["body"] for row in rows[:2]] == [joining_sms, own_sms]
    for path in (own, link):
        assert path not in page
        assert path not in str(rows)
    assert [message.body.count(path) for message, path in zip(sms_of(cast.tenant), (own, link), strict=True)] == [1, 1]


def test_the_code_to_print_leads_to_the_page(cast, browser, rival, member_of):
    clerk = browser(cast.places[Role.USER])
    path = f"/programs/{public_id('prog', cast.loyal.program.pk)}/join.svg"

    answer = clerk.get(path)

    assert (answer.status_code, answer["Content-Type"]) == (200, "image/svg+xml")
    assert answer["Content-Disposition"] == 'attachment; filename="join-vip.svg"'
    assert answer.content.startswith(b"<?xml")
    programs = clerk.get("/programs/").content.decode()
    assert path in programs
    assert 'href="/join/?program=vip"' in programs
    assert browser(member_of(rival)).get(path).status_code == 404


@pytest.mark.parametrize("address", ["197.232.61.205", "2c0f:fe38:2123:4567:89ab:cdef:123:4567"])
def test_an_address_of_any_length_is_counted_for_each_business_apart(cast, rival, phone, address):
    phone.defaults["REMOTE_ADDR"] = address

    ask(phone, cast.tenant)

    counted = AttemptCount.objects.get(door="join")
    assert len(counted.who) == 45
    assert address not in counted.who
    limits.count_attempt("join", who=address, within=cast.tenant.pk)
    limits.count_attempt("join", who=address, within=rival.pk)
    assert sorted(AttemptCount.objects.filter(door="join").values_list("count", flat=True)) == [1, 2]


def test_once_real_money_comes_customers_join_there(cast, phone):
    live = make_channel(cast.tenant, "600977")
    with tenant_context(cast.tenant):
        MpesaChannel.objects.filter(pk=live.pk).update(environment="PRODUCTION", status="ACTIVE", is_primary=False)

    ask(phone, cast.tenant)

    with tenant_context(cast.tenant):
        assert JoinLink.objects.latest("pk").environment == "PRODUCTION"
    assert sms_of(cast.tenant)[-1].environment == "PRODUCTION"


def test_nobody_joins_or_leaves_in_the_demo(cast, phone):
    link = ask(phone, cast.tenant)
    with tenant_context(cast.tenant):
        member = enrol_member(
            actor=system_actor("test"), program_id=cast.loyal.program.pk, environment="PRACTICE", now=timezone.now(),
            code="KEPT", name="Kept", phone_number="0733 444 666", consented=True,
        )  # fmt: skip
        own = f"/m/{joining.own_page_of(member)}/"
    Tenant.objects.filter(pk=cast.tenant.pk).update(is_demo=True)
    forget_hosts()

    refusal = "This is a demo to look around in. Open your own business to do this."
    tries = [(link, {"name": "Juma Ali"}), (own, {"receipt": "SGE1AB23CD"}), (f"{own}leave/", {})]
    for path, given in tries:
        answer = phone.post(path, given)
        assert refusal in answer.content.decode(), (path, answer.status_code)
    phone.post("/join/", TYPED)
    assert len(sms_of(cast.tenant)) == 1
    assert members_named(cast.tenant) == []
    with tenant_context(cast.tenant):
        member.refresh_from_db()
    assert (member.name, member.is_active) == ("Kept", True)
