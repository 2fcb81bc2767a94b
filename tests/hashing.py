"""Passwords of tests: hashed as in production, but quick to guess. A log-in in another process can read them."""

from __future__ import annotations

from django.contrib.auth.hashers import PBKDF2PasswordHasher


class OneRound(PBKDF2PasswordHasher):
    """The usual hasher with one round; the number is kept in the hash."""

    iterations = 1
