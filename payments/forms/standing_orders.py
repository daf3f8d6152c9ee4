"""A standing order that a customer is asked to agree to."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from payments.forms.ask import AskForm
from payments.models import StandingOrder
from tenants.forms.base import DayField

Frequency = StandingOrder.Frequency

_NEXT_YEAR, _TEN_YEARS = 366, 3653  # days


class StandingOrderForm(AskForm):
    """What `payments.forms.ask` asks for, and how often. Frequencies that are not offered are left to the service."""

    field_order = (
        "phone_number",
        "amount",
        "frequency",
        "start_date",
        "end_date",
        "account_reference",
        "name",
        "channel",
    )

    frequency = forms.ChoiceField(
        label=_("How often"),
        choices=Frequency.choices,
        error_messages={"required": _("Choose how often."), "invalid_choice": _("Choose how often.")},
    )
    start_date = DayField(
        days=(0, _NEXT_YEAR),
        label=_("First payment on"),
        error_messages={"required": _("Choose the day of the first payment."), "invalid": _("Enter a day.")},
    )
    end_date = DayField(
        days=(0, _TEN_YEARS),
        label=_("Until"),
        help_text=_("Nothing is paid after this day."),
        error_messages={"required": _("Choose the day after which nothing is paid."), "invalid": _("Enter a day.")},
    )
    name = forms.CharField(
        label=_("What it is called"),
        help_text=_("The customer sees it on the phone, like “Rent” or “School fees”."),
        max_length=60,
        error_messages={
            "required": _("Give it a name that the customer knows it by."),
            "max_length": _("Use at most 60 characters."),
        },
    )

    def __init__(self, *args: Any, offered: Sequence[Frequency], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["amount"].label = _("Amount each time, in KES")
        frequency = self.fields["frequency"]
        frequency.widget.choices = [("", _("Choose")), *((each.value, each.label) for each in offered)]
        if len(offered) < len(Frequency):
            frequency.help_text = _(
                "Live orders are once, daily or weekly for now: what Safaricom means by the others is not confirmed."
            )
