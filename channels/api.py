"""The API of the channels: /api/v1/mpesa-channels/."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field, extend_schema_view
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from channels import queries, runs, services, status
from channels.mapping import Match
from channels.models import ChannelRun, Environment, MpesaChannel
from tenants.errors import Invalid
from tenants.serializer_fields import LowerCaseChoiceField, PublicIdField, id_in_url, refusals

_TAG = ["channels"]
_CHANNEL_ID = OpenApiParameter("channel_id", OpenApiTypes.STR, OpenApiParameter.PATH, description="`ch_…`")
_RUN_ID = OpenApiParameter("run_id", OpenApiTypes.STR, OpenApiParameter.PATH, description="`run_…`")
_WAIT = OpenApiParameter(
    "wait",
    OpenApiTypes.INT,
    description=f"Wait up to this many seconds (at most {runs.LONGEST_WAIT_S}) for the run to end, and answer 200 with "
    "its outcome. Without it, or when it has not ended by then, the answer is 202: read the run to follow it.",
)


class ChannelTypeField(LowerCaseChoiceField):
    """`paybill`, `till` or `buygoods`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(MpesaChannel.Kind, **kwargs)
        self.choices = {self.to_representation(value): label for value, label in MpesaChannel.Kind.choices}

    def to_representation(self, value: Any) -> str:
        return str(value).lower().replace("_", "")

    def to_internal_value(self, data: Any) -> str:
        shown = serializers.ChoiceField.to_internal_value(self, data)
        return next(value for value in MpesaChannel.Kind.values if self.to_representation(value) == shown)


class AccountMappingField(serializers.DictField):
    """What customers type → the code of a program: `{"default": "loyalty", "VIP*": "vip_account"}`."""

    child = serializers.CharField()

    def to_internal_value(self, data: Any) -> Any:
        return data  # the service checks it, with a sentence for each rule


def _secret(what: str) -> serializers.CharField:
    return serializers.CharField(
        write_only=True, required=False, allow_blank=True, trim_whitespace=False, help_text=what
    )


class ChannelInput(serializers.Serializer[Any]):
    """What may be sent about a channel. The service checks it, as it does for every other door."""

    name = serializers.CharField(required=False, allow_blank=True)
    channel_type = ChannelTypeField(source="kind", required=False)
    shortcode = serializers.CharField(
        required=False,
        allow_blank=True,
        help_text="The PayBill or till number that customers pay to, 5 to 7 digits. Leave it out for a practice "
        "channel: it is then opened on the simulator and connected by itself.",
    )
    store_number = serializers.CharField(
        required=False, allow_blank=True, help_text="Of a till: the store or head office number that it went live with."
    )
    environment = LowerCaseChoiceField(Environment, required=False)
    is_primary = serializers.BooleanField(
        required=False, help_text="Exactly one channel is; the first one is at first."
    )
    consumer_key = _secret("Of your Daraja app. Written, never shown.")
    consumer_secret = _secret("Of your Daraja app. Written, never shown.")
    passkey = _secret("Only for prompts on phones. Written, never shown.")
    initiator_name = serializers.CharField(
        required=False, allow_blank=True, help_text="The API operator, only for balances and money out."
    )
    initiator_credential = _secret("The API operator's password. Written, never shown.")
    account_mapping = AccountMappingField(required=False)
    response_type = serializers.CharField(
        required=False, help_text="What M-PESA does when we can't be reached: `Completed` or `Cancelled`."
    )
    register_version = serializers.IntegerField(required=False, help_text="Of Daraja's C2B API: 1 or 2.")
    minimum_amount = serializers.IntegerField(required=False, allow_null=True, help_text="KES")
    maximum_amount = serializers.IntegerField(required=False, allow_null=True, help_text="KES")
    accepts_unmapped = serializers.BooleanField(
        required=False, help_text="false: refuse payments whose account number only `default` would take."
    )
    notes = serializers.CharField(required=False, allow_blank=True)


class NewChannelInput(ChannelInput):
    name = serializers.CharField()
    channel_type = ChannelTypeField(source="kind")
    environment = LowerCaseChoiceField(Environment)


class SavedSecretOutput(serializers.Serializer[queries.SavedSecret]):
    """What is shown of a secret."""

    saved = serializers.BooleanField()
    ends_in = serializers.CharField(allow_null=True, help_text="Its last four characters; never of a password.")
    saved_at = serializers.DateTimeField(allow_null=True)
    proved_at = serializers.DateTimeField(allow_null=True, help_text="When Safaricom last accepted it.")


