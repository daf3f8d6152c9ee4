"""What the simulator's own JSON doors (control and phone) share: reading fields and refusing in a sentence."""

import json
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

Choice = TypeVar("Choice", bound=StrEnum)


class Refused(Exception):
    """A request that cannot be done; the sentence goes back as ``{"error": sentence}``."""

    def __init__(self, sentence: str, status: int = 422) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.status = status


async def refusal(_request: Request, refused: Exception) -> Response:
    """Answer a `Refused` that was raised in an endpoint."""
    assert isinstance(refused, Refused)  # noqa: S101 - Starlette's handler type is wider than what it passes
    return JSONResponse({"error": refused.sentence}, refused.status)


def money(cents: int) -> str:
    """Cents as shillings, for example ``5000.00``."""
    return f"{Decimal(cents) / 100:.2f}"


class Fields:
    """The fields of a JSON object, read one by one; `done` refuses what nobody asked for."""

    def __init__(self, body: dict[str, object]) -> None:
        self._left = dict(body)

    @classmethod
    async def of(cls, request: Request) -> "Fields":
        """Read the body of a request, which must be declared as JSON so that no page of another site can post it."""
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type != "application/json":
            raise Refused("Send JSON, with Content-Type: application/json.", 415)
        try:
            body = json.loads(await request.body() or b"{}")
        except ValueError:
            raise Refused("The body is not JSON.", 400) from None
        if not isinstance(body, dict):
            raise Refused("The body must be a JSON object.", 400)
        return cls(body)

    def has(self, name: str) -> bool:
        """Whether the field was sent."""
        return name in self._left

    def text(self, name: str, default: str | None = None, *, longest: int = 200) -> str:
        """A string (numbers are taken as their digits); without a default it is required."""
        value = self._left.pop(name, default)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or (default is None and not value.strip()):
            raise Refused(f"{name} is required, as text.")
        if len(value) > longest:
            raise Refused(f"{name} may have {longest} characters at most.")
        return value.strip()

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self._left.pop(name, default)
        if not isinstance(value, bool):
            raise Refused(f"{name} must be true or false.")
        return value

    def choice(self, name: str, kind: type[Choice], default: Choice | None = None) -> Choice:
        """One of the values of an enum; without a default it is required."""
        value = self._left.pop(name, default)
        try:
            return kind(str(value))
        except ValueError:
            raise Refused(f"{name} must be one of: {', '.join(kind)}.") from None

    def seconds(self, name: str) -> float | None:
        """A number of seconds, from 0 to an hour; None when not sent."""
        value = self._left.pop(name, None)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 3600:
            raise Refused(f"{name} must be a number of seconds from 0 to 3600.")
        return float(value)

    def whole(self, name: str, default: int | None, *, least: int, most: int) -> int:
        """A whole number within limits; without a default it is required."""
        value = self._left.pop(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise Refused(f"{name} must be a whole number from {least} to {most}.")
        return value

    def amount(self, name: str) -> str:
        """An amount as it was written, number or text; what makes sense is for the reader to say."""
        value = self._left.pop(name, None)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise Refused(f"{name} is required, in shillings.")
        return str(value)

    def cents(self, name: str) -> int:
        """Money in shillings, as a number or as text, to the cent."""
        value = self._left.pop(name, None)
        try:
            shillings = Decimal(str(value).replace(",", ""))
        except InvalidOperation:
            raise Refused(f"{name} must be an amount in shillings.") from None
        if not shillings.is_finite() or abs(shillings) > 10**12 or shillings * 100 != int(shillings * 100):
            raise Refused(f"{name} must be an amount in shillings.")
        return int(shillings * 100)

    def texts(self, name: str) -> list[str]:
        """A list of strings; empty when not sent."""
        value = self._left.pop(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise Refused(f"{name} must be a list of texts.")
        return value

    def inner(self, name: str) -> "Fields":
        """A JSON object within the object; empty when not sent."""
        value = self._left.pop(name, {})
        if not isinstance(value, dict):
            raise Refused(f"{name} must be a JSON object.")
        return Fields(value)

    def inners(self, name: str) -> "list[Fields]":
        """A list of JSON objects within the object; empty when not sent."""
        value = self._left.pop(name, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise Refused(f"{name} must be a list of JSON objects.")
        return [Fields(item) for item in value]

    def done(self) -> None:
        """Refuse fields that nobody read: a misspelt one must not be ignored silently."""
        if self._left:
            raise Refused(f"{', '.join(sorted(self._left))}: not a field here.")
