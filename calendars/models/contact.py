"""Whom a customer wants to be told of moves."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from calendars.models.calendar import Customer


class CustomerContact(models.Model):
    """A person at a customer who gets e-mails at the milestones of a move: entered by staff, or a subscriber."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="contacts")
    email = models.EmailField(_("e-mail"), max_length=254)
    name = models.CharField(_("name"), max_length=120, blank=True)
    enabled = models.BooleanField(_("enabled"), default=True, help_text=_("Off: gets no e-mail."))

    # Written by those who subscribe themselves (migrations_app.mail.subscribing).
    by_staff = models.BooleanField(default=True, editable=False)
    subscribed_at = models.DateTimeField(
        _("subscribed"),
        null=True,
        editable=False,
        help_text=_("Asked for it on a status page: is told also of batches that do not tell their customers."),
    )

    class Meta:
        verbose_name = _("contact")
        ordering = ["customer", "email"]
        constraints = [
            models.UniqueConstraint(fields=["customer", "email"], name="customer_contact_once"),
        ]

    def __str__(self) -> str:
        return self.email

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Addresses are compared in lower case."""
        self.email = self.email.strip().lower()
        super().save(*args, **kwargs)
