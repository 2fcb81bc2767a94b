"""Webhooks of providers: let in, kept as they came, answered, and acted on afterwards (docs/webhooks.md)."""

from __future__ import annotations
