from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from audit.ids import UnreadableId, public_id, read_public_id
from channels.forms.once import OnceForm
from channels.models import MpesaChannel
from tenants.forms.base import DayField, PageForm


def channel_choices(channels: list[MpesaChannel]) -> list[tuple[str, str]]:
    return [(public_id("ch", channel.pk), str(channel)) for channel in channels]


def read_channel(text: str) -> UUID | None:
    try:
        return read_public_id("ch", text) if text else None
    except UnreadableId:
        raise ValidationError(gettext("Choose one of the channels.")) from None


class SearchForm(PageForm):
    """What payments are looked for by; nothing is needed."""

    q = forms.CharField(
        label=_("by receipt, phone number, amount, name or account number"),
        max_length=64,
        required=False,
        widget=forms.TextInput(attrs={"type": "search", "autocomplete": "off", "spellcheck": "false"}),
    )
    since = DayField(days=(None, 31), label=_("From"), required=False)
    until = DayField(days=(None, 31), label=_("Until"), required=False)
    channel = forms.CharField(label=_("Channel"), required=False, widget=forms.Select)

    def __init__(self, *args: Any, channels: list[MpesaChannel], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["channel"].widget.choices = [("", _("All of them")), *channel_choices(channels)]

    def clean_channel(self) -> UUID | None:
        return read_channel(self.cleaned_data["channel"])

    @property
    def has_filters(self) -> bool:
        """Is anything but the text asked for?"""
        return any(self.data.get(name) for name in ("since", "until", "channel"))


class ReverseForm(OnceForm):
    reason = forms.CharField(
        label=_("Why is it given back?"),
        help_text=_("Safaricom reads it too. 2 to 100 characters, like “Paid twice”."),
        max_length=100,
        error_messages={
            "required": _("Say why it is given back."),
            "max_length": _("Say it in 100 characters or fewer."),
        },
    )
