"""Keys that sign reports: the private half is sealed, the public half is for everybody."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from recallops.encryption import EncryptedTextField


class ReportKeyManager(models.Manager["ReportKey"]):
    """Finds the key that signs."""

    def signing(self) -> ReportKey | None:
        """Return the newest key that is not retired, with its private half still sealed; None where there is none."""
        return self.defer("private").filter(retired_at=None).order_by("-pk").first()


class ReportKey(models.Model):
    """An Ed25519 key. The newest that is not retired signs; all are kept, since old reports name them."""

    label = models.CharField(_("label"), max_length=80)
    key_id = models.CharField(_("key id"), max_length=16, unique=True, editable=False)
    public = models.CharField(_("public key"), max_length=64, editable=False, help_text=_("32 bytes, hexadecimal."))
    private = EncryptedTextField(editable=False)
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    made_at = models.DateTimeField(_("made"), auto_now_add=True)
    retired_at = models.DateTimeField(_("retired"), null=True, editable=False)

    objects = ReportKeyManager()

    class Meta:
        verbose_name = _("report key")
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.label} ({self.key_id})"

    def __repr__(self) -> str:
        return f"<ReportKey {self.key_id}>"

    def fill(self) -> None:
        """Give this row a new pair of halves."""
        secret = Ed25519PrivateKey.generate()
        public = secret.public_key().public_bytes_raw()
        self.private, self.public = secret.private_bytes_raw().hex(), public.hex()
        self.key_id = hashlib.sha256(public).hexdigest()[:16]

    def sign(self, statement: bytes) -> str:
        """Return the signature over a statement, hexadecimal."""
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(self.private)).sign(statement).hex()
