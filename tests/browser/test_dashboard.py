"""The first page, search and help in a real browser: live, by keyboard, and without JavaScript."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from tests.browser.backstage import PASSWORD, STAFF
from tests.browser.looking import DEADLINE, Complaints, log_in, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.stage import Stage

pytestmark = [
    pytest.mark.browser,
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes by /proc"),
]


def test_the_first_page_follows_what_happens_without_being_loaded_again(chromium: Browser, stage: Stage) -> None:
    stage.open_doors()
    stage.fill_rows()
    with opened(chromium, stage.url) as page:
        complaints = Complaints(page)
        log_in(page, STAFF, PASSWORD)
        page.goto("/admin/")
        page.evaluate("window.loadedOnce = true")
        untested = page.locator("#next-key_untested")
        before = int(re.findall(r"\d+", untested.inner_text())[0]) if untested.count() else 0
        other = page.context.new_page()
        other.goto("/admin/calendars/apikey/add/")
        other.locator("[name=workspace]").select_option(index=1)
        other.get_by_label("Label").fill("another")
        other.locator("[name=new_secret]").fill("a-key-that-nobody-has-tested")
        other.get_by_role("button", name="Save", exact=True).click()
        other.wait_for_url("**/admin/calendars/apikey/")
        other.close()
        page.locator("#next-key_untested", has_text=f"{before + 1} API key").wait_for(timeout=DEADLINE)
        assert page.evaluate("window.loadedOnce") is True
        page.locator("#next-key_untested").click()
        page.wait_for_url("**test_passed__isnull**")
        assert complaints.taken() == []


def test_anything_is_found_from_anywhere_by_keyboard(
    chromium: Browser, furnished: tuple[Stage, list[tuple[str, str]]]
) -> None:
    stage, _pages = furnished
    with opened(chromium, stage.url, width=375, height=812) as page:
        complaints = Complaints(page)
        log_in(page, STAFF, PASSWORD)
        page.goto("/admin/calendars/region/")
        page.get_by_role("search").get_by_role("searchbox").fill("bot-")
        page.keyboard.press("Enter")
        page.wait_for_url("**/admin/search/?q=bot-")
        page.locator(".ro-found a").first.focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**/admin/calendars/bot/**")
        page.keyboard.press("Control+k")
        page.locator("#search-input-command").press_sequentially("refusals")
        page.locator("#command-results-list a", has_text="refusals").wait_for()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.wait_for_url("**/admin/calendars/webhookrefusal/")
        assert complaints.taken() == []


def test_the_first_page_search_and_help_work_without_javascript(
    chromium: Browser, furnished: tuple[Stage, list[tuple[str, str]]]
) -> None:
    stage, _pages = furnished
    context = chromium.new_context(base_url=stage.url, java_script_enabled=False)
    try:
        page = context.new_page()
        page.set_default_timeout(DEADLINE)
        page.goto("/admin/")
        page.locator("[name=username]").fill(STAFF)
        page.locator("[name=password]").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("heading", name="What a person must do next").wait_for()
        assert page.get_by_role("heading", name="Open batches").is_visible()
        page.locator("summary", has_text="All pages").click()
        assert page.get_by_role("link", name="Deliveries").last.is_visible()
        page.get_by_role("search").get_by_role("searchbox").fill("bot-")
        page.get_by_role("button", name="Search").click()
        page.locator(".ro-found a").first.click()
        page.wait_for_url("**/admin/calendars/bot/**")
        page.goto("/admin/help/")
        assert page.get_by_role("heading", name="Words").is_visible()
    finally:
        context.close()
