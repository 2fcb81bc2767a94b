"""One e-mail, sent by whichever backend Django is set to. What came of it is said in four words.

Refused for now and refused for good are the server's own codes (4xx, 5xx), which it gives before it takes the message.
Where the connection breaks while it is being handed over, nobody knows whether the server has it: *perhaps*.
"""

from __future__ import annotations

import contextlib
import smtplib
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parseaddr
from enum import StrEnum

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.utils.translation import gettext_lazy as _

from calendars.providers.redaction import quote
from migrations_app.mail import links
from migrations_app.models import Message

NO_CONNECTION = _("The mail server cannot be reached ({kind}).")
REFUSED_LOGIN = _("The mail server does not accept our login ({code}).")
REFUSED = _("The mail server refused it: {code} {words}")
BROKEN_OFF = _("The connection to the mail server broke off while it was handed over ({kind}).")
NOT_WELL_FORMED = _("It cannot be written as an e-mail: {words}")
NOT_TAKEN = _("The mail server did not take it.")


class How(StrEnum):
    """What came of a try."""

    SENT = "sent"
    LATER = "later"  # refused for now
    NEVER = "never"  # refused for good
    PERHAPS = "perhaps"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a try, with a sentence where it is not sent."""

    how: How
    problem: str = ""


def as_email(
    *, to: str, subject: str, text: str, identity: str, headers: Mapping[str, str] | None = None
) -> EmailMessage:
    """Return an e-mail that says of itself that a machine wrote it, and is known by one id whenever it is sent."""
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].partition("@")[2] or "recallops.invalid"
    return EmailMessage(
        subject=subject,
        body=text,
        to=[to],
        headers={
            "Message-ID": f"<{identity}@{domain}>",
            "Auto-Submitted": "auto-generated",
            "X-Auto-Response-Suppress": "All",
            **(headers or {}),
        },
    )


def send(message: Message) -> Outcome:
    """Send one e-mail. Never raises for what the network or the server does."""
    end, headers = links.ending(message)
    return deliver(
        as_email(
            to=message.email,
            subject=message.subject,
            text=message.text + end,
            identity=str(message.identity),
            headers=headers,
        )
    )


def deliver(email: EmailMessage) -> Outcome:
    """Hand an e-mail to the server."""
    connection = get_connection()
    try:
        email.message()  # what cannot be written is found before anybody is called
    except (ValueError, UnicodeError) as error:
        return Outcome(How.NEVER, NOT_WELL_FORMED.format(words=_words(error)))
    try:
        connection.open()
    except smtplib.SMTPAuthenticationError as error:
        return Outcome(How.LATER, REFUSED_LOGIN.format(code=error.smtp_code))
    except (smtplib.SMTPException, OSError) as error:
        return Outcome(How.LATER, NO_CONNECTION.format(kind=type(error).__name__))
    try:
        return Outcome(How.SENT) if connection.send_messages([email]) else Outcome(How.NEVER, str(NOT_TAKEN))
    except smtplib.SMTPRecipientsRefused as error:
        code, words = next(iter(error.recipients.values()), (550, b""))
        return _refused(code, words)
    except smtplib.SMTPResponseException as error:
        return _refused(error.smtp_code, error.smtp_error)
    except smtplib.SMTPNotSupportedError as error:
        return Outcome(How.NEVER, NOT_WELL_FORMED.format(words=_words(error)))
    except (smtplib.SMTPException, OSError) as error:
        return Outcome(How.PERHAPS, BROKEN_OFF.format(kind=type(error).__name__))
    finally:
        with contextlib.suppress(smtplib.SMTPException, OSError):
            connection.close()


def _refused(code: int, words: bytes | str) -> Outcome:
    said = words.decode("utf-8", "replace") if isinstance(words, bytes) else str(words)
    how = How.LATER if 400 <= code < 500 else How.NEVER
    return Outcome(how, REFUSED.format(code=code, words=quote(said, limit=200)))


def _words(error: Exception) -> str:
    return quote(str(error), limit=200)
