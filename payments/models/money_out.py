from django.db import models
from django.db.models import Q

from audit.ids import UUIDv7Field
from channels.models import Environment, MpesaChannel
from payments.models.money_in import Payment
from tenants.sentences import SentenceDecoder, SentenceEncoder, SentenceField


class PayoutPolicy(models.Model):
    """What the business allows itself to send in one environment. Without a row the defaults here bind."""

    environment = models.CharField(max_length=10, choices=Environment.choices, primary_key=True)
    approval_threshold = models.PositiveIntegerField(default=0)  # KES; what is above it needs a second person
    maximum_per_payout = models.PositiveIntegerField(default=250_000)  # KES
    maximum_per_day = models.PositiveBigIntegerField(default=1_000_000)  # KES released on one day of Kenya's clock
    maximum_per_actor = models.PositiveBigIntegerField(null=True)  # KES that one person or key may release in a day
    allowed_receivers_only = models.BooleanField(default=False)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.environment


class AllowedReceiver(models.Model):
    """Whom the business pays, for those that pay nobody else."""

    id = UUIDv7Field(primary_key=True, prefix="rcv")
    environment = models.CharField(max_length=10, choices=Environment.choices)
    receiver = models.CharField(max_length=15)  # 2547…, or a shortcode
    name = models.CharField(max_length=120, blank=True)
    added_by = models.CharField(max_length=254)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["environment", "receiver"], name="allowed_receiver_once")]

    def __str__(self) -> str:
        return self.receiver


class PayoutBatch(models.Model):
    """Payouts that are approved and released together: ten thousand, or one. What is in it never changes.

    Above the policy's threshold somebody else than its maker approves it; nobody then releases what they made.
    """

    class Status(models.TextChoices):
        AWAITING_APPROVAL = "AWAITING_APPROVAL", "waiting for a second person"
        APPROVED = "APPROVED", "may be released"
        RELEASED = "RELEASED", "its payouts are reserved and being sent"
        FINISHED = "FINISHED", "every payout has its outcome"
        CANCELLED = "CANCELLED", "withdrawn before it was released; nothing was sent"
        EXPIRED = "EXPIRED", "not released in time; nothing was sent"

    id = UUIDv7Field(primary_key=True, prefix="pbat")
    reference = models.CharField(max_length=40)  # the business's own name for it
    channel = models.ForeignKey(MpesaChannel, models.PROTECT, related_name="payout_batches")
    environment = models.CharField(max_length=10, choices=Environment.choices)
    status = models.CharField(max_length=17, choices=Status.choices)
    payout_count = models.PositiveIntegerField()
    total_amount = models.PositiveBigIntegerField()  # KES
    fee_estimate = models.DecimalField(max_digits=14, decimal_places=2)  # KES
    flagged_count = models.PositiveIntegerField(default=0)  # rows with a warning
    retry_of = models.ForeignKey("self", models.PROTECT, null=True, related_name="retries")
    created_by = models.CharField(max_length=254)  # labels for people to read, identifiers to compare
    created_by_id = models.UUIDField(null=True)
    approved_by = models.CharField(max_length=254, blank=True)
    approved_by_id = models.UUIDField(null=True)
    approved_at = models.DateTimeField(null=True)
    released_by = models.CharField(max_length=254, blank=True)
    released_by_id = models.UUIDField(null=True)
    released_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()  # not approved, not released or not sent by then: not sent at all
    cancelled_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=254, blank=True)  # why it was cancelled
    finished_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["environment", "reference"], name="payout_batch_reference_once"),
            models.CheckConstraint(condition=Q(payout_count__gt=0), name="payout_batch_not_empty"),
            models.CheckConstraint(
                condition=~Q(status__in=["RELEASED", "FINISHED"]) | Q(released_at__isnull=False),
                name="payout_batch_released_agrees",
            ),
        ]
        indexes = [models.Index(fields=["environment", "-id"], name="payout_batch_newest")]

    def __str__(self) -> str:
        return f"{self.reference} KES {self.total_amount}"


