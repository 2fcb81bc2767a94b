"""What a database can hold of a provider's words."""

from __future__ import annotations

from typing import Any


def storable(value: Any) -> Any:
    """Return a provider's value without what PostgreSQL refuses: NUL and halves of surrogate pairs."""
    if isinstance(value, str):
        if "\x00" in value:
            value = value.replace("\x00", "\ufffd")
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {storable(str(name)): storable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [storable(inner) for inner in value]
    return value
