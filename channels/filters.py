"""How lists are filtered in the API: by our identifiers, by states in lower case, and in one environment at a time."""

from typing import Any, ClassVar
from uuid import UUID

import django_filters
from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field

from audit.ids import UnreadableId, read_public_id
from channels.models import Environment, MpesaChannel


class _PublicIdFormField(forms.Field):
    def __init__(self, *, prefix: str, **kwargs: Any) -> None:
        self._prefix = prefix
        super().__init__(**kwargs)

    def to_python(self, value: Any) -> UUID | None:
        try:
            return read_public_id(self._prefix, value) if value else None
        except UnreadableId:
            sentence = f"This is not an identifier of the right kind: it begins with “{self._prefix}_”."
            raise ValidationError(sentence) from None


@extend_schema_field(OpenApiTypes.STR)
class PublicIdFilter(django_filters.Filter):  # type: ignore[misc]
    """Takes `prog_…`; what can't be read is a clear error, not an empty list."""

    field_class = _PublicIdFormField

    def __init__(self, prefix: str, *, field_name: str) -> None:
        super().__init__(field_name, prefix=prefix)


class LowerCaseChoiceFilter(django_filters.ChoiceFilter):  # type: ignore[misc]
    """Takes `practice` for what is stored as `PRACTICE`."""

    def __init__(self, choices: type[models.TextChoices], **kwargs: Any) -> None:
        super().__init__(choices=[(value.lower(), label) for value, label in choices.choices], **kwargs)

    def filter(self, qs: QuerySet[Any], value: str) -> QuerySet[Any]:
        return super().filter(qs, value.upper() if value else value)  # type: ignore[no-any-return]


class OneEnvironment(django_filters.FilterSet):  # type: ignore[misc]
    """A list of one environment: the one that is asked for, else the primary channel's.

    Practice money never stands beside real money, whatever is asked. `path` leads from the rows to the column.
    """

    path: ClassVar[str] = "environment"
    environment = LowerCaseChoiceFilter(Environment, method="_in_environment")

    def _in_environment(self, queryset: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return queryset.filter(**{self.path: value.upper()})

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.form.cleaned_data.get("environment"):
            queryset = queryset.filter(**{self.path: usual_environment()})
        return super().filter_queryset(queryset)  # type: ignore[no-any-return]


def usual_environment() -> str:
    """The environment that a list shows when nobody names one: the primary channel's."""
    environment = MpesaChannel.objects.filter(is_primary=True).values_list("environment", flat=True).first()
    return environment or Environment.PRACTICE


def environment_of_customers() -> str:
    """Where customers who come by themselves belong: to real money once a live channel takes it."""
    live = MpesaChannel.objects.filter(environment=Environment.PRODUCTION, status=MpesaChannel.Status.ACTIVE)
    return Environment.PRODUCTION if live.exists() else usual_environment()
