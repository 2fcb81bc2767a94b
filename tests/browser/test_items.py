"""Items and findings in a browser: found by what they wait for, acted on together, and each with its story."""

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


def test_what_failed_is_found_from_its_batch_and_tried_again_together(
    chromium: Browser, company: tuple[Stage, dict[str, str]]
) -> None:
    stage, pages = company
    with opened(chromium, stage.url) as page:
        complaints = Complaints(page)
        log_in(page, OPERATOR, PASSWORD)
        page.goto(pages["batch"])
        page.locator("[aria-labelledby=h-items] .ro-tallies a", has_text="failed").click()
        page.locator("#result_list tbody tr", has_text="failed").nth(3).wait_for()
        page.wait_for_load_state()
        assert page.locator("#result_list .action-select").count() == 4
        with page.expect_download() as download:
            page.get_by_role("link", name="CSV").click()
        rows = download.value.path().read_text("utf-8-sig").splitlines()
        assert len(rows) == 1 + 4
        page.locator("#action-toggle").check()
        page.locator("select[name=action]").select_option("retry_failed")
        page.get_by_role("button", name="Run").click()
        said(page, "form h2", "4 rows will be changed")
        page.get_by_role("button", name="(4)").click()
        said(page, "body", "None of the items matches what you asked for.")
        assert complaints.taken() == []


def test_an_item_tells_each_call_about_it(chromium: Browser, company: tuple[Stage, dict[str, str]]) -> None:
    stage, pages = company
    with opened(chromium, stage.url) as page:
        complaints = Complaints(page)
        log_in(page, OPERATOR, PASSWORD)
        page.goto(pages["item"])
        page.get_by_role("link", name="Steps, calls, writes, webhooks and acts in order").click()
        said(page, ".ro-timeline", "The owner has to connect this calendar again")
        refused = page.locator(".ro-timeline li", has_text="POST /api/v2/calendars/")
        for words in ("400 invalid_grant", "took: 210 ms", "request id: "):
            assert words in refused.inner_text()
        page.get_by_role("link", name="call", exact=True).click()
        page.wait_for_url("**?kind=call")
        page.wait_for_load_state()
        assert page.locator(".ro-timeline li").count() == 3
        assert complaints.taken() == []
