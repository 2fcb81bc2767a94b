"""Texts of strangers in every field of every page, in a browser that would run them if it could."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.browser.backstage import PASSWORD, STAFF
from tests.browser.looking import log_in, opened
from tests.browser.stage import Stage

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes by /proc"),
]

# Before any script of a page: whoever gets so far is noted, and nobody has to press a dialog away.
TRAP = """
window.hacked = [];
for (const name of ["alert", "confirm", "prompt", "open"])
    window[name] = (...said) => { window.hacked.push(`${name}(${said.join().slice(0, 80)})`); };
"""
# What only waits for a hand, a script of ours or a look: touch everything, then read what is obeyed.
TOUCH = """() => {
    const found = [], obeyed = /^(on|x-|@|:|hx-|data-hx-|style$|srcdoc$)/, known = /^(https?:|$)/;
    for (const one of document.querySelectorAll("#content *")) {
        for (const kind of ["mouseover", "mouseenter", "focus", "focusin", "toggle", "load"])
            one.dispatchEvent(new Event(kind, {bubbles: true}));
        for (const {name, value} of one.attributes)
            if (obeyed.test(name) && /alert\\(|evil\\.example/.test(value)) found.push(`${name}=${value}`);
        for (const name of ["href", "src", "action", "formAction"]) {
            if (typeof one[name] !== "string" || !one.hasAttribute(name.toLowerCase())) continue;
            if (!known.test(new URL(one[name], location).protocol)) found.push(`${name} leads to ${one[name]}`);
        }
    }
    return found.concat(window.hacked);
}"""


def test_no_text_of_a_stranger_runs_on_any_page(chromium: Browser, stage: Stage) -> None:
    stage.open_doors()
    pages = stage.fill_rows("hostile")
    assert len(pages) > 100
    wrong: list[str] = []
    with opened(chromium, stage.url) as page:
        page.context.add_init_script(TRAP)
        page.on("dialog", lambda dialog: wrong.append(f"a dialog on {page.url}: {dialog.message}"))
        page.context.on("request", lambda request: wrong.extend(_elsewhere(request.url, stage.url, page)))
        page.context.on("page", lambda other: wrong.append(f"a window opened: {other.url}"))
        log_in(page, STAFF, PASSWORD)
        for name, url in pages:
            response = page.goto(url)
            assert response is not None
            assert response.status == 200, url
            assert page.url == stage.url + url, f"{url} led to {page.url}"
            wrong += [f"{name}: {one}" for one in page.evaluate(TOUCH)]
    assert wrong == [], "\n".join(wrong)


def _elsewhere(url: str, home: str, page: Page) -> list[str]:
    asked, ours = urlsplit(url), urlsplit(home)
    if asked.scheme in ("data", "blob") or asked.netloc == ours.netloc:
        return []
    return [f"{page.url} asked for {url}"]
