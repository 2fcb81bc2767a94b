"""The second factor of a person: an authenticator app, and codes on paper for the day when it is lost.

django-otp brings the arithmetic, the throttle and the middleware. Its own tables hold secrets in clear; these do not.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django_otp.models import Device, ThrottlingMixin
from django_otp.oath import TOTP

from recallops.encryption import EncryptedTextField

if TYPE_CHECKING:
    from django.contrib.auth.models import User

ISSUER = "RecallOps"
STEP = 30  # seconds; with six digits and SHA-1, what every authenticator app takes
CODES = 10
ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # nothing that looks like something else


class Factor(ThrottlingMixin, Device):
    """What both kinds share: after a wrong code one waits 1, 2, 4, 8 ... seconds."""

    class Meta:
        abstract = True

    def get_throttle_factor(self) -> int:
        """Return the seconds to wait after the first wrong code."""
        return 1

    def verify_token(self, token: str) -> bool:
        """Tell whether a code is right, use it up, and count a wrong one. The row is locked by the caller."""
        allowed, _ = self.verify_is_allowed()
        if not allowed:
            return False
        if right := self._use_up(token):
            self.throttle_reset(commit=False)
        else:
            self.throttle_increment(commit=False)
        self.save(update_fields=["throttling_failure_timestamp", "throttling_failure_count", *self._used])
        return right

    _used: tuple[str, ...] = ()

    def _use_up(self, token: str) -> bool:
        raise NotImplementedError


class Authenticator(Factor):
    """An app that shows six digits, others every half minute (RFC 6238)."""

    secret = EncryptedTextField(help_text="Base32.")
    last_step = models.BigIntegerField(default=-1, help_text="Of the last code that was taken: none is taken twice.")
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user"], name="authenticator_one_each")]

    _used = ("last_step",)

    def _use_up(self, token: str) -> bool:
        step = step_of(self.secret, token, after=self.last_step)
        if step is None:
            return False
        self.last_step = step
        return True


class RecoveryCodes(Factor):
    """Codes on paper. Only their hashes are kept, and each is good for one time."""

    digests = ArrayField(models.CharField(max_length=64), default=list)

    class Meta:
        verbose_name_plural = "recovery codes"
        constraints = [models.UniqueConstraint(fields=["user"], name="recovery_codes_one_set_each")]

    _used = ("digests",)

    def _use_up(self, token: str) -> bool:
        found = digest(token)
        if found not in self.digests:
            return False
        self.digests = [one for one in self.digests if one != found]
        return True

    @classmethod
    def renew(cls, user: Any) -> list[str]:
        """Make new codes in place of all former ones, and return them: nobody can read them later."""
        codes = [_code() for _ in range(CODES)]
        values = {"digests": [digest(code) for code in codes], "name": "recovery codes", "confirmed": True}
        cls.objects.update_or_create(user=user, defaults=values)
        return codes


def new_secret() -> str:
    """Return a secret for an authenticator app: 160 bits, in Base32."""
    return base64.b32encode(secrets.token_bytes(20)).decode()


def step_of(secret: str, token: str, *, after: int = -1) -> int | None:
    """Return the half minute that a code belongs to, one before and one after now included; None if it is wrong."""
    if not (token.isascii() and token.isdigit() and len(token) == 6):
        return None
    totp = TOTP(base64.b32decode(secret), step=STEP)
    totp.time = time.time()
    return totp.t() if totp.verify(int(token), tolerance=1, min_t=after + 1) else None


def address_of(secret: str, user: User) -> str:
    """Return what the square of an authenticator app holds."""
    name = quote(f"{ISSUER}:{user.get_username()}", safe="")
    return f"otpauth://totp/{name}?secret={secret}&issuer={ISSUER}&algorithm=SHA1&digits=6&period={STEP}"


def digest(code: str) -> str:
    """Return the hash of a recovery code, however it was typed. They are random, so a fast one does."""
    return hashlib.sha256("".join(code.lower().split()).replace("-", "").encode()).hexdigest()


def _code() -> str:
    letters = "".join(secrets.choice(ALPHABET) for _ in range(16))
    return "-".join(letters[start : start + 4] for start in range(0, 16, 4))
