"""What a business allows itself to send, and when it wants to be told that an account runs low."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from payments.forms.money_out import EitherField, ProofForm
from tenants.forms.base import PageForm, ShillingsField


def _shillings(label: Any, help_text: Any = "", **more: Any) -> ShillingsField:
    sentence = _("Enter whole shillings in digits, like 50000.")
    return ShillingsField(
        label=label,
        help_text=help_text,
        error_messages={"required": sentence, "invalid": sentence},
        **more,
    )


class PolicyForm(ProofForm):
    """The limits, and who changes them, proved again."""

    LIMITS = ("approval_threshold", "maximum_per_payout", "maximum_per_day", "maximum_per_actor")

    approval_threshold = _shillings(
        _("A second person approves from above (KES)"),
        _("With 0 every batch and every payout needs a second person."),
    )
    maximum_per_payout = _shillings(_("At most for one payout (KES)"))
    maximum_per_day = _shillings(_("At most in one day (KES)"), _("Released between midnight and midnight in Kenya."))
    maximum_per_actor = _shillings(
        _("At most by one person in one day (KES)"), _("Empty: no limit of its own."), required=False
    )
    allowed_receivers_only = forms.BooleanField(label=_("Pay only receivers on our list"), required=False)

    field_order = (*LIMITS, "allowed_receivers_only", "password", "second_factor")

    @property
    def limits(self) -> dict[str, int | None]:
        return {name: self.cleaned_data[name] for name in self.LIMITS}

    @property
    def said(self) -> dict[str, str]:
        """What proves who it is."""
        return {name: self.cleaned_data[name] for name in ProofForm.base_fields if name in self.fields}


class ReceiverForm(PageForm):
    phone_number = EitherField(
        label=_("Phone number"),
        max_length=40,
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "off"}),
    )
    shortcode = EitherField(
        label=_("Or a PayBill or till number"),
        max_length=20,
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off", "class": "short"}),
    )
    name = forms.CharField(
        label=_("Name"), max_length=120, required=False, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )


class LowFloatForm(PageForm):
    """An amount for each account; one without is not watched."""

    def __init__(self, *args: Any, accounts: Mapping[str, int | None], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._accounts = {f"account_{number}": name for number, name in enumerate(accounts)}
        for field, name in self._accounts.items():
            self.fields[field] = _shillings(name, required=False, min_value=0, initial=accounts[name])

    @property
    def low_float(self) -> dict[str, int]:
        """KES by account, as the channel keeps it."""
        return {name: amount for field, name in self._accounts.items() if (amount := self.cleaned_data[field])}
