"""What every group of the money API reads alike."""

from collections.abc import Sequence
from typing import Any

from rest_framework import serializers
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.views import APIView

from channels.daraja.verdicts import Verdict
from channels.filters import usual_environment
from channels.models import Environment
from tenants.errors import DomainError
from tenants.parsers import JSONParser
from tenants.serializer_fields import LowerCaseChoiceField

_AROUND_A_FILE = 100_000  # bytes: the other fields of a form


class TooLarge(DomainError):
    code = "too_large"
    status = 413


class FileDoor(APIView):
    """Takes JSON, or a form with a file. What says that it is too large is refused before any of it is read."""

    parser_classes: Sequence[type[BaseParser]] = (JSONParser, MultiPartParser)
    maximum_bytes: int

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if int(request.META.get("CONTENT_LENGTH") or 0) > self.maximum_bytes + _AROUND_A_FILE:
            raise TooLarge(f"This is larger than {self.maximum_bytes // 1_000_000} MB. Split it.")
        super().initial(request, *args, **kwargs)


class ProofInput(serializers.Serializer[Any]):
    """Who you are, proved again. One of the two is enough."""

    password = serializers.CharField(max_length=128, required=False, trim_whitespace=False, write_only=True)
    second_factor = serializers.CharField(
        max_length=32, required=False, write_only=True, help_text="Six digits of the authenticator, or a recovery code."
    )


class CancellationInput(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=254, required=False, default="", allow_blank=True)


class DecisionInput(serializers.Serializer[Any]):
    """What a person found out about money of which M-PESA could not say whether it moved."""

    verdict = serializers.ChoiceField(
        [Verdict.SUCCEEDED.value, Verdict.FAILED.value], help_text="As the M-PESA portal shows it."
    )
    receipt = serializers.CharField(
        max_length=20, required=False, default="", allow_blank=True, help_text="M-PESA's, if the money moved."
    )
    note = serializers.CharField(max_length=254, help_text="How you found out.")


class EnvironmentQuery(serializers.Serializer[Any]):
    environment = LowerCaseChoiceField(Environment, required=False, help_text="By default the primary channel's.")


def environment_in(data: Any) -> str:
    """The environment that a query or a body names, else the primary channel's.

    :raises ValidationError: if it names none that there is.
    """
    given = EnvironmentQuery(data=data)
    given.is_valid(raise_exception=True)
    return given.validated_data.get("environment") or usual_environment()