class MoneyOut(models.Model):
    """What payouts and reversals share: money that M-PESA is asked once to send.

    The row's own identifier, as 32 hexadecimal digits, is the OriginatorConversationID where Daraja takes one, and
    stands in the ResultURL: it is committed before the call and never replaced. Only `payments.money_out` changes
    `status`.
    """

    class Status(models.TextChoices):
        AWAITING_APPROVAL = "AWAITING_APPROVAL", "waiting for a person"
        RESERVED = "RESERVED", "promised; to be sent"
        SENDING = "SENDING", "being handed to M-PESA"
        ACCEPTED = "ACCEPTED", "M-PESA heard us; the money has not moved yet"
        UNKNOWN = "UNKNOWN", "M-PESA may have it; being asked about"
        SUCCEEDED = "SUCCEEDED", "the money moved"
        FAILED = "FAILED", "no money moved"
        NEEDS_REVIEW = "NEEDS_REVIEW", "nobody could tell; a person decides"
        CANCELLED = "CANCELLED", "withdrawn before it was sent; no money moved"

    status = models.CharField(max_length=17, choices=Status.choices, default=Status.AWAITING_APPROVAL)
    due_at = models.DateTimeField(null=True)  # when to send it, or to ask about it, next
    sending_at = models.DateTimeField(null=True)  # committed before the call
    accepted_at = models.DateTimeField(null=True)
    conversation_id = models.CharField(max_length=128, blank=True)  # Daraja's, from its answer
    checks = models.PositiveSmallIntegerField(default=0)  # how often M-PESA was asked about it
    not_found = models.PositiveSmallIntegerField(default=0)  # how often, in a row, it said that it knows of none
    receipt = models.CharField(max_length=20, blank=True)  # M-PESA's number for the movement
    charge = models.DecimalField(max_digits=14, decimal_places=2, null=True)  # KES; null: not said
    result_code = models.CharField(max_length=20, blank=True)  # Daraja's, or a gateway error's
    result_desc = SentenceField(max_length=1024, blank=True)  # in Daraja's words, or why nothing was sent
    review = SentenceField(max_length=254, blank=True)  # why a person has to look
    decided_by = models.CharField(max_length=254, blank=True)  # who decided, after a review
    note = SentenceField(max_length=254, blank=True)  # what they found
    finished_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True

    @property
    def is_open(self) -> bool:
        """May money still move, or have moved without our knowing?"""
        return self.status in {self.Status.SENDING, self.Status.ACCEPTED, self.Status.UNKNOWN, self.Status.NEEDS_REVIEW}


class Payout(MoneyOut):
    """One amount to one receiver, sent at most once. Trying again after a definite failure is another payout."""

    class Kind(models.TextChoices):
        PHONE = "PHONE", "to a customer's M-PESA (B2C)"
        POCHI = "POCHI", "to a Pochi la Biashara"
        PAYBILL = "PAYBILL", "to a PayBill and an account there"
        BUY_GOODS = "BUY_GOODS", "to a till"
        TOP_UP = "TOP_UP", "to the account that bulk payouts are paid from"
        TAX = "TAX", "to the Kenya Revenue Authority"

    class Purpose(models.TextChoices):
        BUSINESS = "BUSINESS", "business payment"
        SALARY = "SALARY", "salary"
        PROMOTION = "PROMOTION", "promotion"

    id = UUIDv7Field(primary_key=True, prefix="pout")
    batch = models.ForeignKey(PayoutBatch, models.PROTECT, related_name="payouts", db_index=False)
    row = models.PositiveIntegerField()  # from 1, as in the file
    channel = models.ForeignKey(MpesaChannel, models.PROTECT, related_name="payouts", db_index=False)
    environment = models.CharField(max_length=10, choices=Environment.choices)
    kind = models.CharField(max_length=9, choices=Kind.choices, default=Kind.PHONE)
    purpose = models.CharField(max_length=9, choices=Purpose.choices, default=Purpose.BUSINESS)  # of B2C
    receiver = models.CharField(max_length=15)  # 2547…, or a shortcode
    name = models.CharField(max_length=120, blank=True)  # whom the business means
    amount = models.PositiveIntegerField()  # KES, whole shillings
    account_reference = models.CharField(max_length=20, blank=True)  # the business's own; for PAYBILL the account
    transaction_desc = models.CharField(max_length=100, blank=True)  # what it is for
    warnings = models.JSONField(
        default=list, encoder=SentenceEncoder, decoder=SentenceDecoder
    )  # sentences, found when the batch was checked
    fee_estimate = models.DecimalField(max_digits=8, decimal_places=2)  # KES
    receiver_name = models.CharField(max_length=120, blank=True)  # as M-PESA says
    completed_at = models.DateTimeField(null=True)  # by M-PESA's clock
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["batch", "row"], name="payout_row_once"),
            models.UniqueConstraint(
                fields=["channel", "receipt"], condition=~Q(receipt=""), name="payout_receipt_once"
            ),
            models.CheckConstraint(
                condition=Q(amount__gte=10, amount__lte=250_000)
                | Q(kind__in=["PAYBILL", "BUY_GOODS", "TOP_UP", "TAX"], amount__gte=1),
                name="payout_amount",
            ),
            models.CheckConstraint(
                condition=~Q(status="SUCCEEDED") | Q(finished_at__isnull=False), name="payout_finished_agrees"
            ),
        ]
        indexes = [
            models.Index(
                fields=["channel", "due_at"],
                condition=Q(status__in=["RESERVED", "SENDING", "ACCEPTED", "UNKNOWN"]),
                name="payout_due",
            ),
            models.Index(fields=["environment", "-id"], name="payout_newest"),
            models.Index(fields=["environment", "receiver", "-id"], name="payout_receiver"),
            models.Index(fields=["environment", "-id"], condition=Q(status="NEEDS_REVIEW"), name="payout_review"),
            models.Index(fields=["receipt"], condition=~Q(receipt=""), name="payout_receipt"),
            models.Index(fields=["conversation_id"], condition=~Q(conversation_id=""), name="payout_conversation"),
        ]

    def __str__(self) -> str:
        return f"KES {self.amount} to {self.receiver[:4]}…{self.receiver[-3:]}"


