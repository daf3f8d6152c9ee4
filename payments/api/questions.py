"""`/api/v1/balances/` and `/api/v1/status-queries/`: what M-PESA is asked."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import serializers, status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from channels.daraja.explanations import Api
from channels.filters import LowerCaseChoiceFilter, OneEnvironment, PublicIdFilter
from channels.models import Environment
from payments.balances import ask_balance, balances_of, newest_of_each_channel, read_balance_query
from payments.models import BalanceQuery, StatusQuery
from payments.question_words import why_not_answered
from payments.status_queries import ask_status, read_status_query, status_queries
from tenants.serializer_fields import LowerCaseChoiceField, PublicIdField, id_in_url, refusals

# -- Balances ---------------------------------------------------------------------------------------------------------


class BalanceInput(serializers.Serializer[Any]):
    channel = PublicIdField("ch", required=False)


class AccountOutput(serializers.Serializer[Any]):
    """One account of a shortcode."""

    currency = serializers.CharField()
    current = serializers.CharField()
    available = serializers.CharField()
    reserved = serializers.CharField()
    uncleared = serializers.CharField()


class BalanceOutput(serializers.ModelSerializer[BalanceQuery]):
    """`status`: `pending`, `answered`, `failed` or `unanswered`. `accounts` has every account by its name at M-PESA."""

    id = PublicIdField("bal")
    channel_id = PublicIdField("ch")
    environment = LowerCaseChoiceField(Environment)
    status = LowerCaseChoiceField(BalanceQuery.Status)
    accounts = serializers.DictField(child=AccountOutput())
    reason = serializers.SerializerMethodField(help_text="Why there is no answer.")

    class Meta:
        model = BalanceQuery
        fields = [
            "id", "status", "channel_id", "environment", "accounts", "as_at", "reason", "result_code", "result_desc",
            "requested_by", "asked_at", "answered_at",
        ]  # fmt: skip

    def get_reason(self, balance: BalanceQuery) -> str:
        return why_not_answered(Api.BALANCE, balance)


class BalanceFilters(OneEnvironment):
    channel = PublicIdFilter("ch", field_name="channel_id")
    status = LowerCaseChoiceFilter(BalanceQuery.Status, field_name="status")
    newest = django_filters.BooleanFilter(
        method="_newest", help_text="true: of each channel only the newest that M-PESA answered"
    )

    def _newest(self, queryset: QuerySet[BalanceQuery], name: str, value: bool) -> QuerySet[BalanceQuery]:
        return newest_of_each_channel(queryset) if value else queryset


@extend_schema_view(
    get=extend_schema(
        tags=["balances"], summary="List balances", responses={200: BalanceOutput(many=True)} | refusals(400, 401, 403)
    )
)
class BalanceList(ListAPIView[BalanceQuery]):
    """Every time that M-PESA was asked for a channel's balances, newest first; it is asked by itself every hour."""

    serializer_class = BalanceOutput
    filterset_class = BalanceFilters
    queryset = BalanceQuery.objects.none()

    def get_queryset(self) -> QuerySet[BalanceQuery]:
        return balances_of(actor=self.request.actor)  # type: ignore[attr-defined]

    @extend_schema(
        tags=["balances"],
        summary="Ask for a channel's balances",
        request=BalanceInput,
        responses={202: BalanceOutput} | refusals(400, 401, 403, 404, 409),
    )
    def post(self, request: Request) -> Response:
        """Now, of the primary channel unless `channel` names another. M-PESA answers within seconds, to us: read it by
        its id."""
        given = BalanceInput(data=request.data)
        given.is_valid(raise_exception=True)
        balance = ask_balance(
            actor=request.actor,  # type: ignore[attr-defined]
            channel_id=given.validated_data.get("channel"),
            now=timezone.now(),
        )
        return Response(BalanceOutput(balance).data, status=status.HTTP_202_ACCEPTED)


class BalanceDetail(APIView):
    @extend_schema(tags=["balances"], summary="Read balances", responses={200: BalanceOutput} | refusals(401, 403, 404))
    def get(self, request: Request, balance_id: str) -> Response:
        balance = read_balance_query(actor=request.actor, balance_id=id_in_url("bal", balance_id))  # type: ignore[attr-defined]
        return Response(BalanceOutput(balance).data)


# -- Status -----------------------------------------------------------------------------------------------------------


