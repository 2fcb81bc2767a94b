"""Secrets at rest: a text column whose content is encrypted with the installation's own keys.

`ENCRYPTION_KEYS` holds Fernet keys; the first encrypts, all decrypt, so that keys rotate without a stop
(`manage.py reencrypt`). A value that no key opens raises: a wrong key must never look like an empty secret.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import FieldError, ImproperlyConfigured
from django.db import models
from django.db.models.lookups import Exact

from recallops.redaction import remember

if TYPE_CHECKING:
    from collections.abc import Sequence


class UndecipherableSecretError(Exception):
    """None of the configured keys opens a stored secret."""

    def __init__(self, column: str) -> None:
        super().__init__(
            f"No key in ENCRYPTION_KEYS opens a value of {column}. Add the key that was first when it was written."
        )


@lru_cache(maxsize=4)
def _box(keys: tuple[str, ...]) -> MultiFernet:
    if not keys:
        raise ImproperlyConfigured("ENCRYPTION_KEYS is empty. Give at least one Fernet key.")
    try:
        return MultiFernet([Fernet(key) for key in keys])
    except ValueError as error:
        raise ImproperlyConfigured(
            "ENCRYPTION_KEYS holds something that is not a Fernet key (32 bytes, URL-safe base64)."
        ) from error


def box(keys: Sequence[str] | None = None) -> MultiFernet:
    """Return the cipher for the configured keys, first key encrypting."""
    return _box(tuple(settings.ENCRYPTION_KEYS if keys is None else keys))


def fingerprint(secret: str) -> str:
    """Return 8 hex digits that let staff compare two secrets without seeing either."""
    return hashlib.sha256(f"recallops-fingerprint:{secret}".encode()).hexdigest()[:8]


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]
    """Text that is stored encrypted; empty text stays empty, so that "none" can be queried."""

    description = "Text, encrypted at rest"

    def get_prep_value(self, value: Any) -> Any:
        """Encrypt on the way to the database."""
        if value is None or value == "":
            return value
        self._know(str(value))
        return box().encrypt(str(value).encode()).decode("ascii")

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        """Decrypt on the way out; raises UndecipherableSecretError."""
        if value is None or value == "":
            return value
        try:
            secret = box().decrypt(value.encode("ascii")).decode()
        except (InvalidToken, UnicodeEncodeError) as error:
            raise UndecipherableSecretError(f"{self.model._meta.label}.{self.name}") from error
        self._know(secret)
        return secret

    def value_to_string(self, obj: models.Model) -> str:
        """Refuse to be serialised: `dumpdata` would write the secret in clear."""
        raise FieldError(f"{self.name} is sealed and cannot be dumped; back up the database itself.")

    def _know(self, secret: str) -> None:
        """Let the logs hide this secret from now on."""
        remember(secret)

    def get_lookup(self, lookup_name: str) -> Any:
        """Refuse comparisons: two encryptions of one secret differ. Emptiness can be asked."""
        if lookup_name in {"isnull", "exact"}:
            return _OnlyEmpty if lookup_name == "exact" else super().get_lookup(lookup_name)
        raise FieldError(f"{self.name} is encrypted and cannot be searched; compare its fingerprint.")


class EncryptedJSONField(EncryptedTextField):
    """A JSON value that is stored encrypted: what providers show of configurations may hold tokens in its URLs."""

    description = "JSON, encrypted at rest"

    if TYPE_CHECKING:
        _pyi_private_set_type: Any
        _pyi_private_get_type: Any

    def _know(self, secret: str) -> None:
        """Only parts of such a value are secret; logs never hold it as a whole."""

    def to_python(self, value: Any) -> Any:
        """Take the value as it is; as text, `full_clean` would make a string of it."""
        return value

    def get_prep_value(self, value: Any) -> Any:
        """Encrypt the value's JSON."""
        return None if value is None else super().get_prep_value(json.dumps(value))

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        """Decrypt and parse; raises UndecipherableSecretError."""
        text = super().from_db_value(value, expression, connection)
        return None if text is None else json.loads(text)


class _OnlyEmpty(Exact):
    """`field=""` asks whether there is a secret at all; any other comparison is an error."""

    def __init__(self, lhs: Any, rhs: Any) -> None:
        if rhs not in (None, ""):
            raise FieldError("An encrypted column can only be compared with the empty text.")
        super().__init__(lhs, rhs)
