"""What every page writes the same way: money, times, phone numbers, states, environments, icons."""

import re
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

from django import template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

import audit.ids

register = template.Library()

_NOTHING = "\N{EN DASH}"
_NO_BREAK = "\N{NO-BREAK SPACE}"
_MINUS = "\N{MINUS SIGN}"
_KENYAN = re.compile(r"254(\d{3})(\d{3})(\d{3})")
_HASH = re.compile(r"[0-9a-f]{64}")


@register.filter
def kes(amount: Decimal | int | None) -> str:
    """`KES 1,234.00`, which does not break over lines."""
    return _money(amount, places=2)


@register.filter
def whole_kes(amount: Decimal | int | None) -> str:
    """`KES 1,234`, for tiles where cents don't matter."""
    return _money(amount, places=0)


def _money(amount: Decimal | int | None, *, places: int) -> str:
    if amount is None:
        return _NOTHING
    sign = _MINUS if amount < 0 else ""
    return f"{sign}KES{_NO_BREAK}{abs(amount):,.{places}f}"


@register.filter
def count(number: int | None) -> str:
    """`1,234`"""
    return _NOTHING if number is None else f"{number:,}"


@register.filter
def when(moment: datetime | None) -> SafeString | str:
    """`21 Nov 2026, 12:30` on the reader's clock, as a `<time>`."""
    if moment is None:
        return _NOTHING
    local = timezone.localtime(moment)
    return _time(local.isoformat(), f"{local.day} {_month(local.year, local.month, get_language())}, {local:%H:%M}")


@register.filter
def clock(moment: datetime | None) -> SafeString | str:
    """`12:30` on the reader's clock, where the day is known."""
    if moment is None:
        return _NOTHING
    local = timezone.localtime(moment)
    return format_html('<time datetime="{}">{}</time>', local.isoformat(), date_format(local, "H:i"))


@register.filter
def day(value: date | None) -> SafeString | str:
    """`21 Nov 2026`"""
    if value is None:
        return _NOTHING
    if isinstance(value, datetime):
        value = timezone.localtime(value).date()
    return _time(value.isoformat(), f"{value.day} {_month(value.year, value.month, get_language())}")


@lru_cache(maxsize=256)
def _month(year: int, month: int, _language: str | None) -> str:
    """`Nov 2026`, in the language in use. Lists and reports write hundreds of days of a few months."""
    return escape(date_format(date(year, month, 1), "M Y"))


def _time(machine: str, words: str) -> SafeString:
    return mark_safe(f'<time datetime="{machine}">{words}</time>')  # noqa: S308  digits, and an escaped month


@register.filter
def phone(number: str) -> str:
    """`0712 345 678`, unbroken; what M-PESA masked stays as it came, and of a hash stands its beginning."""
    if match := _KENYAN.fullmatch(number):
        return f"0{match[1]}{_NO_BREAK}{match[2]}{_NO_BREAK}{match[3]}"
    if _HASH.fullmatch(number):
        return gettext("Hidden number %(start)s") % {"start": number[:8]}
    return number.replace(" ", _NO_BREAK)


@register.filter
def public_id(key: UUID, prefix: str) -> str:
    """`{% url "payment" payment.pk|public_id:"pay" %}`: a key as addresses name it."""
    return audit.ids.public_id(prefix, key)


# The outward states of whatever moves money, and the one word that pages have for each. Accepted is not paid.
_STATES = {
    "pending": _("Waiting"),
    "awaiting_approval": _("Waiting for approval"),
    "succeeded": _("Paid"),
    "failed": _("Not paid"),
    "unknown": _("Not known yet"),
    "reversed": _("Given back"),
}
_STATES_OUT = _STATES | {
    "succeeded": pgettext_lazy("money out", "Sent"),
    "failed": pgettext_lazy("money out", "Not sent"),
}


@register.inclusion_tag("parts/state.html")
def state(status: str, direction: str = "in") -> dict[str, Any]:
    """`{% state payment.status %}`; money that goes out: `{% state payout_status "out" %}`. Outward states only."""
    key = str(status).lower()
    return {"key": key, "word": (_STATES_OUT if direction == "out" else _STATES)[key]}


_ENVIRONMENTS = {
    "practice": (_("Practice"), _("Practice: no real money")),
    "sandbox": (_("Sandbox"), _("Safaricom's sandbox: no real money")),
    "production": (_("Live"), _("Live: real money")),
}


@register.inclusion_tag("parts/environment.html")
def environment(name: str) -> dict[str, Any]:
    """`{% environment channel.environment %}`: word and colour, on every page that shows money."""
    key = str(name).lower()
    word, meaning = _ENVIRONMENTS[key]
    return {"key": key, "word": word, "meaning": meaning}


@register.simple_tag
def icon(name: str) -> SafeString:
    """`{% icon "home" %}`: a drawing of `static/icons.svg`. It stands beside a word, so screen readers skip it."""
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}#{}"/></svg>', static("icons.svg"), name)
