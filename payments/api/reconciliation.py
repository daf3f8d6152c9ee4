"""`/api/v1/pulls/`, `/api/v1/statements/`, `/api/v1/reconciliation-days/`, `/api/v1/reconciliation-items/`."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.urls import path
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.generics import ListAPIView
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from channels.filters import LowerCaseChoiceFilter, OneEnvironment, PublicIdFilter
from channels.idempotency import IDEMPOTENCY_KEY, answer_once
from channels.models import Environment
from payments.api.common import FileDoor
from payments.models import Pull, ReconciliationDay, ReconciliationItem
from payments.pulls import pulls_of, request_pull
from payments.reconciliation import (
    DayNotFound,
    read_item,
    reconciliation_days,
    reconciliation_items,
    record_item,
    request_recount,
    settle_item,
)
from payments.statements import MAXIMUM_BYTES, LoadedStatement, load_statement
from tenants.errors import NotFound
from tenants.serializer_fields import LowerCaseChoiceField, PublicIdField, id_in_url, refusals

_DAY_ID = OpenApiParameter("day_id", OpenApiTypes.STR, OpenApiParameter.PATH)
_ITEM_ID = OpenApiParameter("item_id", OpenApiTypes.STR, OpenApiParameter.PATH)


# -- Pulls ------------------------------------------------------------------------------------------------------------


class PullInput(serializers.Serializer[Any]):
    channel = PublicIdField("ch")
    until = serializers.DateTimeField(help_text="Not after now.")

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """`from` is a word of Python's own."""
        start = serializers.DateTimeField(help_text="Within the last 48 hours.", source="start")
        return {**super().get_fields(), "from": start}


class PullOutput(serializers.ModelSerializer[Pull]):
    """`row_count` is what M-PESA listed, `new_count` the payments that had been missed. `failed` is never "none"."""

    id = PublicIdField("pull")
    channel_id = PublicIdField("ch")
    environment = LowerCaseChoiceField(Environment)
    status = LowerCaseChoiceField(Pull.Status)

    class Meta:
        model = Pull
        fields = [
            "id", "status", "channel_id", "environment", "window_from", "window_until", "row_count", "new_count",
            "error_code", "error", "requested_by", "created_at", "finished_at",
        ]  # fmt: skip


class PullFilters(OneEnvironment):
    channel = PublicIdFilter("ch", field_name="channel_id")
    status = LowerCaseChoiceFilter(Pull.Status, field_name="status")


@extend_schema(tags=["reconciliation"])
class PullList(ListAPIView[Pull]):
    """Have M-PESA list a channel's payments again, and see what was asked for."""

    serializer_class = PullOutput
    filterset_class = PullFilters
    queryset = Pull.objects.none()
    ordering = ("-id",)

    def get_queryset(self) -> QuerySet[Pull]:
        return pulls_of(actor=self.request.actor)  # type: ignore[attr-defined]

    @extend_schema(request=PullInput, responses={202: PullOutput})
    def post(self, request: Request) -> Response:
        given = PullInput(data=request.data)
        given.is_valid(raise_exception=True)
        pull = request_pull(
            actor=request.actor,  # type: ignore[attr-defined]
            channel_id=given.validated_data["channel"],
            window_from=given.validated_data["start"],
            window_until=given.validated_data["until"],
            now=timezone.now(),
        )
        return Response(PullOutput(pull).data, status=status.HTTP_202_ACCEPTED)


@extend_schema(tags=["reconciliation"])
class PullDetail(APIView):
    @extend_schema(responses=PullOutput)
    def get(self, request: Request, pull_id: str) -> Response:
        pull = pulls_of(actor=request.actor).filter(pk=id_in_url("pull", pull_id)).first()  # type: ignore[attr-defined]
        if pull is None:
            raise NotFound("There is no such Pull.")
        return Response(PullOutput(pull).data)


# -- Statements -------------------------------------------------------------------------------------------------------


class StatementInput(serializers.Serializer[Any]):
    channel = PublicIdField("ch")
    file = serializers.FileField(help_text="A statement of the M-PESA portal, as CSV or XLSX.")


