"""Somebody who has never seen the product moves a company with it, by its pages alone, from an empty database on.

What is done elsewhere is done there: the provider's dashboard shows keys and webhook secrets (here, the sandbox's
control does), and whoever installed the product made the first member of staff.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from migrations_app.itineraries import Step
from tests.browser import test_move as move
from tests.browser.backstage import PASSWORD, STAFF
from tests.browser.looking import Complaints, log_in, opened, said
from tests.browser.stage import REGIONS, Stage
from tests.browser.test_scheduling import make_meeting, somebody

if TYPE_CHECKING:
    from typing import Any

    from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes by /proc"),
]

SLUGS = dict(zip(REGIONS, ("us", "eu"), strict=True))
PER_MINUTE = "1800"


def test_a_stranger_moves_a_company_from_an_empty_database_by_the_pages_alone(chromium: Browser, stage: Stage) -> None:
    stage.open_doors()
    summary = stage.open_world(calendars=4, customers=2, events=24, rows=False)
    assert stage.sandbox is not None
    with opened(chromium, stage.url) as page:
        complaints = Complaints(page)
        log_in(page, STAFF, PASSWORD)
        for region in SLUGS:
            point_region(page, region, stage)
        for region, slug in SLUGS.items():
            add_workspace(page, region, slug)
        for region, slug in SLUGS.items():
            add_key(page, region, slug, stage)
        for slug in SLUGS.values():
            try_key(page, slug)
        for region, slug in SLUGS.items():
            take_webhooks(page, region, slug, stage)
        add_clients(page, summary)
        for done in ("workspaces", "keys", "tested", "endpoints", "secrets"):
            ticked(page, done)

        move.make_batch(page)
        move.shorten_waits(page)
        for step in (Step.PREFLIGHT, Step.EXPORT, Step.RECREATE, Step.VERIFY):
            move.press(page, step)
            move.watch(page, step)
        make_meeting(stage, somebody(stage.sandbox), wanted=False)  # a webhook comes; no policy wants it recorded
        move.choose_cut_line(page)
        move.press(page, Step.HAND_OVER)
        move.watch(page, Step.HAND_OVER)
        move.confirm_delete(page)
        move.watch(page, Step.DELETE_OLD)
        move.press(page, Step.CLEAN_UP)
        move.watch(page, Step.CLEAN_UP)
        ticked(page, "batch")
        ticked(page, "heard")
        assert complaints.taken() == []
    proof = stage.proof()
    assert (proof["missed"], proof["doubled"], proof["unaccounted"]) == ([], [], 0)
    assert proof["held"] == proof["wanted"] > 0


# --- what the checklist asks for


def follow(page: Page, step: str) -> None:
    """Go where the checklist of the dashboard leads."""
    page.goto("/admin/")
    page.locator(f"#first-{step}").click()
    page.wait_for_load_state()


def ticked(page: Page, step: str) -> None:
    """Wait until the checklist, which stays on the help page, says that a step is done."""
    page.goto("/admin/help/")
    row = page.locator("li.ro-step-done", has=page.locator(f"#first-{step}"))
    for _ in range(60):
        if row.count():
            return
        page.wait_for_timeout(1000)
        page.reload()
    raise AssertionError(f"“{step}” is not done")


def point_region(page: Page, region: str, stage: Stage) -> None:
    """Say where the region answers: the sandbox is not where the vendor's pages say."""
    assert stage.sandbox is not None
    page.goto("/admin/calendars/region/")
    page.get_by_role("link", name=region, exact=True).click()
    page.locator("#id_base_url").fill(stage.sandbox.base_url(region))
    save(page)


def add_workspace(page: Page, region: str, slug: str) -> None:
    """Say that there is an account in a region. Limits are those that the sandbox has."""
    follow(page, "workspaces")
    page.locator("#id_slug").fill(slug)
    page.locator("#id_name").fill(f"Acme {slug.upper()}")
    page.locator("#id_region").select_option(label=region_label(page, region))
    save(page, go_on=True)
    for limit in page.locator("input[name$='-per_minute']").all():
        limit.fill(PER_MINUTE)
    save(page)


def region_label(page: Page, region: str) -> str:
    """Return how the choice of a region is called."""
    return page.locator("#id_region option", has_text=region).first.inner_text()


def add_key(page: Page, region: str, slug: str, stage: Stage) -> None:
    """Store the key that the provider's dashboard shows, and test it."""
    assert stage.sandbox is not None
    follow(page, "keys")
    page.locator("#id_workspace").select_option(label=slug)
    page.get_by_label("Label").fill("production")
    page.get_by_label("Key", exact=True).fill(stage.sandbox.key(region, "main"))
    save(page)


def try_key(page: Page, slug: str) -> None:
    """Test a stored key."""
    follow(page, "tested")
    page.locator("#result_list tbody tr", has_text=slug).locator("a").first.click()
    page.get_by_role("button", name="Test connection").click()
    said(page, "body", "Last test")


def take_webhooks(page: Page, region: str, slug: str, stage: Stage) -> None:
    """Make an address, give it to the provider, and store the secret that its dashboard shows."""
    assert stage.sandbox is not None
    follow(page, "endpoints")
    page.locator("#id_workspace").select_option(label=slug)
    save(page, go_on=True)
    found = re.search(rf"https?://\S+/webhooks/recall/[\w-]+/\?region={region}", page.locator("body").inner_text())
    assert found
    shown = stage.sandbox.ask("endpoint", region=region, workspace="main", url=found[0])
    follow(page, "secrets")
    page.locator("#id_workspace").select_option(label=slug)
    page.get_by_label("Secret", exact=True).fill(shown["secret"])
    save(page)


def add_clients(page: Page, summary: dict[str, Any]) -> None:
    """Store the company's own OAuth clients whose secret no provider shows."""
    for client in summary["clients"]:
        if not client.get("certificate"):
            continue
        page.goto("/admin/calendars/oauthclient/add/")
        page.locator("#id_platform").select_option(client["platform"])
        page.locator("#id_client_id").fill(client["client_id"])
        page.get_by_label("Certificate (PEM)").fill(client["certificate"])
        page.get_by_label("Private key (PEM)").fill(client["private_key"])
        save(page)


# --- what is pressed and seen


def save(page: Page, *, go_on: bool = False) -> None:
    """Save a form."""
    page.get_by_role("button", name="Save and continue editing" if go_on else "Save", exact=True).click()
    said(page, "body", "successfully")
