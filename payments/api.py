"""`/api/v1/payments/`, `/api/v1/payment-requests/`, `/api/v1/quarantine/`."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.http import Http404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.ids import UnreadableId, read_public_id
from channels.daraja.explanations import Api, explain
from channels.filters import LowerCaseChoiceFilter, OneEnvironment, PublicIdFilter
from channels.models import Environment
from payments.models import Payment, PaymentRequest
from payments.quarantine import quarantined_callbacks, redrive_callbacks
from payments.queries import payments_of
from payments.requests import payment_requests, request_payment
from tenants.errors import NotFound
from tenants.models import InboundCallback
from tenants.serializer_fields import LowerCaseChoiceField, PublicIdField


class PaymentOutput(serializers.ModelSerializer[Payment]):
    id = PublicIdField("pay")
    channel_id = PublicIdField("ch")
    shortcode = serializers.CharField(source="channel.shortcode")
    environment = LowerCaseChoiceField(Environment)
    source = LowerCaseChoiceField(Payment.Source)  # type: ignore[assignment]  # a serializer has `source` of its own
    currency = serializers.SerializerMethodField()

    class Meta:
        model = Payment
        fields = [
            "id", "receipt", "amount", "currency", "channel_id", "shortcode", "environment", "account_reference",
            "routed_to", "payer", "payer_name", "source", "paid_at",
        ]  # fmt: skip

    def get_currency(self, payment: Payment) -> str:
        return "KES"


class PaymentFilters(OneEnvironment):
    paid_from = django_filters.IsoDateTimeFilter("paid_at", "gte")
    paid_before = django_filters.IsoDateTimeFilter("paid_at", "lt")
    channel = PublicIdFilter("ch", field_name="channel_id")
    account_reference = django_filters.CharFilter("account_reference", "iexact")
    receipt = django_filters.CharFilter("receipt", "iexact")
    amount = django_filters.NumberFilter("amount")
    amount_min = django_filters.NumberFilter("amount", "gte")
    amount_max = django_filters.NumberFilter("amount", "lte")


class RequestFilters(OneEnvironment):
    channel = PublicIdFilter("ch", field_name="channel_id")
    account_reference = django_filters.CharFilter("account_reference", "iexact")
    receipt = django_filters.CharFilter("payment__receipt", "iexact")
    amount = django_filters.NumberFilter("amount")
    status = LowerCaseChoiceFilter(PaymentRequest.Status, field_name="status")


@extend_schema(tags=["payments"])
class PaymentList(ListAPIView[Payment]):
    """Payments of one environment, newest first. Without `environment` it is the primary channel's."""

    serializer_class = PaymentOutput
    filterset_class = PaymentFilters
    queryset = Payment.objects.none()
    ordering = ("-paid_at", "-id")

    def get_queryset(self) -> QuerySet[Payment]:
        return payments_of(actor=self.request.actor)  # type: ignore[attr-defined]


@extend_schema(tags=["payments"])
class PaymentDetail(APIView):
    @extend_schema(responses=PaymentOutput)
    def get(self, request: Request, payment_id: str) -> Response:
        payment = payments_of(actor=request.actor).filter(pk=_read("pay", payment_id)).first()  # type: ignore[attr-defined]
        if payment is None:
            raise NotFound("There is no such payment.")
        return Response(PaymentOutput(payment).data)


class PaymentRequestInput(serializers.Serializer[Any]):
    phone_number = serializers.CharField(max_length=40, help_text="In any local form: 0712 345 678, +254712345678 …")
    amount = serializers.IntegerField(min_value=1, max_value=250_000, help_text="KES, whole shillings")
    account_reference = serializers.RegexField(
        r"^[A-Za-z0-9 ._/-]{1,12}$",
        error_messages={"invalid": "Use at most 12 letters and digits, like INV-204."},
    )
    transaction_desc = serializers.CharField(max_length=13, default="Payment")
    channel = PublicIdField("ch", required=False)


