"""A person of support moves a workspace by hand, from the first form to the last button.

The stranger's walk goes the same way from an empty database; this one looks closer, and is `thorough`.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from migrations_app.itineraries import FORWARD, Step
from tests.browser.backstage import PASSWORD, STAFF
from tests.browser.looking import DEADLINE, Complaints, log_in, opened, said
from tests.browser.stage import Stage

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.thorough,
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes by /proc"),
]

BATCH = "us-to-eu"
CALENDARS = 4
DELETE = "section[aria-labelledby=confirm]"


def test_a_batch_is_made_and_clicked_through_to_its_end(chromium: Browser, stage: Stage) -> None:
    stage.open_doors()
    stage.open_world(calendars=CALENDARS, customers=2, events=24)
    with opened(chromium, stage.url) as page:
        complaints = Complaints(page)
        log_in(page, STAFF, PASSWORD)
        make_batch(page)
        shorten_waits(page)
        look_before_anything_is_allowed(page)

        for step in (Step.PREFLIGHT, Step.EXPORT, Step.RECREATE, Step.VERIFY):
            if step == Step.RECREATE:
                said(page, "#does-recreate", f"Makes {CALENDARS} calendars in eu.")
            press(page, step)
            watch(page, step)
        choose_cut_line(page)
        press(page, Step.HAND_OVER)
        watch(page, Step.HAND_OVER)

        said(page, "#zone-delete_old", f"Deletes {CALENDARS} calendars in us.")
        try_to_delete_without_the_name(page)
        confirm_delete(page)
        watch(page, Step.DELETE_OLD)
        press(page, Step.CLEAN_UP)
        watch(page, Step.CLEAN_UP)
        said(page, "#h-now + p", "closed")

        read_everything(page)
        assert complaints.taken() == []

    proof = stage.proof()
    assert proof["missed"] == []
    assert proof["doubled"] == []
    assert proof["unaccounted"] == 0
    assert proof["held"] == proof["wanted"] > 0
    assert proof["by_place"]["eu-central-1/main"] > 0
    stage.close()
    assert stage.left() == []


# --- what is done


def make_batch(page: Page) -> None:
    """Go through the guided form, first wrong, then right."""
    page.get_by_role("link", name="Batches").first.click()
    page.get_by_role("link", name="Make a batch").click()
    page.get_by_label("Name").fill(BATCH)
    page.get_by_label("Source").select_option(label="us (us-west-2)")
    page.get_by_label("Target").select_option(label="us (us-west-2)")
    page.get_by_role("button", name="Save and go on").click()
    said(page, "[role=alert]", "Source and target are the same workspace")
    page.get_by_label("Target").select_option(label="eu (eu-central-1)")
    page.get_by_role("button", name="Save and go on").click()
    said(page, "body", f"The draft {BATCH} is saved.")
    for _ in ("calendars", "cut line"):
        page.get_by_role("button", name="Save and go on").click()
    page.get_by_role("link", name="Go on to the summary").click()
    page.get_by_role("button", name="Make the batch").click()
    said(page, "body", f"The batch {BATCH} is made and does nothing yet.")


def shorten_waits(page: Page) -> None:
    """Choose waits that suit a small batch."""
    page.get_by_label("Soak").fill("0:30:00")
    page.get_by_label("Canary wait").fill("0:10:00")
    page.get_by_role("button", name="Save", exact=True).click()
    said(page, "body", "Changed: soak, canary wait.")


def look_before_anything_is_allowed(page: Page) -> None:
    """Nothing is under way, and the page says so."""
    said(page, "#live", "Nothing is allowed yet.")
    said(page, "#pulse", "workers alive")
    for step in FORWARD:
        assert words(page, step) in ("not allowed yet", "waits for the press")


def press(page: Page, step: Step) -> None:
    """Press the button of a step."""
    page.locator(f"#go-{step}").click()
    said(page, "body", f"“{step.label}” is allowed now.")


def watch(page: Page, step: Step) -> None:
    """Watch a step come to its end on the page as it is, not loaded again."""
    page.evaluate("window.sameAsBefore = true")
    page.wait_for_function(
        "name => [...document.querySelectorAll('.ro-stop')].some(stop => "
        "stop.querySelector('.ro-stop-name').textContent === name && stop.classList.contains('ro-stop-done'))",
        arg=step.label,
        timeout=DEADLINE,
    )
    assert page.evaluate("window.sameAsBefore") is True
    assert words(page, step) == "done"


def choose_cut_line(page: Page) -> None:
    """Take the first proposal, which the page fetched by itself."""
    proposal = page.locator("button[form=cut-form][name=at]").first
    at = proposal.get_attribute("value")
    proposal.click()
    said(page, "body", f"Meetings that start at {at} UTC or later go to the target.")


def try_to_delete_without_the_name(page: Page) -> None:
    """The browser does not send it without a name, and the product takes neither none nor a wrong one."""
    zone, name = page.locator(DELETE), page.locator("#confirm-name")
    button = zone.get_by_role("button", name="Delete old")
    button.click()
    assert name.evaluate("field => field.matches(':focus:invalid')")
    zone.locator("form").evaluate("form => { form.noValidate = true; }")
    button.click()
    said(page, "body", "must be confirmed by typing the batch's name.")
    name.fill("eu-to-us")
    button.click()
    said(page, "body", f"To confirm the delete, type the batch's name exactly: {BATCH}")
    assert words(page, Step.DELETE_OLD) == "waits for the press"


def confirm_delete(page: Page) -> None:
    """Type the name."""
    page.locator("#confirm-name").fill(BATCH)
    page.locator(DELETE).get_by_role("button", name="Delete old").click()
    said(page, "body", "“Delete old” is allowed now.")
    said(page, DELETE, f"Confirmed by {STAFF}")


def read_everything(page: Page) -> None:
    """Follow the links of the batch's page: items, ledger, findings, the report and its file."""
    home = page.url
    page.locator("#h-items a").click()
    said(page, ".ro-count", f"{CALENDARS} items")
    assert page.locator("#result_list .field-step", has_text="Delete old").count() == CALENDARS
    assert page.locator("#result_list tbody tr", has_text="moved").count() == CALENDARS

    page.goto(home)
    page.locator("#h-coverage a").click()
    said(page, ".ro-count", "assignments")
    assert page.locator("#result_list tbody tr").count() > CALENDARS
    assert page.locator("#result_list .ro-danger").count() == 0

    page.goto(home)
    page.locator("#h-findings a").click()
    said(page, "body", "open")

    page.goto(home)
    page.get_by_role("link", name="The proof, to read").click()
    said(page, "[aria-labelledby=r-items]", "adds up")
    said(page, "[aria-labelledby=r-acts]", STAFF)
    with page.expect_download() as download:
        page.get_by_role("link", name="report.json").click()
    report = json.loads(download.value.path().read_text())
    assert report["batch"]["status"] == "closed"
    page.goto(home)


# --- what is seen


def words(page: Page, step: Step) -> str:
    """Return the word under a step."""
    stop = page.locator(".ro-stop", has=page.locator(".ro-stop-name", has_text=step.label))
    return (stop.locator(".ro-stop-word").text_content() or "").strip()
