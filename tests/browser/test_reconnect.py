"""A person connects their calendar again, on a phone: through the sandbox's consent page and back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.browser.axe import faults
from tests.browser.gallery import CLIENT, SECRET
from tests.browser.looking import STICKING_OUT, Complaints, opened, said

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.browser.stage import Stage

pytestmark = [
    pytest.mark.browser,
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes by /proc"),
]

OTTO, ADA = "otto@harbour.example", "ada@harbour.example"


def signs_in(page: Page, email: str = "") -> None:
    """Allow access on the consent page, with the proposed account or another one."""
    page.wait_for_url("**/google/authorize**")
    assert page.get_by_label("E-mail address").input_value() == OTTO
    if email:
        page.get_by_label("E-mail address").fill(email)
    page.get_by_role("button", name="Allow").click()
    page.wait_for_url("**/status/rops_link_**")


def test_another_account_is_refused_and_ones_own_lets_the_calendar_go_on(
    chromium: Browser, company: tuple[Stage, dict[str, str]]
) -> None:
    stage, pages = company
    assert stage.sandbox is not None
    stage.sandbox.ask("client", **CLIENT, secret=SECRET, redirect_uris=[f"{stage.url}/status/back/"])
    for email in (OTTO, ADA):
        stage.sandbox.ask("account", platform=CLIENT["platform"], email=email)
    with opened(chromium, stage.url, width=375) as page:
        complaints = Complaints(page)
        page.goto(pages["reconnect"])
        page.get_by_role("link", name=f"Connect again {OTTO}").click()
        signs_in(page, ADA)
        said(page, "#reconnected", "another address")
        assert page.evaluate(STICKING_OUT) == []
        assert faults(page) == []
        assert complaints.taken() == []
    with opened(chromium, stage.url, width=375, scripts=False) as page:
        page.goto(pages["reconnect"])
        button = page.get_by_role("link", name=f"Connect again {OTTO}")
        button.click()
        signs_in(page)
        said(page, "#reconnected", "Thank you, that worked.")
        assert button.count() == 0
        assert [one for one in page.context.cookies() if one["name"].startswith("connect_")] == []
