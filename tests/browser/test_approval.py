"""What deletes calendars is asked for by one person and allowed by another one, on the pages."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.browser.backstage import PASSWORD
from tests.browser.gallery import APPROVER, BY_APPROVAL, OPERATOR
from tests.browser.looking import Complaints, log_in, opened, said
from tests.browser.test_move import DELETE

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.stage import Stage

pytestmark = [
    pytest.mark.browser,
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes by /proc"),
]


def test_an_operator_asks_an_approver_approves_and_then_the_delete_is_allowed(
    chromium: Browser, company: tuple[Stage, dict[str, str]]
) -> None:
    stage, pages = company
    with opened(chromium, stage.url) as page:
        complaints = Complaints(page)
        log_in(page, OPERATOR, PASSWORD)
        page.goto(pages["batches"])
        page.get_by_role("link", name=BY_APPROVAL).click()
        said(page, "#zone-delete_old", f"Deletes 3 calendars in {BY_APPROVAL}-us.")
        page.locator("#confirm-name").fill(BY_APPROVAL)
        page.locator("#confirm-reason").fill("Harbour Clinics agreed.")
        page.locator(DELETE).get_by_role("button", name="Ask for “Delete old”").click()
        said(page, "body", "Another person who may approve finds it")
        said(page, DELETE, "It waits for a second person")
        page.locator(DELETE).get_by_role("link", name="Look at the request").click()
        said(page, "body", "You asked for this. Another person has to approve it.")
        assert page.get_by_role("button", name="Approve").count() == 0
        assert complaints.taken() == []
    with opened(chromium, stage.url) as page:
        complaints = Complaints(page)
        log_in(page, APPROVER, PASSWORD)
        page.goto(f"{pages['approvals']}?for=me")
        page.locator("#result_list tbody tr", has_text=BY_APPROVAL).get_by_role("link", name="Delete old").click()
        said(page, "body", "Harbour Clinics agreed.")
        said(page, "body", f"Deletes 3 calendars in {BY_APPROVAL}-us.")
        page.get_by_role("button", name="Approve").click()
        said(page, "body", "Approved: it is allowed now.")
        page.goto(pages["batches"])
        page.get_by_role("link", name=BY_APPROVAL).click()
        said(page, DELETE, f"Confirmed by {OPERATOR}")
        said(page, "[aria-labelledby=h-acts]", APPROVER)
        assert complaints.taken() == []
