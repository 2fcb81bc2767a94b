"""The time of a move as an iCalendar file (RFC 5545)."""

from __future__ import annotations

from datetime import UTC, datetime

LONGEST_LINE = 75  # octets, the line break not counted


def calendar_file(
    *, identity: str, revision: int, start: datetime, end: datetime, made_at: datetime, title: str, text: str
) -> bytes:
    """Return one event that blocks nobody's time.

    `identity` is the same for the same event, and `revision` rises whenever its time was changed: so it is replaced.
    """
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//RecallOps//status//EN",
        "BEGIN:VEVENT",
        f"UID:{identity}",
        f"SEQUENCE:{revision}",
        f"DTSTAMP:{_moment(made_at)}",
        f"DTSTART:{_moment(start)}",
        f"DTEND:{_moment(end)}",
        f"SUMMARY:{_text(title)}",
        f"DESCRIPTION:{_text(text)}",
        "TRANSP:TRANSPARENT",
        "END:VEVENT",
        "END:VCALENDAR",
    ]
    return b"".join(_folded(line) + b"\r\n" for line in lines)


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _text(text: str) -> str:
    for plain, escaped in (("\\", "\\\\"), (";", "\\;"), (",", "\\,"), ("\r", ""), ("\n", "\\n")):
        text = text.replace(plain, escaped)
    return text


def _folded(line: str) -> bytes:
    """Return a line broken where it is too long, never within a letter."""
    parts: list[bytes] = []
    part = b""
    for letter in line:
        if len(part) + len(letter.encode()) > LONGEST_LINE - bool(parts):
            parts.append(part)
            part = b""
        part += letter.encode()
    return b"\r\n ".join([*parts, part])
