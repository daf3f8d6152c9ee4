"""Joining by oneself: whoever holds the phone decides, whoever typed its number does not.

A number that is typed at /join/ is sent an SMS with a link: the way in, or the member's own page where it is a
member's already. What the visitor sees is the same for both. Only opening the link and agreeing there makes a member.
See docs/adr/0022.
"""

import hashlib
import secrets
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Min, Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _

from audit.services import system_actor
from channels import msisdn
from channels.filters import environment_of_customers
from channels.sms.outbox import NewSms, queue_messages
from loyalty import notifications
from loyalty.members import ConsentMissing, MemberExists, enrol_member
from loyalty.models import JoinLink, Member, Program
from loyalty.own_page import own_page_token, reader
from loyalty.tasks import forget_join_links
from tenants.demo import require_no_visitor
from tenants.errors import Invalid, NotFound
from tenants.hosts import url_of_tenant
from tenants.limits import TooManyAttempts, count_attempt
from tenants.permissions import require_open
from tenants.queue import enqueue, require_current_tenant

LINK_LASTS = timedelta(hours=24)
SMS_PER_DAY = 100  # of one business
SMS_PER_NUMBER = 3  # within LINK_LASTS
CONSENT_TEXT = "2026-11"  # which words of templates/loyalty/consent.html were agreed to: another one for other words

_ACTOR = system_actor("customer, by the link sent to their phone")
_DAY_S = 24 * 60 * 60


class LinkGone(NotFound):
    code = "link_gone"


def programs_to_join() -> list[Program]:
    """What customers may join by themselves. Where what is typed is the member, one joins by paying; and nobody joins
    what gives nothing. In the demo nobody joins."""
    if require_current_tenant().is_demo:
        return []
    return list(_joinable().order_by("name"))


def ask_for_link(
    *, program_code: str, phone_number: str, name: str, consented: bool, address: str, now: datetime
) -> None:
    """Send an SMS to the number that was typed. Nothing tells the visitor, at `address`, whether it is a member's.

    :raises BusinessClosed: if the business is not open for changes.
    :raises NotFound: if nobody can join that program by themselves.
    :raises Invalid: for a number that is not Kenyan.
    :raises ConsentMissing: without consent.
    :raises TooManyAttempts: if this caller, this number or this business has asked too often.
    """
    tenant = require_current_tenant()
    require_open(tenant)
    require_no_visitor()
    try:
        number = msisdn.normalise(phone_number)
    except msisdn.InvalidPhoneNumber as problem:
        raise Invalid(str(problem), errors={"phone_number": [str(problem)]}) from None
    if not consented:
        sentence = _("Tick this to join: we may not keep your number without it.")
        raise ConsentMissing(sentence, errors={"consented": [sentence]})
    count_attempt("join", who=address, within=tenant.pk)
    with transaction.atomic():
        program = _lock_program(program_code)
        forget_expired(now=now)
        _require_room(number)
        environment = environment_of_customers()
        link = JoinLink(
            program=program,
            environment=environment,
            phone_number=number,
            name=name.strip(),
            asked_at=now,
            expires_at=now + LINK_LASTS,
        )
        body = _body(link, business=tenant.business_name, start=url_of_tenant(tenant))
        link.save(force_insert=True)
        sms = NewSms(dedup_key=f"join:{link.pk}", phone_number=number, body=body, environment=environment)
        queue_messages(messages=[sms], now=now)
        enqueue(forget_join_links, due_at=link.expires_at)


def link_behind(*, token: str, now: datetime) -> JoinLink:
    """What a link is good for.

    :raises LinkGone: if it is not this business's, was used, or is too old, or the program is open no more.
    """
    found = _usable(now).filter(token_hash=_hash(token)).first()
    if found is None:
        raise _gone()
    return found


