"""Links in e-mails that are nobody's but their reader's: to confirm that one wants e-mails, and to get no more.

They name a row, and nothing else. Its address is signed along: once the row is somebody else's, they open nothing. They
are made when an e-mail goes out, so that they stand in no column and on no page of staff.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import override

from migrations_app.mail.texts import value_of
from migrations_app.models import Message, Subscription

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from calendars.models import CustomerContact

MARK = "rops_mail_"
CONFIRM, UNSUBSCRIBE = "confirm", "unsubscribe"
MOST_DIGITS = 18

Row = TypeVar("Row", Subscription, "CustomerContact")


def ending(message: Message) -> tuple[str, dict[str, str]]:
    """Return what an e-mail ends with, and its further headers: the links that are nobody's but its reader's."""
    if message.subscription is not None:
        return f"\n{_address(CONFIRM, message.subscription)}\n", {}
    contact = message.contact
    if contact is None or contact.subscribed_at is None:
        return "", {}
    languages = Subscription.objects.filter(contact=contact).values_list("language", flat=True)
    address = _address(UNSUBSCRIBE, contact)
    with override(languages.first() or settings.LANGUAGE_CODE):
        why = _("You get this because you asked for e-mails about the move of %(customer)s. To get no more, open:")
    headers = {"List-Unsubscribe": f"<{address}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}  # RFC 8058
    return f"\n-- \n{why % {'customer': value_of(contact.customer.name)}}\n{address}\n", headers


def token(act: str, row: Subscription | CustomerContact) -> str:
    """Return what allows its holder one act on one row. Our logs hide it by its mark, and it is one word to them."""
    return f"{MARK}{row.pk}-{_signer(act).signature(_signed(row))}"


def row_of(act: str, token: str, rows: QuerySet[Row]) -> Row | None:
    """Return the row that a token names; None: it was not made by us for this act, this row and its address."""
    pk, _dash, signature = token.removeprefix(MARK).partition("-")
    row = rows.filter(pk=int(pk)).first() if pk.isdecimal() and len(pk) <= MOST_DIGITS else None
    if row is None:
        return None
    signer = _signer(act)
    try:
        signer.unsign(f"{_signed(row)}{signer.sep}{signature}")
    except BadSignature:
        return None
    return row


def _signed(row: Subscription | CustomerContact) -> str:
    return f"{row.pk} {row.email}"


def _address(act: str, row: Subscription | CustomerContact) -> str:
    return f"{settings.SITE_URL}{reverse(f'status:{act}', args=[token(act, row)])}"


def _signer(act: str) -> Signer:
    return Signer(salt=f"migrations_app.mail.subscribing.{act}")
