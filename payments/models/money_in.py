from django.db import models
from django.db.models import F, Q

from audit.ids import UUIDv7Field
from channels.models import Environment, MpesaChannel
from payments.accounts import key_of_account
from tenants.sentences import SentenceField


class Payment(models.Model):
    """Money that a customer sent to one of the business's channels.

    Written once, when M-PESA says so. Afterwards only what M-PESA tells later is added: a name that was missing, the
    charge, and that a Reversal, which points here, gave the money back.
    """

    class Source(models.TextChoices):
        CONFIRMATION = "CONFIRMATION", "M-PESA's confirmation"
        STK = "STK", "the answer to a request on the customer's phone"
        PULL = "PULL", "the list that we asked M-PESA for"
        STATEMENT = "STATEMENT", "a statement of the M-PESA portal"
        INVOICE = "INVOICE", "Bill Manager's report of what was paid on an invoice"

    id = UUIDv7Field(primary_key=True, prefix="pay")
    receipt = models.CharField(max_length=20)  # M-PESA's own number: TransID or MpesaReceiptNumber
    channel = models.ForeignKey(MpesaChannel, models.PROTECT, related_name="payments", db_index=False)
    environment = models.CharField(max_length=10, choices=Environment.choices)  # the channel's, which never changes
    payer = models.CharField(max_length=128)  # the MSISDN as it came: plain, masked or hashed
    payer_name = models.CharField(max_length=120, blank=True)  # as M-PESA spells it; often only a first name
    amount = models.DecimalField(max_digits=14, decimal_places=2)  # KES
    account_reference = models.CharField(max_length=64, blank=True)  # as the customer typed it
    routed_to = models.CharField(max_length=64, blank=True)  # the program that the channel's mapping gave it to
    source = models.CharField(max_length=12, choices=Source.choices)
    paid_at = models.DateTimeField()  # by M-PESA's clock
    created_at = models.DateTimeField()  # by ours; for auditors, not for logic
    callback_id = models.UUIDField(null=True)  # the InboundCallback that reported it first
    charge = models.DecimalField(max_digits=14, decimal_places=2, null=True)  # KES that M-PESA kept; null: not said
    reversed_at = models.DateTimeField(null=True)  # when a Reversal succeeded, by M-PESA's clock

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["channel", "receipt"], name="payment_receipt_once"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="payment_amount_positive"),
        ]
        # Ascending, though lists are read backwards: payments come at the end, where PostgreSQL fills pages whole.
        indexes = [
            models.Index(fields=["environment", "paid_at", "id"], name="payment_newest"),
            models.Index(fields=["channel", "paid_at", "id"], name="payment_of_channel"),
            models.Index(fields=["environment", "payer", "paid_at", "id"], name="payment_of_payer"),
            models.Index(
                "environment",
                key_of_account(),
                "paid_at",
                condition=~Q(account_reference=""),  # tills have none
                name="payment_reference",
            ),
            models.Index(fields=["environment", "amount", "paid_at"], name="payment_amount"),
            models.Index(fields=["receipt"], name="payment_receipt"),
        ]

    def __str__(self) -> str:
        return f"{self.receipt} KES {self.amount}"


class DayTotal(models.Model):
    """What one channel took on one day of Kenya's clock; changes in the same commit as its payments."""

    id = UUIDv7Field(primary_key=True)
    channel = models.ForeignKey(MpesaChannel, models.PROTECT, related_name="day_totals")
    date = models.DateField()  # in Nairobi
    payment_count = models.PositiveIntegerField(default=0)
    amount = models.DecimalField(max_digits=16, decimal_places=2, default=0)  # KES, before reversals and charges
    reversed_count = models.PositiveIntegerField(db_default=0)  # of that day's payments, whenever they were reversed
    reversed_amount = models.DecimalField(max_digits=16, decimal_places=2, db_default=0)  # KES
    charges = models.DecimalField(max_digits=16, decimal_places=2, db_default=0)  # KES, as far as M-PESA has said

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["channel", "date"], name="day_total_once"),
            models.CheckConstraint(
                condition=Q(reversed_count__lte=F("payment_count"), reversed_amount__lte=F("amount")),
                name="day_total_reversed_within",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.date} KES {self.amount}"


