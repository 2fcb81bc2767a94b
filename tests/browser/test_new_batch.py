"""A new batch from a file: what cannot be read of it is told line by line, and nothing that was chosen is lost."""

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


FILE = b"email\nperson-01@globex.example\nperson-02@globex.example\nsomebody@elsewhere.example\n=cmd|' /C calc'!A0\n"


def test_a_draft_takes_a_file_tells_its_bad_lines_and_is_found_again(
    chromium: Browser, company: tuple[Stage, dict[str, str]]
) -> None:
    stage, pages = company
    with opened(chromium, stage.url) as page:
        complaints = Complaints(page)
        log_in(page, OPERATOR, PASSWORD)
        page.goto(pages["new-batch"])
        page.get_by_role("link", name="globex", exact=True).click()
        page.get_by_role("link", name="2. Calendars").click()
        page.locator("input[name=selection][value=file]").check()
        file = {"name": "people.csv", "mimeType": "text/csv", "buffer": FILE}
        page.locator("input[type=file]").set_input_files([file])  # type: ignore[list-item]
        page.get_by_role("button", name="Save", exact=True).click()
        said(page, "#h-chosen", "2 calendars are chosen")
        said(page, "[aria-labelledby=h-left] tr", "somebody@elsewhere.example")
        with page.expect_download() as download:
            page.get_by_role("link", name="Download these lines with their reasons").click()
        assert "'=cmd" in download.value.path().read_text("utf-8-sig")
        page.get_by_role("link", name="3. Cut line").click()
        page.locator("svg.ro-coming").wait_for()
        page.locator("input[name=line][value^='2']").first.check()
        page.get_by_role("button", name="Save and go on").click()
        page.get_by_role("heading", name="Checks before anything is touched").wait_for()
        page.goto(pages["new-batch"])
        page.get_by_role("link", name="globex", exact=True).click()
        said(page, "[aria-labelledby=h-what]", "people.csv")
        assert complaints.taken() == []
