"""What tests of reading, storing and reconciling share."""

from __future__ import annotations

from tests.harness import clock_and_door

__all__ = ["clock_and_door"]
