"""`/api/v1/payout-batches/`: payouts that are approved and released together."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.http import HttpResponse
from django.urls import path
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.ids import public_id
from channels.filters import LowerCaseChoiceFilter, OneEnvironment, PublicIdFilter
from channels.idempotency import IDEMPOTENCY_KEY, answer_once, environment_of
from channels.models import Environment
from payments.api.common import CancellationInput, FileDoor, ProofInput
from payments.api.payouts import HowInput, PayoutOutput, PayoutRowInput
from payments.models import Payout, PayoutBatch
from payments.payouts import batches, export
from payments.payouts.checking import GivenRow
from payments.payouts.creating import Checked, check_batch, create_batch, retry_failed
from payments.payouts.files import MAXIMUM_BYTES, read_rows
from tenants.reauthentication import prove_again
from tenants.serializer_fields import LowerCaseChoiceField, PublicIdField, id_in_url, refusals

_TAG = ["payout batches"]
_SHOWN_WARNINGS = 100


@extend_schema_field(PayoutRowInput(many=True))
class RowsField(serializers.Field):  # type: ignore[type-arg]
    """A list of objects. What is in them the service checks: ten thousand in one go."""

    default_error_messages = {"invalid": "Give a list of objects, one for each payout."}

    def to_internal_value(self, data: Any) -> list[GivenRow]:
        if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
            self.fail("invalid")
        return [GivenRow(number, values) for number, values in enumerate(data, start=1)]


class BatchInput(HowInput):
    """The payouts as `rows`, or as a `file` (in a form): CSV or XLSX with a header that names the columns `phone`,
    `amount`, `name`, `reference` and `reason`, or as the fields of a row are named. Either at most 10,000 and 5 MB."""

    reference = serializers.CharField(
        required=False,
        help_text="Your own name for the batch, at most 40 characters, used once. Else when it was made.",
    )
    rows = RowsField(required=False, allow_null=True)
    file = serializers.FileField(required=False, allow_null=True)
    dry_run = serializers.BooleanField(default=False, help_text="Check everything, and keep nothing.")

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if (given.get("rows") is None) == (given.get("file") is None):
            raise serializers.ValidationError({"rows": ["Give rows, or a file, and not both."]})
        return given


class WarnedRowOutput(serializers.Serializer[Any]):
    row = serializers.IntegerField(source="number")
    warnings = serializers.ListField(child=serializers.CharField())


class BatchPreview(serializers.Serializer[Checked]):
    """What the batch would come to."""

    payout_count = serializers.IntegerField()
    total_amount = serializers.IntegerField(help_text="KES")
    fee_estimate = serializers.DecimalField(14, 2, help_text="KES, by M-PESA's published tariff")
    flagged_count = serializers.IntegerField(help_text="Rows with a warning.")
    flagged = serializers.SerializerMethodField(help_text=f"The first {_SHOWN_WARNINGS} of them.")
    needs_approval = serializers.BooleanField()

    @extend_schema_field(WarnedRowOutput(many=True))
    def get_flagged(self, found: Checked) -> Any:
        return WarnedRowOutput(found.flagged[:_SHOWN_WARNINGS], many=True).data


class BatchOutput(serializers.ModelSerializer[PayoutBatch]):
    id = PublicIdField("pbat")
    status = LowerCaseChoiceField(PayoutBatch.Status)
    channel_id = PublicIdField("ch")
    environment = LowerCaseChoiceField(Environment)
    retry_of = PublicIdField("pbat", source="retry_of_id", allow_null=True)

    class Meta:
        model = PayoutBatch
        fields = [
            "id", "reference", "status", "channel_id", "environment", "payout_count", "total_amount", "fee_estimate",
            "flagged_count", "retry_of", "created_by", "approved_by", "approved_at", "released_by", "released_at",
            "expires_at", "cancelled_at", "reason", "finished_at", "created_at",
        ]  # fmt: skip


class ShareOutput(serializers.Serializer[batches.Share]):
    count = serializers.IntegerField()
    amount = serializers.IntegerField(help_text="KES")


class ProgressOutput(serializers.Serializer[Any]):
    """How many of its payouts, and how much, stand where."""

    awaiting_approval = ShareOutput()
    pending = ShareOutput()
    unknown = ShareOutput()
    succeeded = ShareOutput()
    failed = ShareOutput()


class BatchDetailOutput(BatchOutput):
    progress = serializers.SerializerMethodField()

    class Meta(BatchOutput.Meta):
        fields = [*BatchOutput.Meta.fields, "progress"]

    @extend_schema_field(ProgressOutput)
    def get_progress(self, batch: PayoutBatch) -> Any:
        return ProgressOutput(batches.progress_of(batch)).data


class BatchFilters(OneEnvironment):
    channel = PublicIdFilter("ch", field_name="channel_id")
    status = LowerCaseChoiceFilter(PayoutBatch.Status, field_name="status")
    reference = django_filters.CharFilter("reference", "iexact")


@extend_schema(tags=_TAG)
class BatchList(FileDoor, ListAPIView[PayoutBatch]):
    """Payout batches of one environment, newest first. Without `environment` it is the primary channel's."""

    serializer_class = BatchOutput
    filterset_class = BatchFilters
    queryset = PayoutBatch.objects.none()
    ordering = ("-id",)
    maximum_bytes = MAXIMUM_BYTES

    def get_queryset(self) -> QuerySet[PayoutBatch]:
        return batches.payout_batches(actor=self.request.actor)  # type: ignore[attr-defined]

    @extend_schema(
        summary="Prepare a batch of payouts",
        parameters=[IDEMPOTENCY_KEY],
        request=BatchInput,
        responses={200: BatchPreview, 201: BatchDetailOutput} | refusals(400, 403, 404, 409, 413, 422),
    )
    def post(self, request: Request) -> Response:
        """Checked whole, and kept whole or not at all: one row that can't be paid refuses all, with a sentence for
        every row. With `dry_run` nothing is kept, and no Idempotency-Key is needed."""
        given = BatchInput(data=request.data)
        given.is_valid(raise_exception=True)
        values = given.validated_data
        batch = {
            "actor": request.actor,  # type: ignore[attr-defined]
            "rows": read_rows(values["file"], kind=values["kind"]) if values.get("file") else values["rows"],
            "channel_id": values.get("channel"),
            "kind": values["kind"],
            "purpose": values["purpose"],
            "now": timezone.now(),
        }
        if values["dry_run"]:
            return Response(BatchPreview(check_batch(**batch)).data)

        def create() -> tuple[int, Any]:
            made = create_batch(reference=values.get("reference", ""), **batch)
            return status.HTTP_201_CREATED, BatchDetailOutput(made).data

        return answer_once(request, environment=environment_of(values.get("channel")), work=create)


