"""The audit trail in words: a sentence for each action, and the things that it can be searched by."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

# Each with what stands before the dot of its actions.
AREAS: dict[str, tuple[Promise, frozenset[str]]] = {
    "people": (_("People and sign-in"), frozenset({"person", "invitation", "member", "operator"})),
    "channels": (_("Channels"), frozenset({"channel", "callback", "problem", "step_link"})),
    "money_in": (
        _("Money in"),
        frozenset(
            {
                *("payment", "status", "statement", "reconciliation_item", "reversal"),
                *("invoice", "invoices", "standing_order"),
            }
        ),
    ),
    "money_out": (
        _("Money out"),
        frozenset({"payout", "payout_batch", "payout_policy", "allowed_receiver"}),
    ),
    "loyalty": (_("Programs and points"), frozenset({"program", "points", "reward", "member"})),
    "business": (_("The business"), frozenset({"business", "branding", "file"})),
}

_SENTENCES: dict[str, Promise] = {
    "allowed_receiver.added": _("Allowed a receiver of money"),
    "allowed_receiver.removed": _("Took a receiver of money off the list"),
    "branding.changed": _("Changed the logo or the colour"),
    "business.activated": _("Put the business into service"),
    "business.changed": _("Changed the business's details"),
    "business.closed": _("Closed the business"),
    "business.looked_up": _("Looked for a receipt or shortcode of the business"),
    "business.reactivated": _("Let the business go on"),
    "business.signed_up": _("Signed the business up"),
    "business.suspended": _("Suspended the business"),
    "callback.redriven": _("Had a delivery applied again"),
    "channel.activated": _("Activated a channel"),
    "channel.bill_manager_turned_on": _("Turned on invoices for a channel"),
    "channel.callback_token_rotated": _("Gave a channel a new callback address"),
    "channel.changed": _("Changed a channel"),
    "channel.created": _("Added a channel"),
    "channel.deactivated": _("Switched a channel off"),
    "channel.urls_registered": _("Registered a channel's addresses with Safaricom"),
    "channel.verified": _("Verified a channel"),
    "file.downloaded": _("Downloaded a file"),
    "file.requested": _("Asked for a file"),
    "invitation.accepted": _("Took up an invitation"),
    "invitation.resent": _("Sent an invitation again"),
    "invitation.revoked": _("Withdrew an invitation"),
    "invitation.sent": _("Invited somebody"),
    "invoice.cancelled": _("Cancelled an invoice"),
    "invoices.created": _("Sent invoices"),
    "loyalty.member.changed": _("Changed a member"),
    "member.changed": _("Changed somebody's place in the team"),
    "member.enrolled": _("Enrolled a member"),
    "member.list_enrolled": _("Enrolled a list of members"),
    "member.list_exported": _("Downloaded all members"),
    "payment.claimed": _("Claimed a payment for a member"),
    "payment.recorded_from_statement": _("Recorded a payment from a statement"),
    "payout.decided": _("Decided what became of a payout"),
    "payout_batch.approved": _("Approved a batch of payouts"),
    "payout_batch.cancelled": _("Cancelled a batch of payouts"),
    "payout_batch.created": _("Prepared a batch of payouts"),
    "payout_batch.released": _("Released a batch of payouts"),
    "payout_policy.changed": _("Changed the limits of money out"),
    "person.changed": _("Changed their own details"),
    "person.password_changed": _("Changed their password"),
    "person.password_reset": _("Set a new password by e-mail"),
    "person.recovery_codes_renewed": _("Made new recovery codes"),
    "person.second_factor_removed": _("Removed their second factor"),
    "person.second_factor_set_up": _("Set up a second factor"),
    "points.adjusted": _("Adjusted points"),
    "points.redeemed": _("Spent points for a member"),
    "problem.dismissed": _("Put a problem aside"),
    "program.changed": _("Changed a program"),
    "program.created": _("Opened a program"),
    "reconciliation_item.settled": _("Settled a difference with M-PESA"),
    "reversal.approved": _("Approved giving money back"),
    "reversal.cancelled": _("Cancelled giving money back"),
    "reversal.decided": _("Decided what became of money given back"),
    "reversal.requested": _("Asked to give money back"),
    "reward.collected": _("Handed out a reward"),
    "standing_order.cancelled": _("Cancelled a standing order"),
    "standing_order.requested": _("Asked for a standing order"),
    "statement.given": _("Gave a statement to be loaded"),
    "step_link.made": _("Sent a step of connecting a channel to somebody"),
    "step_link.withdrawn": _("Withdrew a link to a step of connecting a channel"),
    "statement.loaded": _("Loaded a statement"),
    "status.asked": _("Asked M-PESA about a payment"),
}

ACTOR_KINDS: dict[str, Promise] = {
    "OPERATOR": _("Operator of Tuzo"),
    "KEY": _("API key"),
    "LINK": _("By a link"),
    "SYSTEM": pgettext_lazy("who decided", "Tuzo by itself"),
}


def sentence_of(action: str, subject_kind: str) -> str:
    """What was done, for a person to read; the action itself where there are no words for it yet."""
    room = subject_kind.partition(".")[0]
    found = _SENTENCES.get(f"{room}.{action}") or _SENTENCES.get(action)
    return str(found) if found else action
