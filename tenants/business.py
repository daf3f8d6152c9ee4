"""What a business says about itself: its name and addresses, and what it shows its customers."""

import hashlib
import math
import re
from io import BytesIO

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils.translation import gettext as _
from PIL import Image, UnidentifiedImageError

import audit.services
from audit.services import Actor
from tenants.errors import Invalid
from tenants.models import Branding, Tenant
from tenants.permissions import Permission, require
from tenants.queue import require_current_tenant
from tenants.services import one_line, read_contact_number

LOGO_MAXIMUM_BYTES = 200_000
_LOGO_SIZE = (400, 160)  # pixels at most; shown at half of it
_LOGO_MAXIMUM_PIXELS = 16_000_000  # of what is uploaded: an image of a few bytes can unpack to gigabytes
_COLOUR = re.compile(r"#[0-9a-f]{6}")
READABLE_CONTRAST = 4.5


class UnusableLogo(Invalid):
    code = "unusable_logo"


class UnreadableColour(Invalid):
    """White text can't be read well on it; the sentence names the nearest shade that works."""

    code = "unreadable_colour"


@transaction.atomic
def change_business(*, actor: Actor, business_name: str, business_type: str, email: str, phone: str) -> Tenant:
    """Change what the present business is called, what it is, and where the platform reaches it.

    :raises Invalid: if a value can't be used; `errors` says which.
    """
    require(actor, Permission.BUSINESS_CHANGE)
    after = {
        "business_name": one_line(business_name),
        "business_type": business_type,
        "email": email.strip().lower(),
        "phone": read_contact_number(phone),
    }
    if not after["business_name"]:
        raise Invalid(_("A business needs a name."), errors={"business_name": [_("Enter the name of your business.")]})
    try:
        validate_email(after["email"])
    except ValidationError:
        sentence = _("Enter an e-mail address like name@example.com.")
        raise Invalid(sentence, errors={"email": [sentence]}) from None
    held: Tenant = Tenant.objects.select_for_update(no_key=True).get(pk=require_current_tenant().pk)
    before = {name: getattr(held, name) for name in after}
    if after == before:
        return held
    for name, value in after.items():
        setattr(held, name, value)
    held.save(update_fields=list(after))
    audit.services.record(actor=actor, action="business.changed", subject=held, before=before, after=after)
    return held


def business(*, actor: Actor) -> Tenant:
    """The present business as it stands now, for who may change it."""
    require(actor, Permission.BUSINESS_CHANGE)
    found: Tenant = Tenant.objects.get(pk=require_current_tenant().pk)
    return found


def branding_of(tenant: Tenant) -> Branding:
    """What a business shows its customers, without the logo's bytes; everybody may see it. Unsaved if it has none."""
    return Branding.objects.defer("logo").filter(tenant=tenant).first() or Branding(tenant=tenant)


def logo_of(tenant: Tenant, *, digest: str) -> bytes | None:
    """The business's present logo as PNG, if `digest` names it; everybody may see it."""
    logo = Branding.objects.filter(tenant=tenant, logo_digest=digest).values_list("logo", flat=True).first()
    return bytes(logo) if logo else None


@transaction.atomic
def change_branding(*, actor: Actor, colour: str, logo: bytes | None = None, without_logo: bool = False) -> Branding:
    """Set the colour ("#0b6b3a", or empty for ours), and put another logo in the place of the present one, or none.

    The logo is a PNG or JPEG of at most 200 KB. It is made anew of its pixels, so nothing else of the file is kept.

    :raises UnreadableColour: if white text on it does not reach 4.5:1.
    :raises UnusableLogo: if the file is too large or no such picture.
    """
    require(actor, Permission.BUSINESS_CHANGE)
    colour = colour.strip().lower()
    _require_readable(colour)
    tenant = require_current_tenant()
    held, _is_new = Branding.objects.select_for_update().get_or_create(tenant=tenant)
    before = {"colour": held.colour, "logo": held.logo_digest}
    held.colour = colour
    if logo is not None:
        held.logo = _made_anew(logo)
        held.logo_digest = hashlib.sha256(held.logo).hexdigest()[:16]
    elif without_logo:
        held.logo, held.logo_digest = None, ""
    after = {"colour": held.colour, "logo": held.logo_digest}
    if after != before:
        held.save()
        audit.services.record(actor=actor, action="branding.changed", subject=tenant, before=before, after=after)
    return held


def _require_readable(colour: str) -> None:
    if not colour:
        return
    if not _COLOUR.fullmatch(colour):
        sentence = _("Enter a colour like #0b6b3a.")
        raise UnreadableColour(sentence, errors={"colour": [sentence]})
    found = contrast_with_white(colour)
    if found < READABLE_CONTRAST:
        sentence = _(
            "White text can't be read well on %(colour)s: its contrast is %(found)s and has to be 4.5. "
            "The nearest shade that works is %(better)s."
        ) % {"colour": colour, "found": math.floor(found * 100) / 100, "better": readable_shade(colour)}
        raise UnreadableColour(sentence, errors={"colour": [sentence]})


def contrast_with_white(colour: str) -> float:
    """WCAG 2's contrast of white text on `#rrggbb`: 1 to 21."""
    return 1.05 / (_luminance(colour) + 0.05)


def readable_shade(colour: str) -> str:
    """The lightest darker shade of the same hue that white text can be read on."""
    channels = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    for share in range(100, -1, -1):
        shade = "#" + "".join(f"{channel * share // 100:02x}" for channel in channels)
        if contrast_with_white(shade) >= READABLE_CONTRAST:
            return shade
    raise AssertionError("White on black has a contrast of 21.")


def _luminance(colour: str) -> float:
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _made_anew(content: bytes) -> bytes:
    if len(content) > LOGO_MAXIMUM_BYTES:
        raise _unusable(_("This file is larger than 200 KB. Save the logo smaller and choose it again."))
    try:
        with Image.open(BytesIO(content), formats=("PNG", "JPEG")) as picture:
            if picture.width * picture.height > _LOGO_MAXIMUM_PIXELS:
                raise _unusable(_("This picture has too many pixels. Save the logo smaller and choose it again."))
            pixels = picture.convert("RGBA")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError):
        raise _unusable(_("This file is no PNG or JPEG picture. Choose another one.")) from None
    pixels.thumbnail(_LOGO_SIZE)
    made = BytesIO()
    pixels.save(made, "PNG", optimize=True)
    return made.getvalue()


def _unusable(sentence: str) -> UnusableLogo:
    return UnusableLogo(sentence, errors={"logo": [sentence]})
