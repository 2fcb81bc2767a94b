"""Deduplication keys: how a workspace builds them, what they say about sharing, and how they follow a move.

Events with the same key share one bot. Keys belong to the company's application and are opaque here: an existing key
is sent to the letter. Only when a meeting moves must a new one be made, by the workspace's template: a text such as
`{start:%Y-%m-%dT%H:%M:%SZ}-{url}-{domain}`, learned from the keys that are there.

A template names parts in braces, all else is literal (`{{` and `}}` are braces). Parts: `{start:<format>}`, `{url}`,
`{domain}` (of the e-mail address, in lower case), `{email}`, `{event_id}` (of that region). A start format is
strftime's, always in UTC, and knows two more: `%s` whole seconds since 1970, `%L` three digits of milliseconds.

Pure: no ORM, no HTTP, no clock.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC
from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

MAX_KEY = 2000  # the provider's limit
MAX_TEMPLATE = 200  # what a workspace row keeps

_ISO = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S")
_FRACTIONS = ("", ".%L", ".%f", ".%f000")
_ZONES = ("", "Z", "+00:00", "+0000", " UTC")

# The usual ways to write a start. No format without a time of day: inside a longer, unknown one (local time) it would
# replace the day and leave the hour.
START_FORMATS: tuple[str, ...] = (
    *(iso + fraction + zone for iso in _ISO for fraction in _FRACTIONS for zone in _ZONES),
    *(iso.removesuffix(":%S") + zone for iso in _ISO for zone in _ZONES),
    *(basic + zone for basic in ("%Y%m%dT%H%M%S", "%Y%m%d%H%M%S", "%Y%m%dT%H%M", "%Y%m%d%H%M") for zone in ("", "Z")),
    "%Y-%m-%dT%H-%M-%S",
    "%Y-%m-%d-%H-%M",
    "%a, %d %b %Y %H:%M:%S GMT",
    "%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)",
    "%s",
    "%s.0",
    "%s%L",
    "%s%f",
)

# The vendor's guide, for workspaces with no key to learn from; "as found" with nothing found is its first advice.
_ALL = "{start:%Y-%m-%dT%H:%M:%SZ}-{url}"
RECOMMENDED = {"all": _ALL, "as_found": _ALL, "domain": _ALL + "-{domain}", "none": _ALL + "-{event_id}"}

_FEW = 24  # samples from which candidates are derived
_TOKEN = re.compile(r"(?P<brace>\{\{|\}\})|\{start:(?P<format>[^{}]+)\}|\{(?P<part>url|domain|email|event_id)\}")
_PARTS = ("url", "domain", "email", "event_id")


@dataclass(frozen=True, slots=True)
class KeySample:
    """One key as found, and what it may have been made of. All values are those of the same event."""

    key: str
    start: datetime
    url: str
    email: str
    event_id: str


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # "literal", "start" or one of _PARTS
    text: str = ""  # the literal, or the start's format


def domain_of(email: str) -> str:
    """Return the domain of an e-mail address in lower case; empty when there is none."""
    return email.rpartition("@")[2].lower() if "@" in email else ""


def write_start(start: datetime, form: str) -> str:
    """Return a start in one of the formats, in UTC."""
    moment = start.astimezone(UTC)
    if "%s" in form:
        form = form.replace("%s", str(calendar.timegm(moment.utctimetuple())))
    if "%L" in form:
        form = form.replace("%L", f"{moment.microsecond // 1000:03d}")
    return moment.strftime(form)


@lru_cache(maxsize=256)
def _tokens(template: str) -> tuple[_Token, ...]:
    """Take a template apart; ValueError when a brace is not one of ours."""
    found: list[_Token] = []
    literal = ""
    at = 0
    for match in _TOKEN.finditer(template):
        literal += _plain(template[at : match.start()])
        at = match.end()
        if match["brace"]:
            literal += match["brace"][0]
            continue
        if literal:
            found.append(_Token("literal", literal))
            literal = ""
        found.append(_Token("start", match["format"]) if match["format"] else _Token(match["part"]))
    literal += _plain(template[at:])
    return (*found, _Token("literal", literal)) if literal else tuple(found)


def _plain(text: str) -> str:
    if "{" in text or "}" in text:
        raise ValueError("A template of deduplication keys names a part that does not exist.")
    return text


def _text(tokens: Sequence[_Token]) -> str:
    """Write tokens as a template."""
    parts = {"literal": lambda text: text.replace("{", "{{").replace("}", "}}"), "start": "{{start:{}}}".format}
    return "".join(parts[token.kind](token.text) if token.kind in parts else f"{{{token.kind}}}" for token in tokens)


def _fill(template: str, *, start: datetime, url: str, email: str, event_id: str) -> str:
    """Render without a look at the length."""
    out = []
    for token in _tokens(template):
        match token.kind:
            case "literal":
                out.append(token.text)
            case "start":
                out.append(write_start(start, token.text))
            case "url":
                out.append(url)
            case "domain":
                out.append(domain_of(email))
            case "email":
                out.append(email)
            case _:
                out.append(event_id)
    return "".join(out)


def render(template: str, *, start: datetime, url: str, email: str, event_id: str) -> str:
    """Return the key that a template gives; ValueError when it is longer than the provider takes, or malformed."""
    key = _fill(template, start=start, url=url, email=email, event_id=event_id)
    if len(key) > MAX_KEY:
        raise ValueError(f"The deduplication key would have {len(key)} characters; the provider takes {MAX_KEY}.")
    return key


def recommended_key(scheme: str, *, start: datetime, url: str, email: str, event_id: str) -> str:
    """Return the key of the vendor's guide; ValueError for an unknown scheme or a key that is too long."""
    if scheme not in RECOMMENDED:
        raise ValueError(f"There is no deduplication scheme {scheme!r}.")
    return render(RECOMMENDED[scheme], start=start, url=url, email=email, event_id=event_id)


