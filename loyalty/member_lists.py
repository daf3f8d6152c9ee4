"""Many members at once: a list is read, checked, shown to a person, and then enrolled, whole and once.

A number is kept only with its holder's consent: the list says so for each, or one sentence says how all were asked.
"""

import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

import audit.services
from audit.services import Actor
from channels import kept_drafts, msisdn
from channels.models import KeptDraft
from loyalty.members import (
    CODE_MAX,
    MemberExists,
    make_codes,
    mappings_of,
    member_code,
    members_of,
    programs_that_name,
)
from loyalty.models import Member, Program
from payments.tables import BinaryFile, UnreadableTable, column_name, read_table
from tenants.errors import Invalid, NotFound
from tenants.permissions import Permission, require
from tenants.progress import Progress
from tenants.queue import require_current_tenant
from tenants.spreadsheets import Line

MAXIMUM_ROWS = 2_000
MAXIMUM_BYTES = 1_000_000
_ENROLLED_AT_ONCE = 500
_NAME_MAX = 80

_HEADERS = {
    "phone_number": ("phone", "phone_number", "msisdn"),
    "name": ("name",),
    "code": ("code", "member_code"),
    "consent": ("consent", "agreed"),
}
_MEANS = {header: name for name, headers in _HEADERS.items() for header in headers}
_YES = {"yes", "y", "true", "1", "x", "ndiyo", "ndio"}
_NO = {"no", "n", "false", "0", "hapana"}


@dataclass(frozen=True, slots=True)
class GivenMember:
    """A row as it stands in the list; `number` is the one that a spreadsheet shows."""

    number: int
    phone_number: str = ""
    name: str = ""
    code: str = ""
    consent: str = ""


@dataclass(frozen=True, slots=True)
class RowProblem:
    row: int
    column: str
    given: str
    sentence: str


class UnusableRows(Invalid):
    code = "unusable_rows"

    def __init__(self, problems: Sequence[RowProblem]) -> None:
        super().__init__(_("Nothing was kept: some rows can't be used."))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class MemberList:
    """`statement` says how those agreed whose row does not say whether they did."""

    program_id: UUID
    environment: str
    rows: Sequence[GivenMember]
    statement: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a list comes to: who is new, how many are members already, and how many said no and are left out."""

    program: Program
    new: Sequence[GivenMember]  # with numbers and codes in their one spelling
    known: int
    declined: int


def pasted_file(text: str) -> BinaryFile:
    """What was copied out of a spreadsheet or typed, as a file. Without a header a line is a phone and a name."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    mark = next((mark for mark in ("\t", ";") if mark in first), ",")
    if not any(column_name(cell) in _MEANS for cell in first.split(mark)):
        text = f"phone{mark}name\n{text}"
    return io.BytesIO(text.encode())


def read_list(file: BinaryFile) -> list[GivenMember]:
    """The rows of a CSV or XLSX.

    :raises UnreadableTable: if it is no such file, too large, or has other columns.
    """
    table = read_table(file, maximum_bytes=MAXIMUM_BYTES, maximum_rows=MAXIMUM_ROWS)
    names = [_MEANS.get(header, "") for header in table.headers]
    unknown = [header for header, name in zip(table.headers, names, strict=True) if not name]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    sentences = [
        _("The column “%(header)s” is not known. Known are: %(names)s.")
        % {"header": header, "names": "phone, name, code, consent"}
        for header in unknown
    ]
    sentences += [_("The column “%(name)s” is there twice.") % {"name": _HEADERS[name][0]} for name in twice]
    if not {"phone_number", "code"} & set(names):
        sentences.append(_("There is no column “phone”."))
    if not table.rows:
        sentences.append(_("There is nobody in the list."))
    if sentences:
        raise UnreadableTable(sentences[0], errors={"file": sentences})
    return [GivenMember(row.number, **dict(zip(names, row.cells, strict=True))) for row in table.rows]


