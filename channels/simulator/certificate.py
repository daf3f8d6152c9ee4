"""The simulator's own key pair for SecurityCredential (section 24 of the reference).

Safaricom's private keys are its own, so a credential for the simulator is encrypted with the simulator's
certificate, which anyone may fetch.
"""

import base64
import binascii
import os
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID


class CredentialKey:
    """An RSA-2048 key, made once and kept beside the books, with its self-signed certificate."""

    def __init__(self, folder: Path) -> None:
        key_path = folder / "credential-key.pem"
        certificate_path = folder / "certificate.pem"
        if not (key_path.exists() and certificate_path.exists()):
            _make(key_path, certificate_path)
        key = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise TypeError(f"{key_path} does not hold an RSA key; delete it and a new one is made.")
        self._key = key
        self.certificate_pem = certificate_path.read_bytes()

    def decrypt(self, security_credential: str) -> str | None:
        """The initiator's password, or None if this was not made with our certificate."""
        try:
            secret = base64.b64decode(security_credential, validate=True)
            return self._key.decrypt(secret, padding.PKCS1v15()).decode()
        except (binascii.Error, ValueError):
            return None


def _make(key_path: Path, certificate_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "daraja.simulator.invalid")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2126, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with open(os.open(key_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(pem)
    certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
