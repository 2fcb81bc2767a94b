"""The control API: what a demo may do to a world."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from recallops.clock import FileClock, ManualClock
from recallops.sandbox.control import Control
from recallops.sandbox.messages import Request
from recallops.sandbox.world import World
from tests.sandbox.conftest import CLIENT, NOON, ROOM

if TYPE_CHECKING:
    from tests.sandbox.conftest import Stage

GOOGLE_ALICE = {"platform": "google_calendar", "email": "alice@acme.example"}


class Panel:
    def __init__(self, stage: Stage, **options: Any) -> None:
        self.control = Control(stage.world, **options)

    def send(self, command: str, **given: Any) -> tuple[int, Any]:
        body = json.dumps(given).encode() if given else b""
        answer = self.control.handle(Request("POST" if given else "GET", f"/{command}", body=body))
        return answer.status, json.loads(answer.body)

    def do(self, command: str, **given: Any) -> Any:
        status, value = self.send(command, **given)
        assert status == 200, value
        return value


@pytest.fixture
def panel(stage: Stage) -> Panel:
    return Panel(stage)


def test_state_shows_regions_keys_and_secrets(stage: Stage, panel: Panel) -> None:
    state = panel.do("state")
    workspace = state["regions"]["us-west-2"]["workspaces"]["acme"]
    assert workspace["api_keys"] == stage.us.api_keys
    assert workspace["webhook_secret"] == stage.us.webhook_secret
    assert (state["now"], state["accounts"], state["meetings"]) == ("2026-01-05T12:00:00Z", 3, 0)


def test_workspaces_keys_and_endpoints_are_made(stage: Stage, panel: Panel) -> None:
    made = panel.do("workspace", region="us-west-2", slug="new", rate_factor=2, limits={"GET /api/v1/bot/": 5})
    assert made["limits"]["GET /api/v1/bot/"] == 10
    where = {"region": "us-west-2", "workspace": "new"}
    key = panel.do("key", **where)["key"]
    new = stage.world.regions["us-west-2"].workspaces["new"]
    assert key in new.api_keys
    panel.do("revoke-key", **where, key=key)
    assert key not in new.api_keys
    secret = panel.do("endpoint", **where, url="https://hooks.example/")["secret"]
    panel.do("endpoint", **where, url="https://hooks.example/", events=["calendar.update"])
    assert [(one.url, one.events) for one in new.endpoints] == [("https://hooks.example/", ("calendar.update",))]
    assert secret == made["webhook_secret"]


def test_the_life_of_a_meeting(stage: Stage, panel: Panel) -> None:
    panel.do("account", platform="microsoft_outlook", email="olga@acme.example", name="Olga")
    olga = ["microsoft_outlook", "olga@acme.example"]
    made = panel.do(
        "meeting",
        start="2026-01-06T12:00:00Z",
        end="2026-01-06T13:00:00Z",
        accounts=[["google_calendar", "alice@acme.example"], olga],
        url=ROOM,
        scope="acme.example",
    )
    meeting = stage.world.meetings[made["id"]]
    assert meeting.expected_scopes() == {"acme.example"}
    panel.do("meeting/move", id=meeting.id, start="2026-01-07T12:00:00Z")
    assert meeting.end == NOON + timedelta(days=2, hours=1)
    panel.do("meeting/respond", id=meeting.id, email="olga@acme.example", response="declined")
    panel.do("meeting/url", id=meeting.id, url=None)
    panel.do("meeting/retitle", id=meeting.id, title="New")
    panel.do("meeting/remove", id=meeting.id, platform=olga[0], email=olga[1])
    panel.do("meeting/add", id=meeting.id, platform=olga[0], email=olga[1], wanted=False)
    panel.do("meeting/want", id=meeting.id, wanted=False, **GOOGLE_ALICE)
    (shown,) = panel.do("meetings", after="2026-01-07T00:00:00Z")["meetings"]
    assert (shown["title"], shown["url"], len(shown["copies"])) == ("New", None, 2)
    assert meeting.attendees["olga@acme.example"] == "declined"
    assert meeting.expected_scopes() == set()
    panel.do("meeting/cancel", id=meeting.id)
    assert meeting.cancelled
    assert panel.do("meetings", before="2026-01-07T00:00:00Z") == {"meetings": []}


def test_grants_calendars_and_revocation(stage: Stage, panel: Panel) -> None:
    panel.do("client", platform="google_calendar", client_id="c2", secret="s2")
    token = panel.do("account", **GOOGLE_ALICE, client_id="c2")["token"]
    where = {"region": "us-west-2", "workspace": "acme"}
    made = panel.do("calendar", **where, **GOOGLE_ALICE, client_id="c2", client_secret="s2", token=token)
    assert stage.us.calendars[made["id"]].status == "connected"
    panel.do("revoke", token=token)
    stage.later(minutes=1)
    assert stage.us.calendars[made["id"]].status == "disconnected"
    panel.do("revoke", **GOOGLE_ALICE)


def test_attendance_log_and_counts_can_be_followed(stage: Stage, panel: Panel) -> None:
    _, (event_id,) = stage.ready()
    stage.add_bot(event_id)
    stage.later(days=2)
    seen = panel.do("attendance")
    assert (seen["total"], seen["attendance"][0]["joined_at"]) == (1, "2026-01-06T12:00:10Z")
    assert panel.do("attendance", since=1)["attendance"] == []
    assert panel.do("log")["calls"][0]["endpoint"] == "POST /api/v2/calendar-events/{id}/bot/"
    assert panel.do("counts", region="us-west-2")["by_status"] == {"200": 1}
    assert panel.do("counts", region="eu-central-1")["by_endpoint"] == {}


def test_faults_switches_and_lies(stage: Stage, panel: Panel) -> None:
    number = panel.do("faults/add", kind="status", status=500)["number"]
    assert panel.do("faults")["faults"][str(number)]["status"] == 500
    panel.do("faults/clear", number=number)
    assert panel.do("faults") == {"faults": {}}
    assert panel.do("switches/set", adhoc_507=0.5)["adhoc_507"] == 0.5
    assert panel.do("switches")["adhoc_507"] == 0.5
    _, (event_id,) = stage.ready()
    entry = stage.add_bot(event_id).json()["bots"][0]
    panel.do("lie/drop-bot", region="us-west-2", workspace="acme", bot_id=entry["bot_id"])
    assert stage.us.bots == {}


@pytest.mark.parametrize(
    ("command", "given", "says"),
    [
        ("nothing", {}, "no such command"),
        ("account", {"platform": "google_calendar"}, "email is missing"),
        ("meeting/move", {"id": "x", "start": "2026-01-06T12:00:00Z"}, "there is no 'x'"),
        ("workspace", {"region": "mars", "slug": "x"}, "there is no 'mars'"),
        ("faults/add", {"kind": "flood"}, "no such fault"),
        ("switches/set", {"colour": 1}, "no such switch"),
        ("save", {}, "without a state file"),
        ("clock/speed", {"speed": 3}, "this clock cannot be set"),
    ],
)
def test_mistakes_get_a_sentence(panel: Panel, command: str, given: dict[str, Any], says: str) -> None:
    status, value = panel.send(command, **given)
    assert status in (400, 404)
    assert says in value["error"]


def test_a_body_that_is_no_object_gets_a_sentence(panel: Panel) -> None:
    for body in (b"[1]", b"{nope"):
        assert panel.control.handle(Request("POST", "/state", body=body)).status == 400


def test_the_clock_is_read_jumped_frozen_and_sped_up(tmp_path: Path) -> None:
    clock = FileClock(tmp_path / "clock")
    clock.set(at=NOON, speed=0)
    world = World(clock, seed=1)
    control = Control(world)
    world.after(90, world.new_id)

    def do(command: str, **given: Any) -> Any:
        answer = control.handle(Request("POST", f"/{command}", body=json.dumps(given).encode()))
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    assert do("clock") == {"now": "2026-01-05T12:00:00Z", "speed": 0.0, "next_timer": "2026-01-05T12:01:30Z"}
    assert do("next-timer")["next_timer"] == "2026-01-05T12:01:30Z"
    assert do("clock/jump", to="next")["next_timer"] is None
    assert clock.now() == NOON + timedelta(seconds=90)
    assert do("clock/jump", to="2026-01-06T00:00:00Z")["now"] == "2026-01-06T00:00:00Z"
    assert do("clock/speed", speed=60)["speed"] == 60.0
    assert do("clock/freeze")["speed"] == 0.0
    frozen = clock.now()
    assert frozen == clock.now() >= datetime.fromisoformat("2026-01-06T00:00:00Z")


def test_save_writes_the_state_file(stage: Stage, tmp_path: Path) -> None:
    panel = Panel(stage, state_file=tmp_path / "state")
    assert panel.do("save") == {"saved": True}
    assert World.load(tmp_path / "state", ManualClock(NOON)).regions["us-west-2"].workspaces["acme"].api_keys


def test_commands_can_be_added(stage: Stage) -> None:
    panel = Panel(stage, handlers={"fill": lambda world, given: {"seed": world.seed, "size": given["size"]}})
    panel.control.register("nothing", lambda world, given: None)
    assert panel.do("fill", size=3) == {"seed": 7, "size": 3}
    assert panel.do("nothing") == {}


def test_arguments_may_come_in_the_query(stage: Stage, panel: Panel) -> None:
    stage.world.grant(stage.alice, CLIENT)
    answer = panel.control.handle(Request("GET", "/meetings", "after=2026-01-06T00:00:00Z"))
    assert json.loads(answer.body) == {"meetings": []}
