"""The sandbox: simulated provider regions with their own state. Part of the product; imports no app."""

from __future__ import annotations
