from django import forms
from django.utils.translation import gettext_lazy as _

from tenants.forms.base import PageForm, code_field, email_field, new_password_field, present_password_field, read_code


class SignInForm(PageForm):
    email = email_field()
    password = present_password_field(_("Password"))


class CodeForm(PageForm):
    """The second half of signing in, for who has a second factor."""

    code = code_field(_("Code"))

    def clean_code(self) -> str:
        return read_code(self.cleaned_data["code"])


class KnownPersonForm(PageForm):
    """Takes up an invitation with the password that the address has already."""

    password = present_password_field(_("Your password"))
    second_factor = code_field(
        _("Code of your second factor"), required=False, help_text=_("Only if you sign in with one.")
    )

    def clean_second_factor(self) -> str:
        return read_code(self.cleaned_data["second_factor"])


class NewPersonForm(PageForm):
    """Takes up an invitation for an address that is new here."""

    name = forms.CharField(
        label=_("Your name"),
        max_length=120,
        error_messages={"required": _("Enter your name.")},
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    password = new_password_field(_("A new password"))


class ForgottenPasswordForm(PageForm):
    email = email_field()


class NewPasswordForm(PageForm):
    password = new_password_field(_("A new password"))
