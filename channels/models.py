from datetime import datetime

from django.db import models
from django.db.models import Q

from audit.ids import UUIDv7Field
from audit.redaction import without_secrets
from channels.fields import EncryptedTextField
from tenants.sentences import SentenceDecoder, SentenceEncoder, SentenceField


class Environment(models.TextChoices):
    """Where a channel talks to. Money of one never meets money of another in a list, a total or a report."""

    PRACTICE = "PRACTICE", "Practice: our simulator, no real money"
    SANDBOX = "SANDBOX", "Safaricom's sandbox, no real money"
    PRODUCTION = "PRODUCTION", "Live: real money"


class Credential(models.TextChoices):
    """What one question asks for when a channel is connected."""

    KEYS = "KEYS", "consumer key and secret"
    PASSKEY = "PASSKEY", "passkey"
    INITIATOR = "INITIATOR", "API operator"


class MpesaChannelQuerySet(models.QuerySet["MpesaChannel"]):
    def without_secrets(self) -> "MpesaChannelQuerySet":
        """For work that needs none, and must go on when a key is missing. One that is asked for is read then."""
        return self.defer(*MpesaChannel.UNREAD)


class MpesaChannel(models.Model):
    """A PayBill or Till of the business, with the Daraja credentials that the business brought.

    Its environment never changes; its numbers and kind are fixed once they were verified: another number is another
    channel. `status` follows from the dates (`channels.status.status_of`); it is a column to be searched by.
    """

    class Kind(models.TextChoices):
        PAYBILL = "PAYBILL", "PayBill: the customer types an account number"
        TILL = "TILL", "Till: the customer types only the till number"
        BUY_GOODS = "BUY_GOODS", "Buy Goods: a head office's number, paid like a till"

    class Status(models.TextChoices):
        DRAFT = "DRAFT", "credentials are missing"
        CONFIGURED = "CONFIGURED", "credentials are saved, not proved"
        VERIFIED = "VERIFIED", "Safaricom accepted the credentials"
        ACTIVE = "ACTIVE", "payments are being received"
        SUSPENDED = "SUSPENDED", "switched off by the business; what still arrives is recorded"

    class ResponseType(models.TextChoices):
        """What M-PESA does with a payment when our validation can't be reached; Daraja's own spelling."""

        COMPLETED = "Completed", "complete the payment"
        CANCELLED = "Cancelled", "cancel the payment"

    SECRETS = ("consumer_key", "consumer_secret", "passkey", "initiator_credential")
    # What people save is SECRETS; Safaricom gives the app key when the channel opts in to Bill Manager.
    UNREAD = (*SECRETS, "callback_token", "bill_manager_app_key")

    id = UUIDv7Field(primary_key=True, prefix="ch")
    name = models.CharField(max_length=80)
    shortcode = models.CharField(max_length=10, blank=True)  # what customers type; '' while a practice one is opened
    store_number = models.CharField(max_length=10, blank=True)  # a till's store or head-office number, for Daraja
    kind = models.CharField(max_length=10, choices=Kind.choices)
    environment = models.CharField(max_length=10, choices=Environment.choices)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.DRAFT)
    is_primary = models.BooleanField(default=False)

    consumer_key = EncryptedTextField(blank=True, default="")
    consumer_secret = EncryptedTextField(blank=True, default="")
    passkey = EncryptedTextField(blank=True, default="")  # for prompts on phones (STK)
    initiator_name = models.CharField(max_length=64, blank=True)  # the API operator
    initiator_credential = EncryptedTextField(blank=True, default="")  # the API operator's password
    callback_token = EncryptedTextField()  # in the path that Safaricom calls; its hash is in CallbackRoute
    # Of each saved secret: {"passkey": {"ends_in": "4f2a" | None, "saved_at": "2026-…", "proved_at": "2026-…" | None,
    # "refused_at": "2026-…" | None}}, the last one while M-PESA's last word about it was no
    secret_notes = models.JSONField(default=dict)

    account_mapping = models.JSONField(default=dict)  # {"default": "loyalty", "VIP*": "vip"}: see channels.mapping
    response_type = models.CharField(max_length=9, choices=ResponseType.choices, default=ResponseType.COMPLETED)
    register_version = models.PositiveSmallIntegerField(default=2)  # of Daraja's C2B register call: 1 or 2
    minimum_amount = models.PositiveIntegerField(null=True)  # KES; validation refuses less
    maximum_amount = models.PositiveIntegerField(null=True)  # KES; validation refuses more
    accepts_unmapped = models.BooleanField(default=True)  # False: validation refuses what only `default` would match

    nominated_number = models.CharField(max_length=15, blank=True)  # 2547…, in Safaricom's KYC; for Pull
    pull_registered_at = models.DateTimeField(null=True)  # M-PESA lists this channel's payments when asked
    low_float = models.JSONField(default=dict)  # KES by account below which we warn: {"Utility Account": 5000}
    bill_manager_app_key = EncryptedTextField(blank=True, default="")
    bill_manager_opted_in_at = models.DateTimeField(null=True)

    notes = models.TextField(blank=True)
    organisation_name = models.CharField(max_length=120, blank=True)  # as Safaricom holds it
    configured_at = models.DateTimeField(null=True)  # when a number or a credential last changed
    verified_at = models.DateTimeField(null=True)  # when they were proved as they are now
    first_verified_at = models.DateTimeField(null=True)
    urls_asked_at = models.DateTimeField(null=True)  # Daraja was asked to register them, and has not refused
    urls_registered_at = models.DateTimeField(null=True)  # Daraja accepted them as they are now
    activated_at = models.DateTimeField(null=True)
    suspended_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = MpesaChannelQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["environment", "shortcode"], name="channel_shortcode_once"),
            models.UniqueConstraint(
                fields=["environment", "store_number"], condition=~Q(store_number=""), name="channel_store_number_once"
            ),
            models.UniqueConstraint(fields=["is_primary"], condition=Q(is_primary=True), name="channel_one_primary"),
            models.CheckConstraint(
                condition=Q(shortcode__regex=r"^[0-9]{5,7}$")
                | Q(shortcode="", environment=Environment.PRACTICE, status="DRAFT"),
                name="channel_shortcode_digits",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.shortcode})" if self.shortcode else self.name

    @property
    def has_keys(self) -> bool:
        """Are the consumer key and secret saved? Known without reading them."""
        return all(name in self.secret_notes for name in ("consumer_key", "consumer_secret"))

    @property
    def business_shortcode(self) -> str:
        """The number that goes to Daraja as BusinessShortCode: a till's store number, else the number itself."""
        return self.store_number or self.shortcode

    @property
    def shortcodes(self) -> frozenset[str]:
        """Every number under which Daraja may report this channel's payments."""
        return frozenset({self.shortcode, self.business_shortcode} - {""})


