from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calendars.scheduling.deduplication import (
    MAX_KEY,
    MAX_TEMPLATE,
    START_FORMATS,
    KeySample,
    infer_template,
    key_after_move,
    recommended_key,
    render,
    scheme_of,
    scope_text,
    write_start,
)

MONDAY = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)
ROOM = "https://meet.google.com/abc-defg-hij"
OTHER_ROOM = "https://zoom.us/j/99?pwd=2026-01-05"
EVENT = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
ISO = "{start:%Y-%m-%dT%H:%M:%SZ}"
USUAL = ISO + "-{url}"


def a_sample(template: str, rng: random.Random, *, domains: int = 3) -> KeySample:
    """A meeting of a random person in a random room, with the key that the application would give it."""
    event = {
        "start": MONDAY + timedelta(minutes=15 * rng.randrange(2000)),
        "url": f"https://acme.zoom.us/j/{rng.randrange(10**9)}?pwd={rng.randrange(10**6)}",
        "email": f"user{rng.randrange(50)}@firm{rng.randrange(domains)}.com",
        "event_id": str(UUID(int=rng.getrandbits(128), version=4)),
    }
    return KeySample(key=render(template, **event), **event)


def samples_of(template: str, count: int = 60, *, seed: int = 1, domains: int = 3) -> list[KeySample]:
    rng = random.Random(seed)
    return [a_sample(template, rng, domains=domains) for _ in range(count)]


def moved(key: str, *, template: str | None = None, **changes: object) -> str | None:
    meeting = {"old_start": MONDAY, "new_start": MONDAY, "old_url": ROOM, "new_url": ROOM}
    return key_after_move(template=template, key=key, email="ann@acme.com", event_id=EVENT, **(meeting | changes))  # type: ignore[arg-type]


# --- learning a template


@pytest.mark.parametrize(
    "template",
    [
        USUAL,
        USUAL + "-{domain}",
        USUAL + "-{event_id}",
        "{url}|{email}|" + ISO,
        "{event_id}",
        "{url}",
        "v2:{domain}/{url}#{start:%s}",
        "{start:%s%L}_{url}",
        "{start:%Y-%m-%dT%H:%M:%S.%f+00:00}{url}",
        "{start:%Y-%m-%d %H:%M:%S+00:00}-{url}",
        "{start:%Y%m%dT%H%M}-{event_id}-prod",
        "{start:%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)}-{url}",
        USUAL + "-{{}}",
        "{url}" + ISO + "{url}",
    ],
)
def test_a_template_is_learned_from_the_keys_it_made(template: str) -> None:
    assert infer_template(samples_of(template)) == template


parts = st.sampled_from(["{url}", "{domain}", "{email}", "{event_id}"])
literals = st.sampled_from(["-", "_", "::", "|", " / ", "{{", "}}", "", "bot=", "-team7-"])
starts = st.sampled_from(START_FORMATS).map(lambda form: f"{{start:{form}}}")


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(literals, parts), max_size=3), starts, literals, parts, st.integers(0, 10**6))
def test_whatever_is_learned_reproduces_the_keys(
    before: list[tuple[str, str]], start: str, literal: str, part: str, seed: int
) -> None:
    template = "".join(a + b for a, b in before) + literal + start + "-" + part
    samples = samples_of(template, seed=seed)
    learned = infer_template(samples, share=1.0)
    if learned is None:
        assert ("{url}" not in template and "{event_id}" not in template) or len(template) > MAX_TEMPLATE
        return
    fresh = samples_of(template, 30, seed=seed + 1)
    assert [render(learned, start=s.start, url=s.url, email=s.email, event_id=s.event_id) for s in fresh] == [
        s.key for s in fresh
    ]


def test_one_key_in_a_hundred_may_differ_and_no_more() -> None:
    samples = samples_of(USUAL, 200)
    strange = [KeySample("old", s.start, s.url, s.email, s.event_id) for s in samples[:3]]
    assert infer_template(strange[:2] + samples[2:]) == USUAL
    assert infer_template(strange[:3] + samples[3:]) is None
    assert infer_template(strange[:1] + samples[1:10], share=0.9) == USUAL
    assert infer_template(strange[:2] + samples[2:10], share=0.9) is None


def test_of_two_readings_the_one_that_reproduces_more_keys_is_taken() -> None:
    event: Any = {"start": MONDAY, "url": ROOM, "email": "bob@other.com", "event_id": EVENT}
    acme = samples_of(USUAL + "-firm0.com", 199, domains=1)
    other = KeySample(key=render(USUAL + "-firm0.com", **event), **event)
    assert infer_template([*acme, other]) == USUAL + "-firm0.com"


def test_a_part_that_begins_another_is_told_from_it() -> None:
    sample = KeySample(f"ann@acme.com-{ROOM}-ann", MONDAY, ROOM, "ann@acme.com", "ann")
    assert infer_template([sample]) == "{email}-{url}-{event_id}"


def test_a_single_plain_key_is_enough() -> None:
    sample = KeySample(f"2026-01-05T15:00:00Z-{ROOM}", MONDAY, ROOM, "ann@acme.com", EVENT)
    assert infer_template([sample]) == USUAL


