"""Logs: one line an event, for people or as JSON; without secrets, and safe from what is written into them.

Texts of providers and of calendars are hostile: a line break in one would forge a line, a direction mark would turn one
round. So control characters are written as escapes, and the lines of a traceback are marked as such.
"""

from __future__ import annotations

import json
import logging
import unicodedata
from datetime import UTC, datetime
from typing import Any

from recallops.redaction import redact

_OWN = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
MARK = "    | "
LONGEST = 20_000


def configuration(*, form: str, level: str) -> dict[str, Any]:
    """Return the LOGGING setting: everything to standard error, in one form ("text" or "json")."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "text": {"()": "recallops.logs.TextFormatter"},
            "json": {"()": "recallops.logs.JSONFormatter"},
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": form}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "django": {"level": level},
            "django.server": {"level": level},
            # One line a task and one a request would bury the rest; both are in the database.
            "django_q": {"level": "DEBUG" if level == "DEBUG" else "WARNING"},
            "django-q": {"level": "DEBUG" if level == "DEBUG" else "WARNING"},
            "httpx": {"level": "WARNING"},
            "httpcore": {"level": "WARNING"},
        },
    }


def one_line(text: str) -> str:
    """Return a text in which no character breaks a line, moves the cursor or turns the direction of writing."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(character) for character in text)


class TextFormatter(logging.Formatter):
    """For people: time, level, logger, message; a traceback below, its lines marked."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = f"{_moment(record):%Y-%m-%d %H:%M:%S} {record.levelname:<7} {record.name}: {_message(record)}"
        trace = _traceback(self, record)
        return "\n".join([line, *(MARK + one_line(each) for each in trace.splitlines())])


class JSONFormatter(logging.Formatter):
    """For machines: one JSON object a line, with the plain values that were given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        extra = {key: value for key, value in vars(record).items() if key not in _OWN and _plain(value)}
        event = {
            **{key: redact(value) if isinstance(value, str) else value for key, value in extra.items()},
            "time": _moment(record).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
            "process": record.process,
        }
        trace = _traceback(self, record)
        if trace:
            event["traceback"] = trace
        return json.dumps(event)


def _moment(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _message(record: logging.LogRecord) -> str:
    return one_line(redact(record.getMessage()[:LONGEST]))


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info and record.exc_info[0] is not None:
        parts.append(formatter.formatException(record.exc_info))
    elif record.exc_text:
        parts.append(record.exc_text)
    if record.stack_info:
        parts.append(record.stack_info)
    return redact("\n".join(parts))


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def _escaped(character: str) -> str:
    if unicodedata.category(character) not in _INVISIBLE:
        return character
    return character.encode("unicode_escape").decode("ascii")
