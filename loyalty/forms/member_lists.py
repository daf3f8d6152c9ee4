from collections.abc import Iterable
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.ids import public_id
from loyalty.member_lists import MAXIMUM_BYTES, pasted_file
from loyalty.models import Program
from payments.tables import BinaryFile
from tenants.forms.base import PageForm


class MemberListForm(PageForm):
    """A list of members: a file, or what was pasted."""

    program = forms.ChoiceField(
        label=gettext_lazy("Program"), error_messages={"required": gettext_lazy("Choose a program.")}
    )
    file = forms.FileField(
        label=gettext_lazy("File"),
        help_text=gettext_lazy("CSV or Excel (XLSX), at most 2,000 people."),
        required=False,
        error_messages={"empty": gettext_lazy("The file is empty. Choose another one.")},
        widget=forms.FileInput(attrs={"accept": ".csv,.xlsx"}),
    )
    pasted = forms.CharField(
        label=gettext_lazy("Or paste the list"),
        help_text=gettext_lazy("One person in each line, like: 0712 345 678, Achieng Otieno"),
        max_length=MAXIMUM_BYTES,
        required=False,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "autocomplete": "off"}),
    )
    statement = forms.CharField(
        label=gettext_lazy("How they agreed"),
        help_text=gettext_lazy(
            "If all of them agreed that you keep and use their number: how and when, like “Signed the membership form"
            " in 2025”. Otherwise the list needs a column “consent” with yes or no."
        ),
        max_length=254,
        required=False,
    )

    def __init__(self, *args: Any, programs: Iterable[Program], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(public_id("prog", program.pk), program.name) for program in programs]
        self.fields["program"].choices = choices  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if "file" not in self.errors and bool(given.get("file")) == bool(given.get("pasted")):
            self.add_error("file", _("Choose a file or paste a list: one of the two."))
        return given

    @property
    def list_file(self) -> BinaryFile:
        return self.cleaned_data["file"] or pasted_file(self.cleaned_data["pasted"])
