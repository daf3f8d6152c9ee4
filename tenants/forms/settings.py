from django import forms
from django.utils.translation import gettext_lazy as _

from tenants.forms.base import PageForm
from tenants.models import Tenant

OUR_COLOUR = "#0b6b3a"


class BusinessForm(PageForm):
    business_name = forms.CharField(
        label=_("Name of the business"),
        help_text=_("Customers read it in messages and on their page."),
        max_length=120,
        error_messages={"required": _("Enter the name of your business.")},
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )
    business_type = forms.ChoiceField(label=_("What is it?"), choices=Tenant.BusinessType.choices)
    email = forms.EmailField(
        label=_("E-mail address"),
        help_text=_("Tuzo writes there about the business. It does not change how anybody signs in."),
        max_length=254,
        error_messages={
            "required": _("Enter an e-mail address."),
            "invalid": _("Enter an e-mail address like name@example.com."),
        },
        widget=forms.EmailInput(attrs={"autocomplete": "email", "spellcheck": "false"}),
    )
    phone = forms.CharField(
        label=_("Phone number"),
        help_text=_("Like 0712 345 678."),
        max_length=20,
        error_messages={"required": _("Enter a Kenyan number, like 0712 345 678.")},
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "tel", "class": "short"}),
    )


class BrandingForm(PageForm):
    colour = forms.CharField(
        label=_("Colour"),
        help_text=_("White text stands on it, so it must be dark enough."),
        max_length=7,
        error_messages={"required": _("Choose a colour.")},
        widget=forms.TextInput(attrs={"type": "color", "class": "short"}),
    )
    logo = forms.FileField(
        label=_("Logo"),
        help_text=_("A PNG or JPEG picture of at most 200 KB. It is shown up to 200 by 80 pixels large."),
        required=False,
        error_messages={"empty": _("This file is empty. Choose another one.")},
        widget=forms.FileInput(attrs={"accept": "image/png,image/jpeg"}),
    )
    without_logo = forms.BooleanField(label=_("Take the logo away"), required=False)
