"""Keys of an installation for development: made once, kept in its data folder, readable by their owner only."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

if TYPE_CHECKING:
    from collections.abc import Callable

UNUSABLE = "The key file {path} cannot be read or made: {reason}. Choose another folder with RECALLOPS_DATA_DIR."


def secret_key(folder: Path) -> str:
    """Return the key that signs sessions and tasks."""
    return _kept(folder / "secret_key", lambda: secrets.token_urlsafe(64))


def encryption_key(folder: Path) -> str:
    """Return the key that seals credentials. Whoever deletes its file loses them."""
    return _kept(folder / "encryption_key", lambda: Fernet.generate_key().decode())


def _kept(path: Path, make: Callable[[], str]) -> str:
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            number, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)  # its owner's only (0600)
            draft = Path(name)
            with os.fdopen(number, "w") as file:
                file.write(make())
            # Linked, not renamed: of two that start at once, the first one's key stays.
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(draft)
            draft.unlink()
        return path.read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(UNUSABLE.format(path=path, reason=error.strerror)) from error
