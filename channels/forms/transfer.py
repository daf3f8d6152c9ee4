from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tenants.forms.base import PageForm

_FILE_MAX_BYTES = 262_144


class ImportForm(PageForm):
    file = forms.FileField(
        label=gettext_lazy("A file with channels"),
        help_text=gettext_lazy("JSON or CSV, as the export makes them."),
        error_messages={"required": gettext_lazy("Choose the file."), "empty": gettext_lazy("The file is empty.")},
        widget=forms.ClearableFileInput(attrs={"accept": ".json,.csv,application/json,text/csv"}),
    )

    def clean_file(self) -> str:
        file = self.cleaned_data["file"]
        if file.size > _FILE_MAX_BYTES:
            raise forms.ValidationError(_("The file is too large. It may have 256 KB."))
        try:
            text: str = file.read().decode("utf-8-sig")
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            raise forms.ValidationError(_("This is no text. Choose a file that the export made."))
        return text