def check_list(*, actor: Actor, given: MemberList) -> Checked:
    """Look at every row; changes nothing.

    :raises NotFound: if there is no such program.
    :raises UnusableRows: with a sentence for everything that can't be used.
    """
    require(actor, Permission.MEMBERS_CHANGE)
    program = Program.objects.filter(pk=given.program_id, is_active=True).first()
    if program is None:
        raise NotFound(_("There is no such program."))
    checks = [_CheckedRow(row, has_statement=bool(given.statement.strip())) for row in given.rows]
    wanted = [check for check in checks if not check.is_declined]
    members = Member.objects.filter(program=program, environment=given.environment)
    numbers = {check.phone_number for check in wanted if program.is_known_by_phone} - {""}
    known_numbers = set(members.filter(phone_number__in=numbers).values_list("phone_number", flat=True))
    codes = {check.code for check in wanted} - {""}
    number_of = dict(members.filter(code__in=codes).values_list("code", "phone_number"))
    new = [check for check in wanted if check.phone_number not in known_numbers and not check.is_one_of(number_of)]
    mappings = mappings_of(given.environment)
    for check in new:
        check.look_at_code(program, number_of, named=programs_that_name(check.code, mappings) if check.code else set())
    _look_for_twins(wanted, ("phone_number", "code") if program.is_known_by_phone else ("code",))
    if problems := [problem for check in checks for problem in check.problems]:
        raise UnusableRows(problems)
    return Checked(
        program,
        [check.row for check in new],
        known=len(wanted) - len(new),
        declined=len(checks) - len(wanted),
    )


def keep_list(*, actor: Actor, given: MemberList, now: datetime) -> str:
    """Check it, and keep it for an hour; returns the token that it is read by.

    :raises NotFound, UnusableRows: as `check_list`; nothing is then kept.
    """
    found = check_list(actor=actor, given=given)
    plain = {
        "program_id": given.program_id.hex,
        "environment": given.environment,
        "statement": given.statement,
        "rows": [asdict(row) for row in given.rows],
    }
    return kept_drafts.keep(KIND, plain, rows=len(found.new), environment=given.environment, now=now)


def check_kept(*, actor: Actor, token: str, now: datetime) -> tuple[MemberList, Checked]:
    """What the list comes to now.

    :raises DraftGone: if there is none such in this business, or not any more.
    :raises NotFound, UnusableRows: as `check_list`.
    """
    given = _from_plain(kept_drafts.read(KIND, token, actor=actor, now=now))
    return given, check_list(actor=actor, given=given)


def enrol_kept(*, actor: Actor, token: str, now: datetime) -> KeptDraft:
    """Have enrolled who is new, at once or by a worker. However often it is asked for, it is done once. `made` says how
    many they are.

    :raises DraftGone: as `check_kept`.
    :raises NotFound, UnusableRows: likewise, if it is done at once.
    :raises MemberExists: if somebody enrolled one of them at the same moment.
    :raises RequestInProgress: while it is being done.
    """
    return kept_drafts.make(KIND, token, actor=actor, said={}, now=now)


@transaction.atomic
def export_members(*, actor: Actor, environment: str) -> list[Line]:
    """All members of one environment, a line for each under a header. Written down: these are people's numbers."""
    require(actor, Permission.DATA_READ)
    rows = members_of(actor=actor).filter(environment=environment).order_by("pk")
    lines: list[Line] = [
        ("code", "name", "phone", "program", "points", "stamps", "joined", "consented", "consent", "takes_part")
    ]
    lines += [
        (
            *(member.code, member.name, member.phone_number, member.program.code),
            *(member.points_balance, member.stamps, member.joined_at, member.consented_at),
            f"{member.consent_way.lower()} {member.consent_note}".strip(),
            "yes" if member.is_active else "no",
        )
        for member in rows.iterator(chunk_size=2_000)
    ]
    audit.services.record(
        actor=actor,
        action="member.list_exported",
        subject=require_current_tenant(),
        after={"environment": environment, "members": len(lines) - 1},
    )
    return lines


