"""What this room knows of a channel's health, for the connection doctor (`channels.doctor`)."""

from datetime import timedelta
from decimal import Decimal

from channels import doctor
from channels.daraja.explanations import Who
from channels.models import ChannelRun, MpesaChannel
from channels.steps import Finding, Step
from payments.models import BalanceQuery, Payment
from tenants.sentences import moment, say, say_many

_LOOKED_BACK = timedelta(days=30)
_NO_ACCIDENT = 3  # payments that only Pull told of: one or two callbacks get lost


def look_at_confirmations(channel: MpesaChannel, run: ChannelRun) -> Finding:
    """Whether Safaricom's registration is really ours can't be read anywhere; where it reports payments shows it."""
    recent = Payment.objects.filter(
        channel=channel, environment=channel.environment, paid_at__gte=run.created_at - _LOOKED_BACK
    ).order_by("-paid_at")
    reported = recent.filter(source=Payment.Source.CONFIRMATION).first()
    only_listed = recent.filter(source=Payment.Source.PULL)
    if reported:
        only_listed = only_listed.filter(paid_at__gt=reported.paid_at)
    count = only_listed.count()
    if count >= _NO_ACCIDENT:
        return Finding(
            "failed",
            meaning=say_many(
                "M-PESA lists %(count)s payment that it did not report here: its reports go to another system, or get "
                "lost on their way.",
                "M-PESA lists %(count)s payments, one after the other, that it did not report here: its reports go to "
                "another system, or get lost on their way.",
                count=count,
            ),
            do_now=say(
                "Register this channel's URLs again; of a live one, remove the old URLs on the Daraja portal first."
            ),
            who=Who.YOU.value,
            code="reports_missing",
        )
    if reported is None:
        return Finding("ok", meaning=say("M-PESA reported no payment in the last 30 days."))
    return Finding(
        "ok", meaning=say("M-PESA reported its last payment here: of %(when)s.", when=moment(reported.paid_at))
    )


def look_at_float(channel: MpesaChannel, run: ChannelRun) -> Finding:
    """By what M-PESA said last; amounts are for those who may read balances, and not told here."""
    if not channel.low_float:
        return Finding("skipped", meaning=say("You have not said how much an account should hold."))
    answered = BalanceQuery.objects.filter(channel=channel, status=BalanceQuery.Status.ANSWERED)
    last = answered.order_by("-pk").first()
    if last is None:
        return Finding("skipped", meaning=say("M-PESA has not told the balances yet."))
    low = [
        name
        for name, least in channel.low_float.items()
        if name in last.accounts and Decimal(last.accounts[name]["available"]) < least
    ]
    if low:
        return Finding(
            "warning",
            meaning=say("Nearly empty: %(accounts)s.", accounts=", ".join(low)),
            do_now=say("Move money into it on the M-PESA portal, or pay in at the bank."),
            who=Who.YOU.value,
            code="low_float",
        )
    return Finding("ok", meaning=say("The accounts hold what you said they should."))


def add_steps() -> None:
    """Have the doctor look at these. A low float is a problem of its own already (`payments.balances`)."""
    doctor.add_step("confirmations", Step(say("See whether M-PESA reports payments here"), look_at_confirmations))
    tried = say("See whether the accounts hold what they should")
    doctor.add_step("float", Step(tried, look_at_float, is_problem=False))
