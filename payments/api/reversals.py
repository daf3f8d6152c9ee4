"""`/api/v1/reversals/`."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers, status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from channels.daraja.verdicts import Verdict
from channels.filters import LowerCaseChoiceFilter, OneEnvironment, PublicIdFilter
from channels.idempotency import IDEMPOTENCY_KEY, answer_once
from channels.models import Environment
from payments.api.common import CancellationInput, DecisionInput, ProofInput
from payments.models import Reversal
from payments.money_out.deciding import decide_reversal
from payments.money_out.reversal_words import do_now_about, meaning_of
from payments.money_out.states import INNER_STATES, outward_state
from payments.queries import read_payment
from payments.reversals import (
    PAYOUT_BY_HAND,
    approve_reversal,
    cancel_reversal,
    read_reversal,
    request_reversal,
    reversals_of,
)
from tenants.reauthentication import prove_again
from tenants.serializer_fields import LowerCaseChoiceField, PublicIdField, id_in_url, refusals

_TAGS = ["reversals"]


class PaymentIdField(PublicIdField):
    """Whoever names a payout learns how payouts are given back."""

    default_error_messages = {"payout": PAYOUT_BY_HAND}

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, str) and data.startswith("pout_"):
            self.fail("payout")
        return super().to_internal_value(data)


class ReversalInput(serializers.Serializer[Any]):
    payment_id = PaymentIdField("pay")
    reason = serializers.CharField(min_length=2, max_length=100, help_text="Safaricom reads it too.")
    amount = serializers.DecimalField(
        max_digits=14, decimal_places=2, required=False, help_text="If given, it has to be the payment's: whole or not."
    )


class ReversalOutput(serializers.ModelSerializer[Reversal]):
    """`status` is what counts: `awaiting_approval`, `pending`, `succeeded`, `failed` or `unknown`; `stage` is how far
    it is inside. `meaning` says it in plain words."""

    id = PublicIdField("rev")
    status = serializers.SerializerMethodField()
    stage = LowerCaseChoiceField(Reversal.Status, source="status")
    payment_id = PublicIdField("pay")
    payment_receipt = serializers.CharField(source="payment.receipt")
    channel_id = PublicIdField("ch")
    environment = LowerCaseChoiceField(Environment)
    meaning = serializers.SerializerMethodField()
    do_now = serializers.SerializerMethodField()

    class Meta:
        model = Reversal
        fields = [
            "id", "status", "stage", "payment_id", "payment_receipt", "amount", "reason", "receipt", "charge",
            "channel_id", "environment", "meaning", "do_now", "result_code", "result_desc", "requested_by",
            "approved_by", "approved_at", "expires_at", "review", "decided_by", "note", "created_at", "completed_at",
            "finished_at",
        ]  # fmt: skip

    def get_status(self, reversal: Reversal) -> str:
        return outward_state(reversal)

    def get_meaning(self, reversal: Reversal) -> str:
        return meaning_of(reversal)

    def get_do_now(self, reversal: Reversal) -> str:
        return do_now_about(reversal)


class ReversalFilters(OneEnvironment):
    channel = PublicIdFilter("ch", field_name="channel_id")
    payment = PublicIdFilter("pay", field_name="payment_id")
    status = django_filters.ChoiceFilter(choices=[(word, word) for word in INNER_STATES], method="_in_state")
    stage = LowerCaseChoiceFilter(Reversal.Status, field_name="status")

    def _in_state(self, queryset: QuerySet[Reversal], name: str, value: str) -> QuerySet[Reversal]:
        return queryset.filter(status__in=INNER_STATES[value])


@extend_schema_view(
    get=extend_schema(
        tags=_TAGS, summary="List reversals", responses={200: ReversalOutput(many=True)} | refusals(400, 401, 403)
    )
)
class ReversalList(ListAPIView[Reversal]):
    """Payments that are given back, newest first. Without `environment` it is the primary channel's."""

    serializer_class = ReversalOutput
    filterset_class = ReversalFilters
    queryset = Reversal.objects.none()

    def get_queryset(self) -> QuerySet[Reversal]:
        return reversals_of(actor=self.request.actor)  # type: ignore[attr-defined]

    @extend_schema(
        tags=_TAGS,
        summary="Ask for a reversal",
        parameters=[IDEMPOTENCY_KEY],
        request=ReversalInput,
        responses={201: ReversalOutput} | refusals(400, 401, 403, 404, 409, 422),
    )
    def post(self, request: Request) -> Response:
        """Of a whole payment. It waits for approval for 24 hours; M-PESA gives back no part of a payment, and no
        payout, by its API."""
        given = ReversalInput(data=request.data)
        given.is_valid(raise_exception=True)
        actor = request.actor  # type: ignore[attr-defined]
        payment = read_payment(actor=actor, payment_id=given.validated_data["payment_id"])

        def ask() -> tuple[int, Any]:
            reversal = request_reversal(actor=actor, now=timezone.now(), **given.validated_data)
            return status.HTTP_201_CREATED, ReversalOutput(reversal).data

        return answer_once(request, environment=payment.environment, work=ask)


