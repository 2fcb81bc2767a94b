"""What e-mails say: texts with placeholders that staff may edit. Pure; nothing in a text is ever run.

A placeholder is a name in braces; a brace of one's own is written twice. Values are put in as one line each, whatever
they hold. Links may only lead to our own site: nobody shall learn to trust a link in such an e-mail.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Formatter
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from calendars.providers.redaction import quote
from migrations_app.models import Milestone

PLACEHOLDERS = {
    "customer": _("the customer's name"),
    "contact": _("the name of the person who gets it, else the customer's"),
    "batch": _("the name of the batch"),
    "when": _("when meetings go over, in UTC"),
    "source": _("the region that is left"),
    "target": _("the region that is gone to"),
    "calendars": _("how many calendars of the customer are in the batch"),
    "moved": _("how many of them are moved"),
    "waiting": _("how many wait for the customer"),
    "failed": _("how many could not be moved"),
    "names": _("the addresses of those that wait for the customer, at most ten"),
}
LONGEST_VALUE = 400
LONGEST_SUBJECT = 250

UNKNOWN = _("“{%(name)s}” is no placeholder. There are: %(known)s.")
PLAIN = _("“{%(name)s}” must be the bare name of a placeholder, without anything after it.")
UNMATCHED = _("There is a single { or }. Placeholders are names in braces; write a brace of your own twice: {{ or }}.")
LINKS = _("“%(link)s” leads elsewhere. Links may only lead to this site%(site)s.")
ONE_LINE = _("The subject must be one line.")
STRANGE = _("It holds a control character. Type it again, without copying.")

DEFAULTS: dict[str, tuple[str, str]] = {
    Milestone.PLANNED: (
        "Your meeting recordings move to {target}: {calendars} calendar(s)",
        """\
Hello {contact},

the calendars of {customer} that record meetings move from {source} to {target}.

Calendars:           {calendars}
Meetings go over:    {when}

You need not do anything. Meetings go on being recorded, before, during and after the move. We write again when it is
done, or if we need you.
""",
    ),
    Milestone.NEEDS_YOU: (
        "We need you: {waiting} calendar(s) must be connected again",
        """\
Hello {contact},

{waiting} of the {calendars} calendar(s) of {customer} can only be moved when the people they belong to connect them
again:

{names}

Please ask them to connect their calendar again where they connected it first. Until then their meetings are recorded as
far as the old connection allows.
""",
    ),
    Milestone.DONE: (
        "Done: your meeting recordings are in {target}",
        """\
Hello {contact},

the move is done: {moved} of {calendars} calendar(s) of {customer} now record their meetings in {target}.

You need not do anything.
""",
    ),
    Milestone.PROBLEM: (
        "The move of your meeting recordings takes longer",
        """\
Hello {contact},

the move of the calendars of {customer} to {target} did not go as planned ({failed} of {calendars} could not be moved
yet). What was not moved goes on recording as before.

You need not do anything; we are looking at it and write again when it is done.
""",
    ),
}

_LINK = re.compile(r"(?i)\b(?:[a-z][a-z0-9+.-]*://|www\.|mailto:|javascript:|data:)\S*")


def problem_of(text: str, *, subject: bool = False) -> str:
    """Return what is wrong with a text, as a sentence; empty when nothing is."""
    if subject and ("\n" in text or "\r" in text):
        return str(ONE_LINE)
    if any(ord(letter) < 32 and letter not in "\r\n\t" for letter in text):
        return str(STRANGE)
    try:
        parts = list(Formatter().parse(text))
    except ValueError:
        return str(UNMATCHED)
    for _literal, name, form, conversion in parts:
        if name is None:
            continue
        if form or conversion or not re.fullmatch(r"\w*", name):
            return str(PLAIN) % {"name": quote(name, limit=60)}
        if name not in PLACEHOLDERS:
            known = ", ".join(f"{{{one}}}" for one in PLACEHOLDERS)
            return str(UNKNOWN) % {"name": quote(name, limit=60), "known": known}
    for found in _LINK.finditer("".join(literal for literal, *_rest in parts)):
        if not _leads_home(found[0]):
            site = f": {settings.SITE_URL}" if settings.SITE_URL else ""
            return str(LINKS) % {"link": quote(found[0], limit=100), "site": site}
    return ""


def _leads_home(link: str) -> bool:
    try:
        there, home = urlsplit(link), urlsplit(settings.SITE_URL)
        same = (there.scheme, there.hostname, there.port) == (home.scheme, home.hostname, home.port)
        return bool(settings.SITE_URL) and same and there.username is None and "\\" not in link
    except ValueError:
        return False


def rendered(text: str, values: Mapping[str, object], *, subject: bool = False) -> str:
    """Return a text with its placeholders replaced. The text is one in which nothing is wrong."""
    parts = []
    for literal, name, _form, _conversion in Formatter().parse(text):
        parts.append(literal)
        if name is not None:
            parts.append(value_of(str(values.get(name, ""))))
    whole = "".join(parts)
    return quote(whole, limit=LONGEST_SUBJECT) if subject else whole.replace("\r\n", "\n")


def value_of(words: str) -> str:
    """Return words of strangers fit for an e-mail: one line, without what mail programs make a link of."""
    bare = quote(words, limit=LONGEST_VALUE).replace("://", ": //")
    return re.sub(r"(?i)\bwww\.", "www ", bare)