class SavedSecretsOutput(serializers.Serializer[Any]):
    consumer_key = SavedSecretOutput()
    consumer_secret = SavedSecretOutput()
    passkey = SavedSecretOutput()
    initiator_credential = SavedSecretOutput()


class ChannelOutput(serializers.ModelSerializer[MpesaChannel]):
    id = PublicIdField("ch")
    channel_type = ChannelTypeField(source="kind")
    environment = LowerCaseChoiceField(Environment)
    status = LowerCaseChoiceField(MpesaChannel.Status)
    do_now = serializers.SerializerMethodField(help_text="The next thing to do for this channel; empty if nothing.")
    account_mapping = serializers.DictField(child=serializers.CharField())
    credentials = serializers.SerializerMethodField()

    class Meta:
        model = MpesaChannel
        fields = [
            "id", "name", "channel_type", "shortcode", "store_number", "environment", "status", "do_now", "is_primary",
            "credentials", "initiator_name", "account_mapping", "response_type", "register_version", "minimum_amount",
            "maximum_amount", "accepts_unmapped", "notes", "organisation_name", "verified_at", "urls_registered_at",
            "activated_at", "suspended_at", "created_at", "updated_at",
        ]  # fmt: skip

    def get_do_now(self, channel: MpesaChannel) -> str:
        return status.do_now(channel)

    @extend_schema_field(SavedSecretsOutput)
    def get_credentials(self, channel: MpesaChannel) -> Mapping[str, Any]:
        return SavedSecretsOutput(queries.saved_secrets(channel)).data


class CallbackUrlsOutput(serializers.Serializer[Any]):
    validation = serializers.CharField()
    confirmation = serializers.CharField()


class ChannelDetailOutput(ChannelOutput):
    callback_urls = serializers.SerializerMethodField(
        help_text="Where Safaricom reports payments. They are secret, so only administrators see them; others see null."
    )

    class Meta(ChannelOutput.Meta):
        fields = [*ChannelOutput.Meta.fields, "callback_urls"]

    @extend_schema_field(CallbackUrlsOutput(allow_null=True))
    def get_callback_urls(self, channel: MpesaChannel) -> dict[str, str] | None:
        return queries.shown_callback_urls(channel, actor=self.context["actor"])


class StepOutput(serializers.Serializer[Any]):
    key = serializers.CharField()
    state = serializers.ChoiceField(["waiting", "running", "ok", "warning", "failed", "skipped"])
    tried = serializers.CharField(help_text="What we do in this step.")
    said = serializers.CharField(help_text="Safaricom's own words.")
    meaning = serializers.CharField()
    do_now = serializers.CharField()
    who = serializers.CharField(help_text="Who has to act: `you`, `customer`, `safaricom`, `us` or `nobody`.")
    at = serializers.DateTimeField(allow_null=True)


class VerificationOutput(serializers.Serializer[runs.Verification]):
    shortcode = serializers.CharField()
    account_balance_accessible = serializers.BooleanField()
    verified_at = serializers.DateTimeField()


class FailureOutput(serializers.Serializer[runs.Failure]):
    code = serializers.CharField(help_text="One that begins with `daraja_` is a fault that passes: try again later.")
    detail = serializers.CharField()
    do_now = serializers.CharField()
    who = serializers.CharField()


class RunOutput(serializers.Serializer[ChannelRun]):
    """A run, step by step. `verified` and `registered` are null while undecided and where the run is not about it."""

    id = PublicIdField("run")
    kind = LowerCaseChoiceField(ChannelRun.Kind)
    state = LowerCaseChoiceField(ChannelRun.Status, source="status")
    verified = serializers.SerializerMethodField()
    registered = serializers.SerializerMethodField()
    status = LowerCaseChoiceField(MpesaChannel.Status, source="channel.status", help_text="The channel's.")
    verification_details = serializers.SerializerMethodField()
    error = serializers.SerializerMethodField()
    steps = StepOutput(many=True)
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)

    def get_verified(self, run: ChannelRun) -> bool | None:
        return runs.outcome_of(run) if run.kind == ChannelRun.Kind.VERIFY else None

    def get_registered(self, run: ChannelRun) -> bool | None:
        return runs.outcome_of(run) if run.kind == ChannelRun.Kind.REGISTER_URLS else None

    @extend_schema_field(VerificationOutput(allow_null=True))
    def get_verification_details(self, run: ChannelRun) -> Mapping[str, Any] | None:
        verification = runs.verification_of(run)
        return None if verification is None else VerificationOutput(verification).data

    @extend_schema_field(FailureOutput(allow_null=True))
    def get_error(self, run: ChannelRun) -> Mapping[str, Any] | None:
        failure = runs.failure_of(run)
        return None if failure is None else FailureOutput(failure).data


