"""Members by the list: read, checked, looked at, enrolled whole and once; and all of them as a file."""

import csv
import io
import re
from datetime import timedelta

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from django_tenants.utils import tenant_context

from audit.ids import public_id
from audit.models import AuditEntry
from loyalty.models import Member, Program
from tenants.models import Role
from tests.factories import make_channel
from tests.pages.markup import Markup
from tests.pages.test_loyalty import stored, text_of

STATEMENT = "Signed the membership form in 2025"


@pytest.fixture
def clerk(cast, browser):
    return browser(cast.places[Role.USER])


@pytest.fixture
def owner(cast, browser):
    return browser(cast.places[Role.ORG_ADMIN])


def upload(client, program, *, pasted="", content=b"", statement=STATEMENT, name="list.csv"):
    given = {"program": public_id("prog", program.pk), "pasted": pasted, "statement": statement}
    if content:
        given["file"] = SimpleUploadedFile(name, content)
    return client.post("/members/list/", given)


def members(tenant, program):
    with tenant_context(tenant):
        rows = Member.objects.filter(program=program).exclude(code="VIP001").order_by("phone_number")
        return [(row.phone_number, row.name, row.consent_way, row.consent_note) for row in rows]


def cells(answer):
    body = answer.content.decode().split("<tbody>")[1].split("</tbody>")[0]
    return [
        re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", row)).replace("\N{NO-BREAK SPACE}", " ").strip()
        for row in body.split("<tr>")[1:]
    ]


def test_a_pasted_list_is_shown_first_and_enrolled_by_the_button_alone(cast, clerk):
    vip = cast.loyal.program
    answer = upload(clerk, vip, pasted="0733 000 001, Juma Ali\n+254733000002, Naliaka\n0712345126, Achieng\n")

    assert answer.status_code == 302
    page = clerk.get(answer["Location"])
    text = text_of(page)
    assert "New members 2 Members already 1 Said no, left out 0" in text
    assert f"How they agreed {STATEMENT}" in text
    assert cells(page) == ["2 0733 000 001 Juma Ali made up by us", "3 0733 000 002 Naliaka made up by us"]
    assert members(cast.tenant, vip) == []

    done = clerk.post(answer["Location"], follow=True)

    assert "2 members are enrolled." in text_of(done)
    assert members(cast.tenant, vip) == [
        ("254733000001", "Juma Ali", "LIST", STATEMENT),
        ("254733000002", "Naliaka", "LIST", STATEMENT),
    ]
    entry = stored(cast.tenant, AuditEntry, action="member.list_enrolled")
    assert (entry.after["members"], entry.after["consent"], len(entry.after["codes"])) == (2, STATEMENT, 2)
    assert "0733" not in str(entry.after)


def test_pressed_twice_or_given_again_a_list_enrols_once(cast, clerk):
    vip = cast.loyal.program
    first = upload(clerk, vip, pasted="0733000001, Juma")["Location"]
    answers = [clerk.post(first, follow=True) for _ in range(2)]
    assert all("1 member is enrolled." in text_of(answer) for answer in answers)

    again = upload(clerk, vip, pasted="0733000001, Another\n0733000002, New")["Location"]
    assert "New members 1 Members already 1" in text_of(clerk.get(again))
    clerk.post(again)

    assert [row[:2] for row in members(cast.tenant, vip)] == [("254733000001", "Juma"), ("254733000002", "New")]


def test_each_row_says_whether_its_person_agreed(cast, clerk):
    vip = cast.loyal.program
    table = b"Phone;Name;Consent\n0733000001;Juma;Yes\n0733000002;Amina;no\n0733000003;Baraka;ndiyo\n"

    answer = upload(clerk, vip, content=table, statement="")

    assert "New members 2 Members already 0 Said no, left out 1" in text_of(clerk.get(answer["Location"]))
    clerk.post(answer["Location"])
    assert members(cast.tenant, vip) == [("254733000001", "Juma", "LIST", ""), ("254733000003", "Baraka", "LIST", "")]


