"""What is looked at on a page: what the browser complains of, what sticks out, what cannot be read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Response

DEADLINE = 180_000  # milliseconds: a busy machine is no failure

# The innermost elements whose right edge lies beyond the window, unless something around them scrolls or cuts them off.
STICKING_OUT = """() => {
    const width = document.documentElement.clientWidth, found = new Set();
    if (document.documentElement.scrollWidth <= width) return [];
    for (const one of document.querySelectorAll("body *")) {
        if (one.getBoundingClientRect().right <= width + 1) continue;
        let above = one.parentElement;
        while (above && getComputedStyle(above).overflowX === "visible") above = above.parentElement;
        if (above && above !== document.body && above !== document.documentElement) continue;
        found.add(one);
    }
    const inner = [...found].filter(one => ![...one.children].some(child => found.has(child)));
    const said = one => one.textContent.replace(/\\s+/g, " ").trim().slice(0, 40);
    return [`page ${document.documentElement.scrollWidth} wide`].concat(
        inner.slice(0, 4).map(one => `<${one.tagName.toLowerCase()} class="${one.className}"> ${said(one)}`));
}"""

# Texts of our own parts with too little contrast. Colours are painted, since they come in many notations.
UNREADABLE = """() => {
    const context = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true}), known = new Map();
    const painted = colours => {
        const key = colours.join("|");
        if (!known.has(key)) {
            context.fillStyle = "#fff"; context.fillRect(0, 0, 1, 1);
            for (const colour of colours) { context.fillStyle = colour; context.fillRect(0, 0, 1, 1); }
            const light = [...context.getImageData(0, 0, 1, 1).data].slice(0, 3).map(part => {
                const share = part / 255;
                return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
            });
            known.set(key, 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2]);
        }
        return known.get(key);
    };
    const found = new Set(), texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const text = texts.currentNode.data.trim(), holder = texts.currentNode.parentElement;
        if (!text || !holder.closest("[class*='ro-']") || holder.closest(".material-symbols-outlined")) continue;
        if (!holder.checkVisibility({visibilityProperty: true})) continue;
        const below = [];
        for (let one = holder; one; one = one.parentElement) below.unshift(getComputedStyle(one).backgroundColor);
        const behind = painted(below), before = painted([...below, getComputedStyle(holder).color]);
        const contrast = (Math.max(behind, before) + 0.05) / (Math.min(behind, before) + 0.05);
        if (contrast < 4.5) found.add(`${contrast.toFixed(1)} for “${text.slice(0, 30)}” in .${holder.className}`);
    }
    return [...found].slice(0, 4);
}"""


class Complaints(list[str]):
    """What the browser complained of on a page, from the first on."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        page.on("console", self._spoke)
        page.on("pageerror", lambda error: self.append(f"error: {error}"))
        page.on("response", self._came)
        page.on("requestfailed", lambda request: self._failed(request.url, request.failure or ""))

    def _spoke(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.append(f"{message.type}: {message.text}")

    def _came(self, response: Response) -> None:
        if response.status >= 400:
            self.append(f"{response.status} {response.url}")

    def _failed(self, url: str, why: str) -> None:
        if "ERR_ABORTED" not in why:  # a page that was left while it asked for something
            self.append(f"{why} {url}")

    def taken(self) -> list[str]:
        """Return the complaints since the last time."""
        found = list(self)
        self.clear()
        return found


@contextmanager
def opened(
    browser: Browser,
    url: str,
    *,
    width: int = 1280,
    height: int = 900,
    scheme: str = "light",
    zone: str = "UTC",
    scripts: bool = True,
) -> Iterator[Page]:
    """Open a window of its own, with no cookies."""
    context = browser.new_context(
        base_url=url,
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
        timezone_id=zone,
        java_script_enabled=scripts,
    )
    try:
        page = context.new_page()
        page.set_default_timeout(DEADLINE)
        try:
            yield page
        except Exception as error:
            error.add_note(f"The page {page.url} says:\n{page.locator('body').inner_text()}")
            raise
    finally:
        context.close()


def said(page: Page, selector: str, sentence: str) -> None:
    """Wait until a part of the page says something, and the page around it is there as a whole."""
    page.locator(selector).filter(has_text=re.compile(re.escape(sentence))).first.wait_for()
    page.wait_for_load_state()


def log_in(page: Page, user: str, password: str) -> None:
    """Log in on the page that asks for it."""
    page.goto("/admin/")
    page.get_by_label("Username").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name="Batches").first.wait_for(state="attached")
