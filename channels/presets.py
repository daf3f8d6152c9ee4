"""Common set-ups of a channel: where to begin, and what is usual there. Everything can be changed afterwards."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from channels.models import MpesaChannel


@dataclass(frozen=True, slots=True)
class Preset:
    """`name` is proposed for the channel, `advice` says what customers type and what to do with it."""

    kind: MpesaChannel.Kind
    label: Promise
    name: Promise
    advice: Promise


PRESETS = {
    "shop": Preset(
        MpesaChannel.Kind.TILL,
        _("Shop with a till"),
        _("Shop"),
        _("Customers type only the till number, so all payments go to one program. Hang the QR poster at the counter."),
    ),
    "school": Preset(
        MpesaChannel.Kind.PAYBILL,
        _("School fees"),
        _("School fees"),
        _("Parents type the admission number. For other fees agree on a beginning, like BUS for transport or LUNCH."),
    ),
    "restaurant": Preset(
        MpesaChannel.Kind.PAYBILL,
        _("Restaurant with delivery"),
        _("Restaurant"),
        _("Guests type TABLE and its number, deliveries DEL and the order's: two rules tell them apart."),
    ),
    "sacco": Preset(
        MpesaChannel.Kind.PAYBILL,
        _("SACCO"),
        _("SACCO"),
        _("Members type what it is for and their number, like SAV123 or LOAN123: one rule for each beginning."),
    ),
}
