from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from tenants.forms.base import PageForm, code_field, new_password_field, present_password_field, read_code
from tenants.models import Theme

# Where people of Kenyan businesses live; the list of all would be 20 kB of every profile page.
TIME_ZONES = [
    ("Africa/Nairobi", _("East Africa: Nairobi, Kampala, Dar es Salaam")),
    ("Africa/Johannesburg", _("Southern and Central Africa: Johannesburg, Kigali")),
    ("Africa/Lagos", _("West Africa: Lagos")),
    ("Africa/Accra", _("Ghana: Accra")),
    ("Africa/Cairo", _("Egypt: Cairo")),
    ("Asia/Dubai", _("The Gulf: Dubai")),
    ("Asia/Kolkata", _("India")),
    ("Asia/Shanghai", _("China")),
    ("Europe/London", _("United Kingdom")),
    ("Europe/Berlin", _("Central Europe: Berlin, Paris")),
    ("America/New_York", _("North America: New York, Toronto")),
    ("America/Los_Angeles", _("North America: Los Angeles")),
    ("Australia/Sydney", _("Australia: Sydney")),
]


class ProfileForm(PageForm):
    name = forms.CharField(
        label=_("Your name"),
        max_length=120,
        error_messages={"required": _("Enter your name.")},
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    language = forms.ChoiceField(
        label=_("Language"), required=False, choices=[("", _("As the browser asks")), *settings.LANGUAGES]
    )
    theme = forms.ChoiceField(label=_("Colours"), required=False, choices=[("", _("As the device")), *Theme.choices])
    time_zone = forms.ChoiceField(label=_("Your clock"), choices=TIME_ZONES)


class ChangePasswordForm(PageForm):
    present_password = present_password_field(_("Your present password"))
    password = new_password_field(_("A new password"))


class SecondFactorForm(PageForm):
    """Takes an authenticator app into use."""

    code = code_field(_("Code"))
    password = present_password_field(_("Your password"))

    def clean_code(self) -> str:
        return read_code(self.cleaned_data["code"])


class ProveForm(PageForm):
    """Before something that lowers one's guard: the password again."""

    password = present_password_field(_("Your password"))
