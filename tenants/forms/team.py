from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from tenants.forms.base import PageForm
from tenants.models import Role

# What each role is for, in the words of the table in `tenants.permissions`.
ROLES = [
    (Role.USER, _("User: sees payments and customers, asks customers to pay, enrols members and redeems points")),
    (
        Role.MANAGER,
        _("Manager: also sends money, approves and gives it back, settles with M-PESA, and keeps programs and points"),
    ),
    (Role.ORG_ADMIN, _("Administrator: also changes channels, people, settings, and reads the audit trail")),
]


def role_field(label: Any) -> forms.ChoiceField:
    return forms.ChoiceField(
        label=label,
        choices=ROLES,
        error_messages={"required": _("Choose a role."), "invalid_choice": _("Choose a role.")},
        widget=forms.RadioSelect,
    )


class InviteForm(PageForm):
    email = forms.EmailField(
        label=_("E-mail address"),
        help_text=_("We send a link there, which works for 7 days."),
        max_length=254,
        error_messages={
            "required": _("Enter the e-mail address of the person."),
            "invalid": _("Enter an e-mail address like name@example.com."),
        },
        widget=forms.EmailInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    role = role_field(_("What may they do?"))


class RoleForm(PageForm):
    role = role_field(_("Role"))
