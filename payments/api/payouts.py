"""`/api/v1/payouts/`: single payouts, those of every batch, and a person's word on what M-PESA never told."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.urls import path
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from channels.daraja.verdicts import Verdict
from channels.filters import LowerCaseChoiceFilter, OneEnvironment, PublicIdFilter
from channels.idempotency import IDEMPOTENCY_KEY, answer_once, environment_of
from channels.models import Environment
from payments.api.common import DecisionInput
from payments.models import Payout
from payments.money_out.deciding import decide_payout
from payments.money_out.states import INNER_STATES, outward_state
from payments.payouts.batches import payout, payouts
from payments.payouts.checking import TO_PHONES
from payments.payouts.creating import create_payout
from payments.payouts.explaining import do_now_about, meaning_of
from tenants.serializer_fields import LowerCaseChoiceField, PublicIdField, id_in_url, refusals

_TAG = ["payouts"]


@extend_schema_field(OpenApiTypes.INT)
class AmountField(serializers.Field):  # type: ignore[type-arg]
    """Whole shillings, as given: `checking` says what is wrong with it."""

    def to_internal_value(self, data: Any) -> Any:
        return data

    def to_representation(self, value: int) -> int:
        return value


class PayoutRowInput(serializers.Serializer[Any]):
    """Whom to pay, and how much. The service checks it, with a sentence for each thing that is wrong."""

    phone_number = serializers.CharField(
        required=False, help_text="In any local form: 0712 345 678, +254712345678 … For `phone` and `pochi`."
    )
    shortcode = serializers.CharField(required=False, help_text="For `paybill`, `buy_goods` and `top_up`.")
    amount = AmountField(help_text="KES, whole shillings; to phones from 10 to 250,000.")
    name = serializers.CharField(required=False, allow_blank=True, help_text="Whom you mean, for people to compare.")
    account_reference = serializers.CharField(
        required=False,
        allow_blank=True,
        help_text="Your own, at most 20 characters; for `paybill` the account there, at most 13; for `tax` the PRN.",
    )
    transaction_desc = serializers.CharField(
        required=False, allow_blank=True, help_text="What it is for: 2 to 100 characters. Goes to M-PESA as Remarks."
    )


class HowInput(serializers.Serializer[Any]):
    """From which channel, in which way."""

    channel = PublicIdField("ch", required=False, help_text="By default the primary one.")
    kind = LowerCaseChoiceField(Payout.Kind, default="phone")
    purpose = LowerCaseChoiceField(Payout.Purpose, default="business")


class PayoutInput(PayoutRowInput, HowInput):
    pass


class PayoutOutput(serializers.ModelSerializer[Payout]):
    """`status` is what counts: `awaiting_approval`, `pending`, `succeeded`, `failed` or `unknown`; `stage` is where it
    stands inside. `meaning` says it in plain words. Accepted is not paid, and unknown is not failed."""

    id = PublicIdField("pout")
    batch_id = PublicIdField("pbat")
    status = serializers.SerializerMethodField()
    stage = LowerCaseChoiceField(Payout.Status, source="status")
    kind = LowerCaseChoiceField(Payout.Kind)
    purpose = LowerCaseChoiceField(Payout.Purpose)
    phone_number = serializers.SerializerMethodField()
    shortcode = serializers.SerializerMethodField()
    channel_id = PublicIdField("ch")
    environment = LowerCaseChoiceField(Environment)
    warnings = serializers.ListField(child=serializers.CharField())
    meaning = serializers.SerializerMethodField()
    do_now = serializers.SerializerMethodField()

    class Meta:
        model = Payout
        fields = [
            "id", "batch_id", "row", "status", "stage", "kind", "purpose", "phone_number", "shortcode", "name",
            "amount", "account_reference", "transaction_desc", "channel_id", "environment", "warnings", "fee_estimate",
            "charge", "receipt", "receiver_name", "meaning", "do_now", "result_code", "result_desc", "decided_by",
            "note", "created_at", "sending_at", "accepted_at", "completed_at", "finished_at",
        ]  # fmt: skip

    @extend_schema_field(serializers.ChoiceField(list(INNER_STATES)))
    def get_status(self, payout: Payout) -> str:
        return outward_state(payout)

    def get_phone_number(self, payout: Payout) -> str | None:
        return payout.receiver if payout.kind in TO_PHONES else None

    def get_shortcode(self, payout: Payout) -> str | None:
        return None if payout.kind in TO_PHONES else payout.receiver

    def get_meaning(self, payout: Payout) -> str:
        return meaning_of(payout)

    def get_do_now(self, payout: Payout) -> str:
        return do_now_about(payout)


class PayoutFilters(OneEnvironment):
    channel = PublicIdFilter("ch", field_name="channel_id")
    batch = PublicIdFilter("pbat", field_name="batch_id")
    status = django_filters.ChoiceFilter(choices=[(word, word) for word in INNER_STATES], method="_in_state")
    stage = LowerCaseChoiceFilter(Payout.Status, field_name="status")
    receiver = django_filters.CharFilter("receiver")
    account_reference = django_filters.CharFilter("account_reference", "iexact")
    receipt = django_filters.CharFilter("receipt", "iexact")
    amount = django_filters.NumberFilter("amount")

    def _in_state(self, queryset: QuerySet[Payout], name: str, value: str) -> QuerySet[Payout]:
        return queryset.filter(status__in=INNER_STATES[value])


@extend_schema(tags=_TAG)
class PayoutList(ListAPIView[Payout]):
    """Payouts of one environment, newest first. Without `environment` it is the primary channel's."""

    serializer_class = PayoutOutput
    filterset_class = PayoutFilters
    queryset = Payout.objects.none()
    ordering = ("-id",)

    def get_queryset(self) -> QuerySet[Payout]:
        return payouts(actor=self.request.actor)  # type: ignore[attr-defined]

    @extend_schema(
        summary="Prepare one payout",
        parameters=[IDEMPOTENCY_KEY],
        request=PayoutInput,
        responses={201: PayoutOutput} | refusals(400, 403, 404, 409, 422),
    )
    def post(self, request: Request) -> Response:
        """A batch of one: release `batch_id` to send it, after a second person's approval if your policy asks for it.

        Nothing is sent before.
        """
        given = PayoutInput(data=request.data)
        given.is_valid(raise_exception=True)
        how = {name: given.validated_data.get(name) for name in ("kind", "purpose")}
        row = {name: value for name, value in given.validated_data.items() if name in PayoutRowInput().fields}
        channel_id = given.validated_data.get("channel")

        def create() -> tuple[int, Any]:
            made = create_payout(
                actor=request.actor,  # type: ignore[attr-defined]
                values=row,
                channel_id=channel_id,
                now=timezone.now(),
                **how,
            )
            return status.HTTP_201_CREATED, PayoutOutput(made).data

        return answer_once(request, environment=environment_of(channel_id), work=create)


