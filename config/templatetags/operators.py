"""What Django's admin hands to its templates, in our words and for phones."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst
from django.utils.translation import gettext as _

register = template.Library()

_NOTHING = "\N{EN DASH}"
_YES_OR_NO = re.compile(r'<img [^>]*alt="(True|False|None)"[^>]*>')


@register.filter
def label(name: Any) -> str:
    """What a column is called, in words that the catalogue has by `config.admin.labels`; a box to tick is no name."""
    return "" if isinstance(name, SafeString) else capfirst(_(str(name)))


@register.filter
def under(cells: Sequence[SafeString], headers: Sequence[dict[str, Any]]) -> Iterator[SafeString]:
    """A row's cells, each with the name of its column on it: phones show them below each other."""
    for cell, header in zip(cells, headers, strict=True):
        start, rest = cell[:3], mark_safe(in_words(cell)[3:])  # noqa: S308  # it is HTML of the admin's
        tag = mark_safe(f'{start} scope="row"' if start == "<th" else start)  # noqa: S308
        yield format_html('{} data-label="{}"{}', tag, label(header["text"]), rest)


@register.filter
def in_words(contents: SafeString | str) -> SafeString | str:
    """Yes and no as words, where the admin has pictures with an English text."""
    if not isinstance(contents, SafeString):
        return contents
    words = {"True": _("Yes"), "False": _("No"), "None": _NOTHING}
    return mark_safe(_YES_OR_NO.sub(lambda found: words[found[1]], contents))  # noqa: S308
