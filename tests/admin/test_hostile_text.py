"""Titles, links and names come from strangers."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from recallops import clock
from recallops.admin_display import link
from tests.admin import builders as make

pytestmark = pytest.mark.django_db

HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "'><svg onload=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<a href=javascript:alert(1)>x</a>",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "{{ 7|add:7 }}",
    "{% debug %}",
    "${7*7}",
    "%s %d %(x)s {0} {x}",
    "</textarea><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "<!-- <script>alert(1)</script> -->",
    "<style>*{display:none}</style>",
    "<b>bold</b>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<math><mi//xlink:href='javascript:alert(1)'>",
    "<form action=//evil.example><button>ok</button></form>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    '" autofocus onfocus=alert(1) x="',
    "' onmouseover='alert(1)",
    "`onclick=alert(1)`",
    "x\u202egnp.exe",
    "a\u0000b".replace("\u0000", "\ufffd"),
    "line\nbreak\r\nand\ttab",
    '=HYPERLINK("http://evil.example")',
    "💥" * 20,
]


class Dangers(HTMLParser):
    """Reads a page as a browser would, and keeps what could run."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"iframe", "math", "b"} or (
            tag == "meta" and ("http-equiv", "refresh") in attrs and "evil" in str(attrs)
        ):
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            address = re.sub(r"[\s\x00-\x20]", "", value or "").lower()
            if name in {"href", "src", "action", "formaction"} and address.startswith(
                ("javascript:", "data:", "//evil")
            ):
                self.found.append(f"{tag} {name}={value}")
            if name.startswith("on") and "alert" in (value or ""):
                self.found.append(f"{tag} {name}={value}")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem in {"script", "style"} and ("alert(1)" in data or "*{display:none}" in data):
            self.found.append(f"<{self.cdata_elem}>{data}")


def test_the_check_sees_what_would_run() -> None:
    assert Dangers("<script>alert(1)</script>").found
    assert Dangers("<img src=x onerror=alert(1)>").found
    assert Dangers("<a href=' JavaScript:alert(1)'>x</a>").found
    assert not Dangers(escape("<script>alert(1)</script>")).found


def test_the_corpus_has_thirty_strings() -> None:
    assert len(set(HOSTILE)) == 30


@pytest.fixture
def pages() -> list[str]:
    batch = make.make_batch(reason=HOSTILE[0])
    make.make_external(batch)
    urls = [reverse("admin:migrations_app_batch_change", args=[batch.pk])]
    for text in HOSTILE:
        customer = make.make_customer(name=text)
        calendar = make.make_calendar(customer, family=batch.source.family)
        connection = make.make_connection(
            batch.source, calendar, metadata={text: text}, webhook_url=text, platform_email=text
        )
        assignment = make.make_assignment(batch.source, calendars=(calendar,), url=text, reason=text, note=text[:100])
        event = make.make_event(connection, title=text, url=text, occurrence=assignment.occurrences.get())
        bot = make.make_bot(batch.source, meeting_url=text, config={"bot_name": text}, status=text[:60])
        item = make.make_item(batch, connection=connection, title=text, reason=text)
        finding = make.make_finding(batch, item=item, sentence=text, remedy=text)
        endpoint = make.make_endpoint(batch.source, label=text[:80])
        signing = make.make_webhook_secret(batch.source, endpoint=endpoint, label=text[:80])
        delivery = make.make_delivery(
            endpoint, body=text.encode(), event=text[:120], subject=text[:120], region=text[:40], reason=text
        )
        refusal = make.make_refusal(endpoint, detail=text)
        application = make.make_application(name=text, last_problem=text, test_result=text)
        passing = make.make_application_secret(application, label=text[:80])
        relayed = make.make_relayed(application, delivery, problem=text, state="held")
        make.make_try(relayed, problem=text, answer=text)
        group = make.make_share_group(batch, items=(item,), reason=text)
        make.make_assignment(batch.source, calendars=(calendar,), start=clock.now())
        make.make_assignment(batch.source, calendars=(calendar,), exception=text)
        profile = make.make_profile(config={text: text, "nested": [{"chat": text}]})
        policy, own = make.make_policy(customer, bot_profile=profile), make.make_policy(calendar, which="external")
        event.occurrence.reason = text
        event.occurrence.save(update_fields=["reason"])
        choice = make.make_choice(event.occurrence, reason=text, made_by=text)
        of_series = make.make_choice(customer, series=text, reason=text, made_by=text)
        urls += [
            reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
            for row in (
                *(connection, assignment, event, bot, item, finding),
                *(endpoint, signing, delivery, refusal),
                *(application, passing, relayed, group),
                *(profile, policy, own, choice, of_series, customer, calendar),
            )
        ]
    batch.customers.set(type(customer).objects.all())
    urls.append(reverse("admin:calendars_assignment_upcoming") + "?hours=72")
    return urls + [
        reverse(f"admin:{name}_changelist")
        for name in (
            "calendars_application",
            "calendars_applicationsecret",
            "calendars_assignment",
            "calendars_bot",
            "calendars_botprofile",
            "calendars_calendar",
            "calendars_connection",
            "calendars_customer",
            "calendars_delivery",
            "calendars_event",
            "calendars_recordingchoice",
            "calendars_recordingpolicy",
            "calendars_relayed",
            "calendars_webhookendpoint",
            "calendars_webhookrefusal",
            "calendars_webhooksecret",
            "migrations_app_batch",
            "migrations_app_finding",
            "migrations_app_item",
            "migrations_app_sharegroup",
        )
    ]


def test_text_of_strangers_is_shown_and_never_run(pages: list[str], chief: Client) -> None:
    seen = ""
    for url in pages:
        response = chief.get(url)
        assert response.status_code == 200, url
        page = response.content.decode()
        assert Dangers(page).found == [], url
        seen += page
    for text in HOSTILE:
        assert escape(text.splitlines()[0]) in seen, text


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " javascript:alert(1)",
        "data:text/html,x",
        "//evil.example",
        "ftp://x",
    ],
)
def test_only_web_addresses_become_links(url: str) -> None:
    assert "<a" not in link(url)


def test_a_web_address_becomes_a_link_that_tells_nothing_of_us() -> None:
    assert 'rel="noopener noreferrer nofollow"' in link("https://meet.example/room")
    assert "&quot;" in link('https://meet.example/"onclick=x')