@extend_schema(tags=_TAG)
class PayoutDetail(APIView):
    @extend_schema(responses={200: PayoutOutput} | refusals(404))
    def get(self, request: Request, payout_id: str) -> Response:
        found = payout(actor=request.actor, payout_id=id_in_url("pout", payout_id))  # type: ignore[attr-defined]
        return Response(PayoutOutput(found).data)


@extend_schema(tags=_TAG)
class PayoutDecide(APIView):
    @extend_schema(
        summary="Decide a payout",
        request=DecisionInput,
        responses={200: PayoutOutput} | refusals(400, 403, 404, 409),
    )
    def post(self, request: Request, payout_id: str) -> Response:
        """For one at the stage `needs_review`: say what the M-PESA portal shows. Not by whoever made its batch."""
        given = DecisionInput(data=request.data)
        given.is_valid(raise_exception=True)
        decided = decide_payout(
            actor=request.actor,  # type: ignore[attr-defined]
            payout_id=id_in_url("pout", payout_id),
            verdict=Verdict(given.validated_data["verdict"]),
            receipt=given.validated_data["receipt"],
            note=given.validated_data["note"],
            now=timezone.now(),
        )
        return Response(PayoutOutput(decided).data)


urlpatterns = [
    path("payouts/", PayoutList.as_view()),
    path("payouts/<str:payout_id>/", PayoutDetail.as_view()),
    path("payouts/<str:payout_id>/decide/", PayoutDecide.as_view()),
]