class DeactivateInput(serializers.Serializer[Any]):
    reason = serializers.CharField(required=False, allow_blank=True, max_length=500, default="")


class RotationOutput(serializers.Serializer[services.Rotation]):
    channel = ChannelDetailOutput()
    old_path_ends_at = serializers.DateTimeField()
    do_now = serializers.CharField()


class MappingInput(serializers.Serializer[Any]):
    account_reference = serializers.CharField(
        allow_blank=True, trim_whitespace=False, max_length=64, help_text="What a customer might type."
    )
    account_mapping = AccountMappingField(required=False, help_text="Rules to try instead of the channel's own.")


class RuleOutput(serializers.Serializer[Any]):
    rule = serializers.CharField(help_text="As it was written.")
    program = serializers.CharField()
    kind = serializers.ChoiceField([kind.value for kind in Match.Kind])
    fits = serializers.BooleanField()


class MappingOutput(serializers.Serializer[Any]):
    program = serializers.CharField(allow_null=True, help_text="Where the payment would go; null if nowhere.")
    rule = serializers.CharField(allow_null=True)
    kind = serializers.ChoiceField([kind.value for kind in Match.Kind], allow_null=True)
    considered = RuleOutput(many=True, help_text="Every rule, the strongest first: the first that fits wins.")


@extend_schema_view(
    get=extend_schema(
        tags=_TAG, summary="List channels", responses={200: ChannelOutput(many=True)} | refusals(400, 401, 403)
    )
)
class ChannelList(ListAPIView[MpesaChannel]):
    """The business's PayBills and tills, newest first."""

    serializer_class = ChannelOutput
    queryset = MpesaChannel.objects.none()

    def get_queryset(self) -> QuerySet[MpesaChannel]:
        return queries.channels_of(actor=self.request.actor)  # type: ignore[attr-defined]

    @extend_schema(
        tags=_TAG,
        summary="Plug in a PayBill or till",
        request=NewChannelInput,
        responses={201: ChannelDetailOutput} | refusals(400, 401, 403, 409),
    )
    def post(self, request: Request) -> Response:
        """Its first channel is the business's primary one. `do_now` says what comes next."""
        given = NewChannelInput(data=request.data)
        given.is_valid(raise_exception=True)
        channel = services.create_channel(actor=request.actor, now=timezone.now(), **given.validated_data)  # type: ignore[attr-defined]
        return _show(request, channel, 201)


@extend_schema(tags=_TAG, parameters=[_CHANNEL_ID])
class ChannelDetail(APIView):
    @extend_schema(summary="Read a channel", responses={200: ChannelDetailOutput} | refusals(401, 403, 404))
    def get(self, request: Request, channel_id: str) -> Response:
        return _show(request, queries.read_channel(channel_id=id_in_url("ch", channel_id), actor=request.actor))  # type: ignore[attr-defined]

    @extend_schema(
        summary="Change a channel",
        request=ChannelInput,
        responses={200: ChannelDetailOutput} | refusals(400, 401, 403, 404, 409),
    )
    def patch(self, request: Request, channel_id: str) -> Response:
        """What is left out stays as it is. Another credential ends the proof of the old one: verify again.

        The environment never changes; number and type don't change once they were verified.
        """
        given = ChannelInput(data=request.data)
        given.is_valid(raise_exception=True)
        channel = services.change_channel(
            channel_id=id_in_url("ch", channel_id),
            actor=request.actor,  # type: ignore[attr-defined]
            now=timezone.now(),
            **given.validated_data,
        )
        return _show(request, channel)


class _RunView(APIView):
    kind: ChannelRun.Kind

    def post(self, request: Request, channel_id: str) -> Response:
        seconds = _seconds_to_wait(request)
        run = runs.request_run(
            channel_id=id_in_url("ch", channel_id),
            kind=self.kind,
            actor=request.actor,  # type: ignore[attr-defined]
            now=timezone.now(),
        )
        if seconds:
            runs.wait_for(run, seconds=seconds)
        has_ended = run.status != ChannelRun.Status.PENDING
        return Response(RunOutput(run).data, status=200 if has_ended else 202)


@extend_schema(
    tags=_TAG,
    summary="Prove a channel's credentials with Safaricom",
    parameters=[_CHANNEL_ID, _WAIT],
    request=None,
    responses={200: RunOutput, 202: RunOutput} | refusals(400, 401, 403, 404, 409),
)
class ChannelVerify(_RunView):
    kind = ChannelRun.Kind.VERIFY