@extend_schema(tags=_TAG)
class BatchDetail(APIView):
    @extend_schema(responses={200: BatchDetailOutput} | refusals(404))
    def get(self, request: Request, batch_id: str) -> Response:
        """The batch and its progress. Its `id` fits `GET /payouts/?batch=` too."""
        return Response(BatchDetailOutput(_batch(request, batch_id)).data)


@extend_schema(tags=_TAG)
class BatchRows(ListAPIView[Payout]):
    """The payouts of a batch, in the order of its rows."""

    serializer_class = PayoutOutput
    queryset = Payout.objects.none()
    filter_backends = ()
    ordering = ("row",)

    def get_queryset(self) -> QuerySet[Payout]:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        return _batch(self.request, self.kwargs["batch_id"]).payouts.all()


@extend_schema(tags=_TAG)
class BatchApprove(APIView):
    @extend_schema(request=None, responses={200: BatchDetailOutput} | refusals(403, 404, 409))
    def post(self, request: Request, batch_id: str) -> Response:
        """A second person's yes: not of whoever made it."""
        approved = batches.approve_batch(
            actor=request.actor,  # type: ignore[attr-defined]
            batch_id=id_in_url("pbat", batch_id),
            now=timezone.now(),
        )
        return Response(BatchDetailOutput(approved).data)


