"""Programs: what a business gives for payments. Members are in `members`, points in `points`, earning in `awards`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypedDict, Unpack
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import get_language
from django.utils.translation import gettext as _

import audit.services
from audit.services import Actor, system_actor
from channels.presets import WantedProgram
from loyalty.accrual import AccrualTerms, StampTerms
from loyalty.models import AccrualRule, Program, StampRule
from tenants.errors import Conflict, NotFound
from tenants.permissions import Permission, require

DEFAULT_PROGRAM = "loyalty"


class ProgramExists(Conflict):
    code = "program_exists"


class ProgramChanges(TypedDict, total=False):
    """What can be changed; terms are replaced as a whole, None removes them."""

    name: str
    language: str
    is_active: bool
    is_joinable: bool
    accrual: AccrualTerms | None
    stamp: StampTerms | None


def programs_of(*, actor: Actor) -> QuerySet[Program]:
    require(actor, Permission.LOYALTY_READ)
    return Program.objects.select_related("accrual_rule", "stamp_rule")


def get_program(*, actor: Actor, program_id: UUID) -> Program:
    """:raises NotFound: if there is no such program."""
    program = programs_of(actor=actor).filter(pk=program_id).first()
    if program is None:
        raise NotFound(_("There is no such program."))
    return program


def program_names() -> Mapping[str, str]:
    """The names by the codes that a channel's mapping may name in the present business."""
    return dict(Program.objects.values_list("code", "name"))


def make_default_program() -> None:
    """Give a new business the program that its first channel sends payments to."""
    create_program(actor=system_actor("sign-up"), code=DEFAULT_PROGRAM, name="Loyalty", accrual=AccrualTerms())


def make_wanted_programs(actor: Actor, wanted: Sequence[WantedProgram]) -> None:
    """Make the programs of a preset, named in the language of whoever asks.

    :raises ProgramExists: if one was made at the same moment.
    """
    for program in wanted:
        stamps, by = program.stamps, Program.MemberKey
        create_program(
            actor=actor,
            code=program.code,
            name=str(program.name),
            member_key=by.BY_REFERENCE if program.by_reference else by.BY_PAYER,
            language=get_language() or "en",
            accrual=AccrualTerms(points=program.points_per_100) if program.points_per_100 else None,
            stamp=StampTerms(
                payments_needed=stamps.payments_needed,
                reward=str(stamps.reward),
                thanks=str(stamps.thanks),
                noun=str(stamps.noun),
                noun_plural=str(stamps.noun_plural),
            )
            if stamps
            else None,
        )


@transaction.atomic
def create_program(
    *,
    actor: Actor,
    code: str,
    name: str,
    member_key: str = Program.MemberKey.BY_PAYER,
    language: str = "en",
    is_joinable: bool = True,
    accrual: AccrualTerms | None = None,
    stamp: StampTerms | None = None,
) -> Program:
    """Make a program that mappings can send payments to by `code`. Without terms it gives nothing.

    :raises ProgramExists: if the code is taken.
    """
    require(actor, Permission.LOYALTY_CHANGE)
    program = Program(code=code, name=name, member_key=member_key, language=language, is_joinable=is_joinable)
    try:
        with transaction.atomic():
            program.save(force_insert=True)
    except IntegrityError:
        sentence = _("There is a program “%(code)s” already.") % {"code": code}
        raise ProgramExists(sentence, errors={"code": [sentence]}) from None
    if accrual:
        AccrualRule.objects.create(program=program, **asdict(accrual))
    if stamp:
        StampRule.objects.create(program=program, **asdict(stamp))
    after = _state(program)
    audit.services.record(actor=actor, action="program.created", subject=program, after=after)
    return program


@transaction.atomic
def change_program(*, actor: Actor, program_id: UUID, **changes: Unpack[ProgramChanges]) -> Program:
    """Change a program; its code and member key never change, for mappings and members are built on them.

    What was earned stays earned: the next payment is judged by the new terms.

    :raises NotFound: if there is no such program.
    """
    require(actor, Permission.LOYALTY_CHANGE)
    Program.objects.select_for_update(no_key=True).filter(pk=program_id).first()  # two changes take turns
    program = get_program(actor=actor, program_id=program_id)
    before = _state(program)
    if "accrual" in changes:
        AccrualRule.objects.filter(program=program).delete()
        if changes["accrual"]:
            AccrualRule.objects.create(program=program, **asdict(changes["accrual"]))
    if "stamp" in changes:
        StampRule.objects.filter(program=program).delete()
        if changes["stamp"]:
            StampRule.objects.create(program=program, **asdict(changes["stamp"]))
    columns = {name: value for name, value in changes.items() if name not in {"accrual", "stamp"}}
    if columns:
        Program.objects.filter(pk=program_id).update(**columns)
    program = get_program(actor=actor, program_id=program_id)
    after = _state(program)
    changed = [name for name in after if after[name] != before[name]]
    if changed:
        audit.services.record(
            actor=actor,
            action="program.changed",
            subject=program,
            before={name: before[name] for name in changed},
            after={name: after[name] for name in changed},
        )
    return program


def _state(program: Program) -> dict[str, Any]:
    """A program as the audit trail keeps it."""
    accrual, stamp = getattr(program, "accrual_rule", None), getattr(program, "stamp_rule", None)
    return {
        "code": program.code,
        "name": program.name,
        "member_key": program.member_key,
        "language": program.language,
        "is_active": program.is_active,
        "is_joinable": program.is_joinable,
        "accrual_rule": asdict(accrual.terms) if accrual else None,
        "stamp_rule": asdict(stamp.terms) if stamp else None,
    }
