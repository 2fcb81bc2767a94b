"""The key goes to the base URL's host and to no other, whatever a list calls its next page."""

from __future__ import annotations

import itertools

import httpx
import pytest

from calendars.providers import errors
from calendars.providers.calls import NoBudget
from calendars.providers.cursor import next_query, normal_base
from calendars.providers.recall import RecallClient
from tests.providers.samples import BASE, KEY, Recorder, event, listed

PATH = "/api/v2/calendar-events/"
HOST = "us-west-2.recall.ai"
QUERY = "?cursor=cD0yMDI2"

FOREIGN_HOSTS = [
    "evil.example",
    f"{HOST}.evil.example",
    f"evil.example.{HOST}",
    f"x{HOST}",
    "eu-central-1.recall.ai",
    "recall.ai",
    f"{HOST}.",
    f"{HOST}:8443",
    f"{HOST}:80",
    f"{HOST}:0443",
    f"{HOST}:",
    f"{HOST}:443:443",
    f"user@{HOST}",
    f"user:password@{HOST}",
    f"{HOST}@evil.example",
    f"{HOST}:443@evil.example",
    f"{HOST}%40evil.example",
    f"{HOST}%2f@evil.example",
    f"{HOST}%00.evil.example",
    f"{HOST}\x00.evil.example",
    f"{HOST}\\@evil.example",
    f"{HOST}\\.evil.example",
    f"evil.example\\@{HOST}",
    f"{HOST}#@evil.example",
    f"{HOST}?@evil.example",
    f"{HOST};@evil.example",
    f"{HOST},evil.example",
    f"{HOST} evil.example",
    f"{HOST}\tevil.example",
    f"evil.example\r\nHost: {HOST}",
    "us-west-2.recaⅼl.ai",
    "us‐west‐2.recall.ai",
    "us-west-2。recall。ai",
    "xn--recal-3ya.ai",
    "ｕs-west-2.recall.ai",
    "",
    "localhost",
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "0",
    "169.254.169.254",
    "169.254.169.254:80",
    "2852039166",
    "0xa9fea9fe",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:169.254.169.254]",
    "[fd00:ec2::254]",
    "[::]",
    "metadata.google.internal",
    "10.0.0.1.nip.io",
]
SCHEMES = ["https", "http", "HTTPS"]
OTHER_FORMS = [
    f"//evil.example{PATH}{QUERY}",
    f"///evil.example{PATH}{QUERY}",
    f"\\\\evil.example{PATH}{QUERY}",
    f"{PATH}{QUERY}",
    QUERY,
    "",
    "null",
    f"ftp://{HOST}{PATH}{QUERY}",
    f"file://{HOST}{PATH}{QUERY}",
    "file:///etc/passwd",
    f"gopher://{HOST}{PATH}{QUERY}",
    f"javascript://{HOST}{PATH}{QUERY}",
    f"ws://{HOST}{PATH}{QUERY}",
    f"https:/{HOST}{PATH}{QUERY}",
    f"https:{HOST}{PATH}{QUERY}",
    f"https:///{HOST}{PATH}{QUERY}",
    f"https:\\\\{HOST}{PATH}{QUERY}",
    f" https://{HOST}{PATH}{QUERY}",
    f"https://{HOST}{PATH}{QUERY}\n",
    f"https://{HOST}{PATH}",
    f"https://{HOST}{PATH}#?cursor=1",
    f"https://{HOST}{PATH}{QUERY}#@evil.example",
    f"https://{HOST}/api/v2/calendars/{QUERY}",
    f"https://{HOST}/api/v2/calendar-events{QUERY}",
    f"https://{HOST}/api/v2/calendar-events/../calendars/{QUERY}",
    f"https://{HOST}/x/../api/v2/calendar-events/{QUERY}",
    f"https://{HOST}//api/v2/calendar-events/{QUERY}",
    f"https://{HOST}/api/v2/calendar-events/;x{QUERY}",
    f"https://{HOST}/api/v2/calendar%2devents/{QUERY}",
    f"https://{HOST}{PATH}?cursor=a b",
    f"https://{HOST}{PATH}?cursor=a\r\nX-Injected: 1",
    f"https://{HOST}{PATH}?cursor=é",
    f"https://{HOST}{PATH}?cursor=a\\b",
    f"https://{HOST}{PATH}?cursor={'x' * 5000}",
]
CORPUS = [
    url
    for url in [f"{scheme}://{host}{PATH}{QUERY}" for scheme, host in itertools.product(SCHEMES, FOREIGN_HOSTS)]
    + OTHER_FORMS
    if url != f"http://{HOST}:80{PATH}{QUERY}"  # the default port of the tolerated scheme: the same place
]


