from datetime import date
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from tenants.forms.base import PageForm
from tenants.pages.audit_words import AREAS

_EARLIEST, _LATEST = date(2020, 1, 1), date(2999, 12, 31)


def _day_field(label: Any) -> forms.DateField:
    return forms.DateField(
        label=label,
        required=False,
        error_messages={"invalid": _("Enter a day like 2026-11-21.")},
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
    )


class AuditFilterForm(PageForm):
    who = forms.CharField(label=_("Who"), required=False, max_length=254)
    what = forms.ChoiceField(
        label=_("What"),
        required=False,
        choices=[("", _("Everything")), *((key, label) for key, (label, _things) in AREAS.items())],
    )
    from_date = _day_field(_("From"))
    to_date = _day_field(_("Until"))

    def clean(self) -> dict[str, Any]:
        for name in ("from_date", "to_date"):
            day = self.cleaned_data.get(name)
            if day and not _EARLIEST <= day <= _LATEST:
                self.add_error(name, _("Enter a day like 2026-11-21."))
        first, last = self.cleaned_data.get("from_date"), self.cleaned_data.get("to_date")
        if first and last and last < first:
            self.add_error("to_date", _("Enter a day that is not before the first one."))
        return self.cleaned_data
