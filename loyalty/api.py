"""`/api/v1/programs/`, `/api/v1/members/`, `/api/v1/waiting-payments/`, `/api/v1/rewards/`."""

from decimal import Decimal
from typing import Any, ClassVar

import django_filters
from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers, status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from channels.explaining import wrong_number
from channels.filters import LowerCaseChoiceFilter, OneEnvironment, PublicIdFilter
from channels.idempotency import IDEMPOTENCY_KEY, answer_once
from channels.models import Environment
from channels.msisdn import InvalidPhoneNumber, normalise
from loyalty.accrual import AccrualTerms, StampTerms
from loyalty.claims import claim_payment, waiting_payments
from loyalty.members import change_member, enrol_member, get_member, member_code, members_of
from loyalty.models import Member, PaymentOutcome, PointsEntry, Program, Reward
from loyalty.points import POINTS_MAX, adjust_points, collect_reward, entries_of, redeem_points, rewards_of
from loyalty.services import change_program, create_program, get_program, programs_of
from payments.models import Payment
from tenants.errors import Invalid
from tenants.serializer_fields import LowerCaseChoiceField, PublicIdField, id_in_url, refusals

# -- Programs ---------------------------------------------------------------------------------------------------------


class AccrualRuleFields(serializers.Serializer[Any]):
    """Points per so many shillings, times a multiplier, rounded down once at the end."""

    points = serializers.IntegerField(min_value=1, max_value=1000, default=1)
    per_kes = serializers.IntegerField(min_value=1, max_value=1_000_000, default=100)
    multiplier = serializers.DecimalField(max_digits=5, decimal_places=2, min_value=Decimal(0), default=Decimal(1))
    minimum_kes = serializers.IntegerField(
        min_value=0, max_value=1_000_000, default=0, help_text="Smaller payments earn nothing."
    )
    cap_points = serializers.IntegerField(
        min_value=1, max_value=POINTS_MAX, default=None, allow_null=True, help_text="The most that one payment earns."
    )


class StampRuleFields(serializers.Serializer[Any]):
    """“After N payments, a reward”, with the words for it: “Thanks for ordering! 4 more orders for free delivery.”"""

    payments_needed = serializers.IntegerField(min_value=1, max_value=1000)
    minimum_kes = serializers.IntegerField(
        min_value=0, max_value=1_000_000, default=0, help_text="Smaller payments are no stamp."
    )
    reward = serializers.CharField(max_length=80, help_text="“free delivery”")
    thanks = serializers.CharField(max_length=80, help_text="“Thanks for ordering!”")
    noun = serializers.CharField(max_length=40, help_text="One payment: “order”")
    noun_plural = serializers.CharField(max_length=40, help_text="Several: “orders”")


class ProgramInput(serializers.Serializer[Any]):
    code = serializers.SlugField(max_length=64, help_text="What a channel's mapping names.")
    name = serializers.CharField(max_length=80, help_text="As customers read it.")
    member_key = LowerCaseChoiceField(Program.MemberKey, default="by_payer")
    language = serializers.ChoiceField(settings.LANGUAGES, default="en", help_text="Of its messages.")
    is_joinable = serializers.BooleanField(
        default=True, help_text="Customers may join by themselves, at /join/, where the program knows them by payer."
    )
    accrual_rule = AccrualRuleFields(required=False, allow_null=True)
    stamp_rule = StampRuleFields(required=False, allow_null=True)


class ProgramChange(serializers.Serializer[Any]):
    """What is left out stays; a rule is replaced as a whole, `null` removes it."""

    name = serializers.CharField(max_length=80, required=False)
    language = serializers.ChoiceField(settings.LANGUAGES, required=False)
    is_active = serializers.BooleanField(required=False)
    is_joinable = serializers.BooleanField(required=False)
    accrual_rule = AccrualRuleFields(required=False, allow_null=True)
    stamp_rule = StampRuleFields(required=False, allow_null=True)


