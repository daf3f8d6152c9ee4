from collections.abc import Iterable
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from audit.ids import public_id, read_public_id
from channels.forms.once import OnceForm
from loyalty.models import Program
from loyalty.points import POINTS_MAX
from tenants.forms.base import PageForm

_TYPED_CODE = {"spellcheck": "false", "autocapitalize": "characters", "autocomplete": "off"}


def _phone_field() -> forms.CharField:
    return forms.CharField(
        label=_("Phone number"),
        help_text=_("Like 0712 345 678. Points and SMS come by it."),
        max_length=40,
        required=False,
        widget=forms.TextInput(attrs={"inputmode": "tel", "autocomplete": "off"}),
    )


def _name_field() -> forms.CharField:
    return forms.CharField(
        label=_("Name"), max_length=80, required=False, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )


def _consent_field() -> forms.BooleanField:
    return forms.BooleanField(
        label=_("They agreed that their number is kept and used for points and SMS"), required=False
    )


def _points_field(label: Any, *, least: int, **more: Any) -> forms.IntegerField:
    return forms.IntegerField(
        label=label,
        min_value=least,
        max_value=POINTS_MAX,
        error_messages={
            "required": _("Enter how many points."),
            "invalid": _("Enter a whole number, like 100."),
            "min_value": _("Enter %(limit_value)s or more."),
            "max_value": _("Enter %(limit_value)s or less."),
        },
        widget=forms.TextInput(attrs={"inputmode": "numeric" if least > 0 else "text", "class": "short"}),
        **more,
    )


class EnrolForm(PageForm):
    """`services()` are the arguments that the service takes."""

    program = forms.ChoiceField(label=_("Program"), error_messages={"required": _("Choose a program.")})
    name = _name_field()
    phone_number = _phone_field()
    consented = _consent_field()
    code = forms.CharField(
        label=_("Member's code"),
        help_text=_("What they type as account number. Left empty, we make a short one up."),
        max_length=64,
        required=False,
        widget=forms.TextInput(attrs=_TYPED_CODE),
    )

    def __init__(self, *args: Any, programs: Iterable[Program], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(public_id("prog", program.pk), program.name) for program in programs]
        self.fields["program"].choices = choices  # type: ignore[attr-defined]

    def services(self) -> dict[str, Any]:
        given = dict(self.cleaned_data)
        return {"program_id": read_public_id("prog", given.pop("program")), **given}


class ChangeMemberForm(PageForm):
    name = _name_field()
    phone_number = _phone_field()
    consented = _consent_field()
    is_active = forms.BooleanField(
        label=_("Takes part"),
        help_text=_("Who does not take part neither earns nor spends. Points stay."),
        required=False,
    )


class RedeemForm(OnceForm):
    points = _points_field(_("Points to spend"), least=1)
    note = forms.CharField(
        label=_("On what"), help_text=_("The member's history shows it."), max_length=254, required=False
    )


class AdjustForm(OnceForm):
    points = _points_field(
        _("Points to give"), least=-POINTS_MAX, help_text=_("With a minus to take points away, like -50.")
    )
    reason = forms.CharField(
        label=_("Why"),
        help_text=_("The member may ask, and the audit trail keeps it."),
        max_length=254,
        error_messages={"required": _("Say why: the member may ask.")},
    )


class ClaimForm(PageForm):
    receipt = forms.CharField(
        label=_("M-PESA receipt"),
        help_text=_("It stands first in the SMS from M-PESA, like TCL0000001."),
        max_length=20,
        error_messages={"required": _("Enter the receipt of the payment.")},
        widget=forms.TextInput(attrs={**_TYPED_CODE, "class": "short"}),
    )
