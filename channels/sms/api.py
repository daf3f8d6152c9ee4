"""`/api/v1/sms-messages/`."""

from django.db.models import QuerySet
from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView

from channels.filters import LowerCaseChoiceFilter, OneEnvironment
from channels.models import Environment, SmsMessage
from channels.sms.outbox import messages_of
from tenants.serializer_fields import LowerCaseChoiceField, PublicIdField, refusals


class SmsMessageOutput(serializers.ModelSerializer[SmsMessage]):
    """`sent`: the provider took it. `unknown`: it may have; we don't send it again. `error` says why in plain words.

    When the member leaves, number and text are forgotten, and empty here.
    """

    id = PublicIdField("sms")
    body = serializers.CharField(source="shown_body", help_text="Keys in links are hidden: they are the receiver's.")
    environment = LowerCaseChoiceField(Environment)
    status = LowerCaseChoiceField(SmsMessage.Status)

    class Meta:
        model = SmsMessage
        fields = [
            "id", "phone_number", "body", "status", "error", "environment", "provider", "provider_message_id",
            "created_at", "sent_at",
        ]  # fmt: skip


class SmsMessageFilters(OneEnvironment):
    status = LowerCaseChoiceFilter(SmsMessage.Status, field_name="status")


@extend_schema(
    tags=["messages"], summary="List messages", responses={200: SmsMessageOutput(many=True)} | refusals(400, 401, 403)
)
class SmsMessageList(ListAPIView[SmsMessage]):
    """Messages to customers in one environment, newest first. Without `environment` it is the primary channel's."""

    serializer_class = SmsMessageOutput
    filterset_class = SmsMessageFilters
    queryset = SmsMessage.objects.none()

    def get_queryset(self) -> QuerySet[SmsMessage]:
        return messages_of(actor=self.request.actor)  # type: ignore[attr-defined]


api_urlpatterns = [path("sms-messages/", SmsMessageList.as_view())]