class ProgramOutput(serializers.ModelSerializer[Program]):
    id = PublicIdField("prog")
    member_key = LowerCaseChoiceField(Program.MemberKey)
    accrual_rule = AccrualRuleFields(allow_null=True)
    stamp_rule = StampRuleFields(allow_null=True)

    class Meta:
        model = Program
        fields = [
            "id", "code", "name", "member_key", "language", "is_active", "is_joinable", "accrual_rule", "stamp_rule",
            "created_at",
        ]  # fmt: skip


def _with_terms(values: dict[str, Any]) -> dict[str, Any]:
    """The fields of a request as the services take them: rules as terms."""
    values = dict(values)
    if "accrual_rule" in values:
        rule = values.pop("accrual_rule")
        values["accrual"] = AccrualTerms(**rule) if rule else None
    if "stamp_rule" in values:
        rule = values.pop("stamp_rule")
        values["stamp"] = StampTerms(**rule) if rule else None
    return values


@extend_schema_view(
    get=extend_schema(
        tags=["programs"], summary="List programs", responses={200: ProgramOutput(many=True)} | refusals(400, 401, 403)
    )
)
class ProgramList(ListAPIView[Program]):
    """Ways in which payments become points or stamps."""

    serializer_class = ProgramOutput
    queryset = Program.objects.none()

    def get_queryset(self) -> QuerySet[Program]:
        return programs_of(actor=self.request.actor)  # type: ignore[attr-defined]

    @extend_schema(
        tags=["programs"],
        summary="Create a program",
        request=ProgramInput,
        responses={201: ProgramOutput} | refusals(400, 401, 403, 409),
    )
    def post(self, request: Request) -> Response:
        """A channel's mapping can send payments to it from now on."""
        given = ProgramInput(data=request.data)
        given.is_valid(raise_exception=True)
        program = create_program(actor=request.actor, **_with_terms(given.validated_data))  # type: ignore[attr-defined]
        return Response(ProgramOutput(program).data, status=status.HTTP_201_CREATED)


class ProgramDetail(APIView):
    @extend_schema(
        tags=["programs"], summary="Read a program", responses={200: ProgramOutput} | refusals(401, 403, 404)
    )
    def get(self, request: Request, program_id: str) -> Response:
        program = get_program(actor=request.actor, program_id=id_in_url("prog", program_id))  # type: ignore[attr-defined]
        return Response(ProgramOutput(program).data)

    @extend_schema(
        tags=["programs"],
        summary="Change a program",
        request=ProgramChange,
        responses={200: ProgramOutput} | refusals(400, 401, 403, 404, 409),
    )
    def patch(self, request: Request, program_id: str) -> Response:
        """What was earned stays; the next payment is judged by the new rules."""
        given = ProgramChange(data=request.data)
        given.is_valid(raise_exception=True)
        program = change_program(
            actor=request.actor,  # type: ignore[attr-defined]
            program_id=id_in_url("prog", program_id),
            **_with_terms(given.validated_data),
        )
        return Response(ProgramOutput(program).data)


# -- Members ----------------------------------------------------------------------------------------------------------


class EnrolmentInput(serializers.Serializer[Any]):
    program_id = PublicIdField("prog")
    environment = LowerCaseChoiceField(Environment)
    code = serializers.CharField(
        max_length=64,
        required=False,
        help_text="What the member types as account number. Made up by us, unless the program knows members by it.",
    )
    name = serializers.CharField(max_length=80, required=False, allow_blank=True)
    phone_number = serializers.CharField(
        max_length=40, required=False, allow_blank=True, help_text="In any local form: 0712 345 678, +254712345678 …"
    )
    consented = serializers.BooleanField(
        default=False, help_text="The member agreed that the number is kept and used. Needed with a number."
    )


class LoyaltyMemberChange(serializers.Serializer[Any]):
    """What is left out stays. A new number needs `consented`; an empty one forgets the number."""

    name = serializers.CharField(max_length=80, required=False, allow_blank=True)
    phone_number = serializers.CharField(max_length=40, required=False, allow_blank=True)
    consented = serializers.BooleanField(default=False)
    is_active = serializers.BooleanField(required=False)