class _CheckedRow:
    """A row, what is wrong with it, and what it says in one spelling."""

    def __init__(self, given: GivenMember, *, has_statement: bool) -> None:
        self.given = given
        self.problems: list[RowProblem] = []
        self.code = member_code(given.code)
        self.is_declined = given.consent.casefold() in _NO
        self.phone_number = ""
        if self.is_declined:
            return
        if given.phone_number:
            self._read_phone_number(has_statement=has_statement)
        elif not given.code:
            self.note("phone_number", _("Enter a phone number."))
        if given.code and not self.code:
            self.note("code", _("Use 1 to %(most)s characters; spaces and hyphens don't count.") % {"most": CODE_MAX})
        if len(given.name) > _NAME_MAX:
            self.note("name", _("Use at most %(most)s characters.") % {"most": _NAME_MAX})

    @property
    def row(self) -> GivenMember:
        return GivenMember(self.given.number, self.phone_number, self.given.name, self.code)

    def is_one_of(self, number_of: Mapping[str, str]) -> bool:
        """Is it the member with this code? Numbers by codes; a number that is given has to be that member's."""
        return self.code in number_of and self.phone_number in {"", number_of[self.code]}

    def note(self, column: str, sentence: str) -> None:
        shown = _HEADERS[column][0]
        self.problems.append(RowProblem(self.given.number, shown, str(getattr(self.given, column)), sentence))

    def look_at_code(self, program: Program, known_codes: Collection[str], *, named: set[str]) -> None:
        if not self.given.code and program.member_key == Program.MemberKey.BY_REFERENCE:
            self.note("code", _("In this program the member is what the customer types: give the code."))
        if self.code in known_codes:
            self.note("code", _("This code is another member's."))
        if named and program.code not in named:
            self.note("code", _("Payments with this account number go to another program."))

    def _read_phone_number(self, *, has_statement: bool) -> None:
        try:
            self.phone_number = msisdn.normalise(self.given.phone_number)
        except msisdn.InvalidPhoneNumber as problem:
            self.note("phone_number", str(problem))
        said = self.given.consent.casefold()
        if said and said not in _YES:
            self.note("consent", _("Write yes or no."))
        elif not said and not has_statement:
            self.note("consent", _("Write yes if they agreed, or say above how all of them did."))


def _look_for_twins(checks: Sequence[_CheckedRow], columns: Sequence[str]) -> None:
    for column in columns:
        first: dict[str, int] = {}
        for check in checks:
            value = getattr(check, column)
            if value and (row := first.setdefault(value, check.given.number)) != check.given.number:
                check.note(column, _("Row %(row)s has the same.") % {"row": row})


@transaction.atomic
def _enrol(actor: Actor, plain: dict[str, Any], _said: dict[str, Any], progress: Progress, now: datetime) -> Any:
    given = _from_plain(plain)
    checked = check_list(actor=actor, given=given)
    made_up = iter(make_codes(checked.program, given.environment, number=sum(not row.code for row in checked.new)))
    members = (
        Member(
            program=checked.program,
            environment=given.environment,
            code=row.code or next(made_up),
            name=row.name,
            phone_number=row.phone_number,
            is_known_by_phone=checked.program.is_known_by_phone,
            phone_hash=msisdn.sha256_hex(row.phone_number) if row.phone_number else "",
            consented_at=now if row.phone_number else None,
            consent_way=Member.ConsentWay.LIST if row.phone_number else "",
            consent_note=given.statement.strip() if row.phone_number else "",
            joined_at=now,
        )
        for row in progress.each(checked.new)
    )
    codes: list[str] = []
    try:
        with transaction.atomic():
            while some := list(islice(members, _ENROLLED_AT_ONCE)):
                Member.objects.bulk_create(some)
                codes += [member.code for member in some]
    except IntegrityError:
        raise MemberExists(_("One of them was enrolled at this very moment. Look at the list again.")) from None
    if codes:
        audit.services.record(
            actor=actor,
            action="member.list_enrolled",
            subject=checked.program,
            after={
                "environment": given.environment,
                "members": len(codes),
                "codes": codes,
                "consent": given.statement.strip() or _("as each row of the list says"),
            },
        )
    return len(codes)


def _from_plain(plain: dict[str, Any]) -> MemberList:
    rows = [GivenMember(**row) for row in plain["rows"]]
    return MemberList(UUID(plain["program_id"]), plain["environment"], rows, plain["statement"])


KIND = kept_drafts.DraftKind(
    name="members",
    title=gettext_lazy("The members are being enrolled"),
    permission=Permission.MEMBERS_CHANGE,
    make=_enrol,
)
