"""What proves to Daraja who is calling: keys, the STK password, the initiator's SecurityCredential."""

import base64
import hashlib
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from channels.daraja.phrases import Phrase


class UnusableCertificate(Exception):
    """This is no PEM certificate with an RSA key."""


class UnusablePassword(Exception):
    """The initiator's password is empty, or too long for the certificate's key."""

    def __init__(self) -> None:
        self.sentence = Phrase("The initiator's password is empty or too long.")
        super().__init__(self.sentence)


@dataclass(frozen=True, slots=True)
class Credentials:
    """The consumer key and secret of one Daraja app. Its repr shows neither."""

    consumer_key: str = field(repr=False)
    consumer_secret: str = field(repr=False)

    def basic_authorization(self) -> str:
        """The value of the Authorization header of the token call (section 3)."""
        return "Basic " + base64.b64encode(f"{self.consumer_key}:{self.consumer_secret}".encode()).decode()

    def identity(self, base_url: str) -> str:
        """A name, without any secret in it, for "these keys at this host".

        The consumer secret is part of what is hashed: who knows only another's consumer key must not be
        handed the token that the other's secret has bought.
        """
        return hashlib.sha256("\0".join((base_url, self.consumer_key, self.consumer_secret)).encode()).hexdigest()


def stk_password(*, shortcode: str, passkey: str, timestamp: str) -> str:
    """The Password of STK push and query, for a `YYYYMMDDHHmmss` timestamp (section 5.2)."""
    return base64.b64encode(f"{shortcode}{passkey}{timestamp}".encode()).decode()


def read_certificate(published: Literal["sandbox", "production"], path: Path | None = None) -> bytes:
    """Read the certificate at `path`, or, without one, the one that Safaricom has published.

    The published ones have expired; only their RSA keys are used (section 24). The path is for the day when
    Safaricom changes its key.
    """
    if path is not None:
        return path.read_bytes()
    return files(__package__).joinpath("certificates", f"{published}.pem").read_bytes()


def security_credential(password: str, certificate_pem: bytes) -> str:
    """Encrypt an initiator's password for Daraja: RSA, PKCS#1 v1.5, base64 (section 24).

    It differs on every run, and any of them may be kept and used again.

    :raises UnusableCertificate: if `certificate_pem` is no PEM certificate with an RSA key.
    :raises UnusablePassword: if the password is empty or does not fit the key.
    """
    try:
        key = x509.load_pem_x509_certificate(certificate_pem).public_key()
    except ValueError as exc:
        raise UnusableCertificate("This is not a certificate in PEM form.") from exc
    if not isinstance(key, RSAPublicKey):
        raise UnusableCertificate("This certificate has no RSA key.")
    plaintext = password.encode()
    if not 0 < len(plaintext) <= key.key_size // 8 - 11:
        raise UnusablePassword
    return base64.b64encode(key.encrypt(plaintext, PKCS1v15())).decode()
