"""Moments as French status pages show them."""

from __future__ import annotations

MINUTE_FORMAT = "D. j N Y, H:i"
