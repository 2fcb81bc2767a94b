"""A rehearsal is marked as one wherever it is shown, and asked for by a button."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.browser.backstage import PASSWORD
from tests.browser.gallery import OPERATOR
from tests.browser.looking import Complaints, log_in, opened, said

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.stage import Stage

pytestmark = [
    pytest.mark.browser,
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes by /proc"),
]


CARD = "[aria-labelledby=h-rehearsal]"


def test_a_rehearsal_is_marked_as_one_and_another_is_asked_for_and_stopped(
    chromium: Browser, company: tuple[Stage, dict[str, str]]
) -> None:
    stage, pages = company
    with opened(chromium, stage.url) as page:
        complaints = Complaints(page)
        log_in(page, OPERATOR, PASSWORD)
        page.goto(pages["batch"])
        said(page, f"{CARD}.ro-rehearsal", "Nothing is called, nothing is changed.")
        said(page, CARD, "This batch has begun to write")
        page.locator(CARD).get_by_role("link", name="The rehearsal of").click()
        said(page, ".ro-rehearsal-banner", "REHEARSAL Nothing on this page has happened.")
        assert "REHEARSAL" in page.title()
        with page.expect_download() as download:
            page.get_by_role("link", name="The numbers as a file").click()
        assert download.value.suggested_filename.startswith("REHEARSAL-")

        page.goto(pages["batches"])
        page.get_by_role("link", name="lumen-pilot").click()
        page.locator(CARD).get_by_role("button", name="Rehearse").click()
        said(page, CARD, "One is under way; its result is still to come.")
        page.locator(CARD).get_by_role("link", name="The rehearsal of").click()
        said(page, ".ro-rehearsal-banner", "REHEARSAL")
        page.get_by_role("button", name="Stop the rehearsal").click()
        said(page, "#rehearsal", "stopped")
        assert complaints.taken() == []
