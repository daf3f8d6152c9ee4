"""Proving, registering and examining a channel: runs, and how they go on."""

from collections.abc import Callable, Mapping
from typing import Any

from django.urls import path
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from channels import runs
from channels.api.channels import CHANNEL_ID, CHANNEL_PATH
from channels.credentials import credential_of
from channels.models import ChannelRun, MpesaChannel
from tenants.errors import Invalid
from tenants.serializer_fields import LowerCaseChoiceField, PublicIdField, id_in_url, refusals

_TAG = ["channels"]
_RUN_ID = OpenApiParameter("run_id", OpenApiTypes.STR, OpenApiParameter.PATH, description="`run_…`")
_WAIT = OpenApiParameter(
    "wait",
    OpenApiTypes.INT,
    description=f"Wait up to this many seconds (at most {runs.LONGEST_WAIT_S}) for the run to end, and answer 200 with "
    "its outcome. Without it, or when it has not ended by then, the answer is 202: read the run to follow it.",
)


class StepOutput(serializers.Serializer[Any]):
    key = serializers.CharField()
    state = serializers.ChoiceField(["waiting", "running", "ok", "warning", "failed", "skipped"])
    tried = serializers.CharField(help_text="What we do in this step.")
    said = serializers.CharField(help_text="Safaricom's own words; ours, where it said nothing that can be used.")
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
    """A run, step by step. `verified`, `registered` and `proved` are null while undecided and where the run is not
    about it."""

    id = PublicIdField("run")
    kind = LowerCaseChoiceField(ChannelRun.Kind)
    state = LowerCaseChoiceField(ChannelRun.Status, source="status")
    verified = serializers.SerializerMethodField()
    registered = serializers.SerializerMethodField()
    proved = serializers.SerializerMethodField(help_text="Of a run that proves one credential.")
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

    def get_proved(self, run: ChannelRun) -> bool | None:
        return runs.outcome_of(run) if credential_of(run.kind) else None

    @extend_schema_field(VerificationOutput(allow_null=True))
    def get_verification_details(self, run: ChannelRun) -> Mapping[str, Any] | None:
        verification = runs.verification_of(run)
        return None if verification is None else VerificationOutput(verification).data

    @extend_schema_field(FailureOutput(allow_null=True))
    def get_error(self, run: ChannelRun) -> Mapping[str, Any] | None:
        failure = runs.failure_of(run)
        return None if failure is None else FailureOutput(failure).data


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
    parameters=[CHANNEL_ID, _WAIT],
    request=None,
    responses={200: RunOutput, 202: RunOutput} | refusals(400, 401, 403, 404, 409),
)
class ChannelVerify(_RunView):
    kind = ChannelRun.Kind.VERIFY


@extend_schema(
    tags=_TAG,
    summary="Tell Safaricom where to report a channel's payments",
    parameters=[CHANNEL_ID, _WAIT],
    request=None,
    responses={200: RunOutput, 202: RunOutput} | refusals(400, 401, 403, 404, 409),
)
class ChannelRegisterUrls(_RunView):
    kind = ChannelRun.Kind.REGISTER_URLS


@extend_schema(
    tags=_TAG,
    summary="Examine everything that has to work for a channel",
    parameters=[CHANNEL_ID, _WAIT],
    request=None,
    responses={200: RunOutput, 202: RunOutput} | refusals(400, 401, 403, 404, 409),
)
class ChannelDoctor(_RunView):
    """Every step is taken, whatever the others find. What needs somebody becomes a problem; it is looked at every
    night, too."""

    kind = ChannelRun.Kind.DOCTOR


def _proof(summary: str) -> Callable[[type[_RunView]], type[_RunView]]:
    return extend_schema(
        tags=_TAG,
        summary=summary,
        parameters=[CHANNEL_ID, _WAIT],
        request=None,
        responses={200: RunOutput, 202: RunOutput} | refusals(400, 401, 403, 404, 409),
    )


@_proof("Prove the consumer key and secret alone")
class ChannelProveKeys(_RunView):
    kind = ChannelRun.Kind.PROVE_KEYS


@_proof("Prove the passkey alone; no phone rings")
class ChannelProvePasskey(_RunView):
    kind = ChannelRun.Kind.PROVE_PASSKEY


@_proof("Prove the API operator alone")
class ChannelProveInitiator(_RunView):
    """By a balance query. Verifying stays what makes a channel `verified`."""

    kind = ChannelRun.Kind.PROVE_INITIATOR


@extend_schema(tags=_TAG, parameters=[CHANNEL_ID, _RUN_ID])
class ChannelRunDetail(APIView):
    @extend_schema(summary="Follow a run", responses={200: RunOutput} | refusals(401, 403, 404))
    def get(self, request: Request, channel_id: str, run_id: str) -> Response:
        run = runs.read_run(
            channel_id=id_in_url("ch", channel_id),
            run_id=id_in_url("run", run_id),
            actor=request.actor,  # type: ignore[attr-defined]
        )
        return Response(RunOutput(run).data)


def _seconds_to_wait(request: Request) -> int:
    text = request.query_params.get("wait", "0")
    if not (text.isascii() and text.isdigit() and len(text) < 4 and int(text) <= runs.LONGEST_WAIT_S):
        sentence = f"Wait for a whole number of seconds from 0 to {runs.LONGEST_WAIT_S}."
        raise Invalid(sentence, errors={"wait": [sentence]})
    return int(text)


urlpatterns = [
    path(f"{CHANNEL_PATH}doctor/", ChannelDoctor.as_view()),
    path(f"{CHANNEL_PATH}verify/", ChannelVerify.as_view()),
    path(f"{CHANNEL_PATH}prove-keys/", ChannelProveKeys.as_view()),
    path(f"{CHANNEL_PATH}prove-passkey/", ChannelProvePasskey.as_view()),
    path(f"{CHANNEL_PATH}prove-initiator/", ChannelProveInitiator.as_view()),
    path(f"{CHANNEL_PATH}register-urls/", ChannelRegisterUrls.as_view()),
    path(f"{CHANNEL_PATH}runs/<str:run_id>/", ChannelRunDetail.as_view()),
]
