"""Places where a fault harness may have the process die, as by kill -9. Without TUZO_CRASH_AT nothing ever happens."""

import os
import signal

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

_CRASH_AT = os.environ.get("TUZO_CRASH_AT", "")

if _CRASH_AT and settings.TUZO_ENV not in {"development", "test"}:
    raise ImproperlyConfigured("TUZO_CRASH_AT is for tests: unset it.")


def reach(name: str) -> None:
    """Note that the process has come to the point `name`; it ends here if TUZO_CRASH_AT names it."""
    if name == _CRASH_AT:
        os.kill(os.getpid(), signal.SIGKILL)