class ChannelRun(models.Model):
    """One attempt to prove, register or examine something of a channel, step by step, for people to follow.

    One at a time for each channel, except for proofs of single credentials: those keep out of each other's way.
    """

    class Kind(models.TextChoices):
        VERIFY = "VERIFY", "prove the credentials"
        REGISTER_URLS = "REGISTER_URLS", "tell Safaricom where to report payments"
        DOCTOR = "DOCTOR", "examine everything that has to work"
        PROVE_KEYS = "PROVE_KEYS", "prove the consumer key and secret alone"
        PROVE_PASSKEY = "PROVE_PASSKEY", "prove the passkey alone"
        PROVE_INITIATOR = "PROVE_INITIATOR", "prove the API operator alone"

    class Status(models.TextChoices):
        PENDING = "PENDING", "waiting for a worker, or working"
        DONE = "DONE", "every step was taken"
        FAILED = "FAILED", "a step did not work; its advice says what to do"

    id = UUIDv7Field(primary_key=True, prefix="run")
    channel = models.ForeignKey(MpesaChannel, models.CASCADE, related_name="runs")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.PENDING)
    # In order: {"key", "state", "tried", "said", "meaning", "do_now", "who", "at"}; see channels.runs.Step
    steps = models.JSONField(default=list, encoder=SentenceEncoder, decoder=SentenceDecoder)
    error_code = models.CharField(max_length=48, blank=True)
    # The OriginatorConversationID and ConversationID of the balance query that verification sent, while it waits
    originator_conversation_id = models.CharField(max_length=128, blank=True)
    conversation_id = models.CharField(max_length=128, blank=True)
    details = models.JSONField(default=dict)  # what was found: see channels.runs
    requested_by = models.JSONField(default=dict)  # the actor, for the audit row that the outcome writes
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["channel"],
                condition=Q(status="PENDING", kind__in=["VERIFY", "REGISTER_URLS", "DOCTOR"]),
                name="channel_run_one_at_a_time",
            ),
        ]
        indexes = [
            models.Index(
                fields=["originator_conversation_id"],
                condition=~Q(originator_conversation_id=""),
                name="channel_run_originator",
            ),
            models.Index(fields=["conversation_id"], condition=~Q(conversation_id=""), name="channel_run_conversation"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.status}"


class StepLink(models.Model):
    """One question of connecting a channel, handed to somebody without a place here, by a link that only they hold.

    Open until it expires, is withdrawn, or what it asks for was proved; what it opens is `channels.links`' to say.
    """

    id = UUIDv7Field(primary_key=True, prefix="link")
    channel = models.ForeignKey(MpesaChannel, models.CASCADE, related_name="links")
    credential = models.CharField(max_length=9, choices=Credential.choices)
    token_hash = models.BinaryField(unique=True, max_length=32)  # SHA-256; the token itself is shown once
    for_name = models.CharField(max_length=80, blank=True)  # who it was made for, as a note
    made_by = models.CharField(max_length=254)
    run = models.ForeignKey(ChannelRun, models.SET_NULL, null=True, related_name="links")  # the last proof through it
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(used_at=None) | Q(withdrawn_at=None), name="step_link_ends_once"),
        ]

    def __str__(self) -> str:
        return str(self.channel)

    def state_at(self, moment: datetime) -> str:
        """`open`, `used`, `withdrawn` or `expired`."""
        if self.used_at or self.withdrawn_at:
            return "used" if self.used_at else "withdrawn"
        return "open" if moment < self.expires_at else "expired"


