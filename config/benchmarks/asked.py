"""What no link leads to: searches of every kind, filters, and the longest period of each report."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.db.models import Count
from django.urls import reverse

from audit.ids import public_id
from audit.models import AuditRow
from audit.services import Actor
from channels.models import MpesaChannel, SmsMessage
from loyalty.models import Member
from payments.models import Payment, Payout
from payments.money_out.states import INNER_STATES
from payments.reports.period import MOST_DAYS
from payments.reports.registry import reports_for
from payments.services import NAIROBI
from tenants.models import Role
from tenants.pages.audit_words import AREAS

_OWNER = Actor(kind=AuditRow.ActorKind.PERSON, label="owner", role=Role.ORG_ADMIN)


def asked_for(*, now: datetime) -> Iterator[tuple[str, str]]:
    """What is asked for, in words, and its address; in the present business, of what it has."""
    today = now.astimezone(NAIROBI).date()
    yield from _payments(now=now)
    members = Member.objects.exclude(phone_number="").order_by("-pk")
    if member := members.first():
        for what, text in {"phone": member.phone_number, "name": member.name, "code": member.code}.items():
            yield f"members: by {what}", _address("members", q=text)
        yield "members: by no name", _address("members", q="zebedayo")
        busiest = Member.objects.order_by("-points_balance")[0]
        yield "member: the busiest", reverse("member", args=[public_id("mem", busiest.pk)])
        yield "members: of a program", _address("members", program=public_id("prog", member.program_id))
    if payout := Payout.objects.exclude(receipt="").order_by("-pk").first():
        yield "payouts: by receiver", _address("payouts", q=payout.receiver)
        yield "payouts: by receipt", _address("payouts", q=payout.receipt)
    for state in INNER_STATES:
        yield f"payouts: {state}", _address("payouts", state=state)
    for status in SmsMessage.Status.values:
        yield f"sms: {status.lower()}", _address("sms", state=status.lower())
    yield "audit-trail: by a name", _address("audit-trail", who="demo")
    yield "audit-trail: by no name", _address("audit-trail", who="zebedayo")
    for area in AREAS:
        yield f"audit-trail: {area}", _address("audit-trail", what=area)
    yield "audit-trail: one day", _address("audit-trail", from_date=str(today), to_date=str(today))
    yield "days: two months ago", _address("days", month=f"{today - timedelta(days=62):%Y-%m}")
    first = today - timedelta(days=MOST_DAYS - 1)
    longest = urlencode({"since": str(first), "until": str(today)})
    for report in reports_for(actor=_OWNER):
        yield f"report {report.name}: two years", f"{reverse('report', args=[report.name])}?{longest}"


def _payments(*, now: datetime) -> Iterator[tuple[str, str]]:
    newest = Payment.objects.order_by("-paid_at").first()
    if newest is None:
        return
    payments = Payment.objects.order_by("paid_at")
    amounts = payments.order_by().values_list("amount").annotate(number=Count("pk")).order_by("number")
    channels = MpesaChannel.objects.annotate(number=Count("payments")).order_by("number")
    few, many = channels[0], channels.order_by("-number")[0]
    rare, frequent = str(amounts[0][0]), str(amounts.order_by("-number")[0][0])
    oldest = payments.first() or newest
    for what, text in {
        "receipt": newest.receipt,
        "whole number": "0700000001",
        "masked number": "0799000999",
        "number of nobody": "0110 123 456",
        "frequent amount": frequent,
        "rare amount": rare,
        "amount of nobody": "249,999.37",
        "frequent account": "shop",
        "rare account": next(iter(payments.filter(account_reference__startswith="INV-")[:1]), oldest).account_reference,
        "beginning of an account": "INV",
        "beginning of a receipt": oldest.receipt[:5],
        "frequent name": "john",
        "whole name": oldest.payer_name,
        "name of nobody": "zebedayo",
    }.items():
        yield f"payments: by {what}", _address("payments", q=text)
    few_id, many_id = public_id("ch", few.pk), public_id("ch", many.pk)
    last_month = now.astimezone(NAIROBI).date() - timedelta(days=40)
    week = {"since": str(last_month), "until": str(last_month + timedelta(days=6))}
    yield "payments: of the quietest channel", _address("payments", channel=few_id)
    yield "payments: of the busiest channel", _address("payments", channel=many_id)
    yield "payments: of a week", _address("payments", **week)
    yield "payments: of a channel in a week", _address("payments", channel=few_id, **week)
    yield "payments: by amount, channel", _address("payments", q=frequent, channel=few_id)
    yield "payments: by amount, channel, week", _address("payments", q=frequent, channel=few_id, **week)
    yield "payments: by name, channel", _address("payments", q="zebedayo", channel=few_id)
    yield "payments: by name, week", _address("payments", q="zebedayo", **week)
    back = oldest.paid_at + timedelta(days=1)
    yield "payments: the oldest", _address("payments", older=f"{back.isoformat()}~{oldest.pk.hex}")


def _address(name: str, **asked: str) -> str:
    return f"{reverse(name)}?{urlencode(asked)}"
