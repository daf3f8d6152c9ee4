from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _

from loyalty.accrual import AccrualTerms, StampTerms
from loyalty.models import Program
from loyalty.points import POINTS_MAX
from tenants.forms.base import PageForm, ShillingsField

_KES_MAX = 1_000_000
_POINTS = ("points", "per_kes", "multiplier", "minimum_kes", "cap_points")
_STAMPS = ("payments_needed", "stamp_minimum_kes", "reward", "thanks", "noun", "noun_plural")


def _number(
    label: Any,
    *,
    least: int = 0,
    most: int = _KES_MAX,
    field: type[forms.IntegerField] = forms.IntegerField,
    **more: Any,
) -> forms.IntegerField:
    return field(
        label=label,
        required=False,
        min_value=least,
        max_value=most,
        error_messages={
            "invalid": _("Enter a whole number, like 100."),
            "min_value": _("Enter %(limit_value)s or more."),
            "max_value": _("Enter %(limit_value)s or less."),
        },
        widget=forms.TextInput(attrs={"inputmode": "numeric", "class": "short"}),
        **more,
    )


def _words(label: Any, *, most: int, example: Any) -> forms.CharField:
    return forms.CharField(label=label, help_text=example, max_length=most, required=False)


class ProgramForm(PageForm):
    """A program's name and what it gives; `services()` are the arguments that the services take."""

    name = forms.CharField(
        label=_("Name"),
        help_text=_("As customers read it in their SMS."),
        max_length=80,
        error_messages={"required": _("Enter a name, like VIP.")},
    )
    language = forms.ChoiceField(
        label=_("Language of its SMS"),
        choices=settings.LANGUAGES,
        initial="en",
        error_messages={"required": _("Choose a language.")},
    )
    is_joinable = forms.BooleanField(
        label=_("Customers may join by themselves"),
        help_text=_("They type their number on your page, and agree by a link that we send to it: one SMS for each."),
        required=False,
        initial=True,
    )

    gives_points = forms.BooleanField(label=_("Payments earn points"), required=False, initial=True)
    points = _number(_("Points"), least=1, most=1000, initial=1)
    per_kes = _number(_("For each KES"), least=1, initial=100, field=ShillingsField)
    multiplier = forms.DecimalField(
        label=_("Multiplier"),
        help_text=_("2 gives double points. 1 leaves them as they are."),
        required=False,
        initial=Decimal(1),
        min_value=Decimal(0),
        max_digits=5,
        decimal_places=2,
        error_messages={"invalid": _("Enter a number, like 1.5."), "min_value": _("Enter 0 or more.")},
        widget=forms.TextInput(attrs={"inputmode": "decimal", "class": "short"}),
    )
    minimum_kes = _number(
        _("Smallest payment that earns, KES"),
        field=ShillingsField,
        initial=0,
        help_text=_("Smaller payments earn nothing. 0: every one does."),
    )
    cap_points = _number(_("Most points for one payment"), least=1, most=POINTS_MAX, help_text=_("Empty: no limit."))

    gives_stamps = forms.BooleanField(label=_("Payments fill a stamp card"), required=False)
    payments_needed = _number(_("Payments for a full card"), least=1, most=1000)
    stamp_minimum_kes = _number(_("Smallest payment that is a stamp, KES"), initial=0, field=ShillingsField)
    reward = _words(_("Reward"), most=80, example=_("For example: free delivery"))
    thanks = _words(_("Thanks in the SMS"), most=80, example=_("For example: Thanks for ordering!"))
    noun = _words(_("One payment is called"), most=40, example=_("For example: order"))
    noun_plural = _words(_("Several are called"), most=40, example=_("For example: orders"))

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("gives_points"):
            self._ask_for(("points", "per_kes", "multiplier"), _("Enter a number: payments earn points."))
        if given.get("gives_stamps"):
            self._ask_for(("payments_needed",), _("Enter how many payments fill the card."))
            self._ask_for(("reward", "thanks", "noun", "noun_plural"), _("Fill this in: the SMS needs it."))
        return given

    def _ask_for(self, names: tuple[str, ...], sentence: Any) -> None:
        for name in names:
            if name not in self.errors and self.cleaned_data.get(name) in (None, ""):
                self.add_error(name, sentence)

    def services(self) -> dict[str, Any]:
        given = self.cleaned_data
        accrual = stamp = None
        if given["gives_points"]:
            accrual = AccrualTerms(
                **{name: given[name] for name in _POINTS} | {"minimum_kes": given["minimum_kes"] or 0}
            )
        if given["gives_stamps"]:
            stamp = StampTerms(
                minimum_kes=given["stamp_minimum_kes"] or 0,
                **{name: given[name] for name in _STAMPS if name != "stamp_minimum_kes"},
            )
        kept = {name: given[name] for name in ("name", "language", "is_joinable")}
        return kept | {"accrual": accrual, "stamp": stamp}

    @staticmethod
    def values_of(program: Program) -> dict[str, Any]:
        """What the fields show for a program as it is."""
        accrual, stamp = getattr(program, "accrual_rule", None), getattr(program, "stamp_rule", None)
        values: dict[str, Any] = {
            "name": program.name,
            "language": program.language,
            "is_joinable": program.is_joinable,
            "gives_points": accrual is not None,
            "gives_stamps": stamp is not None,
        }
        if accrual:
            values |= {name: getattr(accrual, name) for name in _POINTS}
        if stamp:
            values |= {name: getattr(stamp, name.removeprefix("stamp_")) for name in _STAMPS}
        return values

    @property
    def point_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in _POINTS]

    @property
    def stamp_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in _STAMPS]


class NewProgramForm(ProgramForm):
    """With what never changes afterwards: mappings and members are built on it."""

    code = forms.SlugField(
        label=_("Code"),
        help_text=_("The account rules of your channels name it. Left empty, it is made from the name."),
        max_length=64,
        required=False,
        error_messages={"invalid": _("Use letters, digits, hyphens and underscores, like vip_customer.")},
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocapitalize": "none"}),
    )
    member_key = forms.ChoiceField(
        label=_("How a payment finds its member"),
        choices=[
            (Program.MemberKey.BY_PAYER, _("By the phone that pays, or the member's code")),
            (Program.MemberKey.BY_REFERENCE, _("By what the customer types as account number: VIP001")),
        ],
        initial=Program.MemberKey.BY_PAYER,
        error_messages={"required": _("Choose how a payment finds its member.")},
        widget=forms.RadioSelect,
    )

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        if "code" not in self.errors and not given.get("code"):
            given["code"] = slugify(given.get("name", ""))[:64]
            if given.get("name") and not given["code"]:
                self.add_error("code", _("Enter a code, like vip: the name has no plain letters."))
        return given

    def services(self) -> dict[str, Any]:
        return super().services() | {name: self.cleaned_data[name] for name in ("code", "member_key")}
