"""What can be wrong with the embedded PostgreSQL, as sentences for the person who started it."""

from __future__ import annotations


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot be used; the text says why and what to do."""