def join(*, token: str, name: str, now: datetime) -> Member:
    """Make whoever holds the phone a member, who agreed to `CONSENT_TEXT`, once.

    Who was enrolled at the counter meanwhile is that member: the phone is theirs.

    :raises LinkGone: as `link_behind`.
    :raises BusinessClosed: if the business is not open for changes.
    """
    require_open(require_current_tenant())
    require_no_visitor()
    with transaction.atomic():
        link = _usable(now).select_for_update(no_key=True, of=("self",)).filter(token_hash=_hash(token)).first()
        if link is None:
            raise _gone()
        try:
            member = enrol_member(
                actor=_ACTOR,
                program_id=link.program_id,
                environment=link.environment,
                now=now,
                name=name,
                phone_number=link.phone_number,
                consented=True,
                consent_way=Member.ConsentWay.SELF,
                consent_note=CONSENT_TEXT,
            )
        except MemberExists as known:
            found = _members(link).first()
            if found is None:
                raise known
            member = found
        link.used_at = now
        link.save(update_fields=["used_at"])
    return member


def own_page_of(member: Member) -> str:
    """The token of the page of somebody who has just shown that the phone is theirs."""
    return own_page_token(actor=reader(member), member=member)


def forget_expired(*, now: datetime) -> int:
    """Remove the present tenant's links that are too old, and promise to come back for the next; returns how many."""
    forgotten, _by_model = JoinLink.objects.filter(expires_at__lte=now).delete()
    if next_at := JoinLink.objects.aggregate(at=Min("expires_at"))["at"]:
        enqueue(forget_join_links, due_at=next_at)
    return forgotten


def _joinable() -> QuerySet[Program]:
    gives_something = Q(accrual_rule__isnull=False) | Q(stamp_rule__isnull=False)
    programs = Program.objects.filter(is_active=True, is_joinable=True, member_key=Program.MemberKey.BY_PAYER)
    return programs.filter(gives_something)


def _lock_program(code: str) -> Program:
    """The program, and every one that can be joined locked until the commit, so that links are counted one by one."""
    locked = list(_joinable().select_for_update(no_key=True, of=("self",)).order_by("pk"))
    program = next((program for program in locked if program.code == code), None)
    if program is None:
        raise NotFound(_("Nobody can join this program by themselves. Ask at the counter."))
    return program


def _require_room(number: str) -> None:
    """Links live for a day, so those that there are, are the last day's."""
    if JoinLink.objects.filter(phone_number=number).count() >= SMS_PER_NUMBER:
        raise TooManyAttempts(
            _("We have sent this number enough links today. Open the newest one, or try again tomorrow."), wait=_DAY_S
        )
    if JoinLink.objects.count() >= SMS_PER_DAY:
        raise TooManyAttempts(_("No more can join here today. Ask at the counter, or try tomorrow."), wait=_DAY_S)


def _body(link: JoinLink, *, business: str, start: str) -> str:
    """What the SMS says, with nothing in it that the visitor typed. Gives the link its token, where it needs one."""
    member = _members(link).first()
    words = {"language": link.program.language, "business": business, "program_name": link.program.name}
    if member:
        path = reverse("own-page", args=[own_page_of(member)], urlconf=settings.ROOT_URLCONF)
        return notifications.own_page_link(url=start + path.removeprefix("/"), **words)
    token = secrets.token_urlsafe(16)
    link.token_hash = _hash(token)
    path = reverse("join-by-link", args=[token], urlconf=settings.ROOT_URLCONF)
    return notifications.join_link(url=start + path.removeprefix("/"), **words)


def _members(link: JoinLink) -> QuerySet[Member]:
    return Member.objects.filter(
        program=link.program_id, environment=link.environment, phone_number=link.phone_number
    ).select_related("program")


def _usable(now: datetime) -> QuerySet[JoinLink]:
    links = JoinLink.objects.select_related("program__accrual_rule", "program__stamp_rule")
    return links.filter(used_at=None, expires_at__gt=now, program__is_active=True, program__is_joinable=True)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _gone() -> LinkGone:
    return LinkGone(_("This link was used, or is more than a day old. Ask for a new one."))
