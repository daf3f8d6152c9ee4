"""The web process: the hooks that Daraja talks to in front, Django behind.

`TUZO_SERVE` separates them in production: `hooks` serves only /h/…, `web` everything else, `all` both.
"""

import gc
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django

django.setup()

from a2wsgi import WSGIMiddleware
from django.conf import settings
from django.core.wsgi import get_wsgi_application

from payments.bell import Bell
from payments.hooks import Hooks
from tenants.changes import start_listening

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_HOOKS_PATH = "/h/"
_HEALTH_PATH = "/health/"

_serves_hooks = settings.TUZO_SERVE in {"all", "hooks"}
_serves_pages = settings.TUZO_SERVE in {"all", "web"}

_bell = Bell()
_hooks = Hooks(ring=_bell.ring)
_pages = WSGIMiddleware(get_wsgi_application(), workers=8)  # type: ignore[arg-type]


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _live(receive, send)
    elif scope["path"].startswith(_HOOKS_PATH):
        await (_hooks if _serves_hooks else _not_here)(scope, receive, send)
    elif _serves_pages or scope["path"] == _HEALTH_PATH:
        await _pages(scope, _as_coroutine(receive), send)  # type: ignore[arg-type]
    else:
        await _not_here(scope, receive, send)


def _as_coroutine(receive: Receive) -> Receive:
    """granian's `receive` returns a future; a2wsgi hands what it returns to another thread, which takes coroutines."""

    async def received() -> MutableMapping[str, Any]:
        return await receive()

    return received


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            if _serves_hooks:
                _bell.start()
                await _hooks.start()
            if _serves_pages:
                start_listening()
            gc.freeze()  # what is loaded now stays: the collector need not walk through it while Daraja waits
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            if _serves_hooks:
                await _hooks.stop()
                _bell.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return


async def _not_here(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
