"""The one family of named refusals that every door turns into its own kind of answer."""

from collections.abc import Mapping, Sequence


class DomainError(Exception):
    """A request that can't be done, with a sentence for the person who made it.

    `code` is stable and for programs, `status` is the HTTP status, `errors` names the fields at fault, if any:
    `{"phone_number": ["Enter a Kenyan number, like 0712 345 678."]}`.
    """

    code = "refused"
    status = 400

    def __init__(self, detail: str, *, errors: Mapping[str, Sequence[str]] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = {field: list(sentences) for field, sentences in (errors or {}).items()}


class NotFound(DomainError):
    """There is no such thing here. A thing of another business is also not here."""

    code = "not_found"
    status = 404


class NotPermitted(DomainError):
    code = "not_permitted"
    status = 403


class Conflict(DomainError):
    """The thing is in a state in which this can't be done."""

    code = "conflict"
    status = 409


class Invalid(DomainError):
    """What was sent can't be used; `errors` says which field and why."""

    code = "invalid"
    status = 400
