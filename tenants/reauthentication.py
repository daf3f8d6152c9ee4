"""Proving again who one is, before something that can't be undone: by the password, or by the second factor.

A service that wants it takes a `Proof`, so that no door can forget to ask.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.utils.translation import gettext as _

from audit.services import Actor
from tenants import limits
from tenants.errors import Invalid, NotPermitted
from tenants.models import User
from tenants.second_factor import WrongCode, prove

_DOOR = "prove_again"
_HOLDS_FOR = timedelta(minutes=5)


class NotProved(Invalid):
    code = "not_proved"


class ProofNeeded(NotPermitted):
    code = "proof_needed"


@dataclass(frozen=True, slots=True)
class Proof:
    """This person proved who they are, then. Only `prove_again` makes one."""

    user_id: UUID
    at: datetime


def prove_again(user: User, *, password: str = "", second_factor: str = "", now: datetime) -> Proof:
    """Let the person who is signed in show that it is still them: one of the two is enough.

    Wrong ones count per person (`tenants.limits`). Call it outside a transaction, so that a refusal is counted.

    :raises NotProved: if it is wrong, or neither is given.
    :raises TooManyAttempts, TooManyCodes: after too many wrong ones, also for the right one.
    """
    if not password and not second_factor:
        raise NotProved(
            _("Give your password again, or the code of your second factor."), errors={"password": [_("Needed.")]}
        )
    limits.count_attempt(_DOOR, who=str(user.pk))
    if second_factor:
        try:
            prove(user, code=second_factor)
        except WrongCode as problem:
            raise NotProved(problem.detail, errors={"second_factor": [problem.detail]}) from None
    elif not user.check_password(password):
        sentence = _("This is not your password.")
        raise NotProved(sentence, errors={"password": [sentence]})
    limits.give_back(_DOOR, who=str(user.pk))
    return Proof(user.pk, now)


def require_proof(proof: Proof, *, actor: Actor, now: datetime) -> None:
    """Let the actor pass who proved just now who they are.

    :raises ProofNeeded: if somebody else did, or too long ago.
    """
    if proof.user_id != actor.id or not timedelta(0) <= now - proof.at <= _HOLDS_FOR:
        raise ProofNeeded(_("Prove again who you are."))
