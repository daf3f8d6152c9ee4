from django.conf import settings
from django.db import models
from django.db.models import F, Q

from audit.ids import UUIDv7Field
from channels.models import Environment
from loyalty.accrual import AccrualTerms, StampTerms
from payments.models import Payment
from tenants.sentences import SentenceField


class Program(models.Model):
    """A way in which payments become points or stamps. A channel's mapping sends payments here by `code`.

    One program serves every environment; its members and their points belong to one each.
    """

    class MemberKey(models.TextChoices):
        BY_REFERENCE = "BY_REFERENCE", "what the customer types is the member: VIP001"
        BY_PAYER = "BY_PAYER", "the member code, the enrolled phone number, or its hash"

    id = UUIDv7Field(primary_key=True, prefix="prog")
    code = models.SlugField(max_length=64, unique=True)  # "vip_customer"
    name = models.CharField(max_length=80)  # as customers read it: "VIP"
    member_key = models.CharField(max_length=12, choices=MemberKey.choices, default=MemberKey.BY_PAYER)
    language = models.CharField(max_length=5, choices=settings.LANGUAGES, default="en")  # of its messages
    is_active = models.BooleanField(default=True)
    is_joinable = models.BooleanField(default=True)  # BY_PAYER: customers may join by themselves, at /join/
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name

    @property
    def is_known_by_phone(self) -> bool:
        """Is the phone that pays the member? Then it is one member's; else a parent's may be several pupils'."""
        return self.member_key == self.MemberKey.BY_PAYER


class AccrualRule(models.Model):
    """How many points a payment earns: points per so many shillings, times a multiplier, within limits."""

    id = UUIDv7Field(primary_key=True)
    program = models.OneToOneField(Program, models.CASCADE, related_name="accrual_rule")
    points = models.PositiveIntegerField(default=1)
    per_kes = models.PositiveIntegerField(default=100)
    multiplier = models.DecimalField(max_digits=5, decimal_places=2, default=1)
    minimum_kes = models.PositiveIntegerField(default=0)  # smaller payments earn nothing
    cap_points = models.PositiveIntegerField(null=True)  # the most that one payment earns

    class Meta:
        constraints = [
            # With these limits, the points of the largest amount that a payment can have fit their column.
            models.CheckConstraint(condition=Q(points__lte=1000), name="accrual_points_limit"),
            models.CheckConstraint(condition=Q(per_kes__gt=0), name="accrual_per_kes_positive"),
            models.CheckConstraint(condition=Q(multiplier__gte=0), name="accrual_multiplier_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.points} per KES {self.per_kes}, times {self.multiplier}"

    @property
    def terms(self) -> AccrualTerms:
        return AccrualTerms(
            points=self.points,
            per_kes=self.per_kes,
            multiplier=self.multiplier,
            minimum_kes=self.minimum_kes,
            cap_points=self.cap_points,
        )


class StampRule(models.Model):
    """“After N payments, a reward”: each payment of at least the minimum is a stamp.

    The words are the business's own, in the program's language: they become "Thanks for ordering! 4 more orders for
    free delivery."
    """

    id = UUIDv7Field(primary_key=True)
    program = models.OneToOneField(Program, models.CASCADE, related_name="stamp_rule")
    payments_needed = models.PositiveSmallIntegerField()
    minimum_kes = models.PositiveIntegerField(default=0)  # smaller payments are no stamp
    reward = models.CharField(max_length=80)  # "free delivery"
    thanks = models.CharField(max_length=80)  # "Thanks for ordering!"
    noun = models.CharField(max_length=40)  # one payment: "order"
    noun_plural = models.CharField(max_length=40)  # "orders"

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(payments_needed__gt=0), name="stamp_rule_needs_payments")]

    def __str__(self) -> str:
        return f"after {self.payments_needed} {self.noun_plural}: {self.reward}"

    @property
    def terms(self) -> StampTerms:
        return StampTerms(
            payments_needed=self.payments_needed,
            minimum_kes=self.minimum_kes,
            reward=self.reward,
            thanks=self.thanks,
            noun=self.noun,
            noun_plural=self.noun_plural,
        )