class SmsMessage(models.Model):
    """One SMS to a customer: queued in the commit that gives the reason for it, sent by a worker, at most once.

    When the number is forgotten, its messages stay without number and text, and those that were not sent are FAILED.
    """

    class Status(models.TextChoices):
        QUEUED = "QUEUED", "waiting to be sent"
        SENDING = "SENDING", "handed to the provider, no answer yet"
        SENT = "SENT", "the provider took it"
        FAILED = "FAILED", "the provider refused it, or could not be reached for a day"
        UNKNOWN = "UNKNOWN", "the provider may have taken it; not sent again"

    id = UUIDv7Field(primary_key=True, prefix="sms")
    dedup_key = models.CharField(max_length=80)  # what it is about: "points:<payment id>"
    phone_number = models.CharField(max_length=12, blank=True)  # 2547…
    body = models.TextField(blank=True)  # when it has left the house, only what is shown of it
    environment = models.CharField(max_length=10, choices=Environment.choices)  # only PRODUCTION leaves the house
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.QUEUED)
    provider = models.CharField(max_length=32, blank=True)
    provider_message_id = models.CharField(max_length=80, blank=True)
    error = SentenceField(max_length=254, blank=True)  # for people: why it is FAILED, UNKNOWN or still QUEUED
    attempts = models.PositiveSmallIntegerField(default=0)  # how often the provider could not be reached
    due_at = models.DateTimeField()  # when to send it; later than created_at only after such an attempt
    created_at = models.DateTimeField()
    sending_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dedup_key"], name="sms_once"),
            models.CheckConstraint(
                condition=~Q(phone_number="") | (Q(body="") & ~Q(status="QUEUED")), name="sms_forgotten_whole"
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(status="QUEUED"), name="sms_queued"),
            models.Index(fields=["sending_at"], condition=Q(status="SENDING"), name="sms_sending"),
            models.Index(fields=["environment", "id"], name="sms_newest"),
            models.Index(fields=["phone_number"], name="sms_of_number"),
            models.Index(
                fields=["environment", "status", "-id"],
                condition=Q(status__in=["FAILED", "UNKNOWN"]),
                name="sms_not_sent",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.status} {self.dedup_key}"

    @property
    def shown_body(self) -> str:
        """What the business's people may read of it: a link is a key, and only its receiver's."""
        return without_secrets(self.body)


