"""`/api/v1/standing-orders/`."""

from typing import Any

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
from channels.models import Environment
from payments import standing_orders
from payments.api.filters import AccountFilter
from payments.models import StandingOrder
from payments.standing_order_words import do_now_about, meaning_of
from tenants.serializer_fields import LowerCaseChoiceField, PublicIdField, id_in_url, refusals

_TAG = ["standing orders"]
_ORDER_ID = OpenApiParameter("order_id", OpenApiTypes.STR, OpenApiParameter.PATH, description="`so_…`")
_MOST_SHOWN = 100


class FrequencyField(serializers.ChoiceField):
    """Stored as Daraja's digit, shown and read as `monthly`."""

    def __init__(self, **kwargs: Any) -> None:
        choices = [(each.name.lower(), each.label) for each in StandingOrder.Frequency]
        super().__init__(choices=choices, **kwargs)

    def to_representation(self, value: Any) -> str:
        return StandingOrder.Frequency(value).name.lower()

    def to_internal_value(self, data: Any) -> str:
        return StandingOrder.Frequency[str(super().to_internal_value(data)).upper()].value


class StandingOrderInput(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=60, help_text="What the customer sees; each of a customer's has its own.")
    phone_number = serializers.CharField(max_length=40, help_text="In any local form: 0712 345 678, +254712345678 …")
    amount = serializers.IntegerField(min_value=1, max_value=250_000, help_text="KES each time, whole shillings")
    account_reference = serializers.RegexField(
        r"^[A-Za-z0-9 ._/-]{1,12}$",
        error_messages={"invalid": "Use at most 12 letters and digits, like HOUSE 7."},
    )
    transaction_desc = serializers.CharField(max_length=13, default="Payment")
    frequency = FrequencyField()
    start_date = serializers.DateField(help_text="Of the first payment; today or later.")
    end_date = serializers.DateField(help_text="Nothing is paid after it.")
    channel = PublicIdField("ch", required=False)


class OrdersPaymentOutput(serializers.Serializer[Any]):
    id = PublicIdField("pay")
    receipt = serializers.CharField()
    amount = serializers.DecimalField(max_digits=14, decimal_places=2)
    paid_at = serializers.DateTimeField()


class StandingOrderOutput(serializers.ModelSerializer[StandingOrder]):
    """`status`: `pending` until the customer answers, `active` once they agreed, `failed`, `unknown` or `cancelled`."""

    id = PublicIdField("so")
    status = LowerCaseChoiceField(StandingOrder.Status)
    frequency = FrequencyField()
    channel_id = PublicIdField("ch")
    environment = LowerCaseChoiceField(Environment)
    meaning = serializers.SerializerMethodField()
    do_now = serializers.SerializerMethodField()

    class Meta:
        model = StandingOrder
        fields = [
            "id", "status", "name", "phone_number", "amount", "account_reference", "transaction_desc", "frequency",
            "start_date", "end_date", "channel_id", "environment", "meaning", "do_now", "result_code", "result_desc",
            "requested_by", "accepted_at", "created_at", "finished_at",
        ]  # fmt: skip

    def get_meaning(self, order: StandingOrder) -> str:
        return meaning_of(order)

    def get_do_now(self, order: StandingOrder) -> str:
        return do_now_about(order)


class StandingOrderDetailOutput(StandingOrderOutput):
    payments = serializers.SerializerMethodField(
        help_text=f"What it seems to have paid, newest first, at most {_MOST_SHOWN}: M-PESA does not name the order."
    )

    class Meta(StandingOrderOutput.Meta):
        fields = [*StandingOrderOutput.Meta.fields, "payments"]

    @extend_schema_field(OrdersPaymentOutput(many=True))
    def get_payments(self, order: StandingOrder) -> Any:
        return OrdersPaymentOutput(standing_orders.payments_of_order(order)[:_MOST_SHOWN], many=True).data


class StandingOrderFilters(OneEnvironment):
    channel = PublicIdFilter("ch", field_name="channel_id")
    status = LowerCaseChoiceFilter(StandingOrder.Status, field_name="status")
    account_reference = AccountFilter()


@extend_schema(tags=_TAG)
class StandingOrderList(ListAPIView[StandingOrder]):
    """Standing orders of one environment, newest first. Without `environment` it is the primary channel's."""

    serializer_class = StandingOrderOutput
    filterset_class = StandingOrderFilters
    queryset = StandingOrder.objects.none()

    def get_queryset(self) -> QuerySet[StandingOrder]:
        return standing_orders.standing_orders(actor=self.request.actor)  # type: ignore[attr-defined]

    @extend_schema(
        summary="Ask a customer to agree to a standing order",
        parameters=[IDEMPOTENCY_KEY],
        request=StandingOrderInput,
        responses={202: StandingOrderOutput} | refusals(400, 401, 403, 404, 409, 422),
    )
    def post(self, request: Request) -> Response:
        given = StandingOrderInput(data=request.data)
        given.is_valid(raise_exception=True)
        values = dict(given.validated_data)
        channel_id = values.pop("channel", None)

        def ask() -> tuple[int, Any]:
            order = standing_orders.create_standing_order(
                actor=request.actor,  # type: ignore[attr-defined]
                channel_id=channel_id,
                now=timezone.now(),
                **values,
            )
            return 202, StandingOrderOutput(order).data

        return answer_once(request, environment=environment_of(channel_id), work=ask)


@extend_schema(tags=_TAG, parameters=[_ORDER_ID])
class StandingOrderDetail(APIView):
    @extend_schema(
        summary="Read a standing order, with what it paid",
        responses={200: StandingOrderDetailOutput} | refusals(401, 403, 404),
    )
    def get(self, request: Request, order_id: str) -> Response:
        order = standing_orders.read_standing_order(order_id=id_in_url("so", order_id), actor=request.actor)  # type: ignore[attr-defined]
        return Response(StandingOrderDetailOutput(order).data)


@extend_schema(tags=_TAG, parameters=[_ORDER_ID])
class StandingOrderCancel(APIView):
    @extend_schema(
        summary="Expect nothing more of a standing order",
        request=None,
        responses={200: StandingOrderOutput} | refusals(401, 403, 404, 409),
    )
    def post(self, request: Request, order_id: str) -> Response:
        """Safaricom has no call that ends one: if the customer agreed, the customer ends it on the phone."""
        order = standing_orders.cancel_standing_order(
            order_id=id_in_url("so", order_id),
            actor=request.actor,  # type: ignore[attr-defined]
            now=timezone.now(),
        )
        return Response(StandingOrderOutput(order).data)


urlpatterns = [
    path("standing-orders/", StandingOrderList.as_view()),
    path("standing-orders/<str:order_id>/", StandingOrderDetail.as_view()),
    path("standing-orders/<str:order_id>/cancel/", StandingOrderCancel.as_view()),
]
