from django.db import models
from django.db.models import Q

from audit.ids import UUIDv7Field
from channels.models import Environment, MpesaChannel
from tenants.sentences import SentenceField


class Pull(models.Model):
    """One time that we asked M-PESA for the list of a channel's payments. A failure is a failure, not "0 found"."""

    class Status(models.TextChoices):
        PENDING = "PENDING", "waiting for a worker, or working"
        DONE = "DONE", "the whole window was read"
        FAILED = "FAILED", "M-PESA refused or broke off; what was read before is recorded"

    id = UUIDv7Field(primary_key=True, prefix="pull")
    channel = models.ForeignKey(MpesaChannel, models.PROTECT, related_name="pulls", db_index=False)
    environment = models.CharField(max_length=10, choices=Environment.choices)
    window_from = models.DateTimeField()
    window_until = models.DateTimeField()
    status = models.CharField(max_length=7, choices=Status.choices, default=Status.PENDING)
    row_count = models.PositiveIntegerField(default=0)  # what M-PESA listed
    new_count = models.PositiveIntegerField(default=0)  # payments that we had missed
    error_code = models.CharField(max_length=48, blank=True)
    error = SentenceField(max_length=1024, blank=True)  # for people
    requested_by = models.CharField(max_length=254)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["channel"], condition=Q(status="PENDING"), name="pull_one_at_a_time"),
            models.CheckConstraint(condition=Q(window_until__gt=models.F("window_from")), name="pull_window_forward"),
        ]
        indexes = [
            models.Index(fields=["channel", "-id"], name="pull_of_channel"),
            models.Index(fields=["environment", "-id"], name="pull_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.window_from:%Y-%m-%d %H:%M} {self.status}"


class StatementFile(models.Model):
    """A large statement of the M-PESA portal that somebody gave and a worker reads (`payments.statement_files`)."""

    class Status(models.TextChoices):
        WAITING = "WAITING", "waiting for a worker"
        READING = "READING", "being read"
        LOADED = "LOADED", "its lines are kept"
        REFUSED = "REFUSED", "it can't be used; nothing of it was kept"

    id = UUIDv7Field(primary_key=True, prefix="stf")
    channel = models.ForeignKey(MpesaChannel, models.PROTECT, related_name="statement_files")
    name = models.CharField(max_length=160)
    content = models.BinaryField(null=True)  # until it was read
    language = models.CharField(max_length=5)  # of the sentences about what is wrong
    status = models.CharField(max_length=7, choices=Status.choices, default=Status.WAITING)
    rows = models.PositiveIntegerField(null=True)  # null: not known yet
    rows_done = models.PositiveIntegerField(default=0)
    new_count = models.PositiveIntegerField(default=0)  # lines that were not here before
    detail = models.TextField(blank=True)  # why it can't be used
    errors = models.JSONField(default=dict)  # {"rows[7].paid_in": [sentence]}
    requested_by = models.CharField(max_length=254)  # a label to read, the rest to be let pass as
    requested_by_id = models.UUIDField(null=True)
    requested_by_role = models.CharField(max_length=16)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["WAITING", "READING"], content__isnull=False)
                | Q(status__in=["LOADED", "REFUSED"], content__isnull=True, finished_at__isnull=False),
                name="statement_file_content_until_read",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class StatementLine(models.Model):
    """One movement as M-PESA lists it: in a Pull, or in a statement file of the portal. Never edited."""

    class Source(models.TextChoices):
        PULL = "PULL", "asked for over the API"
        STATEMENT = "STATEMENT", "a file of the M-PESA portal"

    id = UUIDv7Field(primary_key=True)
    channel = models.ForeignKey(MpesaChannel, models.PROTECT, related_name="statement_lines", db_index=False)
    source = models.CharField(max_length=9, choices=Source.choices)
    receipt = models.CharField(max_length=20)
    account = models.CharField(max_length=40, blank=True)  # "Utility Account", where the file is of one and names it
    details = models.CharField(max_length=254, blank=True)  # "Pay Bill from 2547…", "Pay merchant Charge"
    paid_in = models.DecimalField(max_digits=14, decimal_places=2, default=0)  # KES
    withdrawn = models.DecimalField(max_digits=14, decimal_places=2, default=0)  # KES, not negative
    balance = models.DecimalField(max_digits=16, decimal_places=2, null=True)  # KES after it, where the source says
    party = models.CharField(max_length=160, blank=True)
    account_reference = models.CharField(max_length=64, blank=True)
    status = models.CharField(max_length=40, blank=True)  # M-PESA's word: "Completed"
    completed_at = models.DateTimeField()  # by M-PESA's clock
    line_hash = models.BinaryField(max_length=32)  # of what it says: one receipt has a line for its charge, too
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["channel", "source", "receipt", "line_hash"], name="statement_line_once"),
        ]
        indexes = [models.Index(fields=["channel", "completed_at"], name="statement_line_day")]

    def __str__(self) -> str:
        return f"{self.receipt} {self.paid_in - self.withdrawn}"


