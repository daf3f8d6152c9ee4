"""What is in each channel's accounts, beside what the business wants to be in them: for people to look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from audit.services import Actor
from channels.models import MpesaChannel
from payments.balances import balances_of, newest_of_each_channel
from payments.initiator import has_initiator
from payments.models import BalanceQuery

Status = BalanceQuery.Status


@dataclass(frozen=True, slots=True)
class Account:
    """KES; `least` is below what it counts as low, None where nobody watches it."""

    name: str
    available: Decimal
    current: Decimal
    reserved: Decimal
    least: int | None

    @property
    def is_low(self) -> bool:
        return self.least is not None and self.available < self.least


@dataclass(frozen=True, slots=True)
class Sheet:
    """`newest` is the last time that M-PESA told, `last` the last time that it was asked."""

    channel: MpesaChannel
    newest: BalanceQuery | None
    last: BalanceQuery | None
    accounts: Sequence[Account]

    @property
    def can_ask(self) -> bool:
        return has_initiator(self.channel)

    @property
    def is_asking(self) -> bool:
        return self.last is not None and self.last.status == Status.PENDING

    @property
    def has_failed(self) -> bool:
        return self.last is not None and self.last.status in {Status.FAILED, Status.UNANSWERED}


def balance_sheets(*, actor: Actor, channels: Sequence[MpesaChannel]) -> list[Sheet]:
    """One for each channel, in their order. Two queries."""
    rows = balances_of(actor=actor).filter(channel__in=channels)
    newest = {row.channel_id: row for row in newest_of_each_channel(rows)}
    last = {row.channel_id: row for row in rows.order_by("channel_id", "-pk").distinct("channel_id")}
    return [
        Sheet(channel, told := newest.get(channel.pk), last.get(channel.pk), _accounts(channel, told))
        for channel in channels
    ]


def _accounts(channel: MpesaChannel, told: BalanceQuery | None) -> list[Account]:
    """In alphabetical order: the database does not keep M-PESA's."""
    return [
        Account(
            name=name,
            available=Decimal(amounts["available"]),
            current=Decimal(amounts["current"]),
            reserved=Decimal(amounts["reserved"]),
            least=channel.low_float.get(name),
        )
        for name, amounts in sorted(told.accounts.items() if told else ())
    ]