class HourTotal(models.Model):
    """What one channel took in one hour of Kenya's clock for one program: what reports sum instead of payments.

    Changes in the same commit as its payments. Charges are the day's alone: `DayTotal`.
    """

    id = UUIDv7Field(primary_key=True)
    channel = models.ForeignKey(MpesaChannel, models.PROTECT, related_name="hour_totals", db_index=False)
    date = models.DateField()  # in Nairobi
    hour = models.PositiveSmallIntegerField()  # 0 to 23, in Nairobi
    routed_to = models.CharField(max_length=64, blank=True)  # as the payments have it
    payment_count = models.PositiveIntegerField()
    amount = models.DecimalField(max_digits=16, decimal_places=2)  # KES, before reversals
    reversed_count = models.PositiveIntegerField(db_default=0)  # of that hour's payments, whenever they were reversed
    reversed_amount = models.DecimalField(max_digits=16, decimal_places=2, db_default=0)  # KES

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["channel", "date", "hour", "routed_to"], name="hour_total_once"),
            models.CheckConstraint(condition=Q(hour__lte=23), name="hour_total_of_a_day"),
            models.CheckConstraint(
                condition=Q(reversed_count__lte=F("payment_count"), reversed_amount__lte=F("amount")),
                name="hour_total_reversed_within",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.date} {self.hour:02}:00 KES {self.amount}"


class PaymentRequest(models.Model):
    """Our ask on a customer's phone (STK Push). Accepted is not paid: only M-PESA's answer settles it."""

    class Status(models.TextChoices):
        PENDING = "PENDING", "waiting for the customer"
        SUCCEEDED = "SUCCEEDED", "paid"
        FAILED = "FAILED", "not paid; no money moved"
        UNKNOWN = "UNKNOWN", "M-PESA has not told us what happened; do not ask again before checking"

    id = UUIDv7Field(primary_key=True, prefix="preq")
    channel = models.ForeignKey(MpesaChannel, models.PROTECT, related_name="payment_requests")
    environment = models.CharField(max_length=10, choices=Environment.choices)
    phone_number = models.CharField(max_length=15)  # 2547…
    amount = models.PositiveIntegerField()  # KES, whole shillings
    account_reference = models.CharField(max_length=12)
    transaction_desc = models.CharField(max_length=13)
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.PENDING)
    sending_at = models.DateTimeField(null=True)  # committed before Daraja is called, so that it is called once
    accepted_at = models.DateTimeField(null=True)  # Daraja heard us
    merchant_request_id = models.CharField(max_length=80, blank=True)
    checkout_request_id = models.CharField(max_length=80, blank=True)  # which callbacks and queries speak of
    result_code = models.CharField(max_length=20, blank=True)  # Daraja's, or a gateway error's
    result_desc = SentenceField(max_length=1024, blank=True)  # in Daraja's words
    checks = models.PositiveSmallIntegerField(default=0)  # how often we asked Daraja ourselves
    payment = models.OneToOneField(Payment, models.PROTECT, null=True, related_name="request")
    requested_by = models.CharField(max_length=254)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount__gte=1, amount__lte=250_000), name="payment_request_amount"),
            models.UniqueConstraint(
                fields=["checkout_request_id"],
                condition=~Q(checkout_request_id=""),
                name="payment_request_checkout_once",
            ),
        ]
        indexes = [models.Index(fields=["environment", "-id"], name="payment_request_newest")]

    def __str__(self) -> str:
        return f"KES {self.amount} from {self.phone_number[:4]}…{self.phone_number[-3:]}"
