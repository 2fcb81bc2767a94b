"""What people allowed when they connected their calendar again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.utils.translation import gettext_lazy as _

from migrations_app.models.batch import Item
from migrations_app.models.status_link import StatusLink
from recallops import clock
from recallops.encryption import EncryptedTextField

if TYPE_CHECKING:
    from calendars.models import Connection


class ConsentManager(models.Manager["Consent"]):
    """Finds the consent that an item has still to use."""

    def fresh(self, item: Item) -> Consent | None:
        """Return the consent of an item that was not used yet."""
        return self.filter(item=item, used_at=None).first()


class Consent(models.Model):
    """A person's consent, for the item of their calendar. Its token is wiped as soon as the target has it."""

    item = models.OneToOneField(Item, on_delete=models.CASCADE, related_name="consent")
    link = models.ForeignKey(StatusLink, on_delete=models.PROTECT, related_name="+")
    client = models.ForeignKey("calendars.OAuthClient", on_delete=models.CASCADE, related_name="+")
    refresh_token = EncryptedTextField(blank=True)
    given_at = models.DateTimeField(_("given"), help_text=_("Domain time."))
    used_at = models.DateTimeField(_("used"), null=True, help_text=_("Domain time when the target had it."))

    objects = ConsentManager()

    def __str__(self) -> str:
        return str(self.item)

    def __repr__(self) -> str:
        return f"<Consent {self.pk}>"

    def use(self) -> None:
        """Note that the target has it, and forget the token; one that was given since stays."""
        Consent.objects.filter(pk=self.pk, given_at=self.given_at).update(used_at=clock.now(), refresh_token="")

    def credentials(self, connection: Connection) -> dict[str, str | None]:
        """Return what the provider wants to know to connect a calendar with it: the fields of its API."""
        client = self.client
        secret = client.client_secret or None
        return {
            "oauth_client_id": client.client_id,
            "oauth_client_secret": secret,
            "oauth_client_certificate": None if secret else client.certificate or None,
            "oauth_client_private_key": None if secret else client.private_key or None,
            "oauth_refresh_token": self.refresh_token,
            "oauth_email": connection.calendar.email,
        }
