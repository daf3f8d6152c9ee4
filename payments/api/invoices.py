"""`/api/v1/invoices/`, and Bill Manager of a channel."""

from collections.abc import Iterator, Mapping
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.urls import path
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from channels.filters import LowerCaseChoiceFilter, OneEnvironment, PublicIdFilter
from channels.idempotency import IDEMPOTENCY_KEY, answer_once, environment_of
from channels.models import Environment, MpesaChannel
from payments import invoices
from payments.api.filters import AccountFilter
from payments.invoice_payments import parts_of
from payments.models import Invoice
from tenants.errors import Invalid
from tenants.serializer_fields import LowerCaseChoiceField, PublicIdField, id_in_url, refusals

_TAG = ["invoices"]
_INVOICE_ID = OpenApiParameter("invoice_id", OpenApiTypes.STR, OpenApiParameter.PATH, description="`bill_…`")
_CHANNEL_ID = OpenApiParameter("channel_id", OpenApiTypes.STR, OpenApiParameter.PATH, description="`ch_…`")


class BillManagerInput(serializers.Serializer[Any]):
    email = serializers.EmailField(max_length=100)
    contact_phone = serializers.CharField(max_length=40, help_text="The business's own, for questions of customers.")
    send_reminders = serializers.BooleanField(
        default=True, help_text="M-PESA reminds customers seven days and three days before, and on the due day."
    )


class BillManagerOutput(serializers.Serializer[MpesaChannel]):
    channel_id = PublicIdField("ch", source="pk")
    shortcode = serializers.CharField()
    opted_in_at = serializers.DateTimeField(source="bill_manager_opted_in_at")


class ItemInput(serializers.Serializer[Any]):
    item_name = serializers.CharField(max_length=100)
    amount = serializers.IntegerField(min_value=1, help_text="KES, whole shillings")


class InvoiceFields(serializers.Serializer[Any]):
    external_reference = serializers.CharField(max_length=40, help_text="Your own number for it, never used before.")
    name = serializers.CharField(max_length=100, help_text="What it is for: Rent.")
    billed_name = serializers.CharField(max_length=100, help_text="Whose bill it is.")
    phone_number = serializers.CharField(max_length=40, help_text="Of Safaricom's, in any local form.")
    billed_period = serializers.CharField(max_length=40, help_text="August 2026")
    due_date = serializers.DateField()
    account_reference = serializers.CharField(max_length=20, help_text="What the customer pays to.")
    amount = serializers.IntegerField(min_value=1, max_value=50_000_000, help_text="KES, whole shillings")
    items = ItemInput(many=True, required=False, default=list, help_text="Add up to the amount.")


class InvoiceInput(InvoiceFields):
    channel = PublicIdField("ch")


class InvoicesInput(serializers.Serializer[Any]):
    channel = PublicIdField("ch")
    invoices = InvoiceFields(many=True, help_text=f"1 to {invoices.MOST_AT_ONCE:,}; all are sent or none.")


class PartOutput(serializers.Serializer[Any]):
    payment_id = PublicIdField("pay", source="payment.pk")
    receipt = serializers.CharField(source="payment.receipt")
    amount = serializers.DecimalField(max_digits=14, decimal_places=2, help_text="What of the payment is for this.")
    paid_at = serializers.DateTimeField(source="payment.paid_at")


class InvoiceOutput(serializers.ModelSerializer[Invoice]):
    """`status`: `pending` while it is handed to M-PESA, `sent`, `partly_paid`, `paid`, `failed`, `unknown` if M-PESA
    may have sent it, `cancelled`."""

    id = PublicIdField("bill")
    status = LowerCaseChoiceField(Invoice.Status)
    channel_id = PublicIdField("ch")
    environment = LowerCaseChoiceField(Environment)
    items = ItemInput(many=True)

    class Meta:
        model = Invoice
        fields = [
            "id", "status", "external_reference", "name", "billed_name", "phone_number", "billed_period", "due_date",
            "account_reference", "amount", "paid_amount", "items", "channel_id", "environment", "result_code",
            "result_desc", "requested_by", "created_at", "finished_at",
        ]  # fmt: skip


class InvoiceDetailOutput(InvoiceOutput):
    payments = serializers.SerializerMethodField()

    class Meta(InvoiceOutput.Meta):
        fields = [*InvoiceOutput.Meta.fields, "payments"]

    @extend_schema_field(PartOutput(many=True))
    def get_payments(self, invoice: Invoice) -> Any:
        return PartOutput(parts_of(invoice), many=True).data