class LoyaltyMemberOutput(serializers.ModelSerializer[Member]):
    id = PublicIdField("mem")
    program_id = PublicIdField("prog")
    program_code = serializers.CharField(source="program.code")
    environment = LowerCaseChoiceField(Environment)
    consent_way = LowerCaseChoiceField(Member.ConsentWay, allow_blank=True)

    class Meta:
        model = Member
        fields = [
            "id", "program_id", "program_code", "environment", "code", "name", "phone_number", "consented_at",
            "consent_way", "consent_note", "points_balance", "stamps", "is_active", "joined_at",
        ]  # fmt: skip


class MemberFilters(OneEnvironment):
    program = PublicIdFilter("prog", field_name="program_id")
    code = django_filters.CharFilter(method="_by_code", help_text="In any spelling: vip-001")
    phone_number = django_filters.CharFilter(method="_by_phone_number", help_text="In any local form")

    def _by_code(self, queryset: QuerySet[Member], name: str, value: str) -> QuerySet[Member]:
        return queryset.filter(code=member_code(value))

    def _by_phone_number(self, queryset: QuerySet[Member], name: str, value: str) -> QuerySet[Member]:
        try:
            return queryset.filter(phone_number=normalise(value))
        except InvalidPhoneNumber:
            raise Invalid(wrong_number(), errors={"phone_number": [wrong_number()]}) from None


@extend_schema_view(
    get=extend_schema(
        tags=["members"],
        summary="List members",
        responses={200: LoyaltyMemberOutput(many=True)} | refusals(400, 401, 403),
    )
)
class MemberList(ListAPIView[Member]):
    """Members of one environment, newest first. Without `environment` it is the primary channel's."""

    serializer_class = LoyaltyMemberOutput
    filterset_class = MemberFilters
    queryset = Member.objects.none()

    def get_queryset(self) -> QuerySet[Member]:
        return members_of(actor=self.request.actor)  # type: ignore[attr-defined]

    @extend_schema(
        tags=["members"],
        summary="Enrol a member",
        request=EnrolmentInput,
        responses={201: LoyaltyMemberOutput} | refusals(400, 401, 403, 404, 409),
    )
    def post(self, request: Request) -> Response:
        """In one environment: practice points never meet live ones."""
        given = EnrolmentInput(data=request.data)
        given.is_valid(raise_exception=True)
        member = enrol_member(actor=request.actor, now=timezone.now(), **given.validated_data)  # type: ignore[attr-defined]
        return Response(LoyaltyMemberOutput(member).data, status=status.HTTP_201_CREATED)


class MemberDetail(APIView):
    @extend_schema(
        tags=["members"], summary="Read a member", responses={200: LoyaltyMemberOutput} | refusals(401, 403, 404)
    )
    def get(self, request: Request, member_id: str) -> Response:
        member = get_member(actor=request.actor, member_id=id_in_url("mem", member_id))  # type: ignore[attr-defined]
        return Response(LoyaltyMemberOutput(member).data)

    @extend_schema(
        tags=["members"],
        summary="Change a member",
        request=LoyaltyMemberChange,
        responses={200: LoyaltyMemberOutput} | refusals(400, 401, 403, 404, 409),
    )
    def patch(self, request: Request, member_id: str) -> Response:
        """Points stay. Who is not active neither earns nor spends."""
        given = LoyaltyMemberChange(data=request.data)
        given.is_valid(raise_exception=True)
        member = change_member(
            actor=request.actor,  # type: ignore[attr-defined]
            member_id=id_in_url("mem", member_id),
            now=timezone.now(),
            **given.validated_data,
        )
        return Response(LoyaltyMemberOutput(member).data)


# -- Points -----------------------------------------------------------------------------------------------------------


