"""What opens the API to the company's own application."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import datetime
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from recallops import clock

if TYPE_CHECKING:
    from django.contrib.auth.models import User

MARK = "rops_"
FORM = re.compile(r"rops_[A-Za-z0-9_-]{43}\Z")
PREFIX_LENGTH = len(MARK) + 6


class Scope(models.TextChoices):
    """What a token may read."""

    IDS = "ids:read", "the id map"
    OWNERSHIP = "ownership:read", "which workspace owns a meeting"
    CALENDARS = "calendars:read", "calendars"
    BATCHES = "batches:read", "batches and their items"


def new_secret() -> str:
    """Return a new token's text: 256 random bits behind a mark that scanners of leaked secrets can look for."""
    return MARK + secrets.token_urlsafe(32)


def digest_of(secret: str) -> str:
    """Return what is stored of a token. So many random bits need no slow hash and no salt."""
    return hashlib.sha256(secret.encode()).hexdigest()


class ApiTokenManager(models.Manager["ApiToken"]):
    """Makes tokens and finds them."""

    def issue(
        self, *, label: str, scopes: list[str], expires_at: datetime | None, created_by: User | None
    ) -> tuple[ApiToken, str]:
        """Make a token. Its text is returned here and is nowhere afterwards."""
        secret = new_secret()
        token = ApiToken(label=label, scopes=scopes, expires_at=expires_at, created_by=created_by)
        token.carry(secret)
        token.save(force_insert=True)
        return token, secret

    def find(self, secret: str) -> ApiToken | None:
        """Return the token of a text. What cannot be one costs no query."""
        return self.filter(digest=digest_of(secret)).first() if FORM.match(secret) else None


class ApiToken(models.Model):
    """A token: whoever has it reads what its scopes say. Only a digest of it is stored."""

    label = models.CharField(max_length=80, help_text="Which application uses it, for those who revoke it one day.")
    prefix = models.CharField(max_length=16, editable=False, help_text="How it begins, to recognise it.")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = ArrayField(models.CharField(max_length=20, choices=Scope), help_text="What it may read.")
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Domain time. Empty: it does not expire.")
    revoked_at = models.DateTimeField(null=True, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False, help_text="To the minute.")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    # Written by `calendars.api.throttle` in single statements, on machine time.
    tat = models.FloatField(default=0, editable=False, help_text="Machine time up to which requests are spent.")

    objects = ApiTokenManager()

    class Meta:
        verbose_name = "API token"
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=~Q(scopes=[]), name="api_token_reads_something"),
        ]

    def __str__(self) -> str:
        return f"{self.label} ({self.prefix}…)"

    def __repr__(self) -> str:
        return f"<ApiToken {self.pk} {self.prefix}>"

    def carry(self, secret: str) -> None:
        """Take over what may be known of a token's text."""
        self.prefix, self.digest = secret[:PREFIX_LENGTH], digest_of(secret)

    def revoke(self) -> bool:
        """Close it for good. False: it was closed already."""
        return bool(ApiToken.objects.filter(pk=self.pk, revoked_at=None).update(revoked_at=clock.now()))

    @property
    def expired(self) -> bool:
        """Tell whether its time is over."""
        return self.expires_at is not None and self.expires_at <= clock.now()

    @property
    def state(self) -> str:
        """Tell whether it opens anything."""
        return "revoked" if self.revoked_at else "expired" if self.expired else "valid"
