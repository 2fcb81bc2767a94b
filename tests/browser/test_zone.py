"""Moments in the zone of the browser, from the first page after the log-in on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.browser.backstage import PASSWORD, STAFF
from tests.browser.looking import log_in, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.stage import Stage

pytestmark = [
    pytest.mark.browser,
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes by /proc"),
]
ACTS = "/admin/calendars/auditentry/"


def test_moments_are_those_of_the_browsers_zone(
    chromium: Browser, furnished: tuple[Stage, list[tuple[str, str]]]
) -> None:
    stage, _ = furnished
    with opened(chromium, stage.url, zone="Australia/Darwin") as page:
        log_in(page, STAFF, PASSWORD)
        page.goto(ACTS)
        moment = page.locator("#result_list time").first
        exact, shown = moment.get_attribute("datetime"), moment.inner_text()
        apart = page.evaluate("([exact, shown]) => new Date(shown.replace(' ', 'T')) - new Date(exact)", [exact, shown])
        assert apart == 0
        assert moment.get_attribute("title") == f"{exact[:10]} {exact[11:19]} UTC"  # type: ignore[index]
        assert shown[14:16] != exact[14:16]  # type: ignore[index]  # half an hour apart
        page.get_by_text("Times are those of Australia/Darwin").wait_for()


def test_without_javascript_moments_are_utc(chromium: Browser, furnished: tuple[Stage, list[tuple[str, str]]]) -> None:
    stage, _ = furnished
    with opened(chromium, stage.url, zone="Australia/Darwin", scripts=False) as page:
        page.goto("/admin/")
        page.get_by_label("Username").fill(STAFF)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.goto(ACTS)
        moment = page.locator("#result_list time").first
        assert f"{moment.inner_text()} UTC" == moment.get_attribute("title")
        page.get_by_text("Times are UTC.").wait_for()
