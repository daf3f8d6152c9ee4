"""The addresses that Daraja agrees to call (section 7, "URL rules")."""

import ipaddress
import re
from urllib.parse import unquote, urlsplit

from channels.daraja.phrases import Phrase

_FORBIDDEN = re.compile(r"m[-_]?pesa|safaricom|exec?|cmd|sql|query")
_TUNNELS = (
    "ngrok",
    "mockbin",
    "requestbin",
    "trycloudflare.com",
    "loca.lt",
    "localtunnel.me",
    "serveo.net",
    "webhook.site",
    "beeceptor.com",
    "pipedream.net",
)
_PRIVATE_ZONES = (".localhost", ".local", ".internal", ".lan", ".test", ".example", ".invalid")


def url_problems(url: str, *, production: bool) -> list[Phrase]:
    """Say what Daraja would refuse about a callback URL, one sentence each; an empty list if nothing.

    The forbidden words are published for C2B only, and enforced on the whole URL; we keep them out of every URL.
    """
    try:
        parts = urlsplit(url)
        host, _ = (parts.hostname or "").lower().removesuffix("."), parts.port
    except ValueError:
        return [Phrase("This is not a URL.")]
    if parts.scheme not in ("http", "https") or not host or not url.isascii() or re.search(r"[\s\x00-\x1f\x7f]", url):
        return [Phrase("Write the whole URL in plain letters, like https://pay.example.co.ke/h/abc.")]
    problems = [
        Phrase("Safaricom refuses URLs that contain “%(word)s”.", word=word)
        for word in dict.fromkeys(_FORBIDDEN.findall(unquote(url).lower()))
    ]
    if parts.username is not None or parts.fragment:
        problems.append(Phrase("A callback URL has no user name, password or #fragment."))
    if production:
        problems += _production_problems(parts.scheme, host)
    return problems


def _production_problems(scheme: str, host: str) -> list[Phrase]:
    problems = []
    if scheme != "https":
        problems.append(Phrase("Production needs https."))
    if any(tunnel in host for tunnel in _TUNNELS):
        problems.append(Phrase("Safaricom blocks tunnels and request catchers in production."))
    if not _is_public(host):
        problems.append(Phrase("Safaricom can't reach this address from the internet."))
    return problems


def _is_public(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith(_PRIVATE_ZONES)
