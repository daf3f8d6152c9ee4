from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from audit.ids import UUIDv7Field
from channels.models import Environment, MpesaChannel
from payments.accounts import key_of_account
from tenants.sentences import SentenceField


class StandingOrder(models.Model):
    """A customer's promise to pay again and again (M-PESA Ratiba). What it pays comes as ordinary payments."""

    class Frequency(models.TextChoices):
        ONCE = "1", _("once")
        DAILY = "2", _("every day")
        WEEKLY = "3", _("every week")
        MONTHLY = "4", _("every month")
        BI_MONTHLY = "5", _("every two months")
        QUARTERLY = "6", _("every three months")
        HALF_YEARLY = "7", _("every six months")
        YEARLY = "8", _("every year")

    class Status(models.TextChoices):
        PENDING = "PENDING", _("waiting for the customer")
        ACTIVE = "ACTIVE", _("the customer agreed")
        FAILED = "FAILED", _("the customer did not agree, or M-PESA refused")
        UNKNOWN = "UNKNOWN", _("M-PESA has not told us what happened")
        CANCELLED = "CANCELLED", _("no longer expected")

    id = UUIDv7Field(primary_key=True, prefix="so")
    channel = models.ForeignKey(MpesaChannel, models.PROTECT, related_name="standing_orders", db_index=False)
    environment = models.CharField(max_length=10, choices=Environment.choices)
    name = models.CharField(max_length=60)  # unique for each customer, by M-PESA's rule
    phone_number = models.CharField(max_length=15)  # 2547…
    amount = models.PositiveIntegerField()  # KES each time
    account_reference = models.CharField(max_length=12)
    transaction_desc = models.CharField(max_length=13)
    frequency = models.CharField(max_length=1, choices=Frequency.choices)
    start_date = models.DateField()
    end_date = models.DateField()
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.PENDING)
    sending_at = models.DateTimeField(null=True)  # committed before the call
    accepted_at = models.DateTimeField(null=True)
    response_ref_id = models.CharField(max_length=80, blank=True)  # Daraja's, which the callback speaks of
    result_code = models.CharField(max_length=20, blank=True)
    result_desc = SentenceField(max_length=1024, blank=True)
    requested_by = models.CharField(max_length=254)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["environment", "phone_number", "name"],
                condition=Q(status__in=["PENDING", "ACTIVE", "UNKNOWN"]),
                name="standing_order_name_once",
            ),
            models.CheckConstraint(condition=Q(end_date__gte=models.F("start_date")), name="standing_order_forward"),
            models.CheckConstraint(condition=Q(amount__gte=1, amount__lte=250_000), name="standing_order_amount"),
        ]
        indexes = [
            models.Index(fields=["environment", "-id"], name="standing_order_newest"),
            models.Index(fields=["response_ref_id"], name="standing_order_response"),
        ]

    def __str__(self) -> str:
        return f"{self.name} KES {self.amount}"


class Invoice(models.Model):
    """A bill that M-PESA sends and reminds a customer of (Bill Manager). What is paid comes as ordinary payments."""

    class Status(models.TextChoices):
        PENDING = "PENDING", _("being handed to M-PESA")
        SENT = "SENT", _("M-PESA sent it to the customer")
        PARTLY_PAID = "PARTLY_PAID", _("something was paid")
        PAID = "PAID", _("paid")
        FAILED = "FAILED", _("M-PESA refused it")
        UNKNOWN = "UNKNOWN", _("M-PESA may have sent it")
        CANCELLED = "CANCELLED", _("withdrawn")

    id = UUIDv7Field(primary_key=True, prefix="bill")
    channel = models.ForeignKey(MpesaChannel, models.PROTECT, related_name="invoices", db_index=False)
    environment = models.CharField(max_length=10, choices=Environment.choices)
    external_reference = models.CharField(max_length=40)  # the business's own number for it
    name = models.CharField(max_length=120)  # what it is for
    billed_name = models.CharField(max_length=120)
    phone_number = models.CharField(max_length=15)  # 2547…
    billed_period = models.CharField(max_length=40)  # "August 2026"
    due_date = models.DateField()
    account_reference = models.CharField(max_length=40)
    amount = models.PositiveIntegerField()  # KES
    items = models.JSONField(default=list)  # [{"item_name": …, "amount": …}]
    paid_amount = models.DecimalField(max_digits=14, decimal_places=2, default=0)  # KES
    status = models.CharField(max_length=11, choices=Status.choices, default=Status.PENDING)
    sending_at = models.DateTimeField(null=True)  # committed before the call
    result_code = models.CharField(max_length=20, blank=True)
    result_desc = SentenceField(max_length=1024, blank=True)
    requested_by = models.CharField(max_length=254)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["environment", "external_reference"],
                condition=~Q(status="FAILED"),
                name="invoice_reference_once",
            ),
            models.CheckConstraint(condition=Q(amount__gte=1), name="invoice_amount"),
        ]
        indexes = [
            models.Index(fields=["environment", "-id"], name="invoice_newest"),
            models.Index("channel", key_of_account(), name="invoice_account"),
        ]

    def __str__(self) -> str:
        return f"{self.external_reference} KES {self.amount}"
