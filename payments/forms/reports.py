from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from tenants.forms.base import PageForm


def _day_field(label: Any) -> forms.DateField:
    return forms.DateField(
        label=label,
        error_messages={"required": _("Choose a day."), "invalid": _("Enter a day like 2026-11-21.")},
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date", "class": "short"}),
        input_formats=["%Y-%m-%d", "%d/%m/%Y"],
    )


class PeriodForm(PageForm):
    since = _day_field(_("From"))
    until = _day_field(_("Until and with"))