class ReconciliationDay(models.Model):
    """One channel on one day of Kenya's clock: do our records and M-PESA's agree? Counted again as news comes."""

    class Status(models.TextChoices):
        UNPROVED = "UNPROVED", "nothing of M-PESA's is here to compare with"
        AGREES = "AGREES", "every movement matches"
        DIFFERS = "DIFFERS", "a person has to look at what does not match"
        SETTLED = "SETTLED", "what did not match was settled by a person"

    id = UUIDv7Field(primary_key=True, prefix="rec")
    channel = models.ForeignKey(MpesaChannel, models.PROTECT, related_name="reconciliation_days", db_index=False)
    environment = models.CharField(max_length=10, choices=Environment.choices)
    date = models.DateField()  # in Nairobi
    status = models.CharField(max_length=8, choices=Status.choices)
    # By source ("requests", "callbacks", "pull", "statement", "payouts", "reversals", "charges", and "unproved", the
    # payments that nothing of M-PESA's speaks of): {"count": …, "amount": "…"}
    sources = models.JSONField(default=dict)
    # As `payments.balance_proof.Proof.as_json` gives it, where balances are known
    balance_proof = models.JSONField(default=dict)
    counted_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["channel", "date"], name="reconciliation_day_once")]
        indexes = [models.Index(fields=["environment", "-date"], name="reconciliation_newest")]

    def __str__(self) -> str:
        return f"{self.date} {self.status}"


class ReconciliationItem(models.Model):
    """Something that does not match on a day, until it does or a person settles it with a note."""

    class Kind(models.TextChoices):
        MISSING_HERE = "MISSING_HERE", "M-PESA lists it and we don't have it"
        MISSING_THERE = "MISSING_THERE", "we have it and M-PESA does not list it"
        DIFFERS = "DIFFERS", "both have it, with different amounts"
        REQUEST_UNPROVED = "REQUEST_UNPROVED", "a request says paid and no payment was reported"
        BALANCE = "BALANCE", "the balances don't follow from the movements"

    id = UUIDv7Field(primary_key=True, prefix="rit")
    day = models.ForeignKey(ReconciliationDay, models.CASCADE, related_name="items", db_index=False)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    subject = models.CharField(max_length=64)  # a receipt, a request's identifier, an account's name
    ours = models.DecimalField(max_digits=16, decimal_places=2, null=True)  # KES
    theirs = models.DecimalField(max_digits=16, decimal_places=2, null=True)  # KES
    sentence = SentenceField(max_length=254)
    found_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)
    settled_by = models.CharField(max_length=254, blank=True)
    note = SentenceField(max_length=254, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["day", "kind", "subject"], name="reconciliation_item_once"),
            models.CheckConstraint(
                condition=Q(settled_at=None) | ~Q(note=""), name="reconciliation_settled_with_a_note"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"
