"""What stands in the addresses of this room's pages."""

from django.http import Http404

from channels.models import Credential

_CREDENTIALS = {credential.lower(): credential for credential in Credential}


def credential_in_url(text: str) -> Credential:
    """`keys`, `passkey` or `initiator`; anything else is a 404."""
    if text not in _CREDENTIALS:
        raise Http404
    return _CREDENTIALS[text]
