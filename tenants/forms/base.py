"""What every form on a page has in common."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from tenants.errors import DomainError
from tenants.forms.renderer import PageRenderer


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
                self.add_error(name if name in self.fields else None, sentence)

    @property
    def status(self) -> int:
        """Of the answer that shows this form."""
        return self._refused_with or (422 if self.is_bound and self.errors else 200)


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
