import base64
import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.x509.oid import NameOID

from channels.daraja.credentials import (
    Credentials,
    UnusableCertificate,
    UnusablePassword,
    read_certificate,
    security_credential,
    stk_password,
)

SANDBOX_PASSKEY = "bfb279f9aa9bdbcf158e97dd71a467cd2e0c893059b10f78e6b72ada1ed2c919"


def certificate_of(key):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "practice")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now - timedelta(days=1))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )


def test_stk_password_is_the_published_one():
    assert stk_password(shortcode="174379", passkey=SANDBOX_PASSKEY, timestamp="20210628092408") == (
        "MTc0Mzc5YmZiMjc5ZjlhYTliZGJjZjE1OGU5N2RkNzFhNDY3Y2QyZTBjODkzMDU5YjEwZjc4ZTZiNzJhZGExZWQyYzkxOTIwMjEwNjI4MDkyNDA4"
    )


def test_security_credential_is_what_the_holder_of_the_key_can_read_though_its_certificate_has_expired():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    credential = security_credential("Safaricom999!*!", certificate_of(key))

    assert key.decrypt(base64.b64decode(credential), PKCS1v15()) == b"Safaricom999!*!"


@pytest.mark.parametrize(
    ("published", "certificate_sha256", "key_sha256"),
    [
        (
            "sandbox",
            "a542c3c67b598a337a1cc741e5434c70de565081e5c853e05a51c843764766f0",
            "bc1aba1eb634213496663c5e5b69dcda742acc8d5c2bd25eccb16e1caf66e8dc",
        ),
        (
            "production",
            "9417915212ac708d3ac82b710e71d976fa0eb783f467b159c15ad7216ef2c16b",
            "085bf508c873dd7d69361796925d10f87b59d3f0147d148f46103c1df6464c45",
        ),
    ],
)
def test_the_published_certificates_are_the_ones_with_the_published_fingerprints(
    published, certificate_sha256, key_sha256
):
    pem = read_certificate(published)
    certificate = x509.load_pem_x509_certificate(pem)
    spki = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )

    assert certificate.fingerprint(hashes.SHA256()).hex() == certificate_sha256
    assert hashlib.sha256(spki).hexdigest() == key_sha256
    assert len(security_credential("Safaricom999!*!", pem)) == 344


def test_a_newer_certificate_can_take_the_place_of_the_published_one(tmp_path):
    newer = tmp_path / "newer.cer"
    newer.write_bytes(b"newer")

    assert read_certificate("production", newer) == b"newer"


def test_what_is_no_rsa_certificate_is_refused():
    with pytest.raises(UnusableCertificate):
        security_credential("Safaricom999!*!", b"not a certificate")
    with pytest.raises(UnusableCertificate):
        security_credential("Safaricom999!*!", certificate_of(ec.generate_private_key(ec.SECP256R1())))


@pytest.mark.parametrize("password", ["", "x" * 246])
def test_a_password_that_can_not_be_encrypted_is_refused(password):
    with pytest.raises(UnusablePassword):
        security_credential(password, read_certificate("sandbox"))


def test_neither_repr_nor_identity_shows_a_credential():
    credentials = Credentials("canary-key", "canary-secret")

    shown = f"{credentials!r} {credentials} {credentials.identity('https://sandbox.safaricom.co.ke')}"

    assert "canary" not in shown


def test_only_the_same_keys_at_the_same_host_are_the_same_identity():
    """Who knows another's consumer key but not the secret must not share the token."""
    own = Credentials("key", "secret").identity("https://a.example")

    assert Credentials("key", "secret").identity("https://a.example") == own
    assert Credentials("key", "guess").identity("https://a.example") != own
    assert Credentials("other", "secret").identity("https://a.example") != own
    assert Credentials("key", "secret").identity("https://b.example") != own