class StatusQueryInput(serializers.Serializer[Any]):
    """Name exactly one: a receipt (of any payment of the channel), or something of ours."""

    receipt = serializers.CharField(max_length=20, required=False, help_text="M-PESA's number: SGE1AB23CD")
    channel = PublicIdField("ch", required=False, help_text="Whom a bare receipt is asked of; else the primary one.")
    payment_id = PublicIdField("pay", required=False)
    payout_id = PublicIdField("pout", required=False)
    reversal_id = PublicIdField("rev", required=False)


class StatusQueryOutput(serializers.ModelSerializer[StatusQuery]):
    """`status` says whether M-PESA answered; `transaction_status` is its answer, in its own word."""

    id = PublicIdField("stq")
    channel_id = PublicIdField("ch")
    environment = LowerCaseChoiceField(Environment)
    status = LowerCaseChoiceField(StatusQuery.Status)
    payment_id = PublicIdField("pay", allow_null=True)
    payout_id = PublicIdField("pout", allow_null=True)
    reversal_id = PublicIdField("rev", allow_null=True)
    transaction_status = serializers.SerializerMethodField(
        help_text="M-PESA's word: Completed, Cancelled, Declined and Expired are final. '' if it knows of none."
    )
    found = serializers.SerializerMethodField(help_text="All that M-PESA said, in its own names.")
    reason = serializers.SerializerMethodField(help_text="Why there is no answer.")

    class Meta:
        model = StatusQuery
        fields = [
            "id", "status", "transaction_status", "receipt", "payment_id", "payout_id", "reversal_id", "channel_id",
            "environment", "found", "reason", "result_code", "result_desc", "requested_by", "asked_at", "answered_at",
        ]  # fmt: skip

    def get_transaction_status(self, query: StatusQuery) -> str:
        return str(query.found.get("TransactionStatus", ""))

    @extend_schema_field(serializers.DictField(child=serializers.CharField()))
    def get_found(self, query: StatusQuery) -> dict[str, str]:
        return dict(query.found)

    def get_reason(self, query: StatusQuery) -> str:
        return why_not_answered(Api.STATUS, query)


class StatusQueryFilters(OneEnvironment):
    channel = PublicIdFilter("ch", field_name="channel_id")
    receipt = django_filters.CharFilter("receipt", "iexact")
    payment = PublicIdFilter("pay", field_name="payment_id")
    payout = PublicIdFilter("pout", field_name="payout_id")
    reversal = PublicIdFilter("rev", field_name="reversal_id")
    status = LowerCaseChoiceFilter(StatusQuery.Status, field_name="status")


@extend_schema_view(
    get=extend_schema(
        tags=["status queries"],
        summary="List status queries",
        responses={200: StatusQueryOutput(many=True)} | refusals(400, 401, 403),
    )
)
class StatusQueryList(ListAPIView[StatusQuery]):
    """Every time that M-PESA was asked what became of something, newest first."""

    serializer_class = StatusQueryOutput
    filterset_class = StatusQueryFilters
    queryset = StatusQuery.objects.none()

    def get_queryset(self) -> QuerySet[StatusQuery]:
        return status_queries(actor=self.request.actor)  # type: ignore[attr-defined]

    @extend_schema(
        tags=["status queries"],
        summary="Ask what became of something",
        request=StatusQueryInput,
        responses={202: StatusQueryOutput} | refusals(400, 401, 403, 404, 409),
    )
    def post(self, request: Request) -> Response:
        """A payment gets the name and the charge that it lacked; a payout or reversal that is open is settled by what
        M-PESA says. Read the answer by its id."""
        given = StatusQueryInput(data=request.data)
        given.is_valid(raise_exception=True)
        values = given.validated_data
        query = ask_status(
            actor=request.actor,  # type: ignore[attr-defined]
            now=timezone.now(),
            receipt=values.get("receipt", ""),
            channel_id=values.get("channel"),
            payment_id=values.get("payment_id"),
            payout_id=values.get("payout_id"),
            reversal_id=values.get("reversal_id"),
        )
        return Response(StatusQueryOutput(query).data, status=status.HTTP_202_ACCEPTED)


class StatusQueryDetail(APIView):
    @extend_schema(
        tags=["status queries"],
        summary="Read a status query",
        responses={200: StatusQueryOutput} | refusals(401, 403, 404),
    )
    def get(self, request: Request, query_id: str) -> Response:
        query = read_status_query(actor=request.actor, query_id=id_in_url("stq", query_id))  # type: ignore[attr-defined]
        return Response(StatusQueryOutput(query).data)


urlpatterns = [
    path("balances/", BalanceList.as_view()),
    path("balances/<str:balance_id>/", BalanceDetail.as_view()),
    path("status-queries/", StatusQueryList.as_view()),
    path("status-queries/<str:query_id>/", StatusQueryDetail.as_view()),
]