class InvoicesOutput(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    invoices = InvoiceOutput(many=True)


class InvoiceFilters(OneEnvironment):
    channel = PublicIdFilter("ch", field_name="channel_id")
    status = LowerCaseChoiceFilter(Invoice.Status, field_name="status")
    external_reference = django_filters.CharFilter("external_reference")
    account_reference = AccountFilter()


class ChannelBillManager(APIView):
    @extend_schema(
        tags=_TAG,
        summary="Turn Bill Manager on for a PayBill, or change its details",
        parameters=[_CHANNEL_ID],
        request=BillManagerInput,
        responses={200: BillManagerOutput} | refusals(400, 401, 403, 404, 409, 503),
    )
    def post(self, request: Request, channel_id: str) -> Response:
        """Do it again after the channel's callback token was rotated."""
        given = BillManagerInput(data=request.data)
        given.is_valid(raise_exception=True)
        channel = invoices.opt_in(
            channel_id=id_in_url("ch", channel_id),
            actor=request.actor,  # type: ignore[attr-defined]
            now=timezone.now(),
            **given.validated_data,
        )
        return Response(BillManagerOutput(channel).data)


@extend_schema(tags=_TAG)
class InvoiceList(ListAPIView[Invoice]):
    """Invoices of one environment, newest first. Without `environment` it is the primary channel's."""

    serializer_class = InvoiceOutput
    filterset_class = InvoiceFilters
    queryset = Invoice.objects.none()

    def get_queryset(self) -> QuerySet[Invoice]:
        return invoices.invoices_of(actor=self.request.actor)  # type: ignore[attr-defined]

    @extend_schema(
        summary="Have M-PESA send an invoice",
        parameters=[IDEMPOTENCY_KEY],
        request=InvoiceInput,
        responses={202: InvoiceOutput} | refusals(400, 401, 403, 404, 409, 422),
    )
    def post(self, request: Request) -> Response:
        given = InvoiceInput(data=request.data)
        given.is_valid(raise_exception=True)
        values = dict(given.validated_data)
        channel_id = values.pop("channel")

        def create() -> tuple[int, Any]:
            invoice = invoices.create_invoice(
                actor=request.actor,  # type: ignore[attr-defined]
                channel_id=channel_id,
                invoice=invoices.NewInvoice(**values),
                now=timezone.now(),
            )
            return 202, InvoiceOutput(invoice).data

        return answer_once(request, environment=environment_of(channel_id), work=create)


class InvoiceBulk(APIView):
    @extend_schema(
        tags=_TAG,
        summary="Have M-PESA send many invoices",
        parameters=[IDEMPOTENCY_KEY],
        request=InvoicesInput,
        responses={202: InvoicesOutput} | refusals(400, 401, 403, 404, 409, 422),
    )
    def post(self, request: Request) -> Response:
        """All of them, or none: what is wrong with each is in `errors`, as `invoices[3].phone_number`."""
        channel_id, rows = _read_many(request.data)

        def create() -> tuple[int, Any]:
            created = invoices.create_invoices(
                actor=request.actor,  # type: ignore[attr-defined]
                channel_id=channel_id,
                invoices=rows,
                now=timezone.now(),
            )
            return 202, InvoicesOutput({"count": len(created), "invoices": created}).data

        return answer_once(request, environment=environment_of(channel_id), work=create)


@extend_schema(tags=_TAG, parameters=[_INVOICE_ID])
class InvoiceDetail(APIView):
    @extend_schema(
        summary="Read an invoice, with what was paid of it",
        responses={200: InvoiceDetailOutput} | refusals(401, 403, 404),
    )
    def get(self, request: Request, invoice_id: str) -> Response:
        invoice = invoices.read_invoice(invoice_id=id_in_url("bill", invoice_id), actor=request.actor)  # type: ignore[attr-defined]
        return Response(InvoiceDetailOutput(invoice).data)


@extend_schema(tags=_TAG, parameters=[_INVOICE_ID])
class InvoiceCancel(APIView):
    @extend_schema(
        summary="Withdraw an invoice of which nothing is paid",
        request=None,
        responses={200: InvoiceOutput} | refusals(401, 403, 404, 409, 503),
    )
    def post(self, request: Request, invoice_id: str) -> Response:
        invoice = invoices.cancel_invoice(
            invoice_id=id_in_url("bill", invoice_id),
            actor=request.actor,  # type: ignore[attr-defined]
            now=timezone.now(),
        )
        return Response(InvoiceOutput(invoice).data)


def _read_many(data: Any) -> tuple[Any, list[invoices.NewInvoice]]:
    """The channel and the invoices, or a sentence for each field of each invoice that can't be used."""
    given = data.get("invoices") if isinstance(data, Mapping) else None
    rows = [InvoiceFields(data=row) for row in given[: invoices.MOST_AT_ONCE + 1]] if isinstance(given, list) else []
    errors = {
        f"invoices[{number}].{name}": list(_sentences(said))
        for number, row in enumerate(rows, start=1)
        if not row.is_valid()
        for name, said in row.errors.items()
    }
    if not rows:
        errors["invoices"] = ["Give a list of invoices."]
    channel = _ChannelInput(data=data)
    if not channel.is_valid():
        errors |= {name: list(_sentences(said)) for name, said in channel.errors.items()}
    if errors:
        raise Invalid("Nothing was sent: some of the invoices can't be.", errors=errors)
    return channel.validated_data["channel"], [invoices.NewInvoice(**row.validated_data) for row in rows]


class _ChannelInput(serializers.Serializer[Any]):
    channel = PublicIdField("ch")


def _sentences(said: Any) -> Iterator[str]:
    """The sentences in the errors of a field, however deep."""
    if isinstance(said, Mapping):
        said = list(said.values())
    if isinstance(said, list):
        for each in said:
            yield from _sentences(each)
    else:
        yield str(said)


urlpatterns = [
    path("mpesa-channels/<str:channel_id>/bill-manager/", ChannelBillManager.as_view()),
    path("invoices/", InvoiceList.as_view()),
    path("invoices/bulk/", InvoiceBulk.as_view()),
    path("invoices/<str:invoice_id>/", InvoiceDetail.as_view()),
    path("invoices/<str:invoice_id>/cancel/", InvoiceCancel.as_view()),
]
