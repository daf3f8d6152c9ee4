"""Reconciliation: a statement to load, a stretch of time to ask M-PESA for, a note about what does not match."""

from django import forms
from django.utils.translation import gettext_lazy as _

from payments.forms.money_out import FromChannelForm
from tenants.forms.base import PageForm


class ForChannelForm(FromChannelForm):
    """Of one channel."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.fields["channel"].label = _("Channel")


class StatementForm(ForChannelForm):
    file = forms.FileField(
        label=_("Statement"),
        help_text=_("As the M-PESA portal gives it: CSV or Excel (XLSX), at most 30 MB."),
        error_messages={
            "required": _("Choose the statement."),
            "empty": _("The file is empty. Choose another one."),
        },
        widget=forms.FileInput(attrs={"accept": ".csv,.xlsx"}),
    )


def _moment(label: object, missing: object) -> forms.DateTimeField:
    return forms.DateTimeField(
        label=label,  # type: ignore[arg-type]
        error_messages={"required": missing, "invalid": _("Enter a day and a time.")},  # type: ignore[dict-item]
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )


class PullForm(ForChannelForm):
    window_from = _moment(_("From"), _("Say from when on."))
    window_until = _moment(_("Until"), _("Say until when."))


class NoteForm(PageForm):
    note = forms.CharField(
        label=_("What did you find?"),
        help_text=_("For whoever asks later: your name stands beside it."),
        max_length=254,
        error_messages={"required": _("Write what you found.")},
    )
