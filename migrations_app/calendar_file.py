"""Reads a file of calendars, line by line, as people export it: CSV with addresses or the provider's ids.

Each line stands for itself: a quotation mark that is never closed spoils its own line, not the rest of the file. What
a line is wrong about is said, never guessed. Pure: no ORM.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _

MOST_BYTES = 10 * 1024 * 1024
MOST_LINES = 150_000
LONGEST_LINE = 2_000  # characters
LONGEST_TEXT = 400  # of what is kept of a cell

TOO_BIG = _("The file has more than {most} megabytes. Split it, and make a batch of each part.")
TOO_LONG = _("The file has more than {most} lines. Split it, and make a batch of each part.")
EMPTY = _("There is no address and no id in this file. It wants one calendar a line, its e-mail address first.")
A_WORKBOOK = _("This is a workbook, not a CSV file. Save it as “CSV UTF-8” and upload that.")
UTF_16 = _("This file is in UTF-16. Save it as “CSV UTF-8” and upload that.")

PLATFORMS = {
    "google": "google_calendar",
    "google_calendar": "google_calendar",
    "gmail": "google_calendar",
    "microsoft": "microsoft_outlook",
    "microsoft_outlook": "microsoft_outlook",
    "outlook": "microsoft_outlook",
}
CALENDAR_HEADINGS = ("email", "e-mail", "mail", "address", "calendar", "calendar_id", "remote_id", "id")
PLATFORM_HEADINGS = ("platform", "provider", "type")

_LINE_END = re.compile(r"\r\n|\n|\r")
_ADDRESS = re.compile(r"[^@\s,;:\"<>()\x00-\x1f\x7f]{1,200}@[^@\s,;:\"<>()\x00-\x1f\x7f]{1,200}")
_REMOTE_ID = re.compile(r"[0-9A-Za-z_-]{6,80}")


class Unreadable(Exception):
    """The file as a whole cannot be taken; the sentence says what to do."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file. `text` is its cell as it was; neither address nor id: it names no calendar."""

    number: int
    text: str
    address: str = ""
    remote_id: str = ""
    platform: str = ""

    @property
    def names_one(self) -> bool:
        """Tell whether it can be looked up."""
        return bool(self.address or self.remote_id)


@dataclass(frozen=True, slots=True)
class CalendarFile:
    """A file that can be read. `encoding` is how it was read, for its owner to see."""

    encoding: str
    lines: list[str]
    delimiter: str

    def __iter__(self) -> Iterator[Line]:
        """Read line after line; empty ones and the headings are passed over."""
        calendar, platform, first = 0, 1, True
        for number, raw in enumerate(self.lines, start=1):
            cells = _cells(raw, self.delimiter)
            if not any(cells):
                continue
            if first and (headings := _headings(cells)):
                calendar, platform = headings
                first = False
                continue
            first = False
            text = cells[calendar] if calendar < len(cells) else ""
            said = cells[platform] if 0 <= platform < len(cells) else ""
            yield line_of(number, text or raw.strip(), said, whole=len(raw) <= LONGEST_LINE)


def open_file(content: bytes) -> CalendarFile:
    """Return a file's lines. Raises Unreadable."""
    if len(content) > MOST_BYTES:
        raise Unreadable(str(TOO_BIG).format(most=MOST_BYTES // 1024**2))
    if content[:2] == b"PK":
        raise Unreadable(str(A_WORKBOOK))
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise Unreadable(str(UTF_16))
    text, encoding = _decoded(content)
    lines = _LINE_END.split(text)
    if len(lines) > MOST_LINES + 1:
        raise Unreadable(str(TOO_LONG).format(most=MOST_LINES))
    found = CalendarFile(encoding, lines, _delimiter(lines))
    if next(iter(found), None) is None:
        raise Unreadable(str(EMPTY))
    return found


def line_of(number: int, text: str, platform: str = "", *, whole: bool = True) -> Line:
    """Return what one cell, and the platform beside it, name; nothing when either makes no sense."""
    kept = "".join(sign if sign.isprintable() else "\ufffd" for sign in text[:LONGEST_TEXT])
    known = PLATFORMS.get(platform.strip().lower(), "")
    if not whole or len(text) > LONGEST_TEXT or (platform.strip() and not known):
        return Line(number, kept)
    if _ADDRESS.fullmatch(text) and len(text) <= 320:
        return Line(number, kept, address=text.lower(), platform=known)
    if _REMOTE_ID.fullmatch(text):
        return Line(number, kept, remote_id=text, platform=known)
    return Line(number, kept)


def _decoded(content: bytes) -> tuple[str, str]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1"), "Latin-1"
    return text, "UTF-8"


def _delimiter(lines: list[str]) -> str:
    """Return what stands between cells in the first line that has any: spreadsheets differ by country."""
    head = next((line for line in lines if line.strip()), "")
    return max(",;\t", key=head.count)


def _cells(raw: str, delimiter: str) -> list[str]:
    if len(raw) > LONGEST_LINE:
        return [raw[: LONGEST_TEXT + 1]]
    try:
        cells = next(csv.reader([raw], delimiter=delimiter), [])
    except csv.Error:
        return [raw]
    return [cell.strip() for cell in cells]


def _headings(cells: list[str]) -> tuple[int, int] | None:
    """Return the columns of calendar and platform when this line is one of headings."""
    names = [cell.lower().replace(" ", "_") for cell in cells]
    calendar = next((names.index(name) for name in CALENDAR_HEADINGS if name in names), None)
    if calendar is None:
        return None
    return calendar, next((names.index(name) for name in PLATFORM_HEADINGS if name in names), -1)
