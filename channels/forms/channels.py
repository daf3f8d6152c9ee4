from django import forms
from django.utils.translation import gettext_lazy as _

from tenants.forms.base import PageForm


class SwitchOffForm(PageForm):
    reason = forms.CharField(
        label=_("Why?"),
        help_text=_("For your colleagues; it stays in the audit trail."),
        max_length=500,
        required=False,
    )


class NewPathForm(PageForm):
    understood = forms.BooleanField(
        label=_("I will register the addresses again within seven days."),
        error_messages={"required": _("Tick the box, or go back: payments stop arriving if nobody registers again.")},
    )
