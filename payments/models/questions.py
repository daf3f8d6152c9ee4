from django.db import models
from django.db.models import Q

from audit.ids import UUIDv7Field
from channels.models import Environment, MpesaChannel
from payments.models.money_in import Payment
from payments.models.money_out import Payout, Reversal
from tenants.sentences import SentenceField


class Question(models.Model):
    """What questions to M-PESA share: asked over the API, answered later to our hooks, or never.

    The row's own identifier stands in the ResultURL. A question moves no money: it may be asked again.
    """

    class Status(models.TextChoices):
        PENDING = "PENDING", "M-PESA has not answered yet"
        ANSWERED = "ANSWERED", "M-PESA answered"
        FAILED = "FAILED", "M-PESA could not be asked, or refused to answer"
        UNANSWERED = "UNANSWERED", "M-PESA took the question and never answered"

    channel = models.ForeignKey(MpesaChannel, models.PROTECT, db_index=False)
    environment = models.CharField(max_length=10, choices=Environment.choices)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    conversation_id = models.CharField(max_length=128, blank=True)  # Daraja's
    result_code = models.CharField(max_length=20, blank=True)
    result_desc = SentenceField(max_length=1024, blank=True)
    requested_by = models.CharField(max_length=254)
    asked_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True


class StatusQuery(Question):
    """“What became of it?”, asked of a payment or any receipt, or of a payout or reversal of ours."""

    id = UUIDv7Field(primary_key=True, prefix="stq")
    receipt = models.CharField(max_length=20, blank=True)  # what was asked about: this, or one of the three below
    payment = models.ForeignKey(Payment, models.CASCADE, null=True, related_name="status_queries")
    payout = models.ForeignKey(Payout, models.CASCADE, null=True, related_name="status_queries")
    reversal = models.ForeignKey(Reversal, models.CASCADE, null=True, related_name="status_queries")
    found = models.JSONField(default=dict)  # M-PESA's own words: {"ReceiptNo": …, "TransactionStatus": …}

    class Meta:
        verbose_name_plural = "status queries"
        constraints = [
            models.CheckConstraint(
                condition=~Q(receipt="") | Q(payout__isnull=False) | Q(reversal__isnull=False),
                name="status_query_about_something",
            ),
        ]
        indexes = [
            models.Index(fields=["environment", "-id"], name="status_query_newest"),
            models.Index(fields=["asked_at"], condition=Q(status="PENDING"), name="status_query_pending"),
        ]

    def __str__(self) -> str:
        return f"{self.receipt or self.payout_id or self.reversal_id} {self.status}"


class BalanceQuery(Question):
    """What is in a channel's M-PESA accounts: each account with its amounts, at one time of M-PESA's clock."""

    id = UUIDv7Field(primary_key=True, prefix="bal")
    # {"Utility Account": {"currency": "KES", "current": "49217.00", "available": …, "reserved": …, "uncleared": …}}
    accounts = models.JSONField(default=dict)
    as_at = models.DateTimeField(null=True)  # by M-PESA's clock

    class Meta:
        verbose_name_plural = "balance queries"
        indexes = [
            models.Index(fields=["channel", "-id"], name="balance_of_channel"),
            models.Index(fields=["environment", "-id"], name="balance_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.channel_id} {self.status}"
