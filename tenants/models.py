"""The public tables: businesses, their people, what Daraja delivered, and what is due to be done."""

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _
from django_tenants.models import DomainMixin, TenantMixin

from audit.ids import UUIDv7Field
from tenants.sentences import SentenceField, say


class Tenant(TenantMixin):  # type: ignore[misc]
    """A paying business. Everything that is its own lives in the schema named here."""

    class Status(models.TextChoices):
        PROVISIONING = "PROVISIONING", _("being made")
        TRIAL = "TRIAL", _("trying it out")
        ACTIVE = "ACTIVE", _("in service")
        SUSPENDED = "SUSPENDED", _("suspended: its people can read and export, and its money is still recorded")
        CLOSED = "CLOSED", _("closed: its people can read and export")

    class BusinessType(models.TextChoices):
        SHOP = "SHOP", _("Shop")
        RESTAURANT = "RESTAURANT", _("Restaurant")
        SCHOOL = "SCHOOL", _("School")
        SACCO = "SACCO", _("SACCO")
        SERVICES = "SERVICES", _("Services")
        OTHER = "OTHER", _("Other")

    id = UUIDv7Field(primary_key=True, prefix="biz")
    slug = models.SlugField(max_length=40, unique=True)  # the first label of its host name
    business_name = models.CharField(max_length=120)
    business_type = models.CharField(max_length=16, choices=BusinessType.choices, default=BusinessType.OTHER)
    email = models.EmailField()  # whom the platform writes to
    phone = models.CharField(max_length=15)  # 2547…
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.PROVISIONING)
    status_before = models.CharField(max_length=16, blank=True)  # what a suspended business goes back to
    status_reason = models.TextField(blank=True)  # why an operator suspended or closed it
    plan = models.CharField(max_length=32, default="trial")
    is_demo = models.BooleanField(default=False)  # invented data, open to visitors (tenants.demo)
    # [{"key", "sentence", "state": waiting|running|done|failed, "at"}] in order, kept by tenants.provisioning
    provisioning_steps = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)

    auto_create_schema = False  # tenants.provisioning does it, in the background

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(schema_name__regex=r"^t_[0-9a-f]{32}$"), name="tenant_schema_is_ours"),
            models.UniqueConstraint(fields=["is_demo"], condition=Q(is_demo=True), name="tenant_one_demo"),
        ]

    def __str__(self) -> str:
        return self.business_name


class Domain(DomainMixin):  # type: ignore[misc]
    """A host name of a business; its own domain may come beside `<slug>.<platform host>`."""


class TenantActivity(models.Model):
    """What operators see of a business without opening its schema; kept by the rooms above as they work."""

    class Health(models.TextChoices):
        NONE = "NONE", _("no channel is active")
        GOOD = "GOOD", _("every active channel works")
        PROBLEM = "PROBLEM", _("a channel needs somebody")

    tenant = models.OneToOneField(Tenant, models.CASCADE, primary_key=True, related_name="activity")
    last_payment_at = models.DateTimeField(null=True)  # by our clock
    channels_active = models.PositiveIntegerField(default=0)
    channel_health = models.CharField(max_length=8, choices=Health.choices, default=Health.NONE)

    def __str__(self) -> str:
        return f"{self.tenant_id} {self.channel_health}"


class Branding(models.Model):
    """What a business shows its customers: a colour that white text can be read on, and a logo."""

    tenant = models.OneToOneField(Tenant, models.CASCADE, primary_key=True, related_name="branding")
    colour = models.CharField(max_length=7, blank=True)  # "#0b6b3a"
    logo = models.BinaryField(null=True)  # a PNG that we made of what was uploaded
    logo_digest = models.CharField(max_length=16, blank=True)  # of the logo, for its address

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(colour="") | Q(colour__regex=r"^#[0-9a-f]{6}$"), name="branding_colour"),
        ]

    def __str__(self) -> str:
        return f"{self.tenant_id} {self.colour}"


class PreparedFile(models.Model):
    """A file that somebody asked for and a worker makes (`tenants.files`); kept for a week."""

    class Status(models.TextChoices):
        WAITING = "WAITING", _("To come")
        RUNNING = "RUNNING", _("Working")
        FAILED = "FAILED", _("Not yet; it is tried again")
        READY = "READY", _("Ready")

    id = UUIDv7Field(primary_key=True, prefix="file")
    tenant = models.ForeignKey(Tenant, models.CASCADE)
    kind = models.CharField(max_length=40)  # as rooms register them; its permission says who may see and take the file
    parameters = models.JSONField(default=dict)  # what it is of, in the kind's words
    language = models.CharField(max_length=5)  # of its headings
    fingerprint = models.BinaryField(max_length=32)  # SHA-256 of the three
    name = models.CharField(max_length=160)  # as it is saved
    requested_by = models.CharField(max_length=254)  # as the trail names them
    status = models.CharField(max_length=7, choices=Status.choices, default=Status.WAITING)
    attempt = models.PositiveIntegerField(default=0)  # whoever begins anew counts on, and only its pieces count
    rows = models.PositiveBigIntegerField(null=True)  # null: not counted yet
    rows_done = models.PositiveBigIntegerField(default=0)
    size = models.PositiveBigIntegerField(default=0)  # bytes
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "fingerprint"], condition=~Q(status="READY"), name="prepared_file_once_at_a_time"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class PreparedFilePart(models.Model):
    """A piece of the file, at most a megabyte: workers and web processes need not share a disk."""

    id = UUIDv7Field(primary_key=True)
    file = models.ForeignKey(PreparedFile, models.CASCADE, related_name="parts")
    attempt = models.PositiveIntegerField()
    number = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["file", "attempt", "number"], name="prepared_file_part_once")]

    def __str__(self) -> str:
        return f"{self.file_id} {self.number}"


