"""E-mails that people at a customer ask for themselves, on their status page.

1. Whoever has the page's link may name an address. It gets one e-mail, with a link to confirm; nothing else is sent to
   it before somebody has pressed the button behind that link. Whether an address is known already, nobody is told.
2. Confirmed, it is that of a contact, a *subscriber*: told of milestones whether or not the batch tells others.
3. Each e-mail to a subscriber has a link that ends this.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from calendars.leases import alone
from calendars.models import AuditEntry, CustomerContact
from migrations_app.mail import links, outbox
from migrations_app.mail.texts import value_of
from migrations_app.models import Message, StatusLink, Subscription
from recallops import clock

DAY = timedelta(days=1)
MOST_UNCONFIRMED = 20  # a day, by one link
MOST_SUBSCRIBERS = 200  # by one link
MOST_A_DAY = 3  # e-mails to confirm, to one address, by whatever link
APART = timedelta(hours=1)  # two of them about one customer


def possible() -> bool:
    """Tell whether anybody can subscribe: e-mails can be sent, and links in them lead somewhere."""
    return bool(settings.MAIL_READY and settings.SITE_URL)


def ask(link: StatusLink, email: str) -> bool:
    """Take in that an address shall get e-mails, and write the one that asks there. False: too many were named."""
    email, now = email.strip().lower(), clock.now()
    with alone("subscribe"):
        mine = Subscription.objects.filter(link=link)
        if mine.filter(confirmed_at=None, asked_at__gt=now - DAY).count() >= MOST_UNCONFIRMED:
            return False
        if mine.exclude(contact=None).count() >= MOST_SUBSCRIBERS:
            return False
        asked = mine.create(link=link, email=email, language=get_language() or settings.LANGUAGE_CODE, asked_at=now)
        sent = Message.objects.filter(subscription__email=email, subscription__asked_at__gt=now - DAY)
        # One by a link that is revoked since opens nothing: it stands in the way of no other.
        alike = sent.filter(subscription__link__customer=link.customer_id, subscription__link__revoked_at=None)
        just_now = alike.filter(subscription__asked_at__gt=now - APART)
        if sent.count() < MOST_A_DAY and not just_now.exists():
            subject, text = _question(link.customer.name)
            Message.objects.create(subscription=asked, email=email, subject=subject, text=text, due_at=now)
    return True


def to_confirm(token: str) -> Subscription | None:
    """Return what a link to confirm is about, as long as it opens something."""
    found = links.row_of(links.CONFIRM, token, Subscription.objects.select_related("link__customer", "contact"))
    return found if found is not None and found.opens else None


def confirm(pk: int) -> bool:
    """Make an address a subscriber's; once more changes nothing. False: it cannot be confirmed any more."""
    now = clock.now()
    with transaction.atomic():
        # The link's row as well, and first: who revokes it either comes before, or finds the subscriber.
        rows = Subscription.objects.select_related("link__customer", "contact")
        one = rows.select_for_update(no_key=True, of=("link", "self")).filter(pk=pk).first()
        if one is None or not one.opens:
            return False
        if one.contact_id is not None:
            return True
        customer = one.link.customer
        contact, _made = CustomerContact.objects.get_or_create(
            customer=customer, email=one.email, defaults={"by_staff": False}
        )
        if contact.subscribed_at is None:  # what waits was written for others' reasons, who knows when
            waiting = Message.objects.filter(contact=contact, state=Message.State.WAITING)
            waiting.filter(notice__batch__tell_customers=False).update(state=Message.State.WITHDRAWN)
        # Whom staff had switched off gets e-mails for no other reason than this link.
        by_staff = contact.by_staff and contact.enabled
        CustomerContact.objects.filter(pk=contact.pk).update(subscribed_at=now, enabled=True, by_staff=by_staff)
        Subscription.objects.filter(contact=contact).update(contact=None)  # the link that was used last counts
        Subscription.objects.filter(pk=pk).update(contact=contact, confirmed_at=now)
        AuditEntry.objects.record(
            actor=None, action="customer.subscribed", subject=customer, contact=contact.pk, link=one.link_id
        )
    return True


def to_unsubscribe(token: str) -> CustomerContact | None:
    """Return whom a link to unsubscribe is about."""
    return links.row_of(links.UNSUBSCRIBE, token, CustomerContact.objects.select_related("customer"))


def unsubscribe(contact: CustomerContact) -> None:
    """Send a person nothing more, whoever asked for it, and withdraw what waits."""
    with transaction.atomic():
        told = CustomerContact.objects.filter(Q(enabled=True) | Q(subscribed_at__isnull=False), pk=contact.pk)
        if told.update(enabled=False, subscribed_at=None):
            Subscription.objects.filter(contact=contact).update(contact=None)
            outbox.withdraw()
            AuditEntry.objects.record(
                actor=None, action="customer.unsubscribed", subject=contact.customer, contact=contact.pk
            )


def forget() -> None:
    """Delete what was never confirmed, and what is over: an address is kept no longer than it is of use."""
    Subscription.objects.filter(contact=None, asked_at__lt=clock.now() - Subscription.LIFE).delete()


def _question(customer: str) -> tuple[str, str]:
    """Return the e-mail that asks whether an address wants e-mails, in the reader's language; the link comes later."""
    values = {"customer": value_of(customer)}
    parts = (
        _("Hello,"),
        _("somebody, we hope it was you, asked for e-mails about the move of the meeting recordings of %(customer)s.")
        % values,
        _("It was not you? Then you need not do anything, and no more is sent."),
        _("To get them, open this page within three days, and press its button:"),
    )
    return _("Please confirm: e-mails about the move of %(customer)s") % values, "\n\n".join(parts) + "\n"
