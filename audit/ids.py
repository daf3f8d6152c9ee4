"""What our identifiers look like: UUIDv7 inside (they sort by time), `pay_01k…` outside.

The outside form is a prefix that names the kind and 26 characters of Crockford's base 32 in lower case, so that an
identifier pasted into the wrong place is recognised as such.
"""

import uuid
from datetime import datetime
from typing import Any

import uuid_utils.compat
from django.db import models

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_LENGTH = 26


class UnreadableId(ValueError):
    """The text is not an identifier of the kind that was asked for."""


def new_id() -> uuid.UUID:
    """A new UUIDv7 of Python's own UUID type."""
    return uuid_utils.compat.uuid7()


def first_id_at(moment: datetime) -> uuid.UUID:
    """The lowest UUIDv7 of that millisecond: rows made since then have this key or a higher one."""
    return uuid.UUID(int=int(moment.timestamp() * 1000) << 80)


def public_id(prefix: str, value: uuid.UUID) -> str:
    """`public_id("pay", payment.pk)` → `"pay_01k9…"`."""
    number = value.int
    characters = []
    for _ in range(_LENGTH):
        number, remainder = divmod(number, 32)
        characters.append(_ALPHABET[remainder])
    return f"{prefix}_{''.join(reversed(characters))}"


def read_public_id(prefix: str, text: str) -> uuid.UUID:
    """The UUID behind `text`.

    :raises UnreadableId: if it is not of this kind, or no identifier at all.
    """
    kind, _, rest = text.partition("_")
    if kind != prefix or len(rest) != _LENGTH:
        raise UnreadableId(text)
    number = 0
    for character in rest:
        if character not in _VALUES:
            raise UnreadableId(text)
        number = number * 32 + _VALUES[character]
    if number >> 128:
        raise UnreadableId(text)
    return uuid.UUID(int=number)


class UUIDv7Field(models.UUIDField):  # type: ignore[type-arg]
    """A primary key that is made by us, not by the database, and sorts by the time it was made.

    `prefix` is what the outside form begins with; empty where the thing is never named outside.
    """

    def __init__(self, *args: Any, prefix: str = "", **kwargs: Any) -> None:
        self.prefix = prefix
        kwargs.setdefault("default", new_id)
        kwargs.setdefault("editable", False)
        super().__init__(*args, **kwargs)