class StatementOutput(serializers.Serializer[LoadedStatement]):
    """What the file brought. The days that it speaks of are counted again, in the background."""

    line_count = serializers.IntegerField()
    new_count = serializers.IntegerField(help_text="Lines that were not loaded before.")
    first_at = serializers.DateTimeField()
    last_at = serializers.DateTimeField()


class StatementLoad(FileDoor):
    parser_classes = (MultiPartParser,)
    maximum_bytes = MAXIMUM_BYTES

    @extend_schema(tags=["reconciliation"], request=StatementInput, responses={201: StatementOutput})
    def post(self, request: Request) -> Response:
        """Load a statement: whole, or not at all. Loading it twice changes nothing."""
        given = StatementInput(data=request.data)
        given.is_valid(raise_exception=True)
        loaded = load_statement(
            actor=request.actor,  # type: ignore[attr-defined]
            channel_id=given.validated_data["channel"],
            file=given.validated_data["file"],
            now=timezone.now(),
        )
        return Response(StatementOutput(loaded).data, status=status.HTTP_201_CREATED)


# -- Days and items ---------------------------------------------------------------------------------------------------


class TallyOutput(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    amount = serializers.CharField(help_text="KES")


class BalanceProofOutput(serializers.Serializer[Any]):
    """opening + money_in - money_out - charges = expected_closing; KES. Empty while no balances are known."""

    basis = serializers.CharField(required=False, help_text="balances, or statement")
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)
    opening = serializers.CharField(required=False)
    money_in = serializers.CharField(required=False)
    money_out = serializers.CharField(required=False)
    charges = serializers.CharField(required=False)
    expected_closing = serializers.CharField(required=False)
    closing = serializers.CharField(required=False)
    difference = serializers.CharField(required=False)
    holds = serializers.BooleanField(required=False)


class DayOutput(serializers.ModelSerializer[ReconciliationDay]):
    """`sources` has a count and an amount by whose word it is: requests, callbacks, payments (all that are recorded),
    pull, statement, payouts, reversals, charges, and unproved: payments of which M-PESA's lists say nothing."""

    id = PublicIdField("rec")
    channel_id = PublicIdField("ch")
    environment = LowerCaseChoiceField(Environment)
    status = LowerCaseChoiceField(ReconciliationDay.Status)
    sources = serializers.DictField(child=TallyOutput())
    balance_proof = BalanceProofOutput()
    not_settled = serializers.IntegerField(help_text="Items that nobody has settled.")

    class Meta:
        model = ReconciliationDay
        fields = [
            "id", "date", "status", "channel_id", "environment", "sources", "balance_proof", "not_settled",
            "counted_at",
        ]  # fmt: skip


class ItemOutput(serializers.ModelSerializer[ReconciliationItem]):
    """Something that does not match. Amounts are KES, `theirs` by M-PESA's word; negative for money that went out."""

    id = PublicIdField("rit")
    day_id = PublicIdField("rec")
    date = serializers.DateField(source="day.date")
    kind = LowerCaseChoiceField(ReconciliationItem.Kind)

    class Meta:
        model = ReconciliationItem
        fields = [
            "id", "day_id", "date", "kind", "subject", "ours", "theirs", "sentence", "found_at", "settled_at",
            "settled_by", "note",
        ]  # fmt: skip


class DayFilters(OneEnvironment):
    channel = PublicIdFilter("ch", field_name="channel_id")
    status = LowerCaseChoiceFilter(ReconciliationDay.Status, field_name="status")
    date_from = django_filters.DateFilter("date", "gte")
    date_until = django_filters.DateFilter("date", "lte")


class ItemFilters(OneEnvironment):
    path = "day__environment"
    day = PublicIdFilter("rec", field_name="day_id")
    channel = PublicIdFilter("ch", field_name="day__channel_id")
    kind = LowerCaseChoiceFilter(ReconciliationItem.Kind, field_name="kind")
    is_settled = django_filters.BooleanFilter("settled_at", "isnull", exclude=True)


class RecountInput(serializers.Serializer[Any]):
    channel = PublicIdField("ch")
    date = serializers.DateField(help_text="A day of Kenya's clock, up to today.")


