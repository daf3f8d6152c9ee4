"""The questions that connect a channel. What is right is the service's to say; here is how it is asked."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from channels.models import Credential, Environment, MpesaChannel
from tenants.forms.base import PageForm, ShillingsField

_DIGITS = {"inputmode": "numeric", "autocomplete": "off", "class": "short"}
_SAVED = _("One is saved. Leave this empty to keep it.")
_MISSING = _("Copy it from the portal, whole, and paste it here.")


def _secret(label: Any, *, is_saved: bool, is_required: bool = True) -> forms.CharField:
    """A secret is written, and never shown: not even after an error."""
    return forms.CharField(
        label=label,
        max_length=300,
        strip=False,
        required=is_required and not is_saved,
        help_text=_SAVED if is_saved else "",
        error_messages={"required": _MISSING},
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


def _given(form: PageForm, *names: str) -> dict[str, Any]:
    """What was typed: an empty secret keeps the saved one."""
    return {name: form.cleaned_data[name] for name in names if form.cleaned_data.get(name)}


class NumberForm(PageForm):
    """The name and the numbers of a new channel; a practice one gets its number from us."""

    name = forms.CharField(
        label=_("What do you call it?"),
        help_text=_("For you and your colleagues, like Main shop or School fees."),
        max_length=80,
        error_messages={"required": _("Enter a name, like Main shop.")},
    )

    def __init__(self, *args: Any, kind: str, environment: str, programs: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if environment != Environment.PRACTICE:
            self._ask_for_numbers(kind)
        if programs:
            by_name = sorted(programs.items(), key=lambda item: item[1])
            self.fields["program"] = forms.ChoiceField(
                label=_("Which program do its payments count for?"),
                help_text=_("Rules for single account numbers come later."),
                choices=[*by_name, ("", _("None, only record them"))],
                initial=by_name[0][0],
                required=False,
            )

    def _ask_for_numbers(self, kind: str) -> None:
        is_paybill = kind == MpesaChannel.Kind.PAYBILL
        self.fields["shortcode"] = forms.CharField(
            label=_("PayBill number") if is_paybill else _("Till number"),
            help_text=_("The number that customers type, 5 to 7 digits."),
            max_length=20,
            error_messages={"required": _("Enter the number that your customers pay to, like 247247.")},
            widget=forms.TextInput(attrs=_DIGITS),
        )
        if not is_paybill:
            self.fields["store_number"] = forms.CharField(
                label=_("Store number") if kind == MpesaChannel.Kind.TILL else _("Head office number"),
                help_text=_("It is in Safaricom's go-live e-mail. Leave it empty if you have none."),
                max_length=20,
                required=False,
                widget=forms.TextInput(attrs=_DIGITS),
            )


class KeysForm(PageForm):
    def __init__(self, *args: Any, saved: frozenset[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["consumer_key"] = _secret(_("Consumer key"), is_saved="consumer_key" in saved)
        self.fields["consumer_secret"] = _secret(_("Consumer secret"), is_saved="consumer_secret" in saved)

    @property
    def details(self) -> dict[str, Any]:
        return _given(self, "consumer_key", "consumer_secret")


class PasskeyForm(PageForm):
    def __init__(self, *args: Any, saved: frozenset[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["passkey"] = _secret(_("Passkey"), is_saved="passkey" in saved)

    @property
    def details(self) -> dict[str, Any]:
        return _given(self, "passkey")


class InitiatorForm(PageForm):
    initiator_name = forms.CharField(
        label=_("User name of the API operator"),
        help_text=_("Exactly as it is written on the M-PESA portal; capitals count."),
        max_length=64,
        error_messages={"required": _("Enter the API operator's user name, or pass this question over.")},
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "autocapitalize": "none"}),
    )

    def __init__(self, *args: Any, saved: frozenset[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["initiator_credential"] = _secret(_("Its password"), is_saved="initiator_credential" in saved)

    @property
    def details(self) -> dict[str, Any]:
        return _given(self, "initiator_name", "initiator_credential")


QUESTIONS: Mapping[Credential, type[KeysForm] | type[PasskeyForm] | type[InitiatorForm]] = {
    Credential.KEYS: KeysForm,
    Credential.PASSKEY: PasskeyForm,
    Credential.INITIATOR: InitiatorForm,
}


class SettingsForm(PageForm):
    """What can change at any time; the numbers only until they were proved."""

    name = forms.CharField(
        label=_("What do you call it?"), max_length=80, error_messages={"required": _("Enter a name, like Main shop.")}
    )
    shortcode = forms.CharField(
        label=_("Number that customers type"), max_length=20, required=False, widget=forms.TextInput(attrs=_DIGITS)
    )
    store_number = forms.CharField(
        label=_("Store or head office number"), max_length=20, required=False, widget=forms.TextInput(attrs=_DIGITS)
    )
    minimum_amount = ShillingsField(
        label=_("Smallest payment, in KES"),
        help_text=_("M-PESA asks us before it takes a payment only if Safaricom has switched validation on for you."),
        required=False,
        error_messages={"invalid": _("Enter whole shillings, like 50.")},
    )
    maximum_amount = ShillingsField(
        label=_("Largest payment, in KES"),
        required=False,
        error_messages={"invalid": _("Enter whole shillings, like 50000.")},
    )
    accepts_unmapped = forms.BooleanField(
        label=_("Take payments with an account number that no rule names"), required=False
    )
    response_type = forms.ChoiceField(
        label=_("If M-PESA can't reach us before a payment"),
        choices=[
            (MpesaChannel.ResponseType.COMPLETED, _("it takes the payment")),
            (MpesaChannel.ResponseType.CANCELLED, _("it refuses the payment")),
        ],
    )
    nominated_number = forms.CharField(
        label=_("Phone number that Safaricom has on file"),
        help_text=_("With it, payments that M-PESA failed to report are fetched."),
        max_length=30,
        required=False,
        widget=forms.TextInput(attrs={"type": "tel", "inputmode": "tel", "autocomplete": "off"}),
    )
    notes = forms.CharField(label=_("Notes"), max_length=2000, required=False, widget=forms.Textarea)
    is_primary = forms.BooleanField(label=_("This is the main channel"), required=False)

    def __init__(self, *args: Any, channel: MpesaChannel, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if channel.first_verified_at or not channel.shortcode:
            del self.fields["shortcode"], self.fields["store_number"]
        elif channel.kind == MpesaChannel.Kind.PAYBILL:
            del self.fields["store_number"]
        if channel.kind != MpesaChannel.Kind.PAYBILL:
            del self.fields["accepts_unmapped"]
        if channel.is_primary:
            del self.fields["is_primary"]
        for name, field in self.fields.items():
            field.initial = getattr(channel, name)
