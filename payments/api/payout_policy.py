"""`/api/v1/payout-policy/`, `/api/v1/allowed-receivers/`: what a business allows itself to send, and to whom."""

from django.db.models import QuerySet
from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from channels.filters import OneEnvironment
from channels.models import Environment
from payments.api.common import EnvironmentQuery, ProofInput, environment_in
from payments.models import AllowedReceiver, PayoutPolicy
from payments.payouts import policy
from tenants.permissions import Permission, require
from tenants.reauthentication import prove_again
from tenants.serializer_fields import LowerCaseChoiceField, PublicIdField, id_in_url, refusals

_TAG = ["payout policy"]


class PolicyOutput(serializers.ModelSerializer[PayoutPolicy]):
    environment = LowerCaseChoiceField(Environment)

    class Meta:
        model = PayoutPolicy
        fields = [
            "environment", "approval_threshold", "maximum_per_payout", "maximum_per_day", "maximum_per_actor",
            "allowed_receivers_only", "updated_at",
        ]  # fmt: skip


class PolicyInput(EnvironmentQuery, ProofInput):
    """What to change, and who you are, proved again by one of the two."""

    approval_threshold = serializers.IntegerField(
        required=False, help_text="KES. A batch of more than this needs a second person."
    )
    maximum_per_payout = serializers.IntegerField(required=False, help_text="KES")
    maximum_per_day = serializers.IntegerField(required=False, help_text="KES released in a day of Kenya's clock.")
    maximum_per_actor = serializers.IntegerField(
        required=False, allow_null=True, help_text="KES that one person may release in a day; null: no limit."
    )
    allowed_receivers_only = serializers.BooleanField(
        required=False, allow_null=True, help_text="true: only receivers on the list are paid."
    )


@extend_schema(tags=_TAG)
class PolicyDoor(APIView):
    @extend_schema(parameters=[EnvironmentQuery], responses={200: PolicyOutput} | refusals(400, 403))
    def get(self, request: Request) -> Response:
        """The limits of one environment; the defaults, until they are set."""
        environment = environment_in(request.query_params)
        found = policy.payout_policy(actor=request.actor, environment=environment)  # type: ignore[attr-defined]
        return Response(PolicyOutput(found).data)

    @extend_schema(request=PolicyInput, responses={200: PolicyOutput} | refusals(400, 403, 409, 429))
    def patch(self, request: Request) -> Response:
        """Change what is given, for one environment. Administrators only; every change is in the audit trail.

        Prove again who you are: by your password, or by your second factor.
        """
        actor, now = request.actor, timezone.now()  # type: ignore[attr-defined]
        require(actor, Permission.PAYOUTS_POLICY)
        given = PolicyInput(data=request.data)
        given.is_valid(raise_exception=True)
        values = dict(given.validated_data)
        values.pop("environment", None)
        said = {name: values.pop(name) for name in ProofInput().fields if name in values}
        proof = prove_again(request.user, **said, now=now)  # type: ignore[arg-type]  # members only
        changed = policy.change_payout_policy(
            actor=actor,
            environment=environment_in(request.data),
            proof=proof,
            now=now,
            allowed_receivers_only=values.pop("allowed_receivers_only", None),
            limits=values,
        )
        return Response(PolicyOutput(changed).data)


class ReceiverInput(EnvironmentQuery):
    """A phone number, or the number of a PayBill or till."""

    phone_number = serializers.CharField(required=False, allow_blank=True)
    shortcode = serializers.CharField(required=False, allow_blank=True)
    name = serializers.CharField(required=False, allow_blank=True, max_length=120)


class ReceiverOutput(serializers.ModelSerializer[AllowedReceiver]):
    id = PublicIdField("rcv")
    environment = LowerCaseChoiceField(Environment)

    class Meta:
        model = AllowedReceiver
        fields = ["id", "receiver", "name", "environment", "added_by", "created_at"]


@extend_schema(tags=_TAG)
class ReceiverList(ListAPIView[AllowedReceiver]):
    """Whom the business pays, where its policy says that it pays nobody else."""

    serializer_class = ReceiverOutput
    filterset_class = OneEnvironment
    queryset = AllowedReceiver.objects.none()
    ordering = ("-id",)

    def get_queryset(self) -> QuerySet[AllowedReceiver]:
        return policy.allowed_receivers(actor=self.request.actor)  # type: ignore[attr-defined]

    @extend_schema(request=ReceiverInput, responses={201: ReceiverOutput} | refusals(400, 403, 409))
    def post(self, request: Request) -> Response:
        given = ReceiverInput(data=request.data)
        given.is_valid(raise_exception=True)
        values = dict(given.validated_data)
        values.pop("environment", None)
        added = policy.allow_receiver(
            actor=request.actor,  # type: ignore[attr-defined]
            environment=environment_in(request.data),
            **values,
        )
        return Response(ReceiverOutput(added).data, status=status.HTTP_201_CREATED)


@extend_schema(tags=_TAG)
class ReceiverDetail(APIView):
    @extend_schema(responses={204: None} | refusals(403, 404))
    def delete(self, request: Request, receiver_id: str) -> Response:
        policy.disallow_receiver(actor=request.actor, receiver_id=id_in_url("rcv", receiver_id))  # type: ignore[attr-defined]
        return Response(status=status.HTTP_204_NO_CONTENT)


urlpatterns = [
    path("payout-policy/", PolicyDoor.as_view()),
    path("allowed-receivers/", ReceiverList.as_view()),
    path("allowed-receivers/<str:receiver_id>/", ReceiverDetail.as_view()),
]
