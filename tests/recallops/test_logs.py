"""Log lines: one for each event, forged by nobody, without secrets."""

from __future__ import annotations

import json
import logging
import sys
from urllib.parse import quote

import pytest
from django.conf import settings

from recallops.logs import MARK, JSONFormatter, TextFormatter, configuration

HOSTILE = "Standup\n2026-11-23 10:00:00 INFO    recallops: all is well\r\x1b[2J\u202egnp.exe\u2028\x00\ud800"


def record(message: str, *args: object, error: BaseException | None = None, **extra: object) -> logging.LogRecord:
    trace = (type(error), error, error.__traceback__) if error else None
    made = logging.LogRecord("recallops.test", logging.WARNING, __file__, 1, message, args, trace)
    made.__dict__.update(extra)
    return made


def raised(message: str) -> BaseException:
    try:
        raise ValueError(message)
    except ValueError as error:
        return error


def test_a_text_line_cannot_be_forged() -> None:
    line = TextFormatter().format(record("event %s was moved", HOSTILE))
    assert line.isprintable()
    assert "Standup\\n2026" in line


def test_a_traceback_cannot_forge_a_line_either() -> None:
    first, *rest = TextFormatter().format(record("failed", error=raised(HOSTILE))).split("\n")
    assert first.endswith("recallops.test: failed")
    assert rest
    for line in rest:
        assert line.startswith(MARK)
        assert line.isprintable()


def test_json_is_one_object_a_line() -> None:
    line = JSONFormatter().format(record("event %s", HOSTILE, error=raised(HOSTILE), batch="move-1", attempt=2))
    assert line.isascii()
    assert "\n" not in line
    event = json.loads(line)
    assert event["batch"] == "move-1"
    assert event["attempt"] == 2
    assert event["level"] == "WARNING"
    assert "ValueError" in event["traceback"]


def test_an_extra_that_is_no_plain_value_is_left_out() -> None:
    assert "request" not in json.loads(JSONFormatter().format(record("x", request=object())))


def test_an_extra_cannot_replace_what_the_line_says_of_itself() -> None:
    assert json.loads(JSONFormatter().format(record("x", level="DEBUG", time="never")))["level"] == "WARNING"


@pytest.mark.parametrize("formatter", [TextFormatter(), JSONFormatter()])
def test_secrets_are_hidden_in_messages_tracebacks_and_extras(formatter: logging.Formatter) -> None:
    secret = "whsec_c2VjcmV0LXNlY3JldA=="
    line = formatter.format(record("sent %s", {"x": secret}, error=raised(f"token={secret}"), header=secret))
    assert "c2VjcmV0" not in line
    assert "[hidden]" in line


def test_the_installations_own_keys_are_hidden_by_their_value() -> None:
    for secret in [settings.SECRET_KEY, *settings.ENCRYPTION_KEYS]:
        line = JSONFormatter().format(record(f"it is {secret}, or {quote(secret, safe='')}"))
        assert secret not in line
        assert line.count("[hidden]") == 2


def test_the_quiet_loggers_are_quiet() -> None:
    loggers = configuration(form="json", level="INFO")["loggers"]
    assert loggers["httpx"]["level"] == "WARNING"  # it would write every address with its query
    assert loggers["django-q"]["level"] == "WARNING"
    assert logging.getLogger("django-q").isEnabledFor(logging.WARNING)
    assert sys.stderr is not None