class UserManager(BaseUserManager["User"]):
    def create_user(self, *, email: str, password: str | None, name: str = "", **extra: Any) -> "User":
        user = self.model(email=email.strip().lower(), name=name, **extra)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, *, email: str, password: str | None, **extra: Any) -> "User":
        """An operator of the platform (super_admin): outside every business."""
        return self.create_user(email=email, password=password, is_staff=True, is_superuser=True, **extra)

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=(username or "").strip().lower())


class Theme(models.TextChoices):
    LIGHT = "light", _("Light")
    DARK = "dark", _("Dark")


class User(AbstractBaseUser, PermissionsMixin):
    """A person who signs in; what they may do is in a Membership. Operators are `is_staff` and have none."""

    id = UUIDv7Field(primary_key=True, prefix="usr")
    email = models.EmailField(unique=True)  # always lower case
    name = models.CharField(max_length=120, blank=True)
    phone = models.CharField(max_length=15, blank=True)
    # How pages look to this person; an empty one leaves it to the browser.
    language = models.CharField(max_length=5, blank=True)
    theme = models.CharField(max_length=5, choices=Theme.choices, blank=True)
    time_zone = models.CharField(max_length=40, default="Africa/Nairobi")
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects = UserManager()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(email=Lower("email")), name="user_email_lower_case")]

    def __str__(self) -> str:
        return self.email

    def get_full_name(self) -> str:
        return self.name or self.email

    def get_short_name(self) -> str:
        return self.name.split(" ")[0] if self.name else self.email


class Role(models.TextChoices):
    """What a person is in one business. Operators (`super_admin`) are not members of any."""

    ORG_ADMIN = "org_admin", _("Administrator")
    MANAGER = "manager", _("Manager")
    USER = "user", _("User")


class Membership(models.Model):
    """A person's place in a business. Deactivated, never deleted: the trail still names them."""

    id = UUIDv7Field(primary_key=True, prefix="mbr")
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role.choices)
    is_active = models.BooleanField(default=True)
    sign_in_epoch = models.PositiveIntegerField(default=1)  # tokens and sessions carry it; a newer one ends them all
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "tenant"], name="membership_once")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.role}"


class Invitation(models.Model):
    """An open place in a business; whoever holds the link may take it, once.

    The link carries this row's identifier, signed (`tenants.people`), so that it can be made again when the mail is
    sent, and stands in no table and no queue.
    """

    id = UUIDv7Field(primary_key=True, prefix="inv")
    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="invitations")
    email = models.EmailField()
    role = models.CharField(max_length=16, choices=Role.choices)
    invited_by = models.CharField(max_length=254)  # as the trail names them
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "email"],
                condition=Q(accepted_at=None, revoked_at=None),
                name="invitation_open_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.email} {self.role}"


class HandOver(models.Model):
    """One step from the platform host, where a person signed in, to a business's host. Used once, within a minute."""

    id = UUIDv7Field(primary_key=True)
    membership = models.ForeignKey(Membership, models.CASCADE)
    token_hash = models.BinaryField(unique=True, max_length=32)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.membership_id}"


class AttemptCount(models.Model):
    """How often somebody knocked at a guarded door within one hour of the clock (`tenants.limits`). Kept for a day."""

    id = UUIDv7Field(primary_key=True)
    door = models.CharField(max_length=16)
    who = models.CharField(max_length=45)  # an address, a network, or a business's identifier
    hour = models.DateTimeField()
    count = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["door", "who", "hour"], name="attempt_count_once")]

    def __str__(self) -> str:
        return f"{self.door} {self.who} {self.count}"


class ProductionShortcode(models.Model):
    """Which business a live shortcode belongs to: the first that proved it, by verification with its own keys."""

    shortcode = models.CharField(max_length=10, primary_key=True)
    tenant = models.ForeignKey(Tenant, models.PROTECT)
    channel_id = models.UUIDField()  # in the business's schema, so not a foreign key
    verified_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.shortcode


class CallbackRoute(models.Model):
    """Which business and channel a path token belongs to. The token itself is not here, only its hash."""

    token_hash = models.BinaryField(primary_key=True, max_length=32)  # SHA-256 of the token
    tenant = models.ForeignKey(Tenant, models.CASCADE)
    channel_id = models.UUIDField()
    expires_at = models.DateTimeField(null=True)  # set when the token was rotated: the overlap ends then
    # What validation needs to answer from memory: {"shortcodes", "is_open", "minimum", "maximum", "accounts"}
    rules = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["tenant", "channel_id"], name="callback_route_channel")]

    def __str__(self) -> str:
        return f"{self.tenant_id} {self.channel_id}"


