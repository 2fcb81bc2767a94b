"""The admin in a real Chromium, before a product whose processes are all real."""

from __future__ import annotations