def scheme_of(template: str) -> str:
    """Tell who shares a bot by what a template names: "none" (event id, e-mail), "domain", else "all"."""
    kinds = {token.kind for token in _tokens(template)}
    if kinds & {"event_id", "email"}:
        return "none"
    return "domain" if "domain" in kinds else "all"


def scope_text(*, scheme: str, template: str | None, key: str, email: str, identity: str) -> str:
    """Return the scope of an assignment: events with equal start, URL and scope share one bot.

    As found: what the template says, else the key itself, since events that share a key share the bot. What a scheme
    needs and an event lacks (no e-mail yet, no key yet) is replaced by the identity: it then shares with nobody.
    """
    if scheme == "as_found":
        if not template:
            return key or identity
        scheme = scheme_of(template)
    if scheme == "all":
        return ""
    return (domain_of(email) or identity) if scheme == "domain" else identity


def key_after_move(
    *,
    template: str | None,
    key: str,
    old_start: datetime,
    new_start: datetime,
    old_url: str,
    new_url: str,
    email: str,
    event_id: str,
) -> str | None:
    """Return the key of a meeting whose start or URL changed; None is a finding for staff.

    With a template, what it gives. Else the old start and the old URL are replaced inside the key, in the format in
    which they stand there. None when the old start cannot be found, when the new key would be the old one although
    the meeting changed (it would hold on to the bot of the old meeting), or when it would be longer than the provider
    takes.
    """
    if template:
        moved = _fill(template, start=new_start, url=new_url, email=email, event_id=event_id)
        return moved if len(moved) <= MAX_KEY else None
    pieces = key.split(old_url) if old_url else [key]  # digits inside the URL are not a start
    if new_start != old_start:
        found = _find_start(pieces, old_start)
        if found is None:
            return None
        pattern, form = found
        new = write_start(new_start, form)
        pieces = [pattern.sub(lambda _: new, piece) for piece in pieces]
    moved = new_url.join(pieces)
    if moved == key and (new_start, new_url) != (old_start, old_url):
        return None
    return moved if len(moved) <= MAX_KEY else None