class PointsEntryOutput(serializers.ModelSerializer[PointsEntry]):
    id = PublicIdField("pts")
    kind = LowerCaseChoiceField(PointsEntry.Kind)
    payment_id = PublicIdField("pay", allow_null=True)
    receipt = serializers.CharField(source="payment.receipt", default=None, allow_null=True)

    class Meta:
        model = PointsEntry
        fields = ["id", "kind", "points", "balance_after", "payment_id", "receipt", "note", "created_at"]


class AdjustmentInput(serializers.Serializer[Any]):
    points = serializers.IntegerField(min_value=-POINTS_MAX, max_value=POINTS_MAX, help_text="Up, or down below 0.")
    reason = serializers.CharField(max_length=254)


class RedemptionInput(serializers.Serializer[Any]):
    points = serializers.IntegerField(min_value=1, max_value=POINTS_MAX)
    note = serializers.CharField(max_length=254, required=False, allow_blank=True, help_text="On what they were spent.")


class ClaimInput(serializers.Serializer[Any]):
    receipt = serializers.CharField(max_length=20, help_text="M-PESA's number, in the customer's SMS from M-PESA.")


class ClaimOutput(serializers.Serializer[PaymentOutcome]):
    """What the claimed payment gave."""

    payment_id = PublicIdField("pay")
    receipt = serializers.CharField(source="payment.receipt")
    member_id = PublicIdField("mem")
    status = LowerCaseChoiceField(PaymentOutcome.Status)
    points = serializers.IntegerField()
    gave_stamp = serializers.BooleanField()


@extend_schema(
    tags=["points"],
    summary="List a member's points entries",
    responses={200: PointsEntryOutput(many=True)} | refusals(401, 403, 404),
)
class PointsEntryList(ListAPIView[PointsEntry]):
    """Every change of a member's points, newest first. Their sum is the balance."""

    serializer_class = PointsEntryOutput
    queryset = PointsEntry.objects.none()

    def get_queryset(self) -> QuerySet[PointsEntry]:
        member_id = id_in_url("mem", self.kwargs["member_id"])
        return entries_of(actor=self.request.actor, member_id=member_id)  # type: ignore[attr-defined]


class PointsAdjustment(APIView):
    @extend_schema(
        tags=["points"],
        summary="Correct a member's points",
        parameters=[IDEMPOTENCY_KEY],
        request=AdjustmentInput,
        responses={201: PointsEntryOutput} | refusals(400, 401, 403, 404, 409, 422),
    )
    def post(self, request: Request, member_id: str) -> Response:
        given = AdjustmentInput(data=request.data)
        given.is_valid(raise_exception=True)
        actor = request.actor  # type: ignore[attr-defined]
        member = get_member(actor=actor, member_id=id_in_url("mem", member_id))

        def adjust() -> tuple[int, Any]:
            entry = adjust_points(actor=actor, member_id=member.pk, now=timezone.now(), **given.validated_data)
            return status.HTTP_201_CREATED, PointsEntryOutput(entry).data

        return answer_once(request, environment=member.environment, work=adjust)


class PointsRedemption(APIView):
    @extend_schema(
        tags=["points"],
        summary="Redeem points",
        parameters=[IDEMPOTENCY_KEY],
        request=RedemptionInput,
        responses={201: PointsEntryOutput} | refusals(400, 401, 403, 404, 409, 422),
    )
    def post(self, request: Request, member_id: str) -> Response:
        given = RedemptionInput(data=request.data)
        given.is_valid(raise_exception=True)
        actor = request.actor  # type: ignore[attr-defined]
        member = get_member(actor=actor, member_id=id_in_url("mem", member_id))

        def redeem() -> tuple[int, Any]:
            entry = redeem_points(actor=actor, member_id=member.pk, now=timezone.now(), **given.validated_data)
            return status.HTTP_201_CREATED, PointsEntryOutput(entry).data

        return answer_once(request, environment=member.environment, work=redeem)


