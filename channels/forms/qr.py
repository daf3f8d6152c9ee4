from django import forms
from django.utils.translation import gettext_lazy as _

from tenants.forms.base import PageForm, ShillingsField


class QrForm(PageForm):
    account_reference = forms.RegexField(
        r"^[A-Za-z0-9 ._/-]{1,12}$",
        label=_("What is paid"),
        help_text=_("At most 12 letters and digits, like TABLE 7. On a PayBill it is the account number."),
        error_messages={
            "required": _("Enter what is paid, like TABLE 7 or INV-204."),
            "invalid": _("Use at most 12 letters and digits, like INV-204."),
        },
        widget=forms.TextInput(attrs={"autocomplete": "off", "class": "short"}),
    )
    amount = ShillingsField(
        label=_("Amount, in KES"),
        help_text=_("Whole shillings. Safaricom makes no code without an amount."),
        min_value=1,
        max_value=250_000,
        error_messages={
            "required": _("Enter the amount, like 150."),
            "invalid": _("Enter whole shillings, like 150."),
            "min_value": _("Enter whole shillings from 1 to 250,000."),
            "max_value": _("Enter whole shillings from 1 to 250,000."),
        },
    )
