from django import forms
from django.utils.translation import gettext_lazy as _

from tenants.forms.base import PageForm


class SendStepForm(PageForm):
    for_name = forms.CharField(
        label=_("Who is it for?"),
        help_text=_("Only a note for you, like Otieno from the bank. You may leave it empty."),
        max_length=80,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
