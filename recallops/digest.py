"""A short text that stands for a state, so that somebody can tell whether it is still the one that was seen."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def digest_of(state: Any) -> str:
    """Return a short text that differs when a state, of plain values, differs."""
    return hashlib.sha256(json.dumps(state, default=str, sort_keys=True).encode()).hexdigest()[:16]
