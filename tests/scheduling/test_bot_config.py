"""A bot's configuration travels complete: nothing of what was set is lost, nothing of the old region stays."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calendars.scheduling.bot_config import WRITABLE, bound_parts, portable

OLD, NEW = "https://us-west-2.acme.test/hook", "https://eu-central-1.acme.test/hook"
BODY: dict[str, Any] = {
    "id": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
    "meeting_url": {"meeting_id": "abc-defg-hij", "platform": "google_meet"},
    "join_at": "2026-11-23T15:00:00Z",
    "calendar_meetings": [{"id": "1"}],
    "status_changes": [{"code": "ready"}],
    "recordings": [],
    "bot_name": "Notes",
    "recording_config": {
        "transcript": {"provider": {"meeting_captions": {}}},
        "retention": {"type": "timed", "hours": 0},
        "realtime_endpoints": [{"type": "webhook", "url": OLD, "events": ["transcript.data"]}],
        "include_bot_in_recording": {"audio": False},
    },
    "automatic_leave": {"waiting_room_timeout": 0},
    "google_meet": {"google_login_group_id": "group-us", "login_required": False},
    "variant": {"zoom": "web_4_core"},
    "zoom": None,
    "chat": {},
    "metadata": {"team": "sales", "number": "7"},
}


def copied(**rewrites: str) -> dict[str, Any]:
    return portable(BODY, rewrites={OLD: NEW, **rewrites})


def test_what_was_set_is_kept_and_what_is_read_only_is_not() -> None:
    assert set(copied()) == {
        "bot_name",
        "recording_config",
        "automatic_leave",
        "google_meet",
        "variant",
        "metadata",
    }


def test_false_and_zero_are_settings_too() -> None:
    config = copied()
    assert config["automatic_leave"] == {"waiting_room_timeout": 0}
    assert config["recording_config"]["retention"] == {"type": "timed", "hours": 0}
    assert config["recording_config"]["include_bot_in_recording"] == {"audio": False}
    assert config["google_meet"]["login_required"] is False


@pytest.mark.parametrize("name", WRITABLE)
def test_every_setting_that_a_bot_takes_is_copied(name: str) -> None:
    assert portable({name: {"a": 1}}, rewrites={}) == {name: {"a": 1}}


@pytest.mark.parametrize("nothing", [None, {}, []])
def test_what_was_never_set_is_not_sent(nothing: object) -> None:
    assert portable({"bot_name": "Notes", "zoom": nothing}, rewrites={}) == {"bot_name": "Notes"}


def test_addresses_of_the_old_region_become_those_of_the_new_one() -> None:
    (endpoint,) = copied()["recording_config"]["realtime_endpoints"]
    assert endpoint == {"type": "webhook", "url": NEW, "events": ["transcript.data"]}


def test_a_part_of_an_address_is_rewritten_within_it() -> None:
    config = portable({"metadata": {"hook": f"{OLD}?bot=1"}}, rewrites={"us-west-2": "eu-central-1"})
    assert config == {"metadata": {"hook": f"{NEW}?bot=1"}}


def test_a_login_group_becomes_its_partner_or_is_left_out() -> None:
    assert copied(**{"group-us": "group-eu"})["google_meet"]["google_login_group_id"] == "group-eu"
    assert copied()["google_meet"] == {"login_required": False}


def test_what_was_found_is_not_changed() -> None:
    before = deepcopy(BODY)
    copied()
    assert before == BODY


def test_what_is_bound_to_the_source_and_has_no_rewrite_is_named() -> None:
    assert bound_parts(BODY, rewrites={}, source_code="us-west-2") == {OLD, "login group group-us"}


def test_what_has_a_rewrite_is_not_named() -> None:
    assert bound_parts(BODY, rewrites={OLD: NEW, "group-us": "group-eu"}, source_code="us-west-2") == set()


def test_a_bot_without_anything_bound_has_nothing_to_name() -> None:
    assert bound_parts({"bot_name": "Notes"}, rewrites={}, source_code="us-west-2") == set()
    assert bound_parts({"google_meet": None, "recording_config": None}, rewrites={}, source_code="us-west-2") == set()


def test_a_very_long_address_is_named_shortly() -> None:
    body = {"recording_config": {"url": OLD + "x" * 5000}}
    (named,) = bound_parts(body, rewrites={}, source_code="us-west-2")
    assert len(named) == 200


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(st.fixed_dictionaries({}, optional={name: VALUES for name in WRITABLE if name != "google_meet"}))
def test_without_rewrites_nothing_that_was_set_changes(body: dict[str, Any]) -> None:
    assert portable(body, rewrites={}) == {name: value for name, value in body.items() if value not in (None, {}, [])}
