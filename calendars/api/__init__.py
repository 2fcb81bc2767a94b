"""What the company's own application reads (docs/api.md)."""

from __future__ import annotations
