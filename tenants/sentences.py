"""Sentences that are kept, and said in the language of whoever reads them.

A worker knows no reader. What it keeps for people is `say("%(name)s holds KES %(amount)s.", name=…, amount=…)`: as text
that is English, and so it is for the API and the log. A `SentenceField`, and a JSONField with `SentenceEncoder` and
`SentenceDecoder`, keep what it is made of. A template says it in the reader's language, and so does `told`.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from django.db import models
from django.utils import translation
from django.utils.formats import date_format
from django.utils.html import escape
from django.utils.safestring import SafeString

from tenants.clock import NAIROBI

if TYPE_CHECKING:
    _TextField = models.TextField[str, str]
else:
    _TextField = models.TextField

_KEPT = '{"msgid": '  # how the text of a sentence that is kept begins, and no other text


@dataclass(frozen=True, slots=True)
class Day:
    """A date within a sentence: `21 November 2026`, or `21 November`."""

    date: date
    has_year: bool = True


Value = str | int | Day  # a Sentence is a str


class Sentence(str):
    """A sentence of ours: English as text, the reader's language in a template. `say` and `say_many` make them."""

    msgid: str
    many: str  # with its plural, whose number is `params["count"]`
    params: Mapping[str, Value]

    def __new__(
        cls, english: str, *, msgid: str = "", many: str = "", params: Mapping[str, Value] | None = None
    ) -> "Sentence":
        self = super().__new__(cls, english)
        self.msgid, self.many, self.params = msgid, many, params or {}
        return self

    def __html__(self) -> SafeString:
        return escape(told(self).replace("KES ", "KES\N{NO-BREAK SPACE}"))  # an amount does not break over lines


def say(msgid: str, /, **params: Value) -> Sentence:
    """A sentence whose `%(name)s` are filled from `params`; `./tuzo manage catalogue` finds it here."""
    return _sentence(msgid, "", params)


def say_many(one: str, many: str, /, *, count: int, **params: Value) -> Sentence:
    """A sentence about `%(count)s` things."""
    return _sentence(one, many, {"count": count} | params)


def told(text: str) -> str:
    """What was kept, in the present language; text that is no sentence of ours stays as it is."""
    if not isinstance(text, Sentence):
        return text
    if text.many:
        said = translation.ngettext(text.msgid, text.many, _count_in(text.params))
    else:
        said = translation.gettext(text.msgid)
    return _filled(said, text.params, _in_present_language)


def joined(first: str, *others: str) -> str:
    """Sentences one after the other."""
    for other in others:
        first = say("%(first)s %(then)s", first=first, then=other) if first else other
    return first


def moment(at: datetime) -> Sentence:
    """`21 November 2026 at 12:30`, on Kenya's clock."""
    local = at.astimezone(NAIROBI)
    return say("%(day)s at %(time)s", day=Day(local.date()), time=f"{local:%H:%M}")


def fitting(text: str, most: int) -> str:
    """The text if it has at most so many characters; else the beginning of its English."""
    return text if len(text) <= most else text[:most]


def _sentence(msgid: str, many: str, params: Mapping[str, Value]) -> Sentence:
    english = many if many and _count_in(params) != 1 else msgid
    return Sentence(_filled(english, params, _in_english), msgid=msgid, many=many, params=params)


def _count_in(params: Mapping[str, Value]) -> int:
    return int(str(params["count"]))


def _filled(text: str, params: Mapping[str, Value], words: Callable[[Value], str]) -> str:
    return text % {name: words(value) for name, value in params.items()} if params else text


def _in_english(value: Value) -> str:
    match value:
        case str():
            return str(value)
        case int():
            return f"{value:,}"
    return f"{value.date:%-d %B %Y}" if value.has_year else f"{value.date:%-d %B}"


def _in_present_language(value: Value) -> str:
    match value:
        case str():
            return told(value)
        case int():
            return f"{value:,}"
    return date_format(value.date, "j F Y" if value.has_year else "j F")


# -- Keeping ----------------------------------------------------------------------------------------------------------


def kept(text: str) -> str:
    """The text as a column of text keeps it; for SQL of our own.

    Words of others that look like a sentence that is kept, which they may by malice, are kept as one without places.
    """
    if text.startswith(_KEPT) and not isinstance(text, Sentence):
        text = Sentence(text, msgid=text)
    return json.dumps(_as_json(text)) if isinstance(text, Sentence) else str(text)


def _as_json(value: Any) -> Any:
    """Plain values in place of sentences, however deep they lie."""
    match value:
        case Sentence():
            plain = {"msgid": value.msgid, "many": value.many, "params": _as_json(value.params)}
            return {name: part for name, part in plain.items() if part}
        case Day():
            return {"day": value.date.isoformat(), "has_year": value.has_year}
        case dict():
            return {key: _as_json(part) for key, part in value.items()}
        case list() | tuple():
            return [_as_json(part) for part in value]
    return value


def _from_json(plain: dict[str, Any]) -> Any:
    if "msgid" in plain:
        return _sentence(plain["msgid"], plain.get("many", ""), plain.get("params", {}))
    if plain.keys() == {"day", "has_year"}:
        return Day(date.fromisoformat(plain["day"]), plain["has_year"])
    return plain


class SentenceEncoder(json.JSONEncoder):
    """Keeps sentences within the values of a JSONField."""

    def encode(self, o: Any) -> str:
        return super().encode(_as_json(o))


class SentenceDecoder(json.JSONDecoder):
    def __init__(self) -> None:
        super().__init__(object_hook=_from_json)


class SentenceField(_TextField):
    """Text that may be a sentence of ours, and may be anybody's own words."""

    def from_db_value(self, value: str | None, _expression: Any, _connection: Any) -> str | None:
        if value is not None and value.startswith(_KEPT):
            sentence: str = json.loads(value, cls=SentenceDecoder)
            return sentence
        return value

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return kept(value) if isinstance(value, str) else value
