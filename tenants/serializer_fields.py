"""How our values look in the API: `ch_01k…` identifiers, states in lower case."""

from typing import Any
from uuid import UUID

from django.db import models
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from audit.ids import UnreadableId, public_id, read_public_id
from tenants.errors import NotFound


@extend_schema_field(OpenApiTypes.STR)
class PublicIdField(serializers.Field):  # type: ignore[type-arg]
    """A UUID inside, `prefix_…` outside."""

    default_error_messages = {"unreadable": "This is not an identifier of the right kind: it begins with “{prefix}_”."}

    def __init__(self, prefix: str, **kwargs: Any) -> None:
        self.prefix = prefix
        super().__init__(**kwargs)

    def to_representation(self, value: UUID) -> str:
        return public_id(self.prefix, value)

    def to_internal_value(self, data: Any) -> UUID:
        try:
            return read_public_id(self.prefix, data if isinstance(data, str) else "")
        except UnreadableId:
            self.fail("unreadable", prefix=self.prefix)


class LowerCaseChoiceField(serializers.ChoiceField):
    """Stored `TRIAL`, shown and read `trial`."""

    def __init__(self, choices: type[models.TextChoices], **kwargs: Any) -> None:
        super().__init__(choices=[(value.lower(), label) for value, label in choices.choices], **kwargs)

    def to_representation(self, value: Any) -> str:
        return str(value).lower()

    def to_internal_value(self, data: Any) -> str:
        return str(super().to_internal_value(data)).upper()

    def get_default(self) -> Any:
        """A default is written as it is shown, and stored like everything else."""
        default = super().get_default()
        return default.upper() if isinstance(default, str) else default


def id_in_url(prefix: str, text: str) -> UUID:
    """The identifier that a path names.

    :raises NotFound: if it is none of this kind: there can't be such a thing.
    """
    try:
        return read_public_id(prefix, text)
    except UnreadableId:
        raise NotFound(_("There is no such thing here.")) from None


class Problem(serializers.Serializer):  # type: ignore[type-arg]
    """Every refusal, as `application/problem+json`."""

    type = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField(help_text="Stable, for programs.")
    detail = serializers.CharField(help_text="A sentence for people.")
    errors = serializers.DictField(  # type: ignore[assignment]  # the name is the standard's
        child=serializers.ListField(child=serializers.CharField()), help_text="Sentences by the field they are about."
    )
    request_id = serializers.CharField()


def refusals(*statuses: int) -> dict[tuple[int, str], type[Problem]]:
    """What an operation may answer instead, for the API's description."""
    return {(status, "application/problem+json"): Problem for status in statuses}
