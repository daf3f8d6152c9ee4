"""The owner of a business's practice phone is a member, so that a practice payment shows points and an SMS."""

from datetime import datetime
from typing import Any

from channels.mapping import AccountMapping
from channels.models import Environment, MpesaChannel
from channels.practice import PRACTICE_ACTOR
from loyalty.members import CodeRoutedElsewhere, MemberExists, enrol_member
from loyalty.models import Member, Program


def enrol_practice_customer(
    sender: Any,
    *,
    channel: MpesaChannel,
    account_reference: str,
    phone_number: str,
    name: str,
    now: datetime,
    **kwargs: Any,
) -> None:
    """Hear that the practice phone is about to pay: enrol its owner in the program that gets the payment.

    Who has joined before, by this number or by what is typed, stays as they are.
    """
    code = AccountMapping(channel.account_mapping).program_of(account_reference)
    program = Program.objects.filter(code=code, is_active=True).first()
    if program is None or not account_reference:
        return
    known = Member.objects.filter(program=program, environment=Environment.PRACTICE, phone_number=phone_number)
    if known.exists():
        return
    try:
        enrol_member(
            actor=PRACTICE_ACTOR,
            program_id=program.pk,
            environment=Environment.PRACTICE,
            now=now,
            code=account_reference,
            name=name,
            phone_number=phone_number,
            consented=True,
        )
    except (MemberExists, CodeRoutedElsewhere):
        return  # the payment shows what it gives to whoever has the code