def test_an_excel_file_with_codes_is_read_as_it_looks(cast, clerk):
    book = openpyxl.Workbook()
    for row in (["phone", "name", "code"], [733000001, "Juma", "gold-1"], ["0733 000 002", "", None]):
        book.active.append(row)
    file = io.BytesIO()
    book.save(file)

    answer = upload(clerk, cast.loyal.program, content=file.getvalue(), name="list.xlsx")
    clerk.post(answer["Location"])

    assert stored(cast.tenant, Member, phone_number="254733000001").code == "GOLD1"
    assert len(stored(cast.tenant, Member, phone_number="254733000002").code) == 6


def test_what_can_not_be_used_is_told_cell_by_cell_and_nobody_is_enrolled(cast, clerk):
    vip = cast.loyal.program
    table = (
        b"phone,name,code,consent\n0733000001,Fine,,yes\n12,Short,,yes\n0733000001,Twin,,yes\n0733000003,Silent,,\n"
        b"0733000004,Perhaps,,maybe\n0733000005,Taken,vip 001,yes\n,Nobody,,yes\n"
    )

    answer = upload(clerk, vip, content=table, statement="")

    page = answer.content.decode()
    assert answer.status_code == 400
    assert Markup(page).problems() == []
    assert cells(answer) == [
        "3 phone 12 Enter a Kenyan mobile number, like 0712 345 678.",
        "4 phone 0733000001 Row 2 has the same.",
        "5 consent – Write yes if they agreed, or say above how all of them did.",
        "6 consent maybe Write yes or no.",
        "7 code vip 001 This code is another member&#x27;s.",
        "8 phone – Enter a phone number.",
    ]
    assert members(cast.tenant, vip) == []


@pytest.mark.parametrize(
    ("pasted", "sentence"),
    [
        ("phone,shoe size\n0733000001,42", "The column “shoe_size” is not known."),
        ("phone,msisdn\n0733000001,0733000002", "The column “phone” is there twice."),
        ("name\nJuma", "There is no column “phone”."),
        ("phone,name\n", "There is nobody in the list."),
        ("", "Choose a file or paste a list: one of the two."),
    ],
)
def test_a_list_that_is_none_is_refused_whole(cast, clerk, pasted, sentence):
    answer = upload(clerk, cast.loyal.program, pasted=pasted)

    assert answer.status_code in {400, 422}
    assert sentence in text_of(answer)


def test_where_what_is_typed_is_the_member_the_list_gives_the_codes(cast, clerk):
    with tenant_context(cast.tenant):
        school = Program.objects.create(code="fees", name="Fees", member_key="BY_REFERENCE")

    refused = upload(clerk, school, pasted="phone,name\n0733000001,Juma")
    assert "give the code." in text_of(refused)
    answer = upload(clerk, school, pasted="code,name\nADM-17,Juma", statement="")
    clerk.post(answer["Location"])

    assert members(cast.tenant, school) == [("", "Juma", "", "")]
    assert stored(cast.tenant, Member, program=school).code == "ADM17"


@pytest.mark.parametrize(
    ("pasted", "statement"),
    [
        ("code,name\nADM-1047,Amina\nADM-1048,Baraka", ""),
        ("code,name,phone\nADM-1047,Amina,0733000001\nADM-1048,Baraka,", STATEMENT),
    ],
)
def test_a_list_of_pupils_may_be_given_again_and_in_two_tabs(cast, clerk, pasted, statement):
    with tenant_context(cast.tenant):
        school = Program.objects.create(code="fees", name="Fees", member_key="BY_REFERENCE")
    first, second = (upload(clerk, school, pasted=pasted, statement=statement)["Location"] for _tab in range(2))
    assert "2 members are enrolled." in text_of(clerk.post(first, follow=True))

    for answer in (clerk.get(first, follow=True), clerk.post(first, follow=True)):
        assert answer.redirect_chain == [("/members/", 302)]
        assert "2 members are enrolled." in text_of(answer)
    page = text_of(clerk.get(second))
    assert "New members 0 Members already 2" in page
    assert "There is nobody new in the list. Look at the members" in page
    pressed = clerk.post(second, follow=True)
    assert pressed.redirect_chain == [("/members/", 302)]
    assert "Everybody in the list is a member already." in text_of(pressed)
    more = upload(clerk, school, pasted=f"{pasted}\nADM-1049,Chege", statement=statement)["Location"]
    assert "New members 1 Members already 2" in text_of(clerk.get(more))
    clerk.post(more)

    with tenant_context(cast.tenant):
        codes = list(Member.objects.filter(program=school).order_by("code").values_list("code", "name"))
    assert codes == [("ADM1047", "Amina"), ("ADM1048", "Baraka"), ("ADM1049", "Chege")]


