"""Staff let RecallOps schedule a workspace, by clicks: profile, policy, webhooks, and a meeting that gets its bot."""

from __future__ import annotations

import re
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from recallops.demo.control import Sandbox
from tests.browser.backstage import PASSWORD, STAFF
from tests.browser.looking import Complaints, log_in, opened, said
from tests.browser.stage import PATIENCE, Stage

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes by /proc"),
]

TITLE = "Talk that was made just now"
LINK = "https://meet.google.com/qrs-tuvw-xyz"
OUTSIDER = "lee@partner.example"


def test_staff_switch_scheduling_on_and_see_a_new_meeting_get_its_bot(chromium: Browser, stage: Stage) -> None:
    stage.open_doors()
    stage.open_world(calendars=4, customers=2, events=24)
    stage.freeze()
    stage.clock.set(at=stage.clock.now(), speed=8.0)
    assert stage.sandbox is not None
    with opened(chromium, stage.url) as page:
        complaints = Complaints(page)
        log_in(page, STAFF, PASSWORD)
        make_profile(page)
        keep_scheduled(page)
        person = somebody(stage.sandbox)
        wait_for_row(page, "/admin/calendars/calendar/", person["email"])
        make_policy(page, person["email"])
        take_webhooks(page, stage)
        make_meeting(stage, person)
        wait_for_row(page, "/admin/calendars/delivery/", "calendar.sync_events", "acted on")
        wait_for_row(page, "/admin/calendars/assignment/upcoming/?hours=6", TITLE, "covered")
        look_why_it_is_recorded(page)
        assert complaints.taken() == []
    stage.proof()
    visits = [visit for visit in stage.sandbox.ask("attendance")["attendance"] if visit["meeting_url"] == LINK]
    assert len(visits) == 1
    assert visits[0]["accounts"] == [[person["platform"], person["email"]]]


def make_profile(page: Page) -> None:
    """Write a configuration, first a wrong one."""
    page.goto("/admin/calendars/botprofile/add/")
    page.get_by_label("Name").fill("standard")
    page.get_by_label("Configuration").fill('{"bot_name": "Scribe"')
    page.get_by_role("button", name="Save", exact=True).click()
    said(page, "body", "This is no JSON")
    page.get_by_label("Configuration").fill('{"bot_name": "Scribe"}')
    page.get_by_role("button", name="Save", exact=True).click()
    said(page, "body", "was added successfully")


def keep_scheduled(page: Page) -> None:
    """Let the workspace be always scheduled, with that profile."""
    page.goto("/admin/calendars/workspace/")
    page.get_by_role("link", name="us", exact=True).first.click()
    page.get_by_label("Always scheduled").check()
    page.locator("#id_bot_profile").select_option(label="standard")
    page.get_by_role("button", name="Save", exact=True).click()
    said(page, "body", "was changed successfully")


def somebody(sandbox: Sandbox) -> dict[str, Any]:
    """Return the copy of a meeting that somebody at Google has."""
    copies = [copy for one in sandbox.ask("meetings")["meetings"] for copy in one["copies"]]
    return next(copy for copy in copies if copy["platform"] == "google_calendar")


def make_policy(page: Page, email: str) -> None:
    """Let one calendar's meetings with outsiders be recorded."""
    page.goto("/admin/calendars/recordingpolicy/add/")
    page.locator("[aria-labelledby='select2-id_calendar-container']").click()
    page.locator(".select2-search__field").fill(email)
    page.locator(".select2-results__option", has_text=email).click()
    page.locator("#id_which").select_option("external")
    page.get_by_role("button", name="Save", exact=True).click()
    said(page, "body", "was added successfully")


def take_webhooks(page: Page, stage: Stage) -> None:
    """Make an address, give it to the vendor, and store the secret that it shows."""
    assert stage.sandbox is not None
    page.goto("/admin/calendars/webhookendpoint/add/")
    page.locator("#id_workspace").select_option(label="us")
    page.get_by_role("button", name="Save and continue editing").click()
    said(page, "body", "was added successfully")
    found = re.search(r"https?://\S+/webhooks/recall/[\w-]+/\?region=us-west-2", page.locator("body").inner_text())
    assert found
    shown = stage.sandbox.ask("endpoint", region="us-west-2", workspace="main", url=found[0])
    page.goto("/admin/calendars/webhooksecret/add/")
    page.locator("#id_workspace").select_option(label="us")
    page.get_by_label("Secret", exact=True).fill(shown["secret"])
    page.get_by_role("button", name="Save", exact=True).click()
    said(page, "body", "was added successfully")
    assert shown["secret"] not in page.content()


def make_meeting(stage: Stage, person: dict[str, Any], *, wanted: bool = True) -> None:
    """Let that person meet somebody from outside in an hour and a half. `wanted`: a bot is to come."""
    assert stage.sandbox is not None
    start = stage.clock.now() + timedelta(minutes=90)
    stage.sandbox.ask(
        "meeting",
        start=start.isoformat(),
        end=(start + timedelta(minutes=30)).isoformat(),
        accounts=[[person["platform"], person["email"]]],
        title=TITLE,
        url=LINK,
        attendees={OUTSIDER: "accepted"},
        wanted=wanted,
    )


def look_why_it_is_recorded(page: Page) -> None:
    """Open the event's page: it says why."""
    page.goto("/admin/calendars/event/")
    page.locator("#result_list tbody tr", has_text=TITLE).locator("a").first.click()
    said(page, "body", f"external: {OUTSIDER}")


def wait_for_row(page: Page, address: str, *words: str) -> None:
    """Load a page again until one of its rows says all this."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        page.goto(address)
        row = page.locator("tr")
        for word in words:
            row = row.filter(has_text=word)
        if row.count():
            return
        page.wait_for_timeout(500)
    raise AssertionError(f"{address} never said {words}")
