from typing import Any
from uuid import UUID

from django import forms
from django.utils.translation import gettext_lazy as _

from channels.forms.once import OnceForm
from channels.models import MpesaChannel
from payments.forms.payments import channel_choices, read_channel
from tenants.forms.base import ShillingsField

_AMOUNT = _("Enter whole shillings, from 1 to 250,000.")
_REFERENCE = _("Use at most 12 letters and digits, like INV-204.")


class AskForm(OnceForm):
    """A payment that is asked for on a customer's phone."""

    phone_number = forms.CharField(
        label=_("The customer's phone number"),
        max_length=40,
        error_messages={"required": _("Enter the customer's phone number, like 0712 345 678.")},
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "off"}),
    )
    amount = ShillingsField(
        label=_("Amount in KES"),
        min_value=1,
        max_value=250_000,
        error_messages={
            "required": _("Enter the amount."),
            **dict.fromkeys(("invalid", "min_value", "max_value"), _AMOUNT),
        },
    )
    account_reference = forms.RegexField(
        r"^[A-Za-z0-9 ._/-]{1,12}$",
        label=_("Account number"),
        help_text=_("What it is for, or the customer's own number: up to 12 letters and digits."),
        error_messages={"required": _("Enter an account number, like INV-204."), "invalid": _REFERENCE},
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "characters", "class": "short"}),
    )
    channel = forms.CharField(label=_("Channel"), required=False, widget=forms.Select)

    def __init__(self, *args: Any, channels: list[MpesaChannel], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["channel"].widget.choices = channel_choices(channels)
        if len(channels) == 1:
            self.fields["channel"].widget = forms.HiddenInput()
            self.initial.setdefault("channel", channel_choices(channels)[0][0])
        self._channels = [channel.pk for channel in channels]

    def clean_channel(self) -> UUID:
        """One of those that are offered; where none is named, the first."""
        channel_id = read_channel(self.cleaned_data["channel"]) or next(iter(self._channels), None)
        if channel_id is None or channel_id not in self._channels:
            raise forms.ValidationError(_("Choose a channel that receives payments here."))
        return channel_id
