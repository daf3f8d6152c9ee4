"""`/api/v1/qr-codes/`: codes and posters with which M-PESA's app pays a channel."""

from typing import Any

from django.http import HttpResponse
from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.views import APIView

from channels.qr import Form, Paper, make_qr_code
from tenants.serializer_fields import PublicIdField, refusals


class QrCodeInput(serializers.Serializer[Any]):
    channel = PublicIdField("ch")
    account_reference = serializers.RegexField(
        r"^[A-Za-z0-9 ._/-]{1,12}$",
        error_messages={"invalid": "Use at most 12 letters and digits, like INV-204."},
        help_text="What the customer pays for; of a PayBill, its account number.",
    )
    amount = serializers.IntegerField(
        min_value=1, max_value=250_000, help_text="KES, whole shillings. Safaricom makes no code without an amount."
    )
    format = serializers.ChoiceField([form.value for form in Form], default=Form.PNG.value)
    paper = serializers.ChoiceField([paper.value for paper in Paper], default=Paper.A5.value, help_text="Of a PDF.")


class QrCodes(APIView):
    @extend_schema(
        tags=["channels"],
        summary="Make a QR code, or a poster with it",
        request=QrCodeInput,
        responses={
            (200, "image/png"): OpenApiTypes.BINARY,
            (200, "image/svg+xml"): OpenApiTypes.BINARY,
            (200, "application/pdf"): OpenApiTypes.BINARY,
        }
        | refusals(400, 401, 403, 404, 409, 503),
    )
    def post(self, request: Request) -> HttpResponse:
        """`png` is the picture as Safaricom made it, `svg` holds the same picture, `pdf` is a poster to print.

        Nothing is kept: ask again for the same code.
        """
        given = QrCodeInput(data=request.data)
        given.is_valid(raise_exception=True)
        made = make_qr_code(
            channel_id=given.validated_data["channel"],
            account_reference=given.validated_data["account_reference"],
            amount=given.validated_data["amount"],
            form=Form(given.validated_data["format"]),
            paper=Paper(given.validated_data["paper"]),
            actor=request.actor,  # type: ignore[attr-defined]
        )
        return HttpResponse(
            made.content,
            content_type=made.content_type,
            headers={"Content-Disposition": f'attachment; filename="{made.name}"'},
        )


urlpatterns = [path("qr-codes/", QrCodes.as_view())]
