"""A batch is driven by keyboard: everything can be reached, and one sees where one is."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.backstage import PASSWORD, STAFF
from tests.browser.looking import log_in, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.browser.stage import Stage

pytestmark = [
    pytest.mark.browser,
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes by /proc"),
]

MOST_TABS = 600
# Everything in the page that can be pressed or filled in and is not hidden, numbered.
NUMBER = """() => {
    const all = [...document.querySelectorAll("#content :is(a[href], button, input, select, textarea, summary)")];
    return all.filter(one => one.type !== "hidden" && !one.disabled && one.tabIndex >= 0 && one.checkVisibility(
        {visibilityProperty: true})).map((one, number) => {
            one.dataset.number = number;
            return `${one.tagName.toLowerCase()} “${(one.textContent || one.name || one.id).trim().slice(0, 40)}”`;
        });
}"""
# The look of what has the focus, and what it looks like without.
LOOK = """() => {
    const one = document.activeElement;
    if (!one || one === document.body) return null;
    const look = () => {
        const style = getComputedStyle(one), around = getComputedStyle(one.parentElement);
        return [style.outlineStyle, style.outlineWidth, style.boxShadow, style.borderColor, around.borderColor,
            around.boxShadow, style.backgroundColor, style.textDecorationColor].join("|");
    };
    const box = one.getBoundingClientRect(), focused = look();
    one.blur();
    const plain = look();
    one.focus({preventScroll: true, focusVisible: true});
    return {
        number: one.dataset.number === undefined ? null : Number(one.dataset.number),
        name: `${one.tagName.toLowerCase()} “${(one.textContent || one.name || one.id).trim().slice(0, 40)}”`,
        seen: focused !== plain, within: box.bottom > 0 && box.top < innerHeight,
    };
}"""


def test_every_act_of_a_batch_is_reached_by_tab_and_one_sees_where_one_is(
    chromium: Browser, furnished: tuple[Stage, list[tuple[str, str]]]
) -> None:
    stage, pages = furnished
    url = next(url for name, url in pages if name.startswith("migrations_app_batch a-batch-with"))
    with opened(chromium, stage.url) as page:
        log_in(page, STAFF, PASSWORD)
        page.goto(url)
        page.get_by_role("link", name="Count it now").wait_for(state="detached")  # the page has counted by itself
        names = page.evaluate(NUMBER)
        assert len(names) > 20
        first, *others = walk(page, names)
        assert "Skip to the content" in first["name"]
    reached = {stop["number"] for stop in others}
    assert [name for number, name in enumerate(names) if number not in reached] == []
    assert [stop["name"] for stop in others if stop["number"] is not None and not stop["seen"]] == []
    assert [stop["name"] for stop in others if stop["number"] is not None and not stop["within"]] == []


def test_the_skip_link_leads_past_the_menu(chromium: Browser, furnished: tuple[Stage, list[tuple[str, str]]]) -> None:
    stage, _ = furnished
    with opened(chromium, stage.url) as page:
        log_in(page, STAFF, PASSWORD)
        page.goto("/admin/migrations_app/batch/")
        page.keyboard.press("Tab")
        assert page.get_by_role("link", name="Skip to the content").evaluate("link => link.matches(':focus')")
        assert page.get_by_role("link", name="Skip to the content").bounding_box()["x"] >= 0  # type: ignore[index]
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.querySelector('#content').contains(document.activeElement)")


def walk(page: Page, names: list[str]) -> list[dict[str, Any]]:
    """Press Tab until everything was reached, or the page is over."""
    stops: list[dict[str, Any]] = []
    while len(stops) < MOST_TABS:
        page.keyboard.press("Tab")
        stop = page.evaluate(LOOK)
        if stop is None and stops:
            break
        if stop is not None:
            stops.append(stop)
        if stop is not None and stop["number"] == len(names) - 1:
            break
    return stops