def test_a_known_code_with_another_number_is_not_taken_for_its_member(cast, clerk):
    with tenant_context(cast.tenant):
        school = Program.objects.create(code="fees", name="Fees", member_key="BY_REFERENCE")
    clerk.post(upload(clerk, school, pasted="code,phone\n1047,0733000001")["Location"])

    refused = upload(clerk, school, pasted="code,phone\n1047,0733000002")

    assert cells(refused) == ["2 code 1047 This code is another member&#x27;s."]


def test_a_parents_phone_may_be_several_pupils_but_not_several_customers(cast, clerk):
    with tenant_context(cast.tenant):
        school = Program.objects.create(code="fees", name="Fees", member_key="BY_REFERENCE")
    pupils = "phone,name,code\n0733000001,Amina,1047\n0733000001,Baraka,1048"

    clerk.post(upload(clerk, school, pasted=pupils)["Location"])

    with tenant_context(cast.tenant):
        rows = list(Member.objects.filter(program=school).order_by("code").values_list("code", "name", "phone_number"))
    assert rows == [("1047", "Amina", "254733000001"), ("1048", "Baraka", "254733000001")]
    refused = upload(clerk, cast.loyal.program, pasted=pupils)
    assert "3 phone 0733000001 Row 2 has the same." in cells(refused)


def test_a_list_waits_an_hour_for_its_own_business_only(cast, rival, clerk, browser, member_of):
    make_channel(rival, "600300")
    kept = upload(clerk, cast.loyal.program, pasted="0733000001, Juma")["Location"]
    thief = browser(member_of(rival))

    for client, path in ((thief, kept), (clerk, f"/members/list/{'0' * 32}/")):
        assert client.get(path).status_code == 404
        assert client.post(path).status_code == 404
    assert upload(thief, cast.loyal.program, pasted="0733000001, Juma").status_code == 422
    with tenant_context(rival):
        assert Member.objects.count() == 0


def test_all_members_of_one_environment_are_a_file_for_administrators(cast, owner, clerk, browser):
    with tenant_context(cast.tenant):
        Member.objects.create(
            program=cast.loyal.program, environment="PRACTICE", code="F1", name="=cmd()", joined_at=timezone.now()
        )
        Member.objects.create(program=cast.loyal.program, environment="SANDBOX", code="S1", joined_at=timezone.now())

    answer = owner.post("/members/export/")

    assert answer["Content-Disposition"] == 'attachment; filename="members-practice.csv"'
    lines = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert lines[0] == [
        *("code", "name", "phone", "program", "points", "stamps", "joined", "consented", "consent", "takes_part")
    ]
    assert [line[:6] for line in lines[1:]] == [
        ["VIP001", "Achieng Otieno", "254712345126", "vip", "180", "0"],
        ["F1", "'=cmd()", "", "vip", "0", "0"],
    ]
    assert (lines[1][8], lines[1][9]) == ("told", "yes")
    entry = stored(cast.tenant, AuditEntry, action="member.list_exported")
    assert entry.after == {"environment": "PRACTICE", "members": 2}
    assert owner.get("/members/export/").status_code == 405
    for role in (Role.USER, Role.MANAGER):
        person = browser(cast.places[role])
        assert person.post("/members/export/").status_code == 403
        assert "/members/export/" not in person.get("/members/").content.decode()


def test_two_thousand_are_enrolled_in_one_go(cast, clerk, run_due, django_assert_max_num_queries):
    pasted = "\n".join(f"0733{number:06d}, Person {number}" for number in range(2_000))
    kept = upload(clerk, cast.loyal.program, pasted=pasted)["Location"]

    began = timezone.now()
    with django_assert_max_num_queries(100):
        clerk.post(kept)
        run_due()

    assert len(members(cast.tenant, cast.loyal.program)) == 2_000
    assert timezone.now() - began < timedelta(seconds=20)
    too_many = upload(clerk, cast.loyal.program, pasted=pasted + "\n0734000000, One more")
    assert "more than 2,000 rows" in text_of(too_many)
