"""Moments as Japanese status pages show them."""

from __future__ import annotations

MINUTE_FORMAT = "Y年n月j日(D) H:i"
