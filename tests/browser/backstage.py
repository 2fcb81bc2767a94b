"""What the browser tests need done in the product's own environment, in a process beside the test's.

    python -m tests.browser.backstage conduct SANDBOX OPTIONS   fill the sandbox and our rows, then conduct the clock
    python -m tests.browser.backstage conduct_empty SANDBOX OPTIONS   the same, but for our rows: nobody typed anything
    python -m tests.browser.backstage rows                      put a row of everything into the database, and no more
    python -m tests.browser.backstage hostile                   the same, with texts of strangers in every field
    python -m tests.browser.backstage company                   a company in the middle of a move, and who moves it

Each prints one JSON line when it is ready.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from typing import Any

import django

STAFF, PASSWORD = "dana", "correct horse battery"
SWEEP_EVERY = timedelta(minutes=60)


def say(**values: Any) -> None:
    """Tell the test."""
    sys.stdout.write(json.dumps(values, default=str) + "\n")
    sys.stdout.flush()


def conduct_empty(line: str, size: str) -> None:
    """Fill the sandbox, make a member of staff, and conduct until told to end."""
    conduct(line, size, with_rows=False)


def conduct(line: str, size: str, *, with_rows: bool = True) -> None:
    """Fill both sides as a company would, make a member of staff, and conduct until told to end."""
    from django.conf import settings

    from calendars.models import Workspace
    from recallops.clock import FileClock
    from recallops.demo import setting_up
    from recallops.demo.conductor import POLL, Conductor
    from recallops.demo.control import Sandbox
    from recallops.demo.place import Options

    sandbox, options = Sandbox(json.loads(line)), Options.of(json.loads(size))
    summary = setting_up.fill(sandbox, options)
    if with_rows:
        setting_up.make_rows(sandbox, summary, options)
    Workspace.objects.update(sweep_every=SWEEP_EVERY)
    setting_up.make_staff(STAFF, PASSWORD)
    say(**summary)
    conductor = Conductor(FileClock(settings.CLOCK_FILE))
    while True:
        conductor.look()
        time.sleep(POLL)


def rows() -> None:
    """Put in a row of everything that has a page, and tell the addresses of all pages."""
    from tests.browser.rows import make_rows, pages

    make_rows(STAFF, PASSWORD)
    say(pages=pages(STAFF))


def hostile() -> None:
    """Put texts of strangers into every field, and tell the addresses of all pages that show them."""
    from django.db import transaction

    from recallops.demo import setting_up
    from tests.hostile import make_rows

    setting_up.make_staff(STAFF, PASSWORD)
    with transaction.atomic():
        urls = make_rows(at_once=20)
    say(pages=[(url, url) for url in urls])


def company() -> None:
    """Put in the company of the pictures, and tell the addresses of the pages that are in them."""
    from django.db import transaction

    from calendars.models import Customer
    from tests.browser import gallery

    with transaction.atomic():
        pages = gallery.make_rows(STAFF, PASSWORD)
        pages["reconnect"] = gallery.link_of(Customer.objects.get(name=gallery.CUSTOMERS[1]))
    say(pages=list(pages.items()))


if __name__ == "__main__":
    django.setup()
    act = {one.__name__: one for one in (conduct, conduct_empty, rows, hostile, company)}[sys.argv[1]]
    act(*sys.argv[2:])
