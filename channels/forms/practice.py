from django import forms
from django.utils.translation import gettext_lazy as _

from tenants.forms.base import PageForm, ShillingsField

_AMOUNT = _("Enter whole shillings, from 1 to 250,000.")


class PracticePaymentForm(PageForm):
    amount = ShillingsField(
        label=_("Amount in KES"),
        min_value=1,
        max_value=250_000,
        initial=500,
        error_messages={
            "required": _("Enter the amount."),
            **dict.fromkeys(("invalid", "min_value", "max_value"), _AMOUNT),
        },
    )
    account_reference = forms.CharField(
        label=_("Account number"),
        help_text=_("What the customer types; your rules decide by it. Up to 20 characters."),
        max_length=20,
        initial="WANJIRU",
        error_messages={
            "required": _("Enter an account number, like WANJIRU."),
            "max_length": _("Use 20 characters at most."),
        },
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "characters", "class": "short"}),
    )
