"""Titles, links and names come from strangers."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from django.test import Client
from django.utils.html import escape

from recallops.admin_display import link
from tests.hostile import ADDRESSES, TEXTS, make_rows

pytestmark = pytest.mark.django_db

# None of our pages has these; a stranger's text must not bring them.
ELEMENTS = re.compile(
    "animate|applet|b|base|custom-element|embed|foreignobject|frameset|iframe|image|isindex|listing|marquee|math|mglyph"
    "|object|plaintext|set|xmp"
)
ADDRESSED = {"href", "src", "action", "formaction", "data", "poster", "xlink:href", "background", "ping"}
# Attributes whose text a browser or a script obeys.
OBEYED = ("on", "x-", "@", ":", "hx-", "data-hx-", "style", "srcdoc", "content")
OURS = re.compile(r"$|[?#]|/(?![/\\\\])|https?://|[a-z0-9_.-]+(?:[/?#]|$)")


class Dangers(HTMLParser):
    """Reads a page as a browser would, and keeps what could run."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if ELEMENTS.fullmatch(tag):
            self.found.append(f"<{tag}>")
        for name, given in attrs:
            value = given or ""
            address = re.sub(r"[\s\x00-\x20]", "", value).lower()
            if name in ADDRESSED and not OURS.match(address):
                self.found.append(f"{tag} {name}={value}")
            if name.startswith(OBEYED) and ("alert(" in value or "evil.example" in value):
                self.found.append(f"{tag} {name}={value}")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem in {"script", "style"} and ("alert(1)" in data or "evil.example" in data):
            self.found.append(f"<{self.cdata_elem}>{data}")


def test_the_check_sees_what_would_run() -> None:
    assert Dangers("<script>alert(1)</script>").found
    assert Dangers("<img src=x onerror=alert(1)>").found
    assert Dangers("<a href=' JavaScript:alert(1)'>x</a>").found
    assert Dangers("<a href=//evil.example>x</a>").found
    assert Dangers('<div hx-get="//evil.example/x">').found
    assert Dangers("<div x-init=alert(1)>").found
    assert not Dangers('<a href="/admin/">x</a><a href="?p=1">y</a><a href="https://meet.example/a">z</a>').found
    assert not Dangers(escape("<script>alert(1)</script>")).found


def test_the_corpus_has_two_hundred_texts() -> None:
    assert len(set(TEXTS) | set(ADDRESSES)) == len(TEXTS) + len(ADDRESSES) >= 200


def test_text_of_strangers_is_shown_and_never_run(chief: Client) -> None:
    seen = ""
    for url in make_rows(at_once=24):
        response = chief.get(url)
        assert response.status_code == 200, url
        page = response.content.decode()
        assert Dangers(page).found == [], url
        seen += page
    unseen = [text for text in TEXTS if escape(text.strip().splitlines()[0]) not in seen]
    assert unseen == []


@pytest.mark.parametrize(
    "url",
    [text for text in ADDRESSES if not text.startswith(("https://", "http://"))],
)
def test_only_web_addresses_become_links(url: str) -> None:
    assert "<a" not in link(url)


def test_a_web_address_becomes_a_link_that_tells_nothing_of_us() -> None:
    assert 'rel="noopener noreferrer nofollow"' in link("https://meet.example/room")
    assert "&quot;" in link('https://meet.example/"onclick=x')
