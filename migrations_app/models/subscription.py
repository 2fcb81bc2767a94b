"""Who asked on a status page to be told of a move by e-mail."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.utils.translation import gettext_lazy as _

from calendars.models import CustomerContact
from migrations_app.models.status_link import StatusLink
from recallops import clock


class Subscription(models.Model):
    """That e-mails were asked for on a status page, for one address. Confirmed from there, it makes a subscriber.

    It says by which link that came about. The subscriber is a contact, where staff see it.
    """

    LIFE = timedelta(days=3)
    """So long it can be confirmed."""

    link = models.ForeignKey(StatusLink, on_delete=models.PROTECT, related_name="subscriptions")
    email = models.EmailField(_("e-mail"), max_length=254)
    language = models.CharField(max_length=20, help_text=_("That of the page on which it was asked for."))
    asked_at = models.DateTimeField(_("asked for"), help_text=_("Domain time."))
    confirmed_at = models.DateTimeField(_("confirmed"), null=True)
    contact = models.OneToOneField(
        CustomerContact,
        null=True,
        on_delete=models.SET_NULL,
        related_name="subscription",
        help_text=_("Whom it made a subscriber. Nobody: it is not confirmed, or over."),
    )

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["email", "asked_at"], name="subscription_by_email"),
        ]

    def __str__(self) -> str:
        return f"{self.link}: {self.asked_at:%Y-%m-%d %H:%M}"

    @property
    def opens(self) -> bool:
        """Tell whether its link to confirm still opens something."""
        if self.link.revoked_at is not None:
            return False
        if self.contact is not None:
            return self.contact.enabled
        return self.confirmed_at is None and self.asked_at > clock.now() - self.LIFE