class ReversalDetail(APIView):
    @extend_schema(tags=_TAGS, summary="Read a reversal", responses={200: ReversalOutput} | refusals(401, 403, 404))
    def get(self, request: Request, reversal_id: str) -> Response:
        reversal = read_reversal(actor=request.actor, reversal_id=id_in_url("rev", reversal_id))  # type: ignore[attr-defined]
        return Response(ReversalOutput(reversal).data)


class ReversalApproval(APIView):
    @extend_schema(
        tags=_TAGS,
        summary="Approve a reversal",
        parameters=[IDEMPOTENCY_KEY],
        request=ProofInput,
        responses={202: ReversalOutput} | refusals(400, 401, 403, 404, 409, 422, 429),
    )
    def post(self, request: Request, reversal_id: str) -> Response:
        """It is sent from now on. Above the business's threshold somebody else than who asked for it has to."""
        given = ProofInput(data=request.data)
        given.is_valid(raise_exception=True)
        actor = request.actor  # type: ignore[attr-defined]
        found = read_reversal(actor=actor, reversal_id=id_in_url("rev", reversal_id))
        proof = prove_again(request.user, now=timezone.now(), **given.validated_data)  # type: ignore[arg-type]

        def approve() -> tuple[int, Any]:
            reversal = approve_reversal(actor=actor, reversal_id=found.pk, proof=proof, now=timezone.now())
            return status.HTTP_202_ACCEPTED, ReversalOutput(reversal).data

        return answer_once(request, environment=found.environment, work=approve)


class ReversalCancellation(APIView):
    @extend_schema(
        tags=_TAGS,
        summary="Withdraw a reversal",
        request=CancellationInput,
        responses={200: ReversalOutput} | refusals(400, 401, 403, 404, 409),
    )
    def post(self, request: Request, reversal_id: str) -> Response:
        """One that waits for approval. Nothing was sent."""
        given = CancellationInput(data=request.data)
        given.is_valid(raise_exception=True)
        reversal = cancel_reversal(
            actor=request.actor,  # type: ignore[attr-defined]
            reversal_id=id_in_url("rev", reversal_id),
            reason=given.validated_data["reason"],
            now=timezone.now(),
        )
        return Response(ReversalOutput(reversal).data)


class ReversalDecision(APIView):
    @extend_schema(
        tags=_TAGS,
        summary="Decide a reversal after a review",
        request=DecisionInput,
        responses={200: ReversalOutput} | refusals(400, 401, 403, 404, 409),
    )
    def post(self, request: Request, reversal_id: str) -> Response:
        """Where nobody could find out over the API whether the money moved, a person looks on the M-PESA portal."""
        given = DecisionInput(data=request.data)
        given.is_valid(raise_exception=True)
        reversal = decide_reversal(
            actor=request.actor,  # type: ignore[attr-defined]
            reversal_id=id_in_url("rev", reversal_id),
            verdict=Verdict(given.validated_data["verdict"]),
            receipt=given.validated_data["receipt"],
            note=given.validated_data["note"],
            now=timezone.now(),
        )
        return Response(ReversalOutput(reversal).data)


urlpatterns = [
    path("reversals/", ReversalList.as_view()),
    path("reversals/<str:reversal_id>/", ReversalDetail.as_view()),
    path("reversals/<str:reversal_id>/approve/", ReversalApproval.as_view()),
    path("reversals/<str:reversal_id>/cancel/", ReversalCancellation.as_view()),
    path("reversals/<str:reversal_id>/decide/", ReversalDecision.as_view()),
]
