"""How often strangers may knock at the doors that cost something: sign-up, sign-in, mails, the demo.

Counted in PostgreSQL, one atomic statement per knock: a hundred knocks at once are a hundred, no answer depends on
Redis, and without PostgreSQL nobody could sign in anyway.
"""

import hashlib
from ipaddress import AddressValueError, IPv6Address, IPv6Network
from uuid import UUID

from django.db import connection
from django.utils.translation import gettext as _
from rest_framework.settings import api_settings

from audit.ids import new_id
from tenants.errors import DomainError

_WHO_LENGTH = 45  # of the column
INVITATIONS_PER_HOUR = 60  # of one business
PROOFS_PER_HOUR = 20  # wrong passwords and codes of one person who is signed in
OWN_CLAIMS_PER_HOUR = 10  # receipts tried by one member on their own page
JOINS_PER_HOUR = 30  # asked for by one caller, for any number: many phones share a mobile network's address
STEP_LINKS_PER_HOUR = 60  # links to a question that open nothing, tried by one caller
STEP_ANSWERS_PER_HOUR = 10  # through one such link: M-PESA locks an operator after a few wrong passwords
DEMO_VIEWS_PER_HOUR = 6000  # pages of the demo, and pieces that ask for themselves, for visitors at one address
RESETS_PER_HOUR = 30  # asked for by one caller, for any person
RESET_MAILS_PER_HOUR = 5  # to one person


class TooManyAttempts(DomainError):
    code = "too_many_attempts"
    status = 429

    def __init__(self, detail: str, *, wait: int) -> None:
        super().__init__(detail)
        self.wait = wait  # seconds


def count_attempt(door: str, *, who: str, within: UUID | None = None) -> None:
    """Count one more knock in this hour. Call it before a transaction, so that a refusal inside is counted too.

    `within` a business the same caller is counted apart from their knocks at others.

    :raises TooManyAttempts: from the knock after the last allowed one.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO public.tenants_attemptcount AS known (id, door, who, hour, count)
            VALUES (%s, %s, %s, date_trunc('hour', now()), 1)
            ON CONFLICT (door, who, hour) DO UPDATE SET count = known.count + 1
            RETURNING count, ceil(extract(epoch FROM hour + interval '1 hour' - now()))::int
            """,
            [new_id(), door, _group(who) if within is None else _apart(who, within)],
        )
        count, wait = cursor.fetchone()
    if count > _limit(door):
        raise TooManyAttempts(_("Too many attempts. Try again later."), wait=wait)


def give_back(door: str, *, who: str) -> None:
    """Take back a knock that turned out to be somebody who may enter."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE public.tenants_attemptcount SET count = count - 1"
            " WHERE door = %s AND who = %s AND hour = date_trunc('hour', now()) AND count > 0",
            [door, _group(who)],
        )


def _limit(door: str) -> int:
    """How many knocks an hour: `sign_up` and `sign_in` are settings, written as REST framework writes them."""
    own = {
        "invitation": INVITATIONS_PER_HOUR,
        "prove_again": PROOFS_PER_HOUR,
        "step_link": STEP_LINKS_PER_HOUR,
        "step_answer": STEP_ANSWERS_PER_HOUR,
        "own_claim": OWN_CLAIMS_PER_HOUR,
        "join": JOINS_PER_HOUR,
        "demo": DEMO_VIEWS_PER_HOUR,
        "password_reset": RESETS_PER_HOUR,
        "password_mail": RESET_MAILS_PER_HOUR,
    }
    if door in own:
        return own[door]
    return int(str(api_settings.DEFAULT_THROTTLE_RATES[door]).removesuffix("/hour"))


def _apart(who: str, within: UUID) -> str:
    return hashlib.sha256(f"{within.hex} {_group(who)}".encode()).hexdigest()[:_WHO_LENGTH]


def _group(who: str) -> str:
    """An IPv6 caller owns a whole /64, so the network is counted."""
    try:
        return str(IPv6Network((IPv6Address(who), 64), strict=False))
    except AddressValueError:
        return who
