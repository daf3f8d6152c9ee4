"""The column type of every secret."""

import base64
import binascii
import os
from collections.abc import Iterator
from functools import cache
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django_cryptography.fields import EncryptedMixin

_VERSION = b"\x01"
_KEY_ID_BYTES = 4
_NONCE_BYTES = 12
_HEADER_BYTES = len(_VERSION) + _KEY_ID_BYTES
_BATCH = 200


class UndecipherableSecret(Exception):
    """A stored secret can't be read: its key is not in ENCRYPTION_KEYS, or it was altered or moved here."""


class SecretNotExported(Exception):
    """Somebody tried to write a secret into a form, a dump or a fixture."""


class _SealedMixin(EncryptedMixin):
    """django_cryptography's encrypted field, with other bytes in the column.

    Instead of a pickle under Fernet it stores `version ‖ key id ‖ nonce ‖ AES-256-GCM(text)`. The additional data binds
    the ciphertext to schema, table and column: copied anywhere else, it does not open. Any key of the ring
    `ENCRYPTION_KEYS` opens, the first one seals.
    """

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:
        value = models.Field.get_db_prep_value(self, value, connection, prepared)
        return value if value is None else seal(str(value), context=self.context(connection))

    def from_db_value(self, value: Any, expression: Any, connection: BaseDatabaseWrapper) -> str | None:
        return None if value is None else unseal(bytes(value), context=self.context(connection))

    def formfield(self, **kwargs: Any) -> None:
        """No ModelForm and no admin page gets a secret to show; a form that takes one declares its own field."""

    def value_to_string(self, obj: models.Model) -> str:
        raise SecretNotExported(f"{self.model._meta.label}.{self.name} is a secret and is not written out.")

    def context(self, connection: BaseDatabaseWrapper) -> bytes:
        """Where a value of this column belongs, in the schema that the connection uses."""
        place = (connection.schema_name, self.model._meta.db_table, str(self.column))  # type: ignore[attr-defined]
        return "\x00".join(place).encode()


class EncryptedTextField(_SealedMixin, models.TextField):  # type: ignore[type-arg]
    """Text that the database alone can't read. It can't be searched either: only `isnull` works."""

    base_class = models.TextField
    wasinstance = True  # django_cryptography: this class, not a plain TextField, goes into migrations


def seal(text: str, *, context: bytes) -> bytes:
    key_id, key = next(iter(_present_ring().items()))
    nonce = os.urandom(_NONCE_BYTES)
    return _VERSION + key_id + nonce + key.encrypt(nonce, text.encode(), _VERSION + key_id + context)


def unseal(sealed: bytes, *, context: bytes) -> str:
    """:raises UndecipherableSecret: if it was not sealed for this place with a key of the ring."""
    key_id = sealed[len(_VERSION) : _HEADER_BYTES]
    key = _present_ring().get(key_id)
    if not sealed.startswith(_VERSION) or key is None:
        raise UndecipherableSecret("The key of a stored secret is not in ENCRYPTION_KEYS.")
    nonce, ciphertext = sealed[_HEADER_BYTES:][:_NONCE_BYTES], sealed[_HEADER_BYTES + _NONCE_BYTES :]
    try:
        return key.decrypt(nonce, ciphertext, _VERSION + key_id + context).decode()
    except (InvalidTag, ValueError):  # ValueError: cut off within the nonce
        raise UndecipherableSecret("A stored secret was altered, or belongs to another place.") from None


def sealed_fields(model: type[models.Model]) -> list[_SealedMixin]:
    return [field for field in model._meta.concrete_fields if isinstance(field, _SealedMixin)]


def reseal(field: _SealedMixin) -> Iterator[tuple[Any, bool]]:
    """Seal every value of a column that is under an older key with the newest one, in the schema in use.

    Yields the primary key of each row it came to, and whether its value could be read; an unreadable one stays as it
    is. Each value is its own commit and replaces exactly the bytes that were read, so that this may be broken off, run
    again, and run beside people who save new secrets.
    """
    table, column = field.model._meta.db_table, field.column
    pk = field.model._meta.pk.column
    newest = _VERSION + next(iter(_present_ring()))
    after = None
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                f'SELECT "{pk}", "{column}" FROM "{table}"'  # noqa: S608  names of our own model
                f' WHERE substring("{column}" FROM 1 FOR {len(newest)}) <> %s AND (%s::text IS NULL OR "{pk}" > %s)'
                f' ORDER BY "{pk}" LIMIT {_BATCH}',
                [newest, after and str(after), after],
            )
            rows = cursor.fetchall()
            for row_pk, sealed in rows:
                try:
                    text = unseal(bytes(sealed), context=field.context(connection))
                except UndecipherableSecret:
                    yield row_pk, False
                    continue
                cursor.execute(
                    f'UPDATE "{table}" SET "{column}" = %s WHERE "{pk}" = %s AND "{column}" = %s',  # noqa: S608
                    [seal(text, context=field.context(connection)), row_pk, bytes(sealed)],
                )
                yield row_pk, True
        if len(rows) < _BATCH:
            return
        after = rows[-1][0]


def _present_ring() -> dict[bytes, AESGCM]:
    return _ring(tuple(settings.ENCRYPTION_KEYS))


@cache
def _ring(keys: tuple[str, ...]) -> dict[bytes, AESGCM]:
    """Key id (the beginning of the key's SHA-256) → cipher, newest first."""
    ring: dict[bytes, AESGCM] = {}
    for text in keys:
        try:
            key = base64.b64decode(text, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != 32:
            raise ImproperlyConfigured("Each of ENCRYPTION_KEYS must be 32 bytes in URL-safe base64.")
        digest = hashes.Hash(hashes.SHA256())
        digest.update(key)
        key_id = digest.finalize()[:_KEY_ID_BYTES]
        if key_id in ring:
            raise ImproperlyConfigured("ENCRYPTION_KEYS names one key twice.")
        ring[key_id] = AESGCM(key)
    if not ring:
        raise ImproperlyConfigured("Set ENCRYPTION_KEYS: 32 random bytes in URL-safe base64.")
    return ring
