"""Who takes part in a program: enrolled by consent, or joined by paying where what is typed is the member."""

import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypedDict, Unpack
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

import audit.services
from audit.services import Actor
from channels import mapping, msisdn
from channels.explaining import wrong_number
from channels.mapping import AccountMapping, Match
from channels.models import MpesaChannel
from channels.sms.outbox import forget_number
from loyalty.models import JoinLink, Member, Program
from tenants.errors import Conflict, Invalid, NotFound
from tenants.permissions import Permission, require

# Told apart in print and by ear, quick to find on a phone's keys; without vowels no code is a word.
_ALPHABET = "CDFGHJKMNPQRTWXY34679"
_CODE_LENGTH = 6
CODE_MAX = 64


class MemberExists(Conflict):
    """The code belongs to a member of the program already, perhaps a deactivated one; or the phone number does, where
    members are known by it."""

    code = "member_exists"


class CodeRoutedElsewhere(Conflict):
    """The channels' mappings send what is typed like this to other programs only."""

    code = "code_routed_elsewhere"


class ConsentMissing(Invalid):
    code = "consent_missing"


class MemberChanges(TypedDict, total=False):
    """What can be changed. A new phone number needs `consented=True`; '' forgets the number."""

    name: str
    phone_number: str
    consented: bool
    is_active: bool


def members_of(*, actor: Actor) -> QuerySet[Member]:
    """The business's members, of all environments: a door shows one environment at a time."""
    require(actor, Permission.LOYALTY_READ)
    return Member.objects.select_related("program")


def get_member(*, actor: Actor, member_id: UUID) -> Member:
    """:raises NotFound: if there is no such member."""
    member = members_of(actor=actor).filter(pk=member_id).first()
    if member is None:
        raise NotFound(_("There is no such member."))
    return member


def enrol_member(
    *,
    actor: Actor,
    program_id: UUID,
    environment: str,
    now: datetime,
    code: str = "",
    name: str = "",
    phone_number: str = "",
    consented: bool = False,
    consent_way: str = Member.ConsentWay.TOLD,
    consent_note: str = "",
) -> Member:
    """Make somebody a member. Without a `code` a short one is made up, except where what is typed is the member.

    :raises NotFound: if there is no such program.
    :raises Invalid: for a number that is not Kenyan, or a code that is missing or too long.
    :raises ConsentMissing: if a number is given without the member's consent to it.
    :raises CodeRoutedElsewhere: if the channels' mappings send that code to other programs only.
    :raises MemberExists: if the code or the number is taken.
    """
    require(actor, Permission.MEMBERS_CHANGE)
    program = Program.objects.filter(pk=program_id).first()
    if program is None:
        raise NotFound(_("There is no such program."))
    member = Member(
        program=program,
        environment=environment,
        name=name.strip(),
        is_known_by_phone=program.is_known_by_phone,
        joined_at=now,
    )
    _set_phone_number(member, phone_number, consented=consented, now=now)
    if member.phone_number:
        member.consent_way, member.consent_note = consent_way, consent_note
    member.code = _read_code(member, code) if code else _make_code(member)
    with transaction.atomic():
        _save(member)
        audit.services.record(actor=actor, action="member.enrolled", subject=member, after=_state(member))
    return member


@transaction.atomic
def change_member(*, actor: Actor, member_id: UUID, now: datetime, **changes: Unpack[MemberChanges]) -> Member:
    """Change a member's name or number, or whether the member takes part. Points stay.

    A number that is then no member's any more is forgotten wherever it was written to.

    :raises NotFound: if there is no such member.
    :raises Invalid: for a number that is not Kenyan.
    :raises ConsentMissing: if a new number is given without the member's consent to it.
    :raises MemberExists: if the number is another member's.
    """
    require(actor, Permission.MEMBERS_CHANGE)
    member = lock_member(member_id)
    before, number_before = _state(member), member.phone_number
    if "name" in changes:
        member.name = changes["name"].strip()
    if "is_active" in changes:
        member.is_active = changes["is_active"]
    if "phone_number" in changes:
        _set_phone_number(member, changes["phone_number"], consented=changes.get("consented", False), now=now)
    _save(member)
    if number_before not in {"", member.phone_number}:
        _forget_if_nobodys(number_before, member.environment)
    after = _state(member)
    changed = [name for name in after if after[name] != before[name]]
    if changed:
        audit.services.record(
            actor=actor,
            action="member.changed",
            subject=member,
            before={name: before[name] for name in changed},
            after={name: after[name] for name in changed},
        )
    return member


