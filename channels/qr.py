"""QR codes with which M-PESA's app pays a channel, as a picture or as a poster to print.

Safaricom makes the code (docs/daraja.md section 19), and what is in it is not published: so it is handed on as it came.
Nothing is kept.
"""

import base64
import io
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from django.utils.translation import gettext as _
from fpdf import FPDF
from fpdf.enums import Align, XPos, YPos

from audit.services import Actor
from channels.connection import daraja_client, in_plain_words
from channels.daraja.client import QrKind
from channels.models import MpesaChannel
from channels.services import ChannelNotFound
from channels.status import require_steps_before
from tenants.permissions import Permission, require
from tenants.queue import require_current_tenant

_PIXELS = 600
_GREEN = (0, 122, 61)
_MERCHANT_NAME_MAX = 100


class Form(StrEnum):
    PNG = "png"
    SVG = "svg"
    PDF = "pdf"


class Paper(StrEnum):
    """Of a poster."""

    A4 = "a4"
    A5 = "a5"


_SIZES_MM = {Paper.A4: (210, 297), Paper.A5: (148, 210)}


@dataclass(frozen=True, slots=True)
class QrFile:
    content: bytes
    content_type: str
    name: str


def make_qr_code(
    *, actor: Actor, channel_id: UUID, account_reference: str, amount: int, form: Form, paper: Paper
) -> QrFile:
    """Have Safaricom make a code with which a channel is paid `amount` whole shillings for a reference.

    To a till the customer types no account: the reference is then only for the business. Over the network.

    :raises ChannelNotFound: if the business has none such.
    :raises NotConfigured: if the channel's keys are not saved.
    :raises MpesaRefused, MpesaUnavailable: if Safaricom makes none.
    """
    require(actor, Permission.PAYMENTS_REQUEST)
    channel = MpesaChannel.objects.without_secrets().filter(pk=channel_id).first()
    if channel is None:
        raise ChannelNotFound
    require_steps_before(channel, "verify")
    business_name = require_current_tenant().business_name
    is_paybill = channel.kind == MpesaChannel.Kind.PAYBILL
    with in_plain_words():
        png = (
            daraja_client(channel)
            .dynamic_qr(
                kind=QrKind.PAY_BILL if is_paybill else QrKind.BUY_GOODS,
                payee=channel.shortcode,
                merchant_name=_printable(business_name)[:_MERCHANT_NAME_MAX],
                amount_kes=amount,
                account_reference=account_reference,
                size_px=_PIXELS,
            )
            .png
        )
    name = f"mpesa-{channel.shortcode}-{amount}"
    if form is Form.PNG:
        return QrFile(png, "image/png", f"{name}.png")
    if form is Form.SVG:
        return QrFile(_svg(png), "image/svg+xml", f"{name}.svg")
    return QrFile(
        _poster(channel, business_name, account_reference, amount, png, paper), "application/pdf", f"{name}.pdf"
    )


def _svg(png: bytes) -> bytes:
    """The picture in an SVG, for programs that only take that; it is no sharper than it was."""
    picture = base64.b64encode(png).decode()
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100" width="100mm" height="100mm">'
        '<image width="100" height="100" style="image-rendering:pixelated" '
        f'href="data:image/png;base64,{picture}"/></svg>'
    ).encode()


def _poster(
    channel: MpesaChannel, business_name: str, account_reference: str, amount: int, png: bytes, paper: Paper
) -> bytes:
    """One page to hang up: who is paid, the number, the code, and how to pay without it."""
    page = FPDF(format=_SIZES_MM[paper])
    page.set_title(_("Pay %(name)s with M-PESA") % {"name": _printable(business_name)})
    page.set_auto_page_break(False)
    page.add_page()
    scale = page.w / _SIZES_MM[Paper.A5][0]

    def line(text: str, size: float, *, style: str = "", height: float = 0.5) -> None:
        page.set_font("helvetica", style, size * scale)
        wide = page.get_string_width(text)
        if wide > page.epw:
            page.set_font_size(size * scale * page.epw / wide * 0.99)
        page.cell(0, size * height * scale, text, align=Align.C, new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    page.set_fill_color(*_GREEN)
    page.rect(0, 0, page.w, 22 * scale, style="F")
    page.set_text_color(255, 255, 255)
    page.set_y(5 * scale)
    line(_("Pay with M-PESA"), 26, style="B")
    page.set_text_color(0, 0, 0)
    page.set_y(26 * scale)
    line(_printable(business_name), 24, style="B")
    is_paybill = channel.kind == MpesaChannel.Kind.PAYBILL
    line(f"{'PayBill' if is_paybill else 'Till'} {channel.shortcode}", 22)
    if is_paybill:
        line(_("Account %(account)s") % {"account": _printable(account_reference)}, 18)
    line(f"KES {amount:,}", 18)
    side = 80 * scale
    page.image(io.BytesIO(png), x=(page.w - side) / 2, y=page.get_y() + 2 * scale, w=side, h=side)
    page.set_y(page.get_y() + side + 5 * scale)
    for number, step in enumerate(_steps(channel, account_reference, amount), start=1):
        line(f"{number}. {step}", 13)
    return bytes(page.output())


def _steps(channel: MpesaChannel, account_reference: str, amount: int) -> list[str]:
    if channel.kind == MpesaChannel.Kind.PAYBILL:
        how = [
            _("Open M-PESA, Lipa na M-PESA, Pay Bill"),
            _("Business number %(number)s, account number %(account)s")
            % {"number": channel.shortcode, "account": _printable(account_reference)},
        ]
    else:
        how = [
            _("Open M-PESA, Lipa na M-PESA, Buy Goods and Services"),
            _("Till number %(number)s") % {"number": channel.shortcode},
        ]
    return [
        _("Scan the code with the M-PESA app. Or, without it:"),
        *how,
        _("Amount %(amount)s, your PIN, OK") % {"amount": f"{amount:,}"},
    ]


def _printable(text: str) -> str:
    """The text in the letters that Safaricom takes and that every PDF reader has: those of western Europe."""
    plain = unicodedata.normalize("NFKC", text).translate({0x2018: "'", 0x2019: "'", 0x2013: "-", 0x2014: "-"})
    return "".join(letter for letter in plain.encode("latin-1", "replace").decode("latin-1") if letter.isprintable())
