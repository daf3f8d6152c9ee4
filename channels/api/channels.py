"""`/api/v1/mpesa-channels/`: the business's PayBills and tills."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from django.urls import path
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field, extend_schema_view
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from channels import queries, services, status
from channels.mapping import Match
from channels.models import Environment, MpesaChannel
from tenants.serializer_fields import LowerCaseChoiceField, PublicIdField, id_in_url, refusals

CHANNEL_ID = OpenApiParameter("channel_id", OpenApiTypes.STR, OpenApiParameter.PATH, description="`ch_…`")
_TAG = ["channels"]


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


class LowFloatField(serializers.DictField):
    """KES by the account's name, as balances name it: what it should hold at least, `{"Utility Account": 5000}`."""

    child = serializers.IntegerField()

    def to_internal_value(self, data: Any) -> Any:
        return data  # the service checks it, with a sentence


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
    nominated_number = serializers.CharField(
        required=False,
        allow_blank=True,
        help_text="The phone number that Safaricom has on file for the shortcode: with it, verifying also asks M-PESA "
        "to list payments that it failed to report (Pull).",
    )
    low_float = LowFloatField(required=False)
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
    refused_at = serializers.DateTimeField(
        allow_null=True, help_text="When Safaricom refused it; null as long as it was never asked, or said yes since."
    )


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
    low_float = serializers.DictField(child=serializers.IntegerField())
    credentials = serializers.SerializerMethodField()

    class Meta:
        model = MpesaChannel
        fields = [
            "id", "name", "channel_type", "shortcode", "store_number", "environment", "status", "do_now", "is_primary",
            "credentials", "initiator_name", "account_mapping", "response_type", "register_version", "minimum_amount",
            "maximum_amount", "accepts_unmapped", "nominated_number", "low_float", "notes", "organisation_name",
            "verified_at", "urls_registered_at", "pull_registered_at", "activated_at", "suspended_at",
            "created_at", "updated_at",
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


@extend_schema(tags=_TAG, parameters=[CHANNEL_ID])
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


@extend_schema(tags=_TAG, parameters=[CHANNEL_ID])
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


@extend_schema(tags=_TAG, parameters=[CHANNEL_ID])
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


@extend_schema(tags=_TAG, parameters=[CHANNEL_ID])
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


@extend_schema(tags=_TAG, parameters=[CHANNEL_ID])
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


CHANNEL_PATH = "mpesa-channels/<str:channel_id>/"
urlpatterns = [
    path("mpesa-channels/", ChannelList.as_view()),
    path(CHANNEL_PATH, ChannelDetail.as_view()),
    path(f"{CHANNEL_PATH}activate/", ChannelActivate.as_view()),
    path(f"{CHANNEL_PATH}deactivate/", ChannelDeactivate.as_view()),
    path(f"{CHANNEL_PATH}rotate-callback-token/", ChannelRotateCallbackToken.as_view()),
    path(f"{CHANNEL_PATH}try-mapping/", ChannelTryMapping.as_view()),
]