def lock_member(member_id: UUID) -> Member:
    """The member, until the caller's commit.

    :raises NotFound: if there is no such member.
    """
    members = Member.objects.select_for_update(no_key=True, of=("self",)).select_related("program")
    member = members.filter(pk=member_id).first()
    if member is None:
        raise NotFound(_("There is no such member."))
    return member


def member_code(text: str) -> str:
    """What was typed, as it identifies a member: `" vip-001 "` → `"VIP001"`; '' if it can't."""
    code = mapping.normalise(text).upper()
    return code if len(code) <= CODE_MAX else ""


def _read_code(member: Member, text: str) -> str:
    code = member_code(text)
    if not code:
        sentence = _("Use 1 to %(most)s characters; spaces and hyphens don't count.") % {"most": CODE_MAX}
        raise Invalid(sentence, errors={"code": [sentence]})
    named = programs_that_name(code, mappings_of(member.environment))
    if named and member.program.code not in named:
        sentence = _("A payment with the account number “%(code)s” goes to another program.") % {"code": code}
        raise CodeRoutedElsewhere(sentence, errors={"code": [sentence]})
    return code


def _make_code(member: Member) -> str:
    """A short code that is free, and that leads to the program if any code does."""
    if member.program.member_key == Program.MemberKey.BY_REFERENCE:
        sentence = _("In this program the member is what the customer types: give the code.")
        raise Invalid(sentence, errors={"code": [sentence]})
    return make_codes(member.program, member.environment, number=1)[0]


def make_codes(program: Program, environment: str, *, number: int) -> list[str]:
    """So many short codes that are free, and that lead to the program if any code does."""
    mappings = mappings_of(environment)
    found: dict[str, None] = {}
    for attempt in range(20):
        fresh = {"".join(secrets.choice(_ALPHABET) for _letter in range(_CODE_LENGTH)) for _each in range(number)}
        if attempt < 19:
            fresh = {code for code in fresh if programs_that_name(code, mappings) <= {program.code}}
        members = Member.objects.filter(program=program, environment=environment, code__in=fresh)
        found |= dict.fromkeys(fresh - set(members.values_list("code", flat=True)))
        if len(found) >= number:
            break
    return list(found)[:number]


def mappings_of(environment: str) -> list[AccountMapping]:
    """The rules of every channel of an environment."""
    channels = MpesaChannel.objects.filter(environment=environment)
    return [AccountMapping(rules) for rules in channels.values_list("account_mapping", flat=True)]


def programs_that_name(code: str, mappings: Iterable[AccountMapping]) -> set[str]:
    """The programs to which a rule of its own, not just the default, sends what is typed like this."""
    matches = [rules.route(code) for rules in mappings]
    return {match.program for match in matches if match and match.kind != Match.Kind.DEFAULT}


def _set_phone_number(member: Member, text: str, *, consented: bool, now: datetime) -> None:
    if not text.strip():
        member.phone_number, member.phone_hash, member.consented_at = "", "", None
        member.consent_way = member.consent_note = ""
        return
    try:
        phone_number = msisdn.normalise(text)
    except msisdn.InvalidPhoneNumber:
        raise Invalid(wrong_number(), errors={"phone_number": [wrong_number()]}) from None
    if phone_number == member.phone_number:
        return
    if not consented:
        sentence = _("Ask the member first, then say that they agreed to their number being kept and used.")
        raise ConsentMissing(sentence, errors={"consented": [sentence]})
    member.phone_number, member.phone_hash = phone_number, msisdn.sha256_hex(phone_number)
    member.consented_at, member.consent_way, member.consent_note = now, Member.ConsentWay.TOLD, ""


def _forget_if_nobodys(phone_number: str, environment: str) -> None:
    if not Member.objects.filter(phone_number=phone_number, environment=environment).exists():
        forget_number(phone_number=phone_number, environment=environment)
        JoinLink.objects.filter(phone_number=phone_number, environment=environment).delete()


def _save(member: Member) -> None:
    try:
        with transaction.atomic():
            member.save()
    except IntegrityError as error:
        is_phone = "member_phone_once" in str(error)
        field = "phone_number" if is_phone else "code"
        sentence = (
            _("This number is a member's of “%(program)s” already.")
            if is_phone
            else _("This code is a member's of “%(program)s” already.")
        ) % {"program": member.program}
        raise MemberExists(sentence, errors={field: [sentence]}) from error


def _state(member: Member) -> dict[str, Any]:
    """A member as the audit trail keeps it: whoever reads the trail needs no whole number."""
    return {
        "program": member.program.code,
        "environment": member.environment,
        "code": member.code,
        "name": member.name,
        "phone_number": msisdn.mask(member.phone_number) if member.phone_number else "",
        "consent": f"{member.consent_way} {member.consent_note}".strip(),
        "is_active": member.is_active,
    }