def test_the_corpus_is_large_enough() -> None:
    assert len(set(CORPUS)) >= 150


@pytest.mark.parametrize("url", CORPUS)
def test_the_key_is_sent_to_no_other_place(url: str) -> None:
    recorder = Recorder(httpx.Response(200, json=listed(event(), next=url)))
    client = RecallClient(base_url=BASE, api_key=KEY, budget=NoBudget(), transport=httpx.MockTransport(recorder))
    with pytest.raises(errors.ForeignHost) as caught:
        list(client.iter_events())
    with pytest.raises(errors.ForeignHost):  # nor when such a cursor was stored and is handed in
        client.events_page(url)
    assert [str(request.url) for request in recorder.requests] == [f"{BASE}{PATH}"]
    assert "The key was not sent there" in caught.value.sentence
    assert "\n" not in caught.value.sentence


@pytest.mark.parametrize(
    "url",
    [
        f"https://{HOST}{PATH}{QUERY}",
        f"https://{HOST}:443{PATH}{QUERY}",
        f"http://{HOST}{PATH}{QUERY}",
        f"http://{HOST}:80{PATH}{QUERY}",
        f"HTTPS://{HOST.upper()}{PATH}{QUERY}",
    ],
)
def test_the_same_place_is_followed_over_the_base_urls_own_scheme(url: str) -> None:
    recorder = Recorder(
        httpx.Response(200, json=listed(event(), next=url)), httpx.Response(200, json=listed(event(id="e2")))
    )
    client = RecallClient(base_url=BASE, api_key=KEY, budget=NoBudget(), transport=httpx.MockTransport(recorder))
    assert [found.id for found in client.iter_events()] == [event()["id"], "e2"]
    assert str(recorder.requests[1].url) == f"https://{HOST}{PATH}{QUERY}"


def test_https_is_not_taken_for_http() -> None:
    with pytest.raises(errors.ForeignHost):
        next_query(f"https://127.0.0.1:4000{PATH}?page=2", base_url="http://127.0.0.1:4000", path=PATH)


def test_a_base_url_with_port_and_path_counts_as_a_whole() -> None:
    base = normal_base("http://127.0.0.1:4000/region/")
    assert base == "http://127.0.0.1:4000/region"
    assert next_query(f"{base}{PATH}?page=2", base_url=base, path=PATH) == "page=2"
    for other in ("http://127.0.0.1:4001/region", "http://127.0.0.1/region", "http://127.0.0.1:4000"):
        with pytest.raises(errors.ForeignHost):
            next_query(f"{other}{PATH}?page=2", base_url=base, path=PATH)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (" https://US-West-2.Recall.ai/ ", BASE),
        ("https://us-west-2.recall.ai:443", BASE),
        ("http://[::1]:4000", "http://[::1]:4000"),
    ],
)
def test_a_base_url_has_one_form(given: str, expected: str) -> None:
    assert normal_base(given) == expected


@pytest.mark.parametrize(
    "given",
    [
        "",
        "us-west-2.recall.ai",
        "ftp://us-west-2.recall.ai",
        "https://",
        "https://user:pw@us-west-2.recall.ai",
        "https://us-west-2.recall.ai?x=1",
        "https://us-west-2.recall.ai#x",
        "https://us-west-2.recall.ai:port",
        "https://us west.recall.ai",
        "https://us-west-2.recall.ai\\@evil.example",
        "https://[::1",
    ],
)
def test_a_base_url_that_is_none_is_refused_in_words(given: str) -> None:
    with pytest.raises(errors.ProviderError, match="base URL"):
        normal_base(given)