@extend_schema(tags=["reconciliation"])
class DayList(ListAPIView[ReconciliationDay]):
    """Each channel's days, compared with what M-PESA lists, the newest first."""

    serializer_class = DayOutput
    filterset_class = DayFilters
    queryset = ReconciliationDay.objects.none()
    ordering = ("-date", "-id")

    def get_queryset(self) -> QuerySet[ReconciliationDay]:
        return reconciliation_days(actor=self.request.actor)  # type: ignore[attr-defined]

    @extend_schema(request=RecountInput, responses={202: None})
    def post(self, request: Request) -> Response:
        """Have a channel's day counted in the background: it then is in the list, with a new `counted_at`."""
        given = RecountInput(data=request.data)
        given.is_valid(raise_exception=True)
        request_recount(
            actor=request.actor,  # type: ignore[attr-defined]
            channel_id=given.validated_data["channel"],
            day=given.validated_data["date"],
            now=timezone.now(),
        )
        return Response(status=status.HTTP_202_ACCEPTED)


@extend_schema(tags=["reconciliation"], parameters=[_DAY_ID])
class DayDetail(APIView):
    @extend_schema(responses=DayOutput)
    def get(self, request: Request, day_id: str) -> Response:
        """One day. What does not match is in `/reconciliation-items/?day=…`."""
        day = reconciliation_days(actor=request.actor).filter(pk=id_in_url("rec", day_id)).first()  # type: ignore[attr-defined]
        if day is None:
            raise DayNotFound
        return Response(DayOutput(day).data)


@extend_schema(tags=["reconciliation"])
class ItemList(ListAPIView[ReconciliationItem]):
    """What does not match, of one day or of all, the newest first."""

    serializer_class = ItemOutput
    filterset_class = ItemFilters
    queryset = ReconciliationItem.objects.none()
    ordering = ("-id",)

    def get_queryset(self) -> QuerySet[ReconciliationItem]:
        return reconciliation_items(actor=self.request.actor)  # type: ignore[attr-defined]


class SettleInput(serializers.Serializer[Any]):
    note = serializers.CharField(max_length=254, help_text="What you found.")


@extend_schema(tags=["reconciliation"], parameters=[_ITEM_ID])
class ItemSettle(APIView):
    @extend_schema(request=SettleInput, responses=ItemOutput)
    def post(self, request: Request, item_id: str) -> Response:
        """Note that somebody looked at it, and what they found. It stays settled, however the day is counted."""
        given = SettleInput(data=request.data)
        given.is_valid(raise_exception=True)
        item = settle_item(
            actor=request.actor,  # type: ignore[attr-defined]
            item_id=id_in_url("rit", item_id),
            note=given.validated_data["note"],
            now=timezone.now(),
        )
        return Response(ItemOutput(item).data)


@extend_schema(tags=["reconciliation"], parameters=[_ITEM_ID])
class ItemRecord(APIView):
    @extend_schema(
        request=None,
        parameters=[IDEMPOTENCY_KEY],
        responses={200: ItemOutput} | refusals(400, 401, 403, 404, 409, 422),
    )
    def post(self, request: Request, item_id: str) -> Response:
        """Record as a payment what M-PESA lists and was missing here. Points and messages follow."""
        actor = request.actor  # type: ignore[attr-defined]
        found = read_item(actor=actor, item_id=id_in_url("rit", item_id))

        def record() -> tuple[int, Any]:
            item = record_item(actor=actor, item_id=found.pk, now=timezone.now())
            return status.HTTP_200_OK, ItemOutput(item).data

        return answer_once(request, environment=found.day.environment, work=record)


urlpatterns = [
    path("pulls/", PullList.as_view()),
    path("pulls/<str:pull_id>/", PullDetail.as_view()),
    path("statements/", StatementLoad.as_view()),
    path("reconciliation-days/", DayList.as_view()),
    path("reconciliation-days/<str:day_id>/", DayDetail.as_view()),
    path("reconciliation-items/", ItemList.as_view()),
    path("reconciliation-items/<str:item_id>/settle/", ItemSettle.as_view()),
    path("reconciliation-items/<str:item_id>/record/", ItemRecord.as_view()),
]