@extend_schema(tags=_TAG)
class BatchRelease(APIView):
    @extend_schema(
        parameters=[IDEMPOTENCY_KEY],
        request=ProofInput,
        responses={200: BatchDetailOutput} | refusals(400, 403, 404, 409, 422, 429),
    )
    def post(self, request: Request, batch_id: str) -> Response:
        """Send it. Prove again who you are: by your password, or by your second factor."""
        given = ProofInput(data=request.data)
        given.is_valid(raise_exception=True)
        batch = _batch(request, batch_id)
        now = timezone.now()
        proof = prove_again(request.user, **given.validated_data, now=now)  # type: ignore[arg-type]  # members only

        def release() -> tuple[int, Any]:
            released = batches.release_batch(
                actor=request.actor,  # type: ignore[attr-defined]
                batch_id=batch.pk,
                proof=proof,
                now=now,
            )
            return status.HTTP_200_OK, BatchDetailOutput(released).data

        return answer_once(request, environment=batch.environment, work=release)


@extend_schema(tags=_TAG)
class BatchCancel(APIView):
    @extend_schema(request=CancellationInput, responses={200: BatchDetailOutput} | refusals(400, 403, 404, 409))
    def post(self, request: Request, batch_id: str) -> Response:
        """Withdraw it before it is released. Nothing of it is sent."""
        given = CancellationInput(data=request.data)
        given.is_valid(raise_exception=True)
        cancelled = batches.cancel_batch(
            actor=request.actor,  # type: ignore[attr-defined]
            batch_id=id_in_url("pbat", batch_id),
            reason=given.validated_data["reason"],
            now=timezone.now(),
        )
        return Response(BatchDetailOutput(cancelled).data)


class RetryInput(serializers.Serializer[Any]):
    reference = serializers.CharField(required=False, help_text="Your own name for the new batch.")


@extend_schema(tags=_TAG)
class BatchRetryFailed(APIView):
    @extend_schema(
        parameters=[IDEMPOTENCY_KEY],
        request=RetryInput,
        responses={201: BatchDetailOutput} | refusals(400, 403, 404, 409, 422),
    )
    def post(self, request: Request, batch_id: str) -> Response:
        """A new batch of the payouts that definitely failed, each once, under the same row numbers."""
        given = RetryInput(data=request.data)
        given.is_valid(raise_exception=True)
        batch = _batch(request, batch_id)

        def retry() -> tuple[int, Any]:
            made = retry_failed(
                actor=request.actor,  # type: ignore[attr-defined]
                batch_id=batch.pk,
                reference=given.validated_data.get("reference", ""),
                now=timezone.now(),
            )
            return status.HTTP_201_CREATED, BatchDetailOutput(made).data

        return answer_once(request, environment=batch.environment, work=retry)


class DownloadQuery(serializers.Serializer[Any]):
    type = serializers.ChoiceField(["csv", "xlsx"], default="csv")


_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@extend_schema(tags=_TAG)
class BatchDownload(APIView):
    @extend_schema(
        parameters=[OpenApiParameter("type", OpenApiTypes.STR, enum=["csv", "xlsx"], default="csv")],
        responses={(200, "text/csv"): OpenApiTypes.STR, (200, _XLSX): OpenApiTypes.BINARY} | refusals(400, 404),
    )
    def get(self, request: Request, batch_id: str) -> HttpResponse:
        """The result file: every row as it stands now."""
        wanted = DownloadQuery(data=request.query_params)
        wanted.is_valid(raise_exception=True)
        batch = _batch(request, batch_id)
        ending = wanted.validated_data["type"]
        content = export.as_xlsx(batch) if ending == "xlsx" else export.as_csv(batch)
        return HttpResponse(
            content,
            content_type=_XLSX if ending == "xlsx" else "text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{public_id("pbat", batch.pk)}.{ending}"'},
        )


def _batch(request: Request, batch_id: str) -> PayoutBatch:
    return batches.payout_batch(actor=request.actor, batch_id=id_in_url("pbat", batch_id))  # type: ignore[attr-defined]


urlpatterns = [
    path("payout-batches/", BatchList.as_view()),
    path("payout-batches/<str:batch_id>/", BatchDetail.as_view()),
    path("payout-batches/<str:batch_id>/rows/", BatchRows.as_view()),
    path("payout-batches/<str:batch_id>/approve/", BatchApprove.as_view()),
    path("payout-batches/<str:batch_id>/release/", BatchRelease.as_view()),
    path("payout-batches/<str:batch_id>/cancel/", BatchCancel.as_view()),
    path("payout-batches/<str:batch_id>/retry-failed/", BatchRetryFailed.as_view()),
    path("payout-batches/<str:batch_id>/download/", BatchDownload.as_view()),
]