def _find_start(pieces: Sequence[str], start: datetime) -> tuple[re.Pattern[str], str] | None:
    """Find in which format a start stands in a key: the longest that is not a part of a longer number or time."""
    written = {form: write_start(start, form) for form in START_FORMATS}
    for form in sorted(written, key=lambda form: len(written[form]), reverse=True):
        pattern = re.compile(rf"(?<!\d){re.escape(written[form])}(?!\d|[:.]\d)")
        if any(pattern.search(piece) for piece in pieces):
            return pattern, form
    return None


def infer_template(samples: Sequence[KeySample], *, share: float = 0.99) -> str | None:
    """Return the template that reproduces at least this share of the keys, or None.

    1. From a few samples, spread over all: locate start, URL, domain, e-mail and event id in the key, in every
       combination; what is left is literal. That gives the candidates.
    2. Test each on all samples; most give up early.
    3. Take the one that reproduces most; among equals the one with the fewest literal characters.

    Refused: a template that names neither URL nor event id (it would let different meetings share a bot), one too
    long to keep, and one whose letters and digits may be a part in disguise, such as the digest of the only URL seen:
    they count as constant only when start, URL, e-mail and event id all took several values beside them. In a
    workspace with one domain only, a literal cannot be told from something made of that domain.
    """
    if not samples:
        return None
    allowed = int(len(samples) * (1 - share) + 1e-9)
    few = samples[:: max(1, len(samples) // _FEW)]
    candidates = {candidate for sample in few for candidate in _candidates(sample)}
    best: tuple[int, int, str] | None = None
    for template in candidates:
        misses = _misses(template, samples, allowed=allowed)
        if misses is None:
            continue
        literals = "".join(token.text for token in _tokens(template) if token.kind == "literal")
        rank = (misses, len(literals), template)
        if (best is None or rank < best) and (not _says_something(literals) or _is_constant(template, samples)):
            best = rank
    return best[2] if best else None


def _candidates(sample: KeySample) -> Iterator[str]:
    """Yield the templates that give this one key and name what tells meetings apart."""
    values = {
        "url": sample.url,
        "domain": domain_of(sample.email),
        "email": sample.email,
        "event_id": sample.event_id,
    }
    present = [kind for kind in _PARTS if values[kind] and values[kind] in sample.key]
    starts = [(form, text) for form in START_FORMATS if (text := write_start(sample.start, form)) in sample.key]
    for count in range(1, len(present) + 1):
        for kinds in combinations(present, count):
            if not {"url", "event_id"} & set(kinds):
                continue
            parts = {values[kind]: _Token(kind) for kind in reversed(kinds)}
            for with_start in ({}, *({text: _Token("start", form)} for form, text in starts)):
                template = _text(_located(sample.key, {**with_start, **parts}))
                if len(template) <= MAX_TEMPLATE:
                    yield template


def _located(key: str, parts: dict[str, _Token]) -> list[_Token]:
    """Take a key apart into parts, longest first where they overlap, and literals."""
    longest_first = sorted(parts, key=len, reverse=True)
    pieces = re.split("(" + "|".join(re.escape(text) for text in longest_first) + ")", key)
    return [parts.get(piece) or _Token("literal", piece) for piece in pieces if piece]


def _gives(template: str, sample: KeySample) -> bool:
    key = _fill(template, start=sample.start, url=sample.url, email=sample.email, event_id=sample.event_id)
    return key == sample.key


def _misses(template: str, samples: Sequence[KeySample], *, allowed: int) -> int | None:
    """Count the keys that a template does not reproduce; None as soon as there are too many."""
    misses = 0
    for sample in samples:
        if not _gives(template, sample):
            misses += 1
            if misses > allowed:
                return None
    return misses


def _says_something(literals: str) -> bool:
    return any(character.isalnum() for character in literals)


def _is_constant(template: str, samples: Sequence[KeySample]) -> bool:
    """Tell whether the samples that a template reproduces differ in everything a literal could stand for."""
    given = [sample for sample in samples if _gives(template, sample)]
    return all(len({getattr(sample, name) for sample in given}) > 1 for name in ("start", "url", "email", "event_id"))
