"""What staff may do with e-mails to customers. Refusals are sentences."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from calendars.models import AuditEntry
from migrations_app.control import Refused
from migrations_app.mail import outbox, post, tasks
from migrations_app.models import Batch, MailTemplate, Message
from recallops import clock

NO_MAIL = _("No e-mail can be sent: set EMAIL_URL and DEFAULT_FROM_EMAIL first (docs/configuration.md).")
ALREADY = _("Somebody else switched it meanwhile. Reload the page and look again.")
CLOSED = _("This batch is closed: nothing more is told of it.")
NOT_TO_SEND_AGAIN = _("Only what was not sent, or perhaps sent, can be sent again. This is: %(state)s.")
NO_ADDRESS = _("Your account has no e-mail address. Give it one on your own page, under “Users”.")
NOT_WANTED = _("Whoever it is for wants no more e-mails.")
TEST = _("[test] ")
AGAIN = _("It is sent again, as it was written.")
SENT_TO = _("Sent to %(address)s. With the console as the mail server it is in the output of the web server.")
OFF = _("Customers are not told any more. What was not sent yet waits.")
ON = _("Customers are told of this batch from now on.")

State = Message.State


def set_tell(batch: Batch, on: bool, *, actor: Any, reason: str = "") -> str:
    """Let a batch tell its customers, or stop it. Raises Refused."""
    if on and not settings.MAIL_READY:
        raise Refused(str(NO_MAIL))
    with transaction.atomic():
        if not Batch.objects.filter(pk=batch.pk).exclude(tell_customers=on).update(tell_customers=on):
            raise Refused(str(ALREADY))
        if on and Batch.objects.filter(pk=batch.pk, closed_at__isnull=False).exists():
            raise Refused(str(CLOSED))
        AuditEntry.objects.record(
            actor=actor, action="batch.tell_customers", subject=batch, before=not on, after=on, reason=reason
        )
        transaction.on_commit(tasks.pump)
    return str(ON if on else OFF)


def send_again(message: Message, *, actor: Any, reason: str = "") -> str:
    """Send an e-mail again that was not sent, or perhaps sent. Raises Refused."""
    if not settings.MAIL_READY:
        raise Refused(str(NO_MAIL))
    with transaction.atomic():
        again = Message.objects.filter(pk=message.pk, state__in=[State.FAILED, State.PERHAPS])
        if again.filter(outbox.UNWANTED).exists():
            raise Refused(str(NOT_WANTED))
        before = message.state
        if not again.update(
            state=State.WAITING, attempts=0, due_at=clock.now(), problem="", lease_token=None, lease_until=None
        ):
            message.refresh_from_db(fields=["state"])
            raise Refused(str(NOT_TO_SEND_AGAIN) % {"state": message.get_state_display()})
        AuditEntry.objects.record(
            actor=actor, action="message.again", subject=message, before=before, after=State.WAITING, reason=reason
        )
        transaction.on_commit(tasks.pump)
    return str(AGAIN)


def send_test(template: MailTemplate, *, subject: str, text: str, actor: Any) -> str:
    """Send a person a template as a customer would get it. Raises Refused."""
    if not settings.MAIL_READY:
        raise Refused(str(NO_MAIL))
    address = getattr(actor, "email", "")
    if not address:
        raise Refused(str(NO_ADDRESS))
    outcome = post.deliver(post.as_email(to=address, subject=f"{TEST}{subject}", text=text, identity=str(uuid.uuid4())))
    AuditEntry.objects.record(
        actor=actor, action="mailtemplate.test", subject=template, sent=outcome.how is post.How.SENT
    )
    if outcome.how is not post.How.SENT:
        raise Refused(outcome.problem)
    return str(SENT_TO) % {"address": address}