@extend_schema(
    tags=_TAG,
    summary="Tell Safaricom where to report a channel's payments",
    parameters=[_CHANNEL_ID, _WAIT],
    request=None,
    responses={200: RunOutput, 202: RunOutput} | refusals(400, 401, 403, 404, 409),
)
class ChannelRegisterUrls(_RunView):
    kind = ChannelRun.Kind.REGISTER_URLS


@extend_schema(tags=_TAG, parameters=[_CHANNEL_ID, _RUN_ID])
class ChannelRunDetail(APIView):
    @extend_schema(summary="Follow a run", responses={200: RunOutput} | refusals(401, 403, 404))
    def get(self, request: Request, channel_id: str, run_id: str) -> Response:
        run = runs.read_run(
            channel_id=id_in_url("ch", channel_id),
            run_id=id_in_url("run", run_id),
            actor=request.actor,  # type: ignore[attr-defined]
        )
        return Response(RunOutput(run).data)


@extend_schema(tags=_TAG, parameters=[_CHANNEL_ID])
class ChannelActivate(APIView):
    @extend_schema(
        summary="Take payments on a channel, or take them again",
        request=None,
        responses={200: ChannelDetailOutput} | refusals(401, 403, 404, 409),
    )
    def post(self, request: Request, channel_id: str) -> Response:
        channel = services.activate_channel(
            channel_id=id_in_url("ch", channel_id),
            actor=request.actor,  # type: ignore[attr-defined]
            now=timezone.now(),
        )
        return _show(request, channel)


@extend_schema(tags=_TAG, parameters=[_CHANNEL_ID])
class ChannelDeactivate(APIView):
    @extend_schema(
        summary="Switch a channel off; what still arrives is recorded",
        request=DeactivateInput,
        responses={200: ChannelDetailOutput} | refusals(401, 403, 404, 409),
    )
    def post(self, request: Request, channel_id: str) -> Response:
        given = DeactivateInput(data=request.data)
        given.is_valid(raise_exception=True)
        channel = services.deactivate_channel(
            channel_id=id_in_url("ch", channel_id),
            reason=given.validated_data["reason"],
            actor=request.actor,  # type: ignore[attr-defined]
            now=timezone.now(),
        )
        return _show(request, channel)


@extend_schema(tags=_TAG, parameters=[_CHANNEL_ID])
class ChannelRotateCallbackToken(APIView):
    @extend_schema(
        summary="Give a channel another secret path; the old one works for seven days more",
        request=None,
        responses={200: RotationOutput} | refusals(401, 403, 404, 409),
    )
    def post(self, request: Request, channel_id: str) -> Response:
        rotation = services.rotate_callback_token(
            channel_id=id_in_url("ch", channel_id),
            actor=request.actor,  # type: ignore[attr-defined]
            now=timezone.now(),
        )
        return Response(RotationOutput(rotation, context={"actor": request.actor}).data)  # type: ignore[attr-defined]


@extend_schema(tags=_TAG, parameters=[_CHANNEL_ID])
class ChannelTryMapping(APIView):
    @extend_schema(
        summary="Ask where a payment would go by what the customer types",
        request=MappingInput,
        responses={200: MappingOutput} | refusals(400, 401, 403, 404),
    )
    def post(self, request: Request, channel_id: str) -> Response:
        given = MappingInput(data=request.data)
        given.is_valid(raise_exception=True)
        trial = queries.try_mapping(
            channel_id=id_in_url("ch", channel_id),
            account_reference=given.validated_data["account_reference"],
            rules=given.validated_data.get("account_mapping"),
            actor=request.actor,  # type: ignore[attr-defined]
        )
        winner = _rule(trial.winner) if trial.winner else {"program": None, "rule": None, "kind": None}
        considered = [_rule(match) | {"fits": fits} for match, fits in trial.considered]
        return Response(MappingOutput({**winner, "considered": considered}).data)


def _rule(match: Match) -> dict[str, Any]:
    return {"program": match.program, "rule": match.rule, "kind": match.kind.value}


def _show(request: Request, channel: MpesaChannel, code: int = 200) -> Response:
    return Response(ChannelDetailOutput(channel, context={"actor": request.actor}).data, status=code)  # type: ignore[attr-defined]


def _seconds_to_wait(request: Request) -> int:
    text = request.query_params.get("wait", "0")
    if not (text.isascii() and text.isdigit() and len(text) < 4 and int(text) <= runs.LONGEST_WAIT_S):
        sentence = f"Wait for a whole number of seconds from 0 to {runs.LONGEST_WAIT_S}."
        raise Invalid(sentence, errors={"wait": [sentence]})
    return int(text)
