"""What a production must not be: its settings refuse to load while one of these holds, and `check --deploy` lists them.

Imports nothing of Django, for the settings ask while they load.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_SHORTEST_KEY = 50  # characters; ./tuzo makes 64
_EMBEDDED = re.compile(r"/tuzo-[0-9a-f]{12}\b")  # the sockets' folder of config.launcher.services
_DEVELOPMENT = "development-only"


@dataclass(frozen=True)
class Danger:
    id: str
    sentence: str
    hint: str


def dangers(settings: Any) -> Iterator[Danger]:
    """Every danger in `settings`: Django's object, or the settings module itself while it loads."""
    if settings.DEBUG:
        yield Danger("tuzo.E010", "DEBUG is on", "unset DEBUG")
    keys = {"SECRET_KEY": settings.SECRET_KEY, "AUDIT_KEY": settings.AUDIT_KEY}
    for name, key in keys.items():
        if _DEVELOPMENT in key:
            yield Danger("tuzo.E011", f"{name} is the one of development", f"set {name} to a secret of your own")
        elif len(key) < _SHORTEST_KEY:
            yield Danger("tuzo.E012", f"{name} is too short", f"give it {_SHORTEST_KEY} random characters or more")
    if settings.SECRET_KEY == settings.AUDIT_KEY:
        yield Danger("tuzo.E013", "SECRET_KEY and AUDIT_KEY are the same", "set two different secrets")
    for key in settings.ENCRYPTION_KEYS:
        raw = _decoded(key)
        if _DEVELOPMENT.encode() in raw:
            yield Danger("tuzo.E011", "ENCRYPTION_KEYS has the one of development", "set keys of your own")
        elif len(raw) != 32:
            yield Danger(
                "tuzo.E014", "ENCRYPTION_KEYS has a key that is not 32 bytes", "write 32 random bytes in base64"
            )
    if settings.SIMULATOR_CONTROL_TOKEN == "practice-control":  # noqa: S105
        yield Danger("tuzo.E011", "SIMULATOR_CONTROL_TOKEN is the one of development", "set it to a secret of your own")
    if not settings.TUZO_PUBLIC_URL.startswith("https://"):
        yield Danger("tuzo.E015", "TUZO_PUBLIC_URL is plain http", "give it an https:// address")
    for environment in ("SANDBOX", "PRODUCTION"):
        if settings.DARAJA_URLS[environment].startswith("http://"):
            yield Danger("tuzo.E016", f"DARAJA_{environment}_URL is plain http", "give it an https:// address")
    if _EMBEDDED.search(settings.DATABASE_URL):
        yield Danger("tuzo.E017", "DATABASE_URL is the embedded PostgreSQL", "name a server of your own")
    if _EMBEDDED.search(settings.REDIS_URL):
        yield Danger("tuzo.E017", "REDIS_URL is the embedded Valkey", "name a server of your own")
    if settings.SMS_PROVIDER == "africastalking" and not (
        settings.AFRICASTALKING_USERNAME and settings.AFRICASTALKING_API_KEY
    ):
        yield Danger(
            "tuzo.E018",
            "SMS_PROVIDER is africastalking without its account",
            "set AFRICASTALKING_USERNAME and AFRICASTALKING_API_KEY",
        )


def _decoded(key: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(key)
    except (binascii.Error, ValueError):
        return b""