class Problem(models.Model):
    """Something about a channel that a person has to know of. One of each subject is not closed; it closes by itself
    when what was wrong is right again. Until then a person may dismiss it: it is out of sight, and not noted anew."""

    class Kind(models.TextChoices):
        SILENT = "SILENT", "no payments, where there usually are some"
        LOW_FLOAT = "LOW_FLOAT", "an M-PESA account is nearly empty"
        PULL_FAILED = "PULL_FAILED", "M-PESA did not list the payments"
        BALANCE_FAILED = "BALANCE_FAILED", "M-PESA did not tell the balances"
        CONNECTION = "CONNECTION", "the connection doctor found something"
        DIFFERS = "DIFFERS", "a day does not reconcile"
        REVIEW = "REVIEW", "money of which nobody knows whether it moved"

    id = UUIDv7Field(primary_key=True, prefix="prob")
    channel = models.ForeignKey(MpesaChannel, models.CASCADE, related_name="problems", db_index=False)
    environment = models.CharField(max_length=10, choices=Environment.choices)
    kind = models.CharField(max_length=14, choices=Kind.choices)
    subject = models.CharField(max_length=80, blank=True)  # an account, a step, a day, a payout
    sentence = SentenceField(max_length=254)  # what is wrong
    do_now = SentenceField(max_length=254)  # one action
    who = models.CharField(max_length=16)  # who has to act: channels.daraja.explanations.Who
    opened_at = models.DateTimeField()
    seen_at = models.DateTimeField()  # when it was last found to be so
    dismissed_at = models.DateTimeField(null=True)
    dismissed_by = models.CharField(max_length=254, blank=True)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["channel", "kind", "subject"], condition=Q(closed_at=None), name="problem_open_once"
            ),
        ]
        indexes = [models.Index(fields=["environment", "-id"], name="problem_newest")]

    def __str__(self) -> str:
        return self.sentence

    @property
    def state(self) -> str:
        """`open`, `dismissed` or `closed`."""
        return "closed" if self.closed_at else "dismissed" if self.dismissed_at else "open"


class RuleDraft(models.Model):
    """Rules that are to come into force on a channel, when somebody says so: see `channels.rule_drafts`.

    One of each channel, changed by all who may change the channel, and gone when it is published or dropped.
    """

    id = UUIDv7Field(primary_key=True)
    channel = models.OneToOneField(MpesaChannel, models.CASCADE, related_name="rule_draft")
    rules = models.JSONField(default=dict)
    based_on = models.JSONField(default=dict)  # what was in force when whoever made the draft saw it
    begun_by = models.CharField(max_length=254)  # as the trail names them
    begun_at = models.DateTimeField()
    changed_by = models.CharField(max_length=254)
    changed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"draft of {self.begun_by}"


class KeptDraft(models.Model):
    """Something that was checked and waits for its maker's last word, or has it: see `channels.kept_drafts`.

    It is open until the last word (`asked_at`), and again if nothing came of that (`refusal`).
    """

    id = UUIDv7Field(primary_key=True)
    kind = models.CharField(max_length=16)  # of what: payouts, invoices, members, channels
    environment = models.CharField(max_length=10, choices=Environment.choices)
    token_hash = models.BinaryField(unique=True, max_length=32)  # SHA-256 of what stands in the page's address
    content = models.JSONField()  # as its kind reads it; nothing once it was made
    rows = models.PositiveIntegerField()
    rows_done = models.PositiveIntegerField(default=0)  # while a worker makes it
    asked_at = models.DateTimeField(null=True)  # when a worker was asked to make it
    asked = models.JSONField(default=dict)  # by whom, in which language, with what, at which address
    refusal = models.JSONField(default=dict)  # why nothing came of it then
    made = models.JSONField(null=True)  # what came of it, as its kind says it
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.kind} {self.expires_at:%Y-%m-%d %H:%M}"

    @property
    def is_open(self) -> bool:
        """Does it wait for its maker's last word?"""
        return self.made is None and self.asked_at is None


class IdempotencyKey(models.Model):
    """A caller's own name for one request that moves money or sends messages, and what it was answered.

    Written in the commit of what the request did, so it exists exactly if that happened. Kept for seven days.
    """

    id = UUIDv7Field(primary_key=True)
    environment = models.CharField(max_length=10, choices=Environment.choices)
    key = models.CharField(max_length=255)
    request_hash = models.BinaryField(max_length=32)  # SHA-256 of who asked, method, path and content
    status = models.PositiveSmallIntegerField()  # of the HTTP answer
    body = models.JSONField()
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["environment", "key"], name="idempotency_key_once")]
        indexes = [models.Index(fields=["created_at"], name="idempotency_key_age")]

    def __str__(self) -> str:
        return self.key
