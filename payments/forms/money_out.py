"""Sending money: one payout, a file of them, and what people decide about a batch."""

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any
from uuid import UUID

from django import forms
from django.utils.translation import gettext_lazy as _

from audit.ids import public_id, read_public_id
from channels.models import MpesaChannel
from payments.models import Payout
from payments.payouts.checking import columns, required_columns
from tenants.amounts import read_amount
from tenants.forms.base import PageForm, read_code

KINDS = {
    Payout.Kind.PHONE: _("Phones"),
    Payout.Kind.POCHI: _("Pochi la Biashara"),
    Payout.Kind.PAYBILL: _("PayBills"),
    Payout.Kind.BUY_GOODS: _("Tills"),
}
PURPOSES = {
    Payout.Purpose.BUSINESS: _("A business payment"),
    Payout.Purpose.SALARY: _("Salaries"),
    Payout.Purpose.PROMOTION: _("A promotion"),
}
REFERENCE_MAX = 40


def read_kind(text: str) -> str:
    """The kind of payout that an address asks for; phones, if it asks for none."""
    kind = text.upper()
    return kind if kind in KINDS else Payout.Kind.PHONE


class FromChannelForm(PageForm):
    """Says which channel pays. Where only one can, nobody is asked."""

    channel = forms.ChoiceField(label=_("Paid from"), error_messages={"required": _("Choose who pays.")})

    def __init__(self, *args: Any, channels: Sequence[MpesaChannel], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["channel"]
        field.choices = [(public_id("ch", channel.pk), str(channel)) for channel in channels]  # type: ignore[attr-defined]
        if channels:
            field.initial = public_id("ch", channels[0].pk)
        if len(channels) == 1:
            field.widget = forms.HiddenInput()

    def clean_channel(self) -> UUID:
        return read_public_id("ch", self.cleaned_data["channel"])


class SendForm(FromChannelForm):
    """One payout of a kind. Whether it can be paid is said by the service."""

    field_order = ("channel", "phone_number", "shortcode", "amount", "name", "account_reference", "transaction_desc")

    phone_number = forms.CharField(
        label=_("Phone number"),
        help_text=_("As you know it: 0712 345 678 or +254 712 345 678."),
        max_length=40,
        error_messages={"required": _("Enter the phone number that is to be paid.")},
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "off"}),
    )
    shortcode = forms.CharField(
        label=_("PayBill or till number"),
        max_length=20,
        error_messages={"required": _("Enter the number that is to be paid.")},
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off", "class": "short"}),
    )
    account_reference = forms.CharField(
        label=_("Your reference"),
        help_text=_("For your own books, like the number of an invoice."),
        max_length=20,
        required=False,
        error_messages={"required": _("Enter the account that the money is for.")},
    )
    amount = forms.CharField(
        label=_("Amount in KES"),
        max_length=20,
        error_messages={"required": _("Enter the amount, in whole shillings.")},
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off", "class": "short"}),
    )
    name = forms.CharField(
        label=_("Name of the receiver"),
        help_text=_("We tell you if M-PESA knows the number by another name."),
        max_length=120,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    transaction_desc = forms.CharField(
        label=_("What it is for"),
        help_text=_("Safaricom keeps it with the payment."),
        max_length=100,
        required=False,
    )
    purpose = forms.ChoiceField(label=_("What kind of payment"), choices=PURPOSES, required=False)

    def __init__(self, *args: Any, kind: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        needed = required_columns(kind)
        for name in {"phone_number", "shortcode"} - set(columns(kind)):
            del self.fields[name]
        if kind not in {Payout.Kind.PHONE}:
            del self.fields["purpose"]
        if "account_reference" in needed:
            account = self.fields["account_reference"]
            account.label, account.help_text, account.required = _("Account number"), "", True
            self.order_fields(["channel", "shortcode", "account_reference", "amount"])
        self._columns = columns(kind)

    def clean_amount(self) -> str:
        """Its digits; what has none the service explains."""
        written = str(self.cleaned_data["amount"])
        return read_amount(written) or written

    @property
    def row(self) -> dict[str, object]:
        """The payout as a row that was given."""
        return {name: self.cleaned_data.get(name, "") for name in self._columns}


class UploadForm(FromChannelForm):
    """Payouts in a file."""

    file = forms.FileField(
        label=_("File"),
        help_text=_("CSV or Excel (XLSX), at most 10,000 rows and 5 MB."),
        error_messages={
            "required": _("Choose the file with the payouts."),
            "empty": _("The file is empty. Choose another one."),
        },
        widget=forms.FileInput(attrs={"accept": ".csv,.xlsx"}),
    )
    purpose = forms.ChoiceField(label=_("What kind of payment"), choices=PURPOSES, required=False)

    def __init__(self, *args: Any, kind: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if kind != Payout.Kind.PHONE:
            del self.fields["purpose"]

    @property
    def reference(self) -> str:
        """A name for the batch: the file's, as far as it goes."""
        name = PurePath(self.cleaned_data["file"].name).stem
        return "".join(character for character in name if character.isprintable())[:REFERENCE_MAX].strip()


class CreateForm(PageForm):
    """The last word before a batch is made."""

    reference = forms.CharField(
        label=_("Your name for this batch"),
        help_text=_("It is used once, so that the same file is not paid twice."),
        max_length=REFERENCE_MAX,
        required=False,
        error_messages={"max_length": _("Use at most 40 characters.")},
    )

    def __init__(self, *args: Any, is_single: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if is_single:
            self.fields["reference"].widget = forms.HiddenInput()


class EitherField(forms.CharField):
    """One of two, of which one is needed: which is missing the service says."""

    def validate(self, value: str) -> None:
        """Nothing by itself."""


class ProofForm(PageForm):
    """Who one is, proved again before money moves: by the password, or by a code where there is a second factor."""

    password = EitherField(
        label=_("Your password"),
        max_length=128,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    second_factor = EitherField(
        label=_("Or a code of your authenticator app"),
        max_length=32,
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "inputmode": "numeric", "spellcheck": "false", "class": "short"}
        ),
    )

    def __init__(self, *args: Any, has_second_factor: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not has_second_factor:
            del self.fields["second_factor"]

    def clean_second_factor(self) -> str:
        return read_code(self.cleaned_data["second_factor"])


class CancelForm(PageForm):
    reason = forms.CharField(label=_("Why"), help_text=_("For whoever asks later."), max_length=254, required=False)


class DecisionForm(PageForm):
    """What somebody found out about money of which M-PESA could not say whether it moved."""

    verdict = forms.ChoiceField(
        label=_("What does the M-PESA portal show?"),
        choices=[("succeeded", _("The money was sent")), ("failed", _("No money was sent"))],
        error_messages={"required": _("Say what the M-PESA portal shows.")},
        widget=forms.RadioSelect,
    )
    receipt = forms.CharField(
        label=_("M-PESA's receipt"),
        help_text=_("Only if the money was sent. It looks like SGE1AB23CD."),
        max_length=20,
        required=False,
        widget=forms.TextInput(attrs={"autocapitalize": "characters", "spellcheck": "false", "class": "short"}),
    )
    note = forms.CharField(
        label=_("How did you find out?"),
        max_length=254,
        error_messages={"required": _("Say how you found out.")},
    )

    def clean_receipt(self) -> str:
        return "".join(self.cleaned_data["receipt"].split()).upper()
