"""`/api/v1/audit-entries/`."""

from uuid import UUID

import django_filters
from django.apps import apps
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.generics import ListAPIView

from audit.ids import UnreadableId, public_id, read_public_id
from audit.models import AuditEntry, AuditRow
from tenants import audit_trail
from tenants.serializer_fields import LowerCaseChoiceField, PublicIdField, refusals


class AuditActor(serializers.Serializer[AuditEntry]):
    kind = LowerCaseChoiceField(AuditRow.ActorKind, source="actor_kind")
    id = PublicIdField("usr", source="actor_id", allow_null=True)
    label = serializers.CharField(source="actor_label", help_text="An e-mail address, or a job.")  # type: ignore[assignment]
    role = serializers.CharField(source="actor_role")
    address = serializers.CharField()
    user_agent = serializers.CharField()


class AuditSubject(serializers.Serializer[AuditEntry]):
    kind = serializers.CharField(source="subject_kind", help_text="Like `channels.mpesachannel`.")
    id = serializers.SerializerMethodField()
    label = serializers.CharField(source="subject_label", help_text="What it was called then.")  # type: ignore[assignment]

    @extend_schema_field(serializers.CharField())
    def get_id(self, entry: AuditEntry) -> str:
        """As the rest of the API names it, where it does."""
        try:
            prefix = getattr(apps.get_model(entry.subject_kind)._meta.pk, "prefix", "")
        except LookupError:
            prefix = ""
        return public_id(prefix, UUID(entry.subject_id)) if prefix else entry.subject_id


class AuditEntryOutput(serializers.Serializer[AuditEntry]):
    """What one person, key or operator decided. Secrets are hidden: `before` and `after` say only that they changed."""

    id = PublicIdField("aud")
    sequence = serializers.IntegerField(help_text="1, 2, 3 … without a gap.")
    occurred_at = serializers.DateTimeField()
    action = serializers.CharField(help_text="Like `channel.activated`.")
    actor = AuditActor(source="*")
    subject = AuditSubject(source="*")
    before = serializers.DictField()
    after = serializers.DictField()
    reason = serializers.CharField()
    entry_hash = serializers.CharField(help_text="Signs this row together with the one before it.")


class AuditEntryFilters(django_filters.FilterSet):  # type: ignore[misc]
    action = django_filters.CharFilter(help_text="In full, like `channel.activated`.")
    actor = django_filters.CharFilter(method="by_actor", help_text="A `usr_…` identifier, or a label in full.")
    subject = django_filters.CharFilter(method="by_subject", help_text="An identifier of any kind, like `ch_…`.")
    occurred_from = django_filters.IsoDateTimeFilter("occurred_at", "gte")
    occurred_before = django_filters.IsoDateTimeFilter("occurred_at", "lt")

    def by_actor(self, queryset: QuerySet[AuditEntry], name: str, value: str) -> QuerySet[AuditEntry]:
        try:
            return queryset.filter(actor_id=read_public_id("usr", value))
        except UnreadableId:
            return queryset.filter(actor_label__iexact=value)

    def by_subject(self, queryset: QuerySet[AuditEntry], name: str, value: str) -> QuerySet[AuditEntry]:
        try:
            return queryset.filter(subject_id=str(read_public_id(value.partition("_")[0], value)))
        except UnreadableId:
            return queryset.filter(subject_id=value)


@extend_schema(
    tags=["audit"],
    responses={200: AuditEntryOutput(many=True)} | refusals(400, 401, 403),
    summary="Read the audit trail, newest first",
)
class AuditEntries(ListAPIView[AuditEntry]):
    serializer_class = AuditEntryOutput
    filterset_class = AuditEntryFilters
    queryset = AuditEntry.objects.none()
    ordering = ("-sequence",)

    def get_queryset(self) -> QuerySet[AuditEntry]:
        return audit_trail.entries(actor=self.request.actor)  # type: ignore[attr-defined]
