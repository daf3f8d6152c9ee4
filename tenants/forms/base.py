"""What every form on a page has in common."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from tenants.amounts import read_amount
from tenants.clock import NAIROBI
from tenants.errors import DomainError
from tenants.forms.renderer import PageRenderer
from tenants.sentences import told

_EARLIEST, _LATEST = date(2007, 3, 1), date(2099, 12, 31)  # M-PESA began in that month


class PageForm(forms.Form):
    """A form whose errors say what to do, and which takes a service's refusal beside its own errors.

    Name what is missing on each required field: `error_messages={"required": _("Enter …")}`.
    """

    default_renderer = PageRenderer
    use_required_attribute = False  # our sentences instead of the browser's

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self._refused_with = 0

    def refuse(self, refusal: DomainError, *, rename: Mapping[str, str] | None = None) -> None:
        """Show why the service said no: beside the fields that it names, or above them all.

        `rename` is for forms whose fields are called otherwise than the service's: {"password": "present_password"}.
        """
        self._refused_with = refusal.status
        for field, sentences in (refusal.errors or {"": [refusal.detail]}).items():
            for sentence in sentences:
                name = (rename or {}).get(field, field)
                self.add_error(name if name in self.fields else None, told(sentence))

    @property
    def status(self) -> int:
        """Of the answer that shows this form."""
        return self._refused_with or (422 if self.is_bound and self.errors else 200)


class DayField(forms.DateField):
    """A day within a stretch that makes sense, which the browser's calendar keeps to as well.

    `days` are counted from today: (0, 365) is from today until a year from now; None is open.
    """

    def __init__(self, *, days: tuple[int | None, int | None], **more: Any) -> None:
        sentence = _("Enter a day like 2026-11-21.")
        usual: dict[str, Any] = {
            "error_messages": {"required": sentence, "invalid": sentence},
            "input_formats": ["%Y-%m-%d", "%d/%m/%Y"],
            "widget": forms.DateInput(format="%Y-%m-%d", attrs={"type": "date", "class": "short"}),
        }
        super().__init__(**usual | more)
        self._days = days

    def get_bound_field(self, form: forms.BaseForm, field_name: str) -> forms.BoundField:
        first, last = self._stretch()
        self.widget.attrs |= {"min": first.isoformat(), "max": last.isoformat()}
        return super().get_bound_field(form, field_name)

    def validate(self, value: date | None) -> None:
        super().validate(value)
        first, last = self._stretch()
        if value and not first <= value <= last:
            raise forms.ValidationError(
                gettext("Enter a day from %(first)s to %(last)s."),
                params={"first": date_format(first, "j M Y"), "last": date_format(last, "j M Y")},
            )

    def _stretch(self) -> tuple[date, date]:
        today = timezone.localdate(timezone=NAIROBI)
        first, last = ((today + timedelta(days=days)) if days is not None else None for days in self._days)
        return first or _EARLIEST, last or _LATEST


class ShillingsField(forms.IntegerField):
    """Whole shillings as people write them: `1200`, `1,200`, `KES 1 200/=`."""

    def __init__(self, **more: Any) -> None:
        attributes = {"inputmode": "numeric", "autocomplete": "off", "class": "short"}
        super().__init__(**{"widget": forms.TextInput(attrs=attributes)} | more)

    def to_python(self, value: Any) -> int | None:
        return super().to_python(read_amount(value) or value if isinstance(value, str) else value)


def email_field(**more: Any) -> forms.EmailField:
    return forms.EmailField(
        label=_("E-mail address"),
        max_length=254,
        error_messages={
            "required": _("Enter your e-mail address."),
            "invalid": _("Enter an e-mail address like name@example.com."),
        },
        widget=forms.EmailInput(attrs={"autocomplete": "username", "spellcheck": "false"}),
        **more,
    )


def present_password_field(label: Any) -> forms.CharField:
    return forms.CharField(
        label=label,
        max_length=128,
        strip=False,
        error_messages={"required": _("Enter your password.")},
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


def new_password_field(label: Any) -> forms.CharField:
    return forms.CharField(
        label=label,
        help_text=_("10 characters or more. A few words that only you put together are best."),
        max_length=128,
        strip=False,
        error_messages={"required": _("Enter a new password.")},
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )


def code_field(label: Any, **more: Any) -> forms.CharField:
    """A code of the second factor."""
    return forms.CharField(
        label=label,
        max_length=16,
        error_messages={"required": _("Enter the code.")},
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "inputmode": "text", "spellcheck": "false", "class": "short"}
        ),
        **more,
    )


def read_code(text: str) -> str:
    """A code as people type it: `123 456`."""
    return "".join(text.split()).lower()
