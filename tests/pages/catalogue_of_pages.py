"""Every page of ours, with what it needs to be opened. A page that is not here fails the suite.

Add one line for each new page: `Page("payment", arguments=lambda cast: {"payment_id": cast.payment_id})`. What it shows
comes from `furnish`: add rows there, so that pages are looked at with something on them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import connection
from django.urls import reverse
from django.utils import timezone
from django_otp.plugins.otp_totp.models import TOTPDevice

from audit.ids import new_id, public_id
from channels.models import Environment
from tenants import own_sign_in, people, provisioning, second_factor
from tenants.models import Branding, Invitation, Membership, PreparedFile, Role, Tenant, User
from tests.factories import make_channel
from tests.pages.connected_channels import ConnectedChannel, furnish_channels
from tests.pages.loyal_customers import LoyalCustomer, furnish_loyalty
from tests.pages.received_money import ReceivedMoney, furnish_payments
from tests.pages.sent_money import SentMoney, furnish_money_out

PLATFORM, BUSINESS = settings.PUBLIC_SCHEMA_URLCONF, settings.ROOT_URLCONF
EVERYBODY = tuple(Role)
MANAGERS = (Role.ORG_ADMIN, Role.MANAGER)
ADMINISTRATORS = (Role.ORG_ADMIN,)
PASSWORD = "a long pass phrase"


@dataclass(kw_only=True)
class Cast:
    """A business with people and rows for every page."""

    tenant: Tenant
    places: dict[Role, Membership]
    invitation: Invitation
    stranger: User  # has no place, and may choose a new password
    careful: User  # signs in with a second factor
    busy: User  # has places in two businesses
    loyal: LoyalCustomer
    connected: ConnectedChannel
    received: ReceivedMoney
    sent: SentMoney


@dataclass(frozen=True)
class Page:
    """`roles` open it signed in; an empty one is a page for strangers. `asked_by_htmx` is a fragment of a page.

    What only answers a form is reached `by` that form's page, with what is `written` there into the fields.
    """

    route: str
    urlconf: str = BUSINESS
    roles: tuple[Role, ...] = EVERYBODY
    arguments: Callable[[Cast], dict[str, Any]] = field(default=lambda cast: {})
    asked_by_htmx: bool = False
    by: str = ""
    written: Callable[[Cast], dict[str, str]] = field(default=lambda cast: {})

    def path(self, cast: Cast) -> str:
        return reverse(self.by or self.route, urlconf=self.urlconf, kwargs=self.arguments(cast))

    def __str__(self) -> str:
        return self.route


def _progress_token(cast: Cast) -> dict[str, str]:
    return {"token": provisioning.progress_token(cast.tenant)}


def _password_of(user: User) -> dict[str, str]:
    return {"email": user.email, "password": PASSWORD}


def _id(prefix: str, row: Any) -> str:
    return public_id(prefix, row.pk)


def _member_id(cast: Cast) -> dict[str, str]:
    return {"member_id": _id("mem", cast.loyal.member)}


def _channel_id(cast: Cast) -> dict[str, str]:
    return {"channel_id": _id("ch", cast.connected.channel)}


def _payment_id(cast: Cast) -> dict[str, str]:
    return {"payment_id": _id("pay", cast.received.payment)}


def _request_id(name: str) -> Callable[[Cast], dict[str, str]]:
    return lambda cast: {"request_id": _id("preq", getattr(cast.received, name))}


def _order_id(cast: Cast) -> dict[str, str]:
    return {"order_id": _id("so", cast.received.order)}


def _query_id(name: str) -> Callable[[Cast], dict[str, str]]:
    return lambda cast: {"query_id": _id("stq", getattr(cast.sent, name))}


def _invoice_id(name: str) -> Callable[[Cast], dict[str, str]]:
    return lambda cast: {"invoice_id": _id("bill", getattr(cast.received, name))}


def _run_id(name: str) -> Callable[[Cast], dict[str, str]]:
    return lambda cast: _channel_id(cast) | {"run_id": _id("run", getattr(cast.connected, name))}


def _passkey(cast: Cast) -> dict[str, str]:
    return _channel_id(cast) | {"credential": "passkey"}


def _open_link(cast: Cast) -> dict[str, str]:
    return {"token": cast.connected.link}


def _used_link(cast: Cast) -> dict[str, str]:
    return {"token": cast.connected.used_link}


def _batch_id(cast: Cast) -> dict[str, str]:
    return {"batch_id": _id("pbat", cast.sent.released)}


def _reversal_id(cast: Cast) -> dict[str, str]:
    return {"reversal_id": _id("rev", cast.sent.reversal)}


def _statement_id(name: str) -> Callable[[Cast], dict[str, str]]:
    return lambda cast: {"statement_id": _id("stf", getattr(cast.sent, name))}


PAGES = [
    Page("front", PLATFORM, ()),
    Page("sign-up", PLATFORM, ()),
    Page("sign-up-progress", PLATFORM, (), _progress_token),
    Page("sign-up-progress", PLATFORM, (), _progress_token, asked_by_htmx=True),
    Page("sign-in", PLATFORM, ()),
    Page("password", PLATFORM, ()),
    Page("password-reset", PLATFORM, (), lambda cast: {"token": own_sign_in.reset_token(cast.stranger)}),
    Page("accept-invitation", PLATFORM, (), lambda cast: {"token": people.invitation_token(cast.invitation)}),
    Page("sign-in", BUSINESS, ()),
    Page("sign-in-code", PLATFORM, (), by="sign-in", written=lambda cast: _password_of(cast.careful)),
    Page("sign-in-code", BUSINESS, (), by="sign-in", written=lambda cast: _password_of(cast.careful)),
    Page("choose-business", PLATFORM, (), by="sign-in", written=lambda cast: _password_of(cast.busy)),
    Page("home"),
    Page("latest-payments", asked_by_htmx=True),
    Page("payments"),
    Page("payment", arguments=_payment_id),
    Page("payment", arguments=_payment_id, asked_by_htmx=True),
    Page("reverse-payment", roles=MANAGERS, arguments=_payment_id),
    Page("days"),
    Page("put-aside", roles=MANAGERS),
    Page("receipts"),
    Page("receipt", arguments=lambda cast: {"query_id": _id("stq", cast.sent.asked)}),
    Page("receipt", arguments=lambda cast: {"query_id": _id("stq", cast.sent.asked)}, asked_by_htmx=True),
    Page("receipt", arguments=lambda cast: {"query_id": _id("stq", cast.sent.answered)}),
    Page("counter"),
    Page("counter", asked_by_htmx=True),
    Page("ask"),
    Page("payment-request", arguments=_request_id("asked")),
    Page("payment-request", arguments=_request_id("asked"), asked_by_htmx=True),
    Page("payment-request", arguments=_request_id("refused")),
    Page("standing-orders"),
    Page("standing-order-new"),
    Page("standing-order", arguments=_order_id),
    Page("standing-order", arguments=_order_id, asked_by_htmx=True),
    Page("standing-order-cancel", arguments=_order_id),
    Page("invoices"),
    Page("invoice-new"),
    Page("upload-invoices"),
    Page("check-invoices", arguments=lambda cast: {"draft": cast.received.invoices}),
    Page("invoice", arguments=_invoice_id("paying")),
    Page("invoice", arguments=_invoice_id("sending")),
    Page("invoice", arguments=_invoice_id("sending"), asked_by_htmx=True),
    Page("invoice-cancel", arguments=_invoice_id("sending")),
    Page("bill-manager", roles=ADMINISTRATORS, arguments=lambda cast: {"channel_id": _id("ch", cast.sent.channel)}),
    Page("practice"),
    Page("practice-phone", asked_by_htmx=True),
    Page("practice-card", asked_by_htmx=True),
    Page("setup-progress", roles=ADMINISTRATORS, asked_by_htmx=True),
    Page("profile"),
    Page("change-password"),
    Page("second-factor"),
    Page("renew-recovery-codes"),
    Page("remove-second-factor"),
    Page("people", roles=MANAGERS),
    Page("person", roles=MANAGERS, arguments=lambda cast: {"membership_id": _id("mbr", cast.places[Role.USER])}),
    Page("invite-person", roles=ADMINISTRATORS),
    Page("audit-trail", roles=ADMINISTRATORS),
    Page("business-settings", roles=ADMINISTRATORS),
    Page("branding", roles=ADMINISTRATORS),
    Page("files"),
    Page("files", asked_by_htmx=True),
    Page("customers"),
    Page("customer", arguments=_payment_id),
    Page("programs"),
    Page("program-new", roles=MANAGERS),
    Page("program", roles=MANAGERS, arguments=lambda cast: {"program_id": _id("prog", cast.loyal.program)}),
    Page("members"),
    Page("member-new"),
    Page("members-upload"),
    Page("members-check", arguments=lambda cast: {"draft": cast.loyal.draft}),
    Page("member", arguments=_member_id),
    Page("member-change", arguments=_member_id),
    Page("points-redeem", arguments=_member_id),
    Page("points-adjust", roles=MANAGERS, arguments=_member_id),
    Page("payment-claim", arguments=_member_id),
    Page("payments-waiting"),
    Page("rewards"),
    Page("own-page", roles=(), arguments=lambda cast: {"token": cast.loyal.token}),
    Page("own-leave", roles=(), arguments=lambda cast: {"token": cast.loyal.token}),
    Page("join", roles=()),
    Page("join-sent", roles=()),
    Page("join-by-link", roles=(), arguments=lambda cast: {"token": cast.loyal.join_token}),
    Page("channels"),
    Page("channel", arguments=_channel_id),
    Page("channel-new", roles=ADMINISTRATORS),
    Page("channel-new-environment", roles=ADMINISTRATORS, arguments=lambda cast: {"kind": "till"}),
    Page("channel-new-number", roles=ADMINISTRATORS, arguments=lambda cast: {"kind": "till", "world": "sandbox"}),
    Page("channel-keys", roles=ADMINISTRATORS, arguments=_channel_id),
    Page("channel-passkey", roles=ADMINISTRATORS, arguments=_channel_id),
    Page("channel-initiator", roles=ADMINISTRATORS, arguments=_channel_id),
    Page(
        "channel-send-step", roles=ADMINISTRATORS, arguments=lambda cast: _channel_id(cast) | {"credential": "passkey"}
    ),
    Page("step-link", roles=(), arguments=_open_link),
    Page("step-link-progress", roles=(), arguments=_used_link),
    Page("step-link-progress", roles=(), arguments=_used_link, asked_by_htmx=True),
    Page("channel-settings", roles=ADMINISTRATORS, arguments=_channel_id),
    Page("channel-switch-off", roles=ADMINISTRATORS, arguments=_channel_id),
    Page("channel-new-path", roles=ADMINISTRATORS, arguments=_channel_id),
    Page("channels-transfer", roles=ADMINISTRATORS),
    Page("channels-import", roles=ADMINISTRATORS, arguments=lambda cast: {"draft": cast.connected.importing}),
    Page(
        "channels-import",
        roles=ADMINISTRATORS,
        arguments=lambda cast: {"draft": cast.connected.importing},
        asked_by_htmx=True,
    ),
    Page("channels-import", roles=ADMINISTRATORS, arguments=lambda cast: {"draft": cast.connected.not_imported}),
    Page("channel-run", arguments=_run_id("failed")),
    Page("channel-run", arguments=_run_id("examined")),
    Page("channel-run", arguments=_run_id("proved")),
    Page("channel-run", arguments=_run_id("refused")),
    Page("channel-run", arguments=_run_id("unanswered")),
    Page("channel-run", arguments=_run_id("under_way")),
    Page("channel-run", arguments=_run_id("under_way"), asked_by_htmx=True),
    Page("channel-doctor", arguments=_channel_id),
    Page("channel-mapping", arguments=_channel_id),
    Page("channel-preset", roles=ADMINISTRATORS, arguments=lambda cast: _channel_id(cast) | {"preset": "restaurant"}),
    Page("channel-qr", arguments=_channel_id),
    Page("problems"),
    Page("setup", roles=ADMINISTRATORS),
    Page("go-live"),
    Page("sms"),
    Page("reports"),
    Page("report", arguments=lambda cast: {"report_name": "takings-by-day"}),
    Page("report", arguments=lambda cast: {"report_name": "takings-by-hour"}),
    Page("report", arguments=lambda cast: {"report_name": "takings-by-program"}),
    Page("report", arguments=lambda cast: {"report_name": "takings-by-channel"}),
    Page("report", arguments=lambda cast: {"report_name": "points-liability"}),
    Page("report", roles=MANAGERS, arguments=lambda cast: {"report_name": "fees"}),
    Page("money-out", roles=MANAGERS),
    Page("payouts", roles=MANAGERS),
    Page("send-money", roles=MANAGERS),
    Page("upload-payouts", roles=MANAGERS),
    Page("check-payouts", roles=MANAGERS, arguments=lambda cast: {"draft": cast.sent.draft}),
    Page("check-payouts", roles=MANAGERS, arguments=lambda cast: {"draft": cast.sent.being_made}),
    Page("check-payouts", roles=MANAGERS, arguments=lambda cast: {"draft": cast.sent.being_made}, asked_by_htmx=True),
    Page("payout-batch", roles=MANAGERS, arguments=_batch_id),
    Page("payout-batch", roles=MANAGERS, arguments=_batch_id, asked_by_htmx=True),
    Page("payout-batch", roles=MANAGERS, arguments=lambda cast: {"batch_id": _id("pbat", cast.sent.waiting)}),
    Page("release-batch", roles=MANAGERS, arguments=lambda cast: {"batch_id": _id("pbat", cast.sent.approved)}),
    Page("cancel-batch", roles=MANAGERS, arguments=lambda cast: {"batch_id": _id("pbat", cast.sent.approved)}),
    Page("payout", roles=MANAGERS, arguments=lambda cast: {"payout_id": _id("pout", cast.sent.to_review)}),
    Page("payout-policy", roles=MANAGERS),
    Page("allowed-receivers", roles=MANAGERS),
    Page("reversals"),
    Page("reversal", arguments=_reversal_id),
    Page("reversal", arguments=lambda cast: {"reversal_id": _id("rev", cast.sent.reversal_to_review)}),
    Page("approve-reversal", roles=MANAGERS, arguments=_reversal_id),
    Page("cancel-reversal", roles=MANAGERS, arguments=_reversal_id),
    Page("balances", roles=MANAGERS),
    Page("balances", roles=MANAGERS, asked_by_htmx=True),
    Page("low-float", roles=ADMINISTRATORS, arguments=lambda cast: {"channel_id": _id("ch", cast.sent.channel)}),
    Page("reconciliation", roles=MANAGERS),
    Page("load-statement", roles=MANAGERS),
    Page("statement-file", roles=MANAGERS, arguments=_statement_id("statement")),
    Page("statement-file", roles=MANAGERS, arguments=_statement_id("statement"), asked_by_htmx=True),
    Page("statement-file", roles=MANAGERS, arguments=_statement_id("unusable")),
    Page("pulls", roles=MANAGERS),
    Page("pulls", roles=MANAGERS, asked_by_htmx=True),
    Page("reconciliation-day", roles=MANAGERS, arguments=lambda cast: {"day_id": _id("rec", cast.sent.day)}),
    Page("reconciliation-item", roles=MANAGERS, arguments=lambda cast: {"item_id": _id("rit", cast.sent.item)}),
]

# Routes that answer a form, a program or a link by leading elsewhere: nothing to look at.
NOT_PAGES = {
    "redrive",
    "ask-about-payment",
    "ask-about-payout",
    "ask-about-request",
    "ask-about-reversal",
    "practice-answer",
    "blank-payouts",
    "blank-invoices",
    "approve-batch",
    "retry-batch",
    "batch-result",
    "payments-download",
    "payouts-download",
    "disallow-receiver",
    "ask-balance",
    "recount-day",
    "record-item",
    "channel-activate",
    "channel-verify",
    "channel-prove",
    "channel-link-withdraw",
    "channel-register-urls",
    "channel-rule-set",
    "channel-rule-remove",
    "channel-rules-import",
    "channel-rules-restore",
    "channel-rules-take-over",
    "channel-rules-save",
    "channel-rules-discard",
    "channel-rules-export",
    "channel-qr-file",
    "channels-export-json",
    "channels-export-csv",
    "problem-dismiss",
    "program-switch",
    "reward-collect",
    "members-export",
    "program-join-code",
    "report-download",
    "look",
    "sign-up-open",
    "sign-out",
    "hand-over",
    "resend-invitation",
    "withdraw-invitation",
    "close-place",
    "reopen-place",
    "logo",
    "brand-style",
    "all-data",
    "file-download",
}


def furnish(tenant: Tenant) -> Cast:
    """Give the business what its pages need to have something to show."""
    connection.set_schema_to_public()
    places = {}
    for role in Role:
        user = User.objects.create_user(email=f"{role}@{tenant.slug}.example", password=PASSWORD, name="Wanjiku Kamau")
        places[role] = Membership.objects.create(user=user, tenant=tenant, role=role)
    second_factor.renew_recovery_codes(places[Role.ORG_ADMIN].user)
    invitation = Invitation.objects.create(
        tenant=tenant,
        email=f"new@{tenant.slug}.example",
        role=Role.MANAGER,
        invited_by="Wanjiku Kamau",
        expires_at=timezone.now() + people.INVITATION_LASTS,
    )
    Branding.objects.create(tenant=tenant, colour="#0b6b3a")
    furnish_files(tenant)
    stranger, careful, busy = (
        User.objects.create_user(email=f"{name}-{new_id().hex[-8:]}@{tenant.slug}.example", password=PASSWORD)
        for name in ("stranger", "careful", "busy")
    )
    TOTPDevice.objects.create(user=careful, name="Authenticator", key="ab" * 20)
    for each in (tenant, Tenant.objects.get(slug="rival")):
        Membership.objects.create(user=busy, tenant=each, role=Role.USER)
    channel = make_channel(tenant, "600100")
    make_channel(tenant, "600200", environment=Environment.SANDBOX)
    return Cast(
        tenant=tenant,
        places=places,
        invitation=invitation,
        stranger=stranger,
        careful=careful,
        busy=busy,
        loyal=furnish_loyalty(tenant, channel),
        sent=furnish_money_out(tenant, channel),
        connected=furnish_channels(tenant),
        received=furnish_payments(tenant, channel),
    )


def furnish_files(tenant: Tenant) -> None:
    """One that is being made, one that is ready."""
    common = {"tenant": tenant, "requested_by": "Wanjiku Kamau", "expires_at": timezone.now(), "rows": 41_250}
    for number, (status, done) in enumerate((("RUNNING", 12_500), ("READY", 41_250))):
        PreparedFile.objects.create(
            kind="all-data",
            name=f"{tenant.slug}-2026-11-21.zip",
            status=status,
            rows_done=done,
            size=1_250_000,
            fingerprint=bytes([number]),
            **common,
        )
