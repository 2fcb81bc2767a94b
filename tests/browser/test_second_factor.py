"""The second factor in a browser, and a content security policy that nothing on a page goes against."""

from __future__ import annotations

import base64
import sys
from typing import TYPE_CHECKING

import pytest
from django_otp.oath import totp

from tests.browser.backstage import PASSWORD, STAFF
from tests.browser.looking import STICKING_OUT, UNREADABLE, Complaints, opened
from tests.browser.stage import Stage

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [
    pytest.mark.browser,
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes by /proc"),
]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (375, "dark")])
def test_a_person_sets_it_up_with_the_secret_that_is_shown_and_comes_in(
    width: int, scheme: str, chromium: Browser, stage: Stage
) -> None:
    stage.settings = {"STAFF_SECOND_FACTOR": "true"}
    stage.open_doors()
    stage.fill_rows()
    with opened(chromium, stage.url, width=width, scheme=scheme) as page:
        complaints = Complaints(page)
        page.goto("/admin/")
        page.get_by_label("Username").fill(STAFF)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("img", name="Square code").wait_for()
        page.wait_for_load_state()
        looks = page.evaluate(STICKING_OUT) + page.evaluate(UNREADABLE)
        secret = page.locator(".ro-secret").inner_text().replace(" ", "")
        page.locator("#id_code").fill(f"{totp(base64.b32decode(secret)):06d}")
        page.get_by_role("button", name="Set up").click()
        page.get_by_text("recovery codes").first.wait_for()
        page.wait_for_load_state()
        assert page.locator(".ro-codes code").count() == 10
        looks += page.evaluate(STICKING_OUT) + page.evaluate(UNREADABLE)
        page.get_by_role("link", name="I have them; go on").click()
        page.get_by_role("link", name="Batches").first.wait_for(state="attached")
        page.goto("/admin/second-factor/")
        page.get_by_text("10 recovery codes are left").wait_for()
        looks += page.evaluate(STICKING_OUT) + page.evaluate(UNREADABLE)
        assert looks == []
        assert complaints.taken() == []
