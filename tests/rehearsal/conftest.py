"""Give the next test the wall's time and the real way out."""

from __future__ import annotations

from tests.harness import clock_and_door

__all__ = ["clock_and_door"]
