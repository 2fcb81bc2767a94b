"""What customers tell us on their status page."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from calendars.models import Customer
from migrations_app.models.batch import Batch
from migrations_app.models.status_link import StatusLink
from recallops import clock


class Inquiry(models.Model):
    """Something that a customer's people want to tell or to know; open until staff say that it is answered."""

    MOST_OPEN = 20
    """That a link may have: whoever has it shall not fill our tables."""

    link = models.ForeignKey(StatusLink, on_delete=models.PROTECT, related_name="inquiries")
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="inquiries")
    batch = models.ForeignKey(Batch, null=True, on_delete=models.CASCADE, related_name="inquiries")
    text = models.CharField(_("text"), max_length=2000)
    email = models.EmailField(_("answer to"), max_length=254, blank=True)
    told_at = models.DateTimeField(_("told"), help_text=_("Domain time."))
    answered_at = models.DateTimeField(_("answered"), null=True)
    answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("answered by")
    )

    class Meta:
        verbose_name_plural = _("inquiries")
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["batch"], condition=Q(answered_at=None), name="inquiry_open"),
        ]

    def __str__(self) -> str:
        return f"{self.customer}: {self.text[:60]}"

    @classmethod
    def take_in(cls, link: StatusLink, batch: Batch | None, *, text: str, email: str) -> bool:
        """Store what somebody told us; False: there is too much that nobody has answered yet."""
        if Inquiry.objects.filter(link=link, answered_at=None).count() >= cls.MOST_OPEN:
            return False
        Inquiry.objects.create(
            link=link, customer=link.customer, batch=batch, text=text, email=email, told_at=clock.now()
        )
        return True
