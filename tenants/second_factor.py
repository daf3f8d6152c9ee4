"""The second factor of people and operators: an authenticator app, and ten recovery codes that are good once each.

django-otp keeps both, slows guessing down and refuses a code the second time. Who may call what is decided by the
services of operators (`tenants.operators`) and of people (`tenants.own_sign_in`, `tenants.reauthentication`).
"""

from collections.abc import Callable

from django.db import transaction
from django.utils.translation import gettext as _
from django_otp import user_has_device
from django_otp.models import Device
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from tenants.errors import DomainError
from tenants.models import User

_RECOVERY_CODES = 10


class WrongCode(DomainError):
    code = "wrong_code"


class TooManyCodes(DomainError):
    """Wrong codes came one after the other: the next is looked at only after a wait that doubles each time."""

    code = "too_many_codes"
    status = 429


def has_second_factor(user: User) -> bool:
    return bool(user_has_device(user))


def unsaved_authenticator(user: User, *, key: str) -> TOTPDevice:
    """The authenticator that `key` (40 hexadecimal digits) would make; its `config_url` goes into the QR code."""
    return TOTPDevice(user=user, name="Authenticator", key=key)


def replace(user: User, *, key: str, code: str) -> tuple[TOTPDevice, list[str]]:
    """Make `key` the only authenticator, if `code` shows that the person holds it; with its recovery codes, which are
    shown this once. Call it inside a transaction that holds the person's row.

    :raises WrongCode: if the code is not the authenticator's.
    """
    TOTPDevice.objects.filter(user=user).delete()
    authenticator = unsaved_authenticator(user, key=key)
    if not authenticator.verify_token(code):
        raise WrongCode(_("This is not the code that the app shows now."))
    return authenticator, renew_recovery_codes(user)


def renew_recovery_codes(user: User) -> list[str]:
    """Ten new ones; those from before open nothing any more."""
    StaticDevice.objects.filter(user=user).delete()
    recovery = StaticDevice.objects.create(user=user, name="Recovery codes")
    codes = [StaticToken.random_token() for _number in range(_RECOVERY_CODES)]
    StaticToken.objects.bulk_create(StaticToken(device=recovery, token=each) for each in codes)
    return codes


def recovery_codes_left(user: User) -> int:
    return int(StaticToken.objects.filter(device__user=user).count())


def remove(user: User) -> None:
    TOTPDevice.objects.filter(user=user).delete()
    StaticDevice.objects.filter(user=user).delete()


def prove(user: User, *, code: str, record: Callable[[Device], object] | None = None) -> Device:
    """The device that `code` came from: six digits from the authenticator, anything else from the recovery codes.

    `record` writes down that it was proved, in the same commit.

    :raises WrongCode: if it is from neither, or was used before.
    :raises TooManyCodes: while too many wrong ones are remembered.
    """
    kind = TOTPDevice if len(code) == 6 and code.isdecimal() else StaticDevice
    with transaction.atomic():
        device = kind.objects.devices_for_user(user, confirmed=True).select_for_update().first()
        is_allowed = device is not None and device.verify_is_allowed()[0]
        # A wrong code is counted on the device, so it is refused after the commit.
        is_proved = is_allowed and device.verify_token(code)
        if is_proved and record is not None:
            record(device)
    if device is not None and not is_allowed:
        raise TooManyCodes(_("Too many wrong codes. Wait a little, then try the next one."))
    if not is_proved:
        raise WrongCode(_("This code is wrong, or was used before."))
    return device
