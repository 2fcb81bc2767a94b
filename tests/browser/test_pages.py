"""Every page, on a desk and on a phone, by day and by night."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.browser.axe import BY_LOOK, faults
from tests.browser.backstage import PASSWORD, STAFF
from tests.browser.looking import STICKING_OUT, UNREADABLE, Complaints, log_in, opened
from tests.browser.stage import Stage

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes by /proc"),
]

OTHER = {"light": "dark", "dark": "light"}


WHOLE: tuple[str, ...] = ()
# width, height, scheme, what axe-core looks for there: everything by day; by night what depends on colours alone. Where
# only the layout differs it is not asked again.
LOOKS = ((1280, 900, "light", WHOLE), (375, 812, "dark", BY_LOOK))


def test_every_page_can_be_read_on_a_desk_and_on_a_phone_in_light_and_in_dark(
    chromium: Browser, furnished: tuple[Stage, list[tuple[str, str]]]
) -> None:
    stage, pages = furnished
    assert len(pages) > 50
    wrong: list[str] = []
    for width, height, scheme, rules in LOOKS:
        with opened(chromium, stage.url, width=width, height=height, scheme=scheme) as page:
            complaints = Complaints(page)
            log_in(page, STAFF, PASSWORD)
            for name, url in pages:
                response = page.goto(url)
                found = [] if response and response.status == 200 else ["does not open"]
                found += [f"sticks out: {one}" for one in page.evaluate(STICKING_OUT)]
                found += [f"{scheme}: {one}" for one in [*unreadable(page, scheme), *faults(page, only=rules)]]
                switch(page, OTHER[scheme])
                found += [f"{OTHER[scheme]}: {one}" for one in unreadable(page, OTHER[scheme])]
                switch(page, scheme)
                wrong += [f"{name} at {width}: {one}" for one in found + complaints.taken()]
    assert not wrong, "\n".join(wrong)


def unreadable(page: Page, scheme: str) -> list[str]:
    """Return what cannot be read on a page as it is shown now."""
    is_dark = page.evaluate("document.documentElement.classList.contains('dark')")
    wrong = [] if is_dark == (scheme == "dark") else [f"is not {scheme}"]
    return wrong + [f"contrast {one}" for one in page.evaluate(UNREADABLE)]


def switch(page: Page, scheme: str) -> None:
    """Switch the look as its person does, by the admin's own switch."""
    page.evaluate("scheme => Alpine.$data(document.documentElement).switchTheme(scheme)", scheme)
    page.wait_for_function("dark => document.documentElement.classList.contains('dark') === dark", arg=scheme == "dark")