class PaymentClaim(APIView):
    @extend_schema(
        tags=["points"],
        summary="Claim a waiting payment for a member",
        parameters=[IDEMPOTENCY_KEY],
        request=ClaimInput,
        responses={200: ClaimOutput} | refusals(400, 401, 403, 404, 409, 422),
    )
    def post(self, request: Request, member_id: str) -> Response:
        """By M-PESA's receipt, which only the payer has."""
        given = ClaimInput(data=request.data)
        given.is_valid(raise_exception=True)
        actor = request.actor  # type: ignore[attr-defined]
        member = get_member(actor=actor, member_id=id_in_url("mem", member_id))

        def claim() -> tuple[int, Any]:
            receipt = given.validated_data["receipt"]
            outcome = claim_payment(actor=actor, member_id=member.pk, receipt=receipt, now=timezone.now())
            return status.HTTP_200_OK, ClaimOutput(outcome).data

        return answer_once(request, environment=member.environment, work=claim)


class WaitingPaymentOutput(serializers.ModelSerializer[Payment]):
    id = PublicIdField("pay")
    channel_id = PublicIdField("ch")
    environment = LowerCaseChoiceField(Environment)
    program_id = PublicIdField("prog", source="outcome.program_id")
    program_code = serializers.CharField(source="outcome.program.code")

    class Meta:
        model = Payment
        fields = [
            "id", "receipt", "amount", "channel_id", "environment", "program_id", "program_code", "account_reference",
            "payer", "payer_name", "paid_at",
        ]  # fmt: skip


class WaitingPaymentFilters(OneEnvironment):
    program = PublicIdFilter("prog", field_name="outcome__program_id")


@extend_schema(
    tags=["points"],
    summary="List payments that wait for their payer",
    responses={200: WaitingPaymentOutput(many=True)} | refusals(400, 401, 403),
)
class WaitingPaymentList(ListAPIView[Payment]):
    """Payments whose payer nobody knew, newest first: a member with the receipt can claim them."""

    serializer_class = WaitingPaymentOutput
    filterset_class = WaitingPaymentFilters
    queryset = Payment.objects.none()

    def get_queryset(self) -> QuerySet[Payment]:
        return waiting_payments(actor=self.request.actor)  # type: ignore[attr-defined]


# -- Rewards ----------------------------------------------------------------------------------------------------------


class RewardOutput(serializers.ModelSerializer[Reward]):
    id = PublicIdField("rew")
    member_id = PublicIdField("mem")
    member_code = serializers.CharField(source="member.code")
    program_code = serializers.CharField(source="member.program.code")
    environment = LowerCaseChoiceField(Environment, source="member.environment")
    payment_id = PublicIdField("pay")
    receipt = serializers.CharField(source="payment.receipt")
    status = LowerCaseChoiceField(Reward.Status)

    class Meta:
        model = Reward
        fields = [
            "id", "description", "status", "member_id", "member_code", "program_code", "environment", "payment_id",
            "receipt", "created_at", "collected_at",
        ]  # fmt: skip


class RewardFilters(OneEnvironment):
    path: ClassVar[str] = "member__environment"
    member = PublicIdFilter("mem", field_name="member_id")
    status = LowerCaseChoiceFilter(Reward.Status, field_name="status")


@extend_schema(
    tags=["rewards"], summary="List rewards", responses={200: RewardOutput(many=True)} | refusals(400, 401, 403)
)
class RewardList(ListAPIView[Reward]):
    """Rewards of one environment, newest first."""

    serializer_class = RewardOutput
    filterset_class = RewardFilters
    queryset = Reward.objects.none()

    def get_queryset(self) -> QuerySet[Reward]:
        return rewards_of(actor=self.request.actor)  # type: ignore[attr-defined]


class RewardCollection(APIView):
    @extend_schema(
        tags=["rewards"],
        summary="Collect a reward",
        request=None,
        responses={200: RewardOutput} | refusals(401, 403, 404, 409),
    )
    def post(self, request: Request, reward_id: str) -> Response:
        """The member was given it."""
        reward = collect_reward(
            actor=request.actor,  # type: ignore[attr-defined]
            reward_id=id_in_url("rew", reward_id),
            now=timezone.now(),
        )
        return Response(RewardOutput(reward).data)
