"""Invoices: one, a file of them, and Bill Manager of a channel."""

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from channels.forms.once import OnceForm
from payments.forms.money_out_reconciliation import ForChannelForm
from payments.invoices import NewInvoice
from tenants.forms.base import DayField, PageForm, ShillingsField

_TWO_YEARS = 731  # days
_AMOUNT = _("Enter whole shillings, from 1 to 50,000,000.")
_ITEM = re.compile(r"(?P<item_name>.*?\S)\s+(?:KES\s*)?(?P<amount>[\d,]+)", re.IGNORECASE)


def _text(label: Any, missing: Any, maximum: int, help_text: Any = "", **attributes: str) -> forms.CharField:
    return forms.CharField(
        label=label,
        help_text=help_text,
        max_length=maximum,
        error_messages={
            "required": missing,
            "max_length": _("Use at most %(limit_value)d characters."),
        },
        widget=forms.TextInput(attrs={"autocomplete": "off"} | attributes),
    )


class InvoiceFields(PageForm):
    """What an invoice says; also a row of a file."""

    billed_name = _text(_("Customer"), _("Enter whose bill it is."), 100)
    phone_number = _text(
        _("The customer's phone number"),
        _("Enter the customer's phone number, like 0712 345 678."),
        40,
        _("M-PESA sends the bill there."),
        type="tel",
    )
    name = _text(_("What it is for"), _("Say what it is for, like Rent."), 100)
    billed_period = _text(_("Period"), _("Say for which period, like August 2026."), 40, _("Like August 2026."))
    due_date = DayField(
        days=(0, _TWO_YEARS),
        label=_("To be paid by"),
        error_messages={
            "required": _("Enter the day that it is due on."),
            "invalid": _("Enter a day like 2026-11-21."),
        },
    )
    account_reference = _text(
        _("Account number"),
        _("Enter the account number that the customer pays to."),
        20,
        _("What the customer types when paying. Payments to it count for this invoice."),
        **{"class": "short", "autocapitalize": "characters"},
    )
    amount = ShillingsField(
        label=_("Amount in KES"),
        min_value=1,
        max_value=50_000_000,
        error_messages={
            "required": _("Enter the amount."),
            **dict.fromkeys(("invalid", "min_value", "max_value"), _AMOUNT),
        },
    )
    items = forms.CharField(
        label=_("Items"),
        help_text=_("One in each line with its amount, like Rent 8500. They add up to the amount."),
        required=False,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    external_reference = _text(
        _("Your number for it"),
        _("Enter your own number for this invoice."),
        40,
        _("A number that no other invoice has, like INV-204."),
        **{"class": "short"},
    )

    def clean_items(self) -> list[dict[str, str | int]]:
        lines = [line.strip() for line in re.split(r"[\n;]", self.cleaned_data["items"]) if line.strip()]
        items = []
        for line in lines:
            found = _ITEM.fullmatch(line)
            amount = int(found["amount"].replace(",", "") or 0) if found else 0
            if found is None or not amount or len(found["item_name"]) > 100:
                raise ValidationError(gettext("Write each item with its amount at the end, like Rent 8500."))
            items.append({"item_name": found["item_name"], "amount": amount})
        return items


def new_invoice(form: InvoiceFields) -> NewInvoice:
    return NewInvoice(**{name: form.cleaned_data[name] for name in InvoiceFields.base_fields})


class InvoiceForm(InvoiceFields, OnceForm, ForChannelForm):
    """One invoice."""


class InvoiceFileForm(ForChannelForm):
    file = forms.FileField(
        label=_("File"),
        help_text=_("CSV or Excel (XLSX), at most 1,000 rows and 2 MB."),
        error_messages={
            "required": _("Choose the file with the invoices."),
            "empty": _("The file is empty. Choose another one."),
        },
        widget=forms.FileInput(attrs={"accept": ".csv,.xlsx"}),
    )


class BillManagerForm(PageForm):
    """What Bill Manager tells customers of the business."""

    email = forms.EmailField(
        label=_("E-mail address of the business"),
        max_length=100,
        error_messages={
            "required": _("Enter the e-mail address of the business."),
            "invalid": _("Enter an e-mail address like name@example.com."),
        },
        widget=forms.EmailInput(attrs={"autocomplete": "email", "spellcheck": "false"}),
    )
    contact_phone = forms.CharField(
        label=_("Phone number for questions of customers"),
        max_length=40,
        error_messages={"required": _("Enter a phone number, like 0712 345 678.")},
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "tel"}),
    )
    send_reminders = forms.BooleanField(
        label=_("M-PESA reminds customers seven days and three days before, and on the due day"),
        required=False,
        initial=True,
    )
