from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from loyalty.models import Program
from tenants.forms.base import PageForm


def _own_name_field() -> forms.CharField:
    return forms.CharField(
        label=_("Your name"),
        help_text=_("As the shop may greet you. You may leave it empty."),
        max_length=80,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )


class JoinForm(PageForm):
    """What a customer types to be sent a link."""

    program = forms.ChoiceField(label=_("What do you want to join?"), error_messages={"required": _("Choose one.")})
    phone_number = forms.CharField(
        label=_("Your phone number"),
        help_text=_("The one that you pay with, like 0712 345 678. We send a link to it."),
        max_length=40,
        error_messages={"required": _("Enter your phone number, like 0712 345 678.")},
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "tel-national"}),
    )
    name = _own_name_field()
    consented = forms.BooleanField(
        label=_("I agree to this"),
        error_messages={"required": _("Tick this to join: we may not keep your number without it.")},
    )

    def __init__(self, *args: Any, programs: Sequence[Program], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["program"]
        field.choices = [(program.code, program.name) for program in programs]
        if len(programs) == 1:
            field.widget = forms.HiddenInput()
            self.initial["program"] = programs[0].code


class AgreeForm(PageForm):
    """The one thing that can still be put right before joining."""

    name = _own_name_field()
