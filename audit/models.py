from django.db import models
from django.utils.translation import gettext_lazy as _

from audit.ids import UUIDv7Field


class AuditRow(models.Model):
    """What one person, key or operator decided, and what it changed.

    Written in the same commit as the change and never edited: the database refuses UPDATE, DELETE and TRUNCATE. Rows
    of one schema form a chain: `entry_hash` signs this row together with the hash of the row before it
    (`audit.services.verify_chain`). Names are kept beside the keys, so that a row outlives what it describes.
    """

    class ActorKind(models.TextChoices):
        PERSON = "PERSON", _("a person of the business")
        OPERATOR = "OPERATOR", _("an operator of the platform")
        KEY = "KEY", _("an API key")
        LINK = "LINK", _("somebody with a link that is for one thing")
        SYSTEM = "SYSTEM", _("the platform itself")

    id = UUIDv7Field(primary_key=True, prefix="aud")
    sequence = models.BigIntegerField(unique=True)  # 1, 2, 3 … without a gap
    occurred_at = models.DateTimeField()
    action = models.CharField(max_length=64)  # thing, dot, past tense: "channel.activated"
    actor_kind = models.CharField(max_length=8, choices=ActorKind.choices)
    actor_id = models.UUIDField(null=True)
    actor_label = models.CharField(max_length=254)
    actor_role = models.CharField(max_length=32, blank=True)
    address = models.CharField(max_length=45, blank=True)
    user_agent = models.CharField(max_length=256, blank=True)
    subject_kind = models.CharField(max_length=64)
    subject_id = models.CharField(max_length=64)
    subject_label = models.CharField(max_length=254, blank=True)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    reason = models.TextField(blank=True)
    previous_hash = models.CharField(max_length=64)
    entry_hash = models.CharField(max_length=64)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.occurred_at:%Y-%m-%d %H:%M} {self.actor_label} {self.action}"


class AuditEntry(AuditRow):
    """A row of a business's own trail, in its own schema."""

    class Meta:
        verbose_name_plural = "audit entries"
        indexes = [models.Index(fields=["subject_kind", "subject_id"], name="audit_entry_subject")]


class PlatformAuditEntry(AuditRow):
    """A row of the platform's trail, in the public schema: what operators decide, and sign-ups."""

    class Meta:
        verbose_name_plural = "platform audit entries"
        indexes = [models.Index(fields=["subject_kind", "subject_id"], name="audit_platform_subject")]
