"""The customer of the demo: connects a calendar again on the status page, as a person does in a browser.

1. Wait until the calendar waits for its person, which it does from the export on.
2. Open the status page, follow the calendar's link to where one consents, allow it with the calendar's own address,
   and come back. All of it over HTTP, from the demo's own web server to the sandbox's identity provider and back.
3. Say what came of it. It is tried once: the move goes on either way.
"""

from __future__ import annotations

import re
import time
from html import unescape
from typing import TYPE_CHECKING

import httpx

from migrations_app.models import Item, ItemStatus
from migrations_app.status.words import RECONNECTED
from recallops.demo.display import say
from recallops.demo.place import DemoError
from recallops.demo.setting_up import BATCH

if TYPE_CHECKING:
    from recallops.demo.place import Place

LOOK_EVERY = 0.5  # seconds
SECONDS = 5.0  # for a page; the clock's conductor waits for it

CONNECTED = "{email} connected their calendar again on the status page."
NOT_CONNECTED = "{email} could not connect their calendar again on the status page: {why}"
LACKS = "what leads on is not on the page (status {status})."

AGAIN = r'id="connect-{number}"[^>]* href="([^"]*)"'
FORM = r'<form method="post" action="([^"]*)"'
SAID = r'id="reconnected"[^>]*>([^<]*)<'


class Visitor:
    """Who has the status link of the demo. `page` is where it leads."""

    def __init__(self, place: Place, page: str) -> None:
        self.place = place
        self.page = page
        self._email: str = place.kept().get("visitor", "")
        self._looked = 0.0

    def look(self) -> None:
        """Connect the calendar again if it waits for that by now."""
        now = time.monotonic()
        if not self._email or now - self._looked < LOOK_EVERY:
            return
        self._looked = now
        waiting = Item.objects.filter(batch__slug=BATCH, title=self._email, status=ItemStatus.USER)
        number = waiting.values_list("pk", flat=True).first()
        if number is None:
            return
        try:
            said = connect_again(self.page, number, self._email)
        except (DemoError, httpx.HTTPError) as trouble:
            said = str(trouble)
        happened = said == str(RECONNECTED["done"])
        say((CONNECTED if happened else NOT_CONNECTED).format(email=self._email, why=said))
        self.place.keep(visitor=None)
        self._email = ""


def connect_again(page: str, number: int, email: str) -> str:
    """Go from the status page to where one consents, and back; return what it says then. Raises DemoError."""
    with httpx.Client(follow_redirects=True, trust_env=False, timeout=SECONDS) as browser:
        listed = browser.get(page, params={"show": "needs_you"})
        consent = browser.get(listed.url.join(_found(AGAIN.format(number=number), listed)))
        last = browser.post(consent.url.join(_found(FORM, consent)), data={"email": email, "decision": "allow"})
        return _found(SAID, last)


def _found(pattern: str, page: httpx.Response) -> str:
    """Return what a page has there. The sentence that says that it has not names no address: it may be a secret."""
    found = re.search(pattern, page.text)
    if found is None:
        raise DemoError(LACKS.format(status=page.status_code))
    return unescape(found[1])