class InboundCallback(models.Model):
    """One delivery from Daraja, as it came: evidence, and the queue of what is to be applied.

    Written by the hooks before they answer, applied by `payments.drain`, never deleted by either.
    """

    class Kind(models.TextChoices):
        C2B_VALIDATION = "C2B_VALIDATION", _("M-PESA asked whether to take a payment")
        C2B_CONFIRMATION = "C2B_CONFIRMATION", _("M-PESA reported a payment")
        STK_CALLBACK = "STK_CALLBACK", _("the outcome of a prompt on a customer's phone")
        RESULT = "RESULT", _("the outcome of a request of ours")
        TIMEOUT = "TIMEOUT", _("M-PESA's queue gave up on a request of ours")
        STANDING_ORDER = "STANDING_ORDER", _("a customer's answer to a standing order")
        INVOICE_PAYMENT = "INVOICE_PAYMENT", _("Bill Manager reported what was paid on an invoice")

    class State(models.TextChoices):
        PENDING = "PENDING", _("not applied yet")
        APPLIED = "APPLIED", _("applied, or known already")
        QUARANTINED = "QUARANTINED", _("does not fit: kept, shown, without effect until a person decides")

    class Reason(models.TextChoices):
        """Why a delivery was quarantined."""

        UNKNOWN_TOKEN = "UNKNOWN_TOKEN", say("The address it came to belongs to no channel.")
        UNREADABLE = "UNREADABLE", say("The body is not what Daraja sends.")
        TOO_LARGE = "TOO_LARGE", say("The body is larger than 64 kB; its beginning is kept.")
        FOREIGN_SHORTCODE = "FOREIGN_SHORTCODE", say("It names a shortcode that is not this channel's.")
        CONFLICTING_BODY = "CONFLICTING_BODY", say("The same M-PESA number came before with another content.")
        UNMATCHED_REQUEST = "UNMATCHED_REQUEST", say("It answers a request that we did not make.")
        AMOUNT_MISMATCH = "AMOUNT_MISMATCH", say("Its amount is not the one that was asked for.")
        CONTRADICTION = "CONTRADICTION", say("It contradicts an outcome that is final already.")
        UNLISTED_ADDRESS = "UNLISTED_ADDRESS", say("It came from an address that is not Safaricom's.")
        FAILED = "FAILED", say("Applying it failed again and again.")

    id = UUIDv7Field(primary_key=True, prefix="cb")
    tenant = models.ForeignKey(Tenant, models.PROTECT, null=True, db_constraint=False)
    channel_id = models.UUIDField(null=True)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    about = models.UUIDField(null=True)  # the request of ours that it answers: the end of the path it came to
    body = models.BinaryField()
    headers = models.JSONField(default=dict)
    address = models.CharField(max_length=45, blank=True)
    address_is_listed = models.BooleanField(default=False)
    received_at = models.DateTimeField()
    state = models.CharField(max_length=11, choices=State.choices, default=State.PENDING)
    reason = models.CharField(max_length=20, choices=Reason.choices, blank=True)
    error = SentenceField(blank=True)  # for people: why it was not used
    dedup_key = models.CharField(max_length=80, blank=True)  # M-PESA's own number for what it reports
    body_hash = models.BinaryField(max_length=32, null=True)  # SHA-256 of the body as values, not as text
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField()  # when to apply it; later than received_at only after a failed attempt
    applied_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["tenant", "due_at"], condition=Q(state="PENDING"), name="inbound_pending"),
            models.Index(fields=["tenant", "kind", "dedup_key"], condition=~Q(dedup_key=""), name="inbound_dedup"),
            models.Index(fields=["received_at"], condition=Q(state="QUARANTINED"), name="inbound_quarantined"),
            models.Index(
                fields=["channel_id", "received_at"], condition=Q(kind="C2B_VALIDATION"), name="inbound_validation"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.received_at:%Y-%m-%d %H:%M:%S}"


class DueTask(models.Model):
    """A piece of work that somebody promised in a commit. PostgreSQL is the queue of record; Celery only hears of it.

    Written by `tenants.queue.enqueue`, removed when the work is done. The same task with the same arguments for the
    same business is one row, however often it is promised.
    """

    id = UUIDv7Field(primary_key=True)
    tenant = models.ForeignKey(Tenant, models.CASCADE, null=True)  # null: the platform's own work
    task = models.CharField(max_length=120)
    arguments = models.JSONField(default=dict)  # identifiers only, never a secret
    fingerprint = models.BinaryField(unique=True, max_length=32)
    due_at = models.DateTimeField()
    generation = models.PositiveIntegerField(default=1)  # grows when promised again while it runs
    leased_until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    last_error = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["due_at"], name="due_task_due")]

    def __str__(self) -> str:
        return f"{self.task} due {self.due_at:%Y-%m-%d %H:%M:%S}"