class PayoutEntry(models.Model):
    """The books of money out: a reservation when a payout is released, then once either its posting or its voiding.

    Never edited or deleted, by the database's own rule. What was voided and moved after all is corrected.
    """

    class Kind(models.TextChoices):
        RESERVE = "RESERVE", "promised"
        POST = "POST", "the money moved"
        VOID = "VOID", "no money moved"
        CORRECT = "CORRECT", "it moved after all, as a person found out after the voiding"

    id = UUIDv7Field(primary_key=True)
    payout = models.ForeignKey(Payout, models.PROTECT, related_name="entries", db_index=False)
    kind = models.CharField(max_length=7, choices=Kind.choices)
    amount = models.PositiveIntegerField()  # KES
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["payout"], condition=Q(kind="RESERVE"), name="payout_reserved_once"),
            models.UniqueConstraint(
                fields=["payout"], condition=Q(kind__in=["POST", "VOID"]), name="payout_settled_once"
            ),
            models.UniqueConstraint(fields=["payout"], condition=Q(kind="CORRECT"), name="payout_corrected_once"),
            models.CheckConstraint(
                condition=Q(kind__in=["RESERVE", "POST", "VOID", "CORRECT"]), name="payout_entry_kind"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} KES {self.amount}"


class Reversal(MoneyOut):
    """A payment given back whole to whoever paid it. At most one of a payment is open or has succeeded."""

    id = UUIDv7Field(primary_key=True, prefix="rev")
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="reversals", db_index=False)
    channel = models.ForeignKey(MpesaChannel, models.PROTECT, related_name="reversals", db_index=False)
    environment = models.CharField(max_length=10, choices=Environment.choices)
    amount = models.PositiveIntegerField()  # KES: the payment's, whole
    reason = models.CharField(max_length=100)  # goes to Safaricom as Remarks
    requested_by = models.CharField(max_length=254)
    requested_by_id = models.UUIDField(null=True)
    approved_by = models.CharField(max_length=254, blank=True)
    approved_by_id = models.UUIDField(null=True)
    approved_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()  # not approved or not sent by then: not sent at all
    completed_at = models.DateTimeField(null=True)  # by M-PESA's clock
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["payment"], condition=~Q(status__in=["FAILED", "CANCELLED"]), name="reversal_of_payment_once"
            ),
        ]
        indexes = [
            models.Index(
                fields=["channel", "due_at"],
                condition=Q(status__in=["RESERVED", "SENDING", "ACCEPTED", "UNKNOWN"]),
                name="reversal_due",
            ),
            models.Index(fields=["environment", "-id"], name="reversal_newest"),
            models.Index(fields=["conversation_id"], condition=~Q(conversation_id=""), name="reversal_conversation"),
        ]

    def __str__(self) -> str:
        return f"KES {self.amount} back"