class Member(models.Model):
    """A payer who joined a program, in one environment: practice points never meet live ones.

    `points_balance` equals the sum of the entries, `stamps` counts the stamps since the last reward; both change only
    in the commit that writes why, with this row locked.
    """

    class ConsentWay(models.TextChoices):
        TOLD = "TOLD", "told one of the business's people or its software"
        LIST = "LIST", "collected by the business before, and brought in with a list"
        SELF = "SELF", "given by the member, by a link that was sent to the number"

    id = UUIDv7Field(primary_key=True, prefix="mem")
    program = models.ForeignKey(Program, models.PROTECT, related_name="members", db_index=False)
    environment = models.CharField(max_length=10, choices=Environment.choices)
    code = models.CharField(max_length=64)  # what the customer types as account number, as the mapping reads it
    name = models.CharField(max_length=80, blank=True)
    phone_number = models.CharField(max_length=12, blank=True)  # 2547…, given with consent
    phone_hash = models.CharField(max_length=64, blank=True)  # its SHA-256, as Daraja's version 1 reports it
    is_known_by_phone = models.BooleanField(default=True, db_default=True)  # the program's, which never changes
    consented_at = models.DateTimeField(null=True)  # when the member agreed that we keep and use the number
    consent_way = models.CharField(max_length=4, choices=ConsentWay.choices, blank=True)
    consent_note = models.CharField(max_length=254, blank=True)  # LIST: how it was collected; SELF: to which text
    points_balance = models.BigIntegerField(default=0)
    stamps = models.PositiveSmallIntegerField(default=0)
    is_active = models.BooleanField(default=True)  # False: earns and spends nothing
    joined_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["program", "environment", "code"], name="member_code_once"),
            models.UniqueConstraint(
                fields=["program", "environment", "phone_number"],
                condition=~Q(phone_number="") & Q(is_known_by_phone=True),
                name="member_phone_once",
            ),
            models.CheckConstraint(condition=~Q(code=""), name="member_has_code"),
            models.CheckConstraint(
                condition=Q(phone_number="", phone_hash="", consented_at=None)
                | Q(~Q(phone_number=""), ~Q(phone_hash=""), consented_at__isnull=False),
                name="member_phone_by_consent",
            ),
            models.CheckConstraint(condition=Q(points_balance__gte=0), name="member_points_not_negative"),
        ]
        indexes = [
            models.Index(
                fields=["program", "environment", "phone_hash"], condition=~Q(phone_hash=""), name="member_hash"
            ),
            models.Index(fields=["environment", "-id"], name="member_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.name}".strip()


class JoinLink(models.Model):
    """One SMS that somebody asked for by typing a number at /join/: a way into a program, or, where the number is a
    member's, to the member's page.

    It lasts a day and works once. What was typed stays no longer: the row goes when it has expired.
    """

    id = UUIDv7Field(primary_key=True)
    program = models.ForeignKey(Program, models.CASCADE, related_name="join_links", db_index=False)
    environment = models.CharField(max_length=10, choices=Environment.choices)
    phone_number = models.CharField(max_length=12)  # 2547…
    name = models.CharField(max_length=80, blank=True)  # as whoever asked typed it; never in the SMS
    token_hash = models.BinaryField(max_length=32, null=True, unique=True)  # null: led to a member's page
    asked_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["expires_at"], name="join_link_expires"),
            models.Index(fields=["phone_number"], name="join_link_phone"),
        ]

    def __str__(self) -> str:
        return f"{self.program} for {self.phone_number[:4]}…{self.phone_number[-3:]}"


class PaymentOutcome(models.Model):
    """What the loyalty rules made of one payment: exactly one row for each payment, also when it earned nothing."""

    class Status(models.TextChoices):
        EARNED = "EARNED", "points or a stamp were given"
        WAITING = "WAITING", "the payer is not known; it can be claimed with the receipt"
        NOTHING = "NOTHING", "the rules give nothing for it"
        NO_PROGRAM = "NO_PROGRAM", "no active program takes it"
        REVERSED = "REVERSED", "the payment was given back, and what it gave was taken back"

    payment = models.OneToOneField(Payment, models.PROTECT, primary_key=True, related_name="outcome")
    status = models.CharField(max_length=10, choices=Status.choices)
    program = models.ForeignKey(Program, models.PROTECT, null=True, related_name="outcomes", db_index=False)
    member = models.ForeignKey(Member, models.PROTECT, null=True, related_name="outcomes")
    points = models.PositiveBigIntegerField(default=0)
    gave_stamp = models.BooleanField(default=False)
    points_kept = models.PositiveBigIntegerField(db_default=0)  # REVERSED: of `points`, those that were spent already
    decided_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    Q(points__gt=0) | Q(gave_stamp=True),
                    status="EARNED",
                    program__isnull=False,
                    member__isnull=False,
                )
                | Q(status__in=["WAITING", "NOTHING"], program__isnull=False, member=None, points=0, gave_stamp=False)
                | Q(status="NO_PROGRAM", program=None, member=None, points=0, gave_stamp=False)
                | Q(status="REVERSED"),
                name="outcome_agrees",
            ),
            models.CheckConstraint(
                condition=Q(points_kept=0) | Q(status="REVERSED", points_kept__lte=F("points")),
                name="outcome_kept_agrees",
            ),
        ]
        indexes = [models.Index(fields=["payment"], condition=Q(status="WAITING"), name="outcome_waiting")]

    def __str__(self) -> str:
        return f"{self.payment_id} {self.status}"


