"""What opens a customer's status page."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from calendars.models import Customer, CustomerContact
from recallops import clock

if TYPE_CHECKING:
    from django.contrib.auth.models import User

MARK = "rops_link_"
LIFE = timedelta(days=90)


def new_secret() -> str:
    """Return the secret part of a new link: 256 random bits behind a mark that our logs and others' scanners know."""
    return MARK + secrets.token_urlsafe(32)


def digest_of(secret: str) -> str:
    """Return what is stored of a link. So many random bits need no slow hash and no salt."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def end_of_life() -> datetime:
    """Return until when a link is good unless staff say otherwise; domain time."""
    return clock.now() + LIFE


class StatusLinkManager(models.Manager["StatusLink"]):
    """Makes links and finds them."""

    def issue(
        self, customer: Customer, *, label: str, expires_at: datetime, created_by: User | None
    ) -> tuple[StatusLink, str]:
        """Make a link. Its secret is returned here and is nowhere afterwards."""
        secret = new_secret()
        link = self.create(
            customer=customer, label=label, expires_at=expires_at, created_by=created_by, digest=digest_of(secret)
        )
        return link, secret

    def find(self, secret: str) -> StatusLink | None:
        """Return the valid link of a secret. Whatever is wrong with it, it takes the same one query."""
        link = self.filter(digest=digest_of(secret)).select_related("customer").first()
        return link if link is not None and link.state == "valid" else None


class StatusLink(models.Model):
    """A private link: whoever has it sees how the move of one customer goes. Only a digest of it is stored."""

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="status_links")
    label = models.CharField(_("for"), max_length=80, help_text=_("Who gets it, for those who revoke it one day."))
    digest = models.CharField(max_length=64, unique=True, editable=False)
    expires_at = models.DateTimeField(_("expires"), default=end_of_life, help_text=_("Domain time."))
    revoked_at = models.DateTimeField(_("revoked"), null=True, editable=False)
    last_visit_at = models.DateTimeField(_("last visit"), null=True, editable=False, help_text=_("Domain time."))
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    # Written by `recallops.throttle` in single statements, on machine time.
    tat = models.FloatField(default=0, editable=False, help_text="Machine time up to which requests are spent.")

    objects = StatusLinkManager()

    class Meta:
        verbose_name = _("status link")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.customer}: {self.label}"

    def __repr__(self) -> str:
        return f"<StatusLink {self.pk}>"

    @property
    def state(self) -> str:
        """Tell whether it opens anything."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at <= clock.now() else "valid"

    def revoke(self) -> bool:
        """Close it for good, and end the subscriptions that were made by it. False: it was closed already."""
        with transaction.atomic():
            if not StatusLink.objects.filter(pk=self.pk, revoked_at=None).update(revoked_at=clock.now()):
                return False
            subscribers = CustomerContact.objects.filter(subscription__link=self)
            subscribers.filter(by_staff=False).update(enabled=False)
            subscribers.update(subscribed_at=None)
            self.subscriptions.update(contact=None)
        return True


class StatusVisit(models.Model):
    """That a link was opened from an address, an hour a row."""

    link = models.ForeignKey(StatusLink, on_delete=models.CASCADE, related_name="visits")
    address = models.GenericIPAddressField(_("address"), null=True)
    hour = models.DateTimeField(_("hour"), help_text=_("Domain time."))
    count = models.PositiveIntegerField(_("pages"), default=1)

    class Meta:
        ordering = ["-hour", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["link", "hour", "address"], name="status_visit_once", nulls_distinct=False),
            models.CheckConstraint(condition=Q(count__gte=1), name="status_visit_happened"),
        ]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H}h {self.address or ''}"

    @staticmethod
    def note(link: StatusLink, address: str | None) -> None:
        """Count a visit."""
        StatusLink.objects.filter(pk=link.pk).update(last_visit_at=clock.now())
        hour = clock.now().replace(minute=0, second=0, microsecond=0)
        if not StatusVisit.objects.filter(link=link, address=address, hour=hour).update(count=F("count") + 1):
            StatusVisit.objects.bulk_create([StatusVisit(link=link, address=address, hour=hour)], ignore_conflicts=True)