def test_nothing_is_learned_from_nothing() -> None:
    assert infer_template([]) is None


@pytest.mark.parametrize("template", [ISO, ISO + "-{domain}", "{domain}", "always-the-same"])
def test_a_template_that_cannot_tell_meetings_apart_is_refused(template: str) -> None:
    assert infer_template(samples_of(template)) is None


def test_the_digest_of_the_only_url_is_not_taken_for_a_constant() -> None:
    digest = hashlib.sha256(ROOM.encode()).hexdigest()[:10]
    samples = [
        KeySample(f"{s.event_id}-{digest}", s.start, ROOM, s.email, s.event_id) for s in samples_of("{event_id}")
    ]
    assert infer_template(samples) is None


def test_a_persons_own_suffix_is_not_taken_for_a_constant_though_she_has_nearly_all_keys() -> None:
    ann = [KeySample(f"{s.key}-17", s.start, s.url, "ann@acme.com", s.event_id) for s in samples_of(USUAL, 199)]
    bob = [KeySample(f"{s.key}-18", s.start, s.url, "bob@acme.com", s.event_id) for s in samples_of(USUAL, 1, seed=2)]
    assert infer_template(ann + bob) is None


def test_a_local_time_is_not_taken_for_a_start() -> None:
    samples = [
        KeySample(
            f"{s.start + timedelta(hours=1):%Y-%m-%dT%H:%M:%S}+01:00-{s.url}", s.start, s.url, s.email, s.event_id
        )
        for s in samples_of(USUAL)
    ]
    assert infer_template(samples) is None


def test_the_domain_inside_a_url_stays_a_part_of_the_url() -> None:
    samples = [
        KeySample(f"{s.start:%Y-%m-%dT%H:%M:%SZ}-{s.url}", s.start, s.url, "ann@acme.zoom.us", s.event_id)
        for s in samples_of(USUAL)
    ]
    assert infer_template(samples) == USUAL


class Counted(Sequence[KeySample]):
    """Samples that count how often one of them is looked at."""

    def __init__(self, samples: list[KeySample]) -> None:
        self.samples, self.looks = samples, 0

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, at: Any) -> Any:
        self.looks += 1
        return self.samples[at]


def test_twenty_thousand_keys_are_looked_at_a_few_times_each() -> None:
    samples = Counted(samples_of(USUAL + "-{domain}", 20_000))
    assert infer_template(samples) == USUAL + "-{domain}"
    assert samples.looks < 10 * len(samples)


# --- rendering


def test_a_rendered_key_is_the_vendors() -> None:
    key = render(USUAL, start=MONDAY, url=ROOM, email="", event_id="")
    assert key == "2026-01-05T15:00:00Z-https://meet.google.com/abc-defg-hij"


@pytest.mark.parametrize("form", START_FORMATS)
def test_a_start_is_written_in_utc_whatever_its_zone(form: str) -> None:
    assert write_start(MONDAY.astimezone(ZoneInfo("Asia/Tokyo")), form) == write_start(MONDAY, form)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("%s", "1767625200"),
        ("%s%L", "1767625200120"),
        ("%s%f", "1767625200120000"),
        ("%Y-%m-%dT%H:%M:%S.%LZ", "2026-01-05T15:00:00.120Z"),
        ("%Y-%m-%dT%H:%M:%S.%f+00:00", "2026-01-05T15:00:00.120000+00:00"),
    ],
)
def test_the_formats_of_seconds_and_fractions(form: str, text: str) -> None:
    assert write_start(MONDAY.replace(microsecond=120_000), form) == text


@pytest.mark.parametrize("template", ["{", "}", "{start}", "{title}-{url}", "{url", "{start:}"])
def test_a_malformed_template_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="part that does not exist"):
        render(template, start=MONDAY, url=ROOM, email="", event_id="")


def test_a_key_longer_than_the_provider_takes_is_refused() -> None:
    long = "https://x/" + "a" * MAX_KEY
    with pytest.raises(ValueError, match="2000"):
        render(USUAL, start=MONDAY, url=long, email="", event_id="")
    with pytest.raises(ValueError, match="2000"):
        recommended_key("all", start=MONDAY, url=long, email="", event_id="")
    assert moved(f"2026-01-05T15:00:00Z-{ROOM}", new_url=long) is None
    assert moved("k", template=USUAL, new_url=long) is None
    assert len(render("{url}", start=MONDAY, url="a" * MAX_KEY, email="", event_id="")) == MAX_KEY


# --- who shares


@pytest.mark.parametrize(
    ("template", "scheme"),
    [
        (USUAL, "all"),
        (USUAL + "-{domain}", "domain"),
        (USUAL + "-{domain}-{event_id}", "none"),
        ("{email}{url}", "none"),
    ],
)
def test_the_scheme_is_read_from_the_parts_a_template_names(template: str, scheme: str) -> None:
    assert scheme_of(template) == scheme


