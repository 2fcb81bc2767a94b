"""Every risk is a sentence with its number, and says what lessens it."""

from __future__ import annotations

from typing import Any

import pytest

from migrations_app.rehearsal_words import risks, span
from tests.rehearsal.results import result


def test_where_nothing_stood_out_only_the_longest_endpoint_is_named() -> None:
    assert [risk.sentence for risk in risks(result())] == [
        "GET /api/v1/bot/ in us-west-2 takes longest: 30 calls at 47 a minute, 1 minutes."
    ]


@pytest.mark.parametrize(
    ("changes", "level", "said"),
    [
        ({"held": {"missed": 1}}, "danger", "1 meeting was missed."),
        ({"held": {"doubled": 3}}, "danger", "3 meetings had two bots."),
        ({"stops": ["No key."]}, "danger", "The move stops for a person: No key."),
        ({"ended": "endless"}, "danger", "did not come to its end"),
        ({"errors": ["KeyError"]}, "danger", "errors of its own (KeyError)"),
        ({"items": {"user": 3}}, "warning", "3 calendars will wait for their users."),
        ({"items": {"failed": 1}}, "warning", "1 calendar cannot be moved."),
        ({"cut": {"late": 2}}, "warning", "2 meetings after the cut line are not handed over in time"),
        ({"cut": {"near": 12}}, "warning", "12 meetings start within 30 minutes after the cut line."),
        ({"cut": {"before": 4, "last_ends": 7000.0}}, "info", "the last is over 1 h 56 min after the beginning"),
        ({"refused": 5}, "warning", "5 calls were refused with 429."),
        ({"groups": {"mixed": 7}}, "warning", "7 meetings are shared with calendars that this batch does not move."),
        ({"groups": {"largest": [15]}}, "info", "The largest group with common meetings has 15 calendars."),
        ({"made_of": {"share": 0.05, "limits_share": 0.1}}, "info", "5.0 % of the calendars, with 10.0 % of the"),
    ],
)
def test_a_risk_is_a_sentence_with_its_number(changes: dict[str, Any], level: str, said: str) -> None:
    found = [risk for risk in risks(result(**changes)) if said in risk.sentence]
    assert [risk.level for risk in found] == [level]


def test_an_endpoint_that_takes_half_an_hour_is_a_warning() -> None:
    slow = [{"role": "target", "endpoint": "POST /x/", "calls": 900, "pace": 20.0, "minutes": 45.0}]
    assert risks(result(slowest=slow))[0].level == "warning"


def test_the_worst_comes_first() -> None:
    found = risks(result(items={"user": 1}, held={"missed": 1}))
    assert [risk.level for risk in found] == ["danger", "warning", "info"]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59.4, "59 s"), (60, "1 min"), (5400, "1 h 30 min"), (95_400, "26 h 30 min"), (180_000, "2 d 2 h")],
)
def test_a_span_is_said_as_people_say_it(seconds: float, said: str) -> None:
    assert span(seconds) == said
