"""A customer opens their status page: on a desk, on a phone, in the dark, without JavaScript, by keyboard, on paper."""

from __future__ import annotations

import gzip
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.browser.axe import faults
from tests.browser.looking import DEADLINE, STICKING_OUT, UNREADABLE, Complaints, opened, said

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Response

    from tests.browser.stage import Stage

pytestmark = [
    pytest.mark.browser,
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes by /proc"),
]

HEAVIEST = 50_000  # bytes, of everything that the first visit loads
MOST_REQUESTS = 6


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (375, "light"), (375, "dark")])
def test_it_can_be_read_on_every_device(
    width: int, scheme: str, chromium: Browser, company: tuple[Stage, dict[str, str]]
) -> None:
    stage, pages = company
    with opened(chromium, stage.url, width=width, scheme=scheme, zone="Asia/Tokyo") as page:
        complaints = Complaints(page)
        page.goto(pages["status"])
        said(page, "#h-counted", "calendars have gone over")
        assert page.evaluate(STICKING_OUT) == []
        assert page.evaluate(UNREADABLE) == []
        assert faults(page) == []
        page.reload()
        said(page, "main", "Times are those of Asia/Tokyo.")
        assert complaints.taken() == []


def test_its_first_visit_is_light_and_asks_nobody_else(
    chromium: Browser, company: tuple[Stage, dict[str, str]]
) -> None:
    stage, pages = company
    answers: list[Response] = []
    with opened(chromium, stage.url) as page:
        page.on("response", lambda answer: answers.append(answer))
        page.goto(pages["status"])
        page.wait_for_load_state("networkidle")
        weight = 0
        for answer in answers:
            assert urlsplit(answer.url).netloc == urlsplit(stage.url).netloc
            assert not answer.request.headers.get("referer")
            body = answer.body()
            # in production files of ours are stored compressed (whitenoise); pages are sent as they are
            weight += len(gzip.compress(body)) if "/static/" in answer.url else len(body)
        assert page.context.cookies() in ([], [one for one in page.context.cookies() if one["name"] == "tz"])
    assert len(answers) <= MOST_REQUESTS, [answer.url for answer in answers]
    assert weight < HEAVIEST


def test_it_works_without_javascript_and_by_keyboard(chromium: Browser, company: tuple[Stage, dict[str, str]]) -> None:
    stage, pages = company
    with opened(chromium, stage.url, scripts=False) as page:
        page.goto(pages["status"])
        said(page, "#h-counted", "calendars have gone over")
        waiting = page.locator("#show-needs_you")
        for _ in range(20):
            page.keyboard.press("Tab")
            if waiting.evaluate("link => link === document.activeElement"):
                break
        page.keyboard.press("Enter")
        page.wait_for_url("**show=needs_you*")
        page.wait_for_load_state()
        states = page.locator("[aria-labelledby=h-calendars] tbody strong").all_inner_texts()
        assert set(states) == {"waiting for you"}
        with page.expect_download() as download:
            page.goto(pages["status"])
            page.get_by_role("link", name="Put it into my calendar").click()
        assert download.value.path().read_text().startswith("BEGIN:VCALENDAR")


def test_news_come_by_themselves(chromium: Browser, company: tuple[Stage, dict[str, str]]) -> None:
    stage, pages = company
    with opened(chromium, stage.url) as page:
        complaints = Complaints(page)
        page.goto(pages["status"])
        page.wait_for_function("() => window.htmx", timeout=DEADLINE)
        page.evaluate("window.sameAsBefore = true")
        address = page.locator("#live").get_attribute("hx-get")
        assert address is not None
        # the browser believes that it has something else, as if a calendar had gone on
        with page.expect_response("**/live/**") as answer:
            page.evaluate(
                "url => htmx.ajax('GET', url.replace(/seen=.*/, 'seen=x'), {target: '#live', swap: 'outerHTML'})",
                address,
            )
        assert answer.value.status == 200
        said(page, "#h-counted", "calendars have gone over")
        assert page.evaluate("window.sameAsBefore") is True
        assert page.request.get(address).status == 204
        assert complaints.taken() == []


def test_one_tells_us_something_and_what_is_wrong_with_it_is_said(
    chromium: Browser, company: tuple[Stage, dict[str, str]]
) -> None:
    stage, pages = company
    with opened(chromium, stage.url, width=375, scripts=False) as page:
        page.goto(pages["status"])
        page.get_by_label("What is wrong").fill("Is Friday recorded?")
        page.get_by_label("if you want an answer").fill("ada@northwind")
        page.get_by_role("button", name="Send", exact=True).click()
        said(page, "#tell", "Enter a valid email address.")
        assert page.get_by_label("What is wrong").input_value() == "Is Friday recorded?"
        page.get_by_label("if you want an answer").fill("ada@northwind.example")
        page.get_by_role("button", name="Send", exact=True).click()
        said(page, "#tell", "Thank you.")
        assert page.evaluate(STICKING_OUT) == []


def test_one_asks_for_e_mails_and_reads_what_a_link_that_is_cut_off_wants(
    chromium: Browser, company: tuple[Stage, dict[str, str]]
) -> None:
    stage, pages = company
    with opened(chromium, stage.url, width=375, scripts=False) as page:
        page.goto(pages["status"])
        page.get_by_label("E-mail address", exact=True).fill("ada@northwind")
        page.get_by_role("button", name="Get e-mails").click()
        said(page, "#mails", "Enter a valid email address.")
        assert page.get_by_label("E-mail address", exact=True).input_value() == "ada@northwind"
        page.get_by_label("E-mail address", exact=True).fill("ada@northwind.example")
        page.get_by_role("button", name="Get e-mails").click()
        said(page, "#mails", "We have written to this address")
        assert page.evaluate(STICKING_OUT) == []
    with opened(chromium, stage.url, width=375) as page:
        page.goto("/status/confirm/rops_mail_1/")
        said(page, "main", "Ask for another one on the status page.")
        assert page.evaluate(STICKING_OUT) == []
        assert faults(page) == []


def test_its_language_is_switched_on_a_phone_and_stays(
    chromium: Browser, company: tuple[Stage, dict[str, str]]
) -> None:
    stage, pages = company
    with opened(chromium, stage.url, width=375, scripts=False) as page:
        page.goto(pages["status"])
        for name, language in (("Deutsch", "de"), ("Français", "fr"), ("日本語", "ja")):
            page.get_by_role("link", name=name).click()
            page.locator(f"html[lang={language}]").wait_for()
            page.wait_for_load_state()
            assert page.evaluate(STICKING_OUT) == []
        page.locator("#show-needs_you").click()
        page.wait_for_url("**show=needs_you*")
        said(page, "[aria-labelledby=h-calendars] tbody strong", "お客様の対応待ち")


def test_a_link_that_has_expired_tells_whom_to_ask(chromium: Browser, company: tuple[Stage, dict[str, str]]) -> None:
    stage, pages = company
    with opened(chromium, stage.url, width=375) as page:
        page.goto(pages["status"].rstrip("/") + "x/")
        said(page, "main", "Ask whoever sent it to you for a new one.")
        assert page.evaluate(STICKING_OUT) == []
        assert faults(page) == []


def test_on_paper_there_is_what_counts(chromium: Browser, company: tuple[Stage, dict[str, str]]) -> None:
    stage, pages = company
    with opened(chromium, stage.url) as page:
        page.goto(pages["status"])
        page.emulate_media(media="print")
        page.locator("#h-calendars").wait_for()
        assert page.locator(".tallies").is_hidden()
        assert page.locator("footer").is_hidden()
