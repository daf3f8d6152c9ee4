from django import forms
from django.utils.translation import gettext_lazy as _

from payments.forms.money_out_reconciliation import ForChannelForm


class ReceiptForm(ForChannelForm):
    """A receipt that M-PESA is asked about, by the channel that it was for."""

    receipt = forms.CharField(
        label=_("M-PESA receipt"),
        help_text=_("As it stands in the customer's SMS, like SGE1AB23CD."),
        max_length=20,
        error_messages={
            "required": _("Enter the receipt, like SGE1AB23CD."),
            "max_length": _("An M-PESA receipt has letters and digits only, like SGE1AB23CD."),
        },
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false", "class": "short"}
        ),
    )

    field_order = ("receipt", "channel")