@pytest.mark.parametrize(
    ("scheme", "template", "key", "email", "scope"),
    [
        ("all", USUAL + "-{domain}", "k", "ann@Acme.com", ""),
        ("domain", None, "k", "ann@Acme.com", "acme.com"),
        ("domain", None, "k", "", "me"),
        ("none", USUAL, "k", "ann@acme.com", "me"),
        ("as_found", USUAL, "k", "ann@acme.com", ""),
        ("as_found", USUAL + "-{domain}", "k", "ann@acme.com", "acme.com"),
        ("as_found", "{event_id}", "k", "ann@acme.com", "me"),
        ("as_found", None, "k", "ann@acme.com", "k"),
        ("as_found", "", "k", "ann@acme.com", "k"),
        ("as_found", None, "", "ann@acme.com", "me"),
    ],
)
def test_the_scope_says_with_whom_a_bot_is_shared(
    scheme: str, template: str | None, key: str, email: str, scope: str
) -> None:
    assert scope_text(scheme=scheme, template=template, key=key, email=email, identity="me") == scope


@pytest.mark.parametrize(
    ("scheme", "rest"), [("all", ""), ("as_found", ""), ("domain", "-acme.com"), ("none", f"-{EVENT}")]
)
def test_a_workspace_without_keys_gets_those_of_the_vendors_guide(scheme: str, rest: str) -> None:
    key = recommended_key(scheme, start=MONDAY, url=ROOM, email="ann@acme.com", event_id=EVENT)
    assert key == f"2026-01-05T15:00:00Z-{ROOM}{rest}"


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="scheme"):
        recommended_key("some", start=MONDAY, url=ROOM, email="", event_id="")


# --- a meeting moves

TUESDAY = datetime(2026, 1, 6, 9, 30, tzinfo=UTC)


def test_a_template_gives_the_new_key() -> None:
    key = moved("whatever", template=USUAL + "-{domain}", new_start=TUESDAY, new_url=OTHER_ROOM)
    assert key == f"2026-01-06T09:30:00Z-{OTHER_ROOM}-acme.com"


@pytest.mark.parametrize("form", START_FORMATS)
def test_without_a_template_the_start_is_replaced_in_the_format_it_stands_in(form: str) -> None:
    key = f"bot:{write_start(MONDAY, form)}/{ROOM}-7f3a"
    assert moved(key, new_start=TUESDAY) == f"bot:{write_start(TUESDAY, form)}/{ROOM}-7f3a"


def test_without_a_template_the_url_is_replaced_too() -> None:
    key = f"2026-01-05T15:00:00Z-{ROOM}-7f3a"
    assert moved(key, new_url=OTHER_ROOM) == f"2026-01-05T15:00:00Z-{OTHER_ROOM}-7f3a"
    assert moved(key, new_url=OTHER_ROOM, new_start=TUESDAY) == f"2026-01-06T09:30:00Z-{OTHER_ROOM}-7f3a"


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(START_FORMATS),
    st.integers(-10_000, 10_000).filter(bool),
    st.text(alphabet="abcxyz#|/ ", max_size=8),
    st.booleans(),
)
def test_moving_there_and_back_gives_the_same_key(form: str, minutes: int, salt: str, other_room: bool) -> None:
    start, url = MONDAY + timedelta(minutes=minutes), OTHER_ROOM if other_room else ROOM
    key = f"{salt}{write_start(MONDAY, form)}_{ROOM}_{salt}"
    there = moved(key, new_start=start, new_url=url)
    assert there == f"{salt}{write_start(start, form)}_{url}_{salt}"
    assert moved(there, old_start=start, new_start=MONDAY, old_url=url, new_url=ROOM) == key


@pytest.mark.parametrize(
    "key",
    [
        "7f3a9c",  # opaque
        f"2026-01-05T16:00:00+01:00-{ROOM}",  # local time
        f"2026-01-05T15:00:30Z-{ROOM}",  # another second
        f"2026-01-05T15:00:00.5Z-{ROOM}",  # an unknown fraction
        f"91767625200-{ROOM}",  # a longer number
        "2026-01-05-" + ROOM,  # only the day
        "",
    ],
)
def test_a_start_that_cannot_be_found_is_a_finding(key: str) -> None:
    assert moved(key, new_start=TUESDAY) is None


def test_digits_inside_the_url_are_no_start() -> None:
    url = "https://zoom.us/j/1767625200"
    assert moved(f"x-{url}", old_url=url, new_url=url, new_start=TUESDAY) is None
    assert moved(f"1767625200-{url}", old_url=url, new_url=url, new_start=TUESDAY) == f"{TUESDAY.timestamp():.0f}-{url}"


def test_a_key_that_would_not_change_though_the_url_did_is_a_finding() -> None:
    assert moved("2026-01-05T15:00:00Z-7f3a", new_url=OTHER_ROOM) is None
    assert moved("2026-01-05T15:00:00Z-7f3a", new_url=OTHER_ROOM, new_start=TUESDAY) == "2026-01-06T09:30:00Z-7f3a"


def test_a_meeting_that_did_not_move_keeps_its_key() -> None:
    assert moved("7f3a9c") == "7f3a9c"
