from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from tenants.forms.base import DayField, PageForm
from tenants.pages.audit_words import AREAS


class AuditFilterForm(PageForm):
    who = forms.CharField(label=_("Who"), required=False, max_length=254)
    what = forms.ChoiceField(
        label=_("What"),
        required=False,
        choices=[("", _("Everything")), *((key, label) for key, (label, _things) in AREAS.items())],
    )
    from_date = DayField(days=(None, 31), label=_("From"), required=False)
    to_date = DayField(days=(None, 31), label=_("Until"), required=False)

    def clean(self) -> dict[str, Any]:
        first, last = self.cleaned_data.get("from_date"), self.cleaned_data.get("to_date")
        if first and last and last < first:
            self.add_error("to_date", _("Enter a day that is not before the first one."))
        return self.cleaned_data