class PaymentRequestOutput(serializers.ModelSerializer[PaymentRequest]):
    """`status` is what counts: `pending`, `succeeded`, `failed` or `unknown`. `reason` says it in plain words."""

    id = PublicIdField("preq")
    channel_id = PublicIdField("ch")
    environment = LowerCaseChoiceField(Environment)
    status = LowerCaseChoiceField(PaymentRequest.Status)
    payment_id = PublicIdField("pay", allow_null=True)
    receipt = serializers.CharField(source="payment.receipt", default=None, allow_null=True)
    reason = serializers.SerializerMethodField()
    do_now = serializers.SerializerMethodField()

    class Meta:
        model = PaymentRequest
        fields = [
            "id", "status", "phone_number", "amount", "account_reference", "transaction_desc", "channel_id",
            "environment", "receipt", "payment_id", "reason", "do_now", "result_code", "result_desc",
            "checkout_request_id", "accepted_at", "created_at", "finished_at",
        ]  # fmt: skip

    def get_reason(self, request: PaymentRequest) -> str:
        match request.status:
            case PaymentRequest.Status.PENDING if request.accepted_at:
                return "The customer has the prompt on the phone and has not answered yet."
            case PaymentRequest.Status.PENDING:
                return "We are asking Safaricom to prompt the phone."
            case PaymentRequest.Status.SUCCEEDED:
                return "The customer paid."
            case PaymentRequest.Status.UNKNOWN:
                return "Safaricom has not told us what happened. The customer may have paid."
        return explain(Api.STK, request.result_code, request.result_desc).meaning

    def get_do_now(self, request: PaymentRequest) -> str:
        match request.status:
            case PaymentRequest.Status.PENDING | PaymentRequest.Status.SUCCEEDED:
                return ""
            case PaymentRequest.Status.UNKNOWN:
                return "Look for the payment in your M-PESA records before you ask the customer again."
        return explain(Api.STK, request.result_code, request.result_desc).do_now


@extend_schema(tags=["payment requests"])
class PaymentRequestList(ListAPIView[PaymentRequest]):
    """Ask a customer's phone for a payment (STK Push), and see what was asked."""

    serializer_class = PaymentRequestOutput
    filterset_class = RequestFilters
    queryset = PaymentRequest.objects.none()
    ordering = ("-id",)

    def get_queryset(self) -> QuerySet[PaymentRequest]:
        return payment_requests(actor=self.request.actor)  # type: ignore[attr-defined]

    @extend_schema(request=PaymentRequestInput, responses={202: PaymentRequestOutput})
    def post(self, request: Request) -> Response:
        given = PaymentRequestInput(data=request.data)
        given.is_valid(raise_exception=True)
        values = given.validated_data
        asked = request_payment(
            actor=request.actor,  # type: ignore[attr-defined]
            phone_number=values["phone_number"],
            amount=values["amount"],
            account_reference=values["account_reference"],
            transaction_desc=values["transaction_desc"],
            channel_id=values.get("channel"),
        )
        return Response(PaymentRequestOutput(asked).data, status=status.HTTP_202_ACCEPTED)


@extend_schema(tags=["payment requests"])
class PaymentRequestDetail(APIView):
    @extend_schema(responses=PaymentRequestOutput)
    def get(self, request: Request, request_id: str) -> Response:
        asked = payment_requests(actor=request.actor).filter(pk=_read("preq", request_id)).first()  # type: ignore[attr-defined]
        if asked is None:
            raise NotFound("There is no such payment request.")
        return Response(PaymentRequestOutput(asked).data)


class QuarantineOutput(serializers.ModelSerializer[InboundCallback]):
    id = PublicIdField("cb")
    channel_id = PublicIdField("ch", allow_null=True)
    kind = LowerCaseChoiceField(InboundCallback.Kind)
    reason = LowerCaseChoiceField(InboundCallback.Reason)
    body = serializers.SerializerMethodField()

    class Meta:
        model = InboundCallback
        fields = ["id", "kind", "reason", "error", "channel_id", "received_at", "address", "body"]

    def get_body(self, callback: InboundCallback) -> str:
        """As it came; bytes that are no text are shown as �."""
        return bytes(callback.body).decode("utf-8", "replace")


@extend_schema(tags=["quarantine"])
class QuarantineList(ListAPIView[InboundCallback]):
    """Deliveries from M-PESA that did not fit and have had no effect, newest first, each with its reason."""

    serializer_class = QuarantineOutput
    queryset = InboundCallback.objects.none()
    ordering = ("-id",)

    def get_queryset(self) -> QuerySet[InboundCallback]:
        return quarantined_callbacks(actor=self.request.actor)  # type: ignore[attr-defined]


@extend_schema(
    tags=["quarantine"],
    parameters=[OpenApiParameter("callback_id", OpenApiTypes.STR, OpenApiParameter.PATH)],
    request=None,
    responses={202: None},
)
class QuarantineRedrive(APIView):
    """Apply one of them again. Whoever asks vouches for the address it came from; all else is judged afresh."""

    def post(self, request: Request, callback_id: str) -> Response:
        if not redrive_callbacks(actor=request.actor, callback_ids=[_read("cb", callback_id)]):  # type: ignore[attr-defined]
            raise NotFound("There is no such delivery in quarantine.")
        return Response(status=status.HTTP_202_ACCEPTED)


def _read(prefix: str, text: str) -> Any:
    try:
        return read_public_id(prefix, text)
    except UnreadableId:
        raise Http404 from None
