from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from tenants.errors import Invalid
from tenants.forms.base import PageForm, email_field, new_password_field
from tenants.models import Tenant
from tenants.sentences import told
from tenants.services import read_owner


class SignUpForm(PageForm):
    business_name = forms.CharField(
        label=_("What is your business called?"),
        max_length=120,
        error_messages={"required": _("Enter the name of your business, as customers know it.")},
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )
    owner_name = forms.CharField(
        label=_("Your name"),
        max_length=120,
        error_messages={"required": _("Enter your name.")},
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    phone = forms.CharField(
        label=_("Your phone number"),
        max_length=30,
        error_messages={"required": _("Enter your phone number, like 0712 345 678.")},
        widget=forms.TextInput(attrs={"autocomplete": "tel", "inputmode": "tel", "type": "tel"}),
    )
    business_type = forms.ChoiceField(label=_("What kind of business is it?"), choices=Tenant.BusinessType.choices)
    email = email_field()
    password = new_password_field(_("A password"))

    def clean(self) -> dict[str, Any]:
        """Says what can't be used together with what is missing: nobody mends a form twice."""
        given = super().clean() or {}
        try:
            read_owner(**{name: given.get(name, "") for name in ("owner_name", "email", "phone", "password")})
        except Invalid as problem:
            for name in problem.errors.keys() & given.keys():
                self.add_error(name, [told(sentence) for sentence in problem.errors[name]])
        return given