class PointsEntry(models.Model):
    """One change of a member's points. Never edited or deleted: a correction is another entry."""

    class Kind(models.TextChoices):
        EARN = "EARN", "earned by a payment"
        REDEEM = "REDEEM", "spent"
        ADJUST = "ADJUST", "corrected by a person"
        EXPIRE = "EXPIRE", "expired"
        REVERSE = "REVERSE", "taken back, because the payment was"

    id = UUIDv7Field(primary_key=True, prefix="pts")
    member = models.ForeignKey(Member, models.PROTECT, related_name="entries", db_index=False)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    points = models.BigIntegerField()
    balance_after = models.BigIntegerField()
    payment = models.ForeignKey(Payment, models.PROTECT, null=True, related_name="points_entries", db_index=False)
    note = SentenceField(max_length=254, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["payment"], condition=Q(kind="EARN"), name="points_earned_once"),
            models.UniqueConstraint(fields=["payment"], condition=Q(kind="REVERSE"), name="points_reversed_once"),
            models.CheckConstraint(
                condition=(Q(kind="ADJUST") & ~Q(points=0))
                | Q(kind="EARN", points__gt=0)
                | Q(kind__in=["REDEEM", "EXPIRE", "REVERSE"], points__lt=0),
                name="points_sign_agrees",
            ),
            models.CheckConstraint(
                condition=~Q(kind__in=["EARN", "REVERSE"]) | Q(payment__isnull=False), name="points_have_a_payment"
            ),
            models.CheckConstraint(condition=~Q(kind="ADJUST") | ~Q(note=""), name="points_adjusted_for_a_reason"),
            models.CheckConstraint(condition=Q(balance_after__gte=0), name="points_balance_after_not_negative"),
        ]
        indexes = [models.Index(fields=["member", "-id"], name="points_of_member")]

    def __str__(self) -> str:
        return f"{self.kind} {self.points:+d}"


class PointsTotal(models.Model):
    """How the points of one program's members changed on one day of Kenya's clock: what reports sum instead of entries.

    Changes in the same commit as the entries. What members hold is the sum of all days.
    """

    id = UUIDv7Field(primary_key=True)
    program = models.ForeignKey(Program, models.CASCADE, related_name="points_totals", db_index=False)
    environment = models.CharField(max_length=10, choices=Environment.choices)
    date = models.DateField()  # in Nairobi
    earned = models.BigIntegerField(default=0)  # EARN
    spent = models.BigIntegerField(default=0)  # REDEEM, not negative
    corrected = models.BigIntegerField(default=0)  # all else: ADJUST, EXPIRE, REVERSE; negative where more was taken

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["program", "environment", "date"], name="points_total_once"),
            models.CheckConstraint(condition=Q(earned__gte=0, spent__gte=0), name="points_total_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.date} {self.earned - self.spent + self.corrected:+d}"


class Reward(models.Model):
    """Something a member may collect: given when a stamp card is full."""

    class Status(models.TextChoices):
        READY = "READY", "can be collected"
        COLLECTED = "COLLECTED", "was collected"
        WITHDRAWN = "WITHDRAWN", "taken back, because a payment was"

    id = UUIDv7Field(primary_key=True, prefix="rew")
    member = models.ForeignKey(Member, models.PROTECT, related_name="rewards")
    description = models.CharField(max_length=80)
    payment = models.OneToOneField(Payment, models.PROTECT, related_name="reward")  # the one that filled the card
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.READY)
    created_at = models.DateTimeField()
    collected_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["READY", "WITHDRAWN"], collected_at=None)
                | Q(status="COLLECTED", collected_at__isnull=False),
                name="reward_collected_agrees",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.description} {self.status}"
