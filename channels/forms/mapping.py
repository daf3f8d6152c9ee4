import json
from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from channels.mapping import DEFAULT, normalise
from tenants.forms.base import PageForm

_FILE_MAX_BYTES = 65_536


class RuleForm(PageForm):
    """One rule, in words: `how` and `rule` make what `channels.mapping` reads."""

    how = forms.ChoiceField(
        label=_("If the account number"),
        choices=[
            ("is", _("is exactly")),
            ("begins", _("begins with")),
            ("ends", _("ends with")),
            ("contains", _("contains")),
            ("fits", _("fits a pattern, with * for anything and ? for one character")),
            ("other", _("is anything else")),
        ],
    )
    rule = forms.CharField(
        label=_("this"),
        help_text=_("Like VIP or INV-204. Capitals, spaces and hyphens don't count."),
        max_length=64,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "autocapitalize": "none"}),
    )
    program = forms.ChoiceField(
        label=_("the payment goes to"),
        error_messages={
            "required": _("Choose the program that the payment goes to."),
            "invalid_choice": _("Choose the program that the payment goes to."),
        },
    )
    replaces = forms.CharField(max_length=64, required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, programs: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["program"].choices = sorted(programs.items(), key=lambda item: item[1])  # type: ignore[attr-defined]
        changed = self.initial.get("rule", "")
        if normalise(changed) == DEFAULT:
            self.initial = {**self.initial, "how": "other", "rule": ""}
        elif "*" in changed or "?" in changed:
            self.initial["how"] = "fits"

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        if given.get("how") != "other" and "rule" not in self.errors and not given["rule"]:
            self.add_error("rule", gettext("Enter what the account number is compared with, like VIP."))
        return given

    @property
    def written(self) -> str:
        """The rule as `channels.mapping` reads it."""
        text: str = self.cleaned_data["rule"]
        shapes = {"begins": f"{text}*", "ends": f"*{text}", "contains": f"*{text}*", "other": DEFAULT}
        return shapes.get(self.cleaned_data["how"], text)


class ImportForm(PageForm):
    """A file as the export writes it: {"default": "loyalty", "VIP*": "vip"}."""

    file = forms.FileField(
        label=_("A file with rules"),
        help_text=_("JSON, as the export makes it."),
        error_messages={"required": _("Choose the file."), "empty": _("The file is empty.")},
        widget=forms.ClearableFileInput(attrs={"accept": ".json,application/json"}),
    )

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        if "file" in given:
            given["rules"] = read_json(self, given["file"])
        return given


def read_json(form: PageForm, file: "UploadedFile[bytes]") -> Any:
    """What the file says; None, with the reason beside the field, if it can't be read."""
    if file.size is None or file.size > _FILE_MAX_BYTES:
        form.add_error("file", gettext("The file is too large. It may have 64 KB."))
        return None
    try:
        return json.loads(file.read().decode("utf-8-sig"))
    except (ValueError, RecursionError):
        form.add_error("file", gettext("This is no JSON file. Choose one that the export made."))
        return None
