"""`/api/v1/payments/`, `/api/v1/day-totals/`, `/api/v1/payment-requests/`, `/api/v1/quarantine/`."""

from typing import Any, ClassVar

import django_filters
from django.db.models import QuerySet
from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from channels.filters import LowerCaseChoiceFilter, OneEnvironment, PublicIdFilter
from channels.idempotency import IDEMPOTENCY_KEY, answer_once, environment_of
from channels.models import Environment
from payments.api.filters import AccountFilter
from payments.models import DayTotal, Payment, PaymentRequest
from payments.quarantine import quarantined_callbacks, redrive_callbacks
from payments.queries import day_totals_of, payments_of, read_payment
from payments.request_words import why_not_paid
from payments.requests import payment_requests, request_payment
from tenants.errors import NotFound
from tenants.models import InboundCallback
from tenants.serializer_fields import LowerCaseChoiceField, PublicIdField, id_in_url


class PaymentOutput(serializers.ModelSerializer[Payment]):
    id = PublicIdField("pay")
    channel_id = PublicIdField("ch")
    shortcode = serializers.CharField(source="channel.shortcode")
    environment = LowerCaseChoiceField(Environment)
    source = LowerCaseChoiceField(Payment.Source)  # type: ignore[assignment]  # a serializer has `source` of its own
    currency = serializers.SerializerMethodField()
    status = serializers.SerializerMethodField()

    class Meta:
        model = Payment
        fields = [
            "id", "status", "receipt", "amount", "charge", "currency", "channel_id", "shortcode", "environment",
            "account_reference", "routed_to", "payer", "payer_name", "source", "paid_at", "reversed_at",
        ]  # fmt: skip
        extra_kwargs = {"charge": {"help_text": "KES that M-PESA kept of it; null while M-PESA has not said."}}

    @extend_schema_field(serializers.ChoiceField(["succeeded", "reversed"]))
    def get_status(self, payment: Payment) -> str:
        return "reversed" if payment.reversed_at else "succeeded"

    def get_currency(self, payment: Payment) -> str:
        return "KES"


class PaymentFilters(OneEnvironment):
    paid_from = django_filters.IsoDateTimeFilter("paid_at", "gte")
    paid_before = django_filters.IsoDateTimeFilter("paid_at", "lt")
    channel = PublicIdFilter("ch", field_name="channel_id")
    account_reference = AccountFilter()
    receipt = django_filters.CharFilter("receipt", "iexact")
    amount = django_filters.NumberFilter("amount")
    amount_min = django_filters.NumberFilter("amount", "gte")
    amount_max = django_filters.NumberFilter("amount", "lte")


class RequestFilters(OneEnvironment):
    channel = PublicIdFilter("ch", field_name="channel_id")
    account_reference = AccountFilter()
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
        payment = read_payment(actor=request.actor, payment_id=id_in_url("pay", payment_id))  # type: ignore[attr-defined]
        return Response(PaymentOutput(payment).data)


class DayTotalOutput(serializers.ModelSerializer[DayTotal]):
    """KES. `net` is what is left of `amount` after what was given back and what M-PESA kept, as far as it has said."""

    channel_id = PublicIdField("ch")
    net = serializers.DecimalField(max_digits=16, decimal_places=2)

    class Meta:
        model = DayTotal
        fields = [
            "date", "channel_id", "payment_count", "amount", "reversed_count", "reversed_amount", "charges", "net",
        ]  # fmt: skip


class DayTotalFilters(OneEnvironment):
    path: ClassVar[str] = "channel__environment"
    channel = PublicIdFilter("ch", field_name="channel_id")
    date_from = django_filters.DateFilter("date", "gte")
    date_until = django_filters.DateFilter("date", "lte")


@extend_schema(tags=["payments"])
class DayTotalList(ListAPIView[DayTotal]):
    """What each channel of one environment took on each day of Kenya's clock, the newest day first."""

    serializer_class = DayTotalOutput
    filterset_class = DayTotalFilters
    queryset = DayTotal.objects.none()
    ordering = ("-date", "-id")

    def get_queryset(self) -> QuerySet[DayTotal]:
        return day_totals_of(actor=self.request.actor)  # type: ignore[attr-defined]


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
        return why_not_paid(request)[0]

    def get_do_now(self, request: PaymentRequest) -> str:
        match request.status:
            case PaymentRequest.Status.PENDING | PaymentRequest.Status.SUCCEEDED:
                return ""
            case PaymentRequest.Status.UNKNOWN:
                return "Look for the payment in your M-PESA records before you ask the customer again."
        return why_not_paid(request)[1]


@extend_schema(tags=["payment requests"])
class PaymentRequestList(ListAPIView[PaymentRequest]):
    """Ask a customer's phone for a payment (STK Push), and see what was asked."""

    serializer_class = PaymentRequestOutput
    filterset_class = RequestFilters
    queryset = PaymentRequest.objects.none()
    ordering = ("-id",)

    def get_queryset(self) -> QuerySet[PaymentRequest]:
        return payment_requests(actor=self.request.actor)  # type: ignore[attr-defined]

    @extend_schema(parameters=[IDEMPOTENCY_KEY], request=PaymentRequestInput, responses={202: PaymentRequestOutput})
    def post(self, request: Request) -> Response:
        given = PaymentRequestInput(data=request.data)
        given.is_valid(raise_exception=True)
        values = given.validated_data
        channel_id = values.get("channel")

        def ask() -> tuple[int, Any]:
            asked = request_payment(
                actor=request.actor,  # type: ignore[attr-defined]
                phone_number=values["phone_number"],
                amount=values["amount"],
                account_reference=values["account_reference"],
                transaction_desc=values["transaction_desc"],
                channel_id=channel_id,
            )
            return status.HTTP_202_ACCEPTED, PaymentRequestOutput(asked).data

        return answer_once(request, environment=environment_of(channel_id), work=ask)


@extend_schema(tags=["payment requests"])
class PaymentRequestDetail(APIView):
    @extend_schema(responses=PaymentRequestOutput)
    def get(self, request: Request, request_id: str) -> Response:
        asked = payment_requests(actor=request.actor).filter(pk=id_in_url("preq", request_id)).first()  # type: ignore[attr-defined]
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
        if not redrive_callbacks(actor=request.actor, callback_ids=[id_in_url("cb", callback_id)]):  # type: ignore[attr-defined]
            raise NotFound("There is no such delivery in quarantine.")
        return Response(status=status.HTTP_202_ACCEPTED)


urlpatterns = [
    path("payments/", PaymentList.as_view()),
    path("payments/<str:payment_id>/", PaymentDetail.as_view()),
    path("day-totals/", DayTotalList.as_view()),
    path("payment-requests/", PaymentRequestList.as_view()),
    path("payment-requests/<str:request_id>/", PaymentRequestDetail.as_view()),
    path("quarantine/", QuarantineList.as_view()),
    path("quarantine/<str:callback_id>/redrive/", QuarantineRedrive.as_view()),
]
