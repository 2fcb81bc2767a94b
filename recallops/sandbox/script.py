"""The world changes while a move runs: a seeded list of timed changes in the accounts.

Meetings are made (and somebody asks for a bot in the source), moved, moved away and back, cancelled, declined,
retitled, given another link, shared with a colleague. Which meeting it hits is chosen when the time comes, from those
that somebody wants recorded; one that starts within `keep_away`, before or after the change, is never touched.

What is wanted follows the policy *as found*: what had a bot in the source stays wanted, also at a new start or link,
until it is cancelled or deleted.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from recallops.sandbox.changes import Changes
from recallops.sandbox.company import place
from recallops.sandbox.messages import iso

if TYPE_CHECKING:
    from collections.abc import Callable

    from recallops.sandbox.meetings import Meeting
    from recallops.sandbox.world import World

KEEP_AWAY = timedelta(hours=3)

# How often each kind of change comes. Everyone comes once, as far as there are enough changes.
WEIGHTS = {
    "made": 6,
    "moved_later": 3,
    "moved_earlier": 3,
    "moved_a_little": 2,
    "moved_and_back": 3,
    "cancelled": 3,
    "declined_google": 2,
    "declined_outlook": 2,
    "retitled": 2,
    "relinked": 2,
    "shared": 2,
}


@dataclass(frozen=True, slots=True)
class Happened:
    """One change that was made, or could not be made and why."""

    at: str | None
    kind: str
    meeting: str
    title: str
    what: str


class Script(Changes):
    """The changes to come and those that have been made. Lives in `world.notes["script"]` and is saved with it."""

    def __init__(
        self, world: World, *, region: str, workspace: str, hours: float, changes: int, seed: int, keep_away: timedelta
    ) -> None:
        self.world = world
        self.region = region
        self.workspace = workspace
        self.keep_away = keep_away
        self.rng = random.Random(seed)
        self.started_at = world.now()
        self.ends_at = self.started_at + timedelta(hours=hours)
        self.happened: list[Happened] = []
        self.pending: dict[int, tuple[datetime, str]] = {}
        self._timers: dict[int, int] = {}
        self._planned = 0
        self.reserved = set()
        kinds = self.rng.sample(sorted(WEIGHTS), min(changes, len(WEIGHTS)))
        kinds += self.rng.choices(list(WEIGHTS), list(WEIGHTS.values()), k=changes - len(kinds))
        self.rng.shuffle(kinds)
        for kind in kinds:
            self.plan(self.started_at + timedelta(hours=self.rng.uniform(0.01, 1.0) * hours), kind)

    # --- the timetable ------------------------------------------------------------------------------------------

    def next_change(self) -> datetime | None:
        """Return when the next change is due, or None when all is done."""
        return min((when for when, _ in self.pending.values()), default=None)

    def stop(self) -> None:
        """Change nothing more."""
        for timer in self._timers.values():
            self.world.timers.cancel(timer)
        self.pending.clear()
        self._timers.clear()

    def state(self) -> dict[str, Any]:
        """Return what was done and what is left."""
        return {
            "running": bool(self.pending),
            "started_at": iso(self.started_at),
            "ends_at": iso(self.ends_at),
            "done": len(self.happened),
            "left": len(self.pending),
            "next": iso(self.next_change()),
            "counts": dict(sorted(Counter(item.kind for item in self.happened).items())),
            "happened": [asdict(item) for item in self.happened],
        }

    def plan(self, when: datetime, kind: str, *details: Any) -> None:
        """Put a change on the timetable."""
        self._planned += 1
        self.pending[self._planned] = (when, kind)
        self._timers[self._planned] = self.world.at(when, self._run, self._planned, kind, *details)

    def _run(self, number: int, kind: str, *details: Any) -> None:
        del self.pending[number], self._timers[number]
        changes: dict[str, Callable[..., None]] = {
            "made": self.make,
            "asked": self.ask,
            "moved_later": self.move_later,
            "moved_earlier": self.move_earlier,
            "moved_a_little": self.move_a_little,
            "moved_and_back": self.move_away,
            "moved_back": self.move_back,
            "cancelled": self.cancel,
            "declined_google": self.decline_google,
            "declined_outlook": self.decline_outlook,
            "retitled": self.retitle,
            "relinked": self.relink,
            "shared": self.share,
        }
        changes[kind](*details)

    def note(self, kind: str, meeting: Meeting | None, what: str) -> None:
        """Write down what was done, or why not."""
        named = (meeting.id, meeting.title) if meeting is not None else ("", "")
        self.happened.append(Happened(iso(self.world.now()), kind, *named, what))


# --- from outside -----------------------------------------------------------------------------------------------------


def start(
    world: World,
    *,
    region: str,
    workspace: str,
    hours: float = 6,
    changes: int = 60,
    seed: int = 0,
    keep_away: timedelta = KEEP_AWAY,
) -> Script:
    """Let the world change over the coming hours. The source workspace is where people still ask for bots."""
    place(world, region, workspace)
    running = world.notes.get("script")
    if isinstance(running, Script) and running.pending:
        raise ValueError("A script is running already; stop it first.")
    script = Script(
        world, region=region, workspace=workspace, hours=hours, changes=changes, seed=seed, keep_away=keep_away
    )
    world.notes["script"] = script
    return script


def next_change(world: World) -> datetime | None:
    """Return when the script changes something next; None when there is nothing to come."""
    script = world.notes.get("script")
    return script.next_change() if isinstance(script, Script) else None


def control_start(world: World, wishes: dict[str, Any]) -> dict[str, Any]:
    """Handle the control command `script/start` {region, workspace, hours?, changes?, seed?, keep_away?: hours}."""
    options: dict[str, Any] = {"region": wishes["region"], "workspace": wishes["workspace"]}
    kinds: dict[str, Callable[[Any], Any]] = {"hours": float, "changes": int, "seed": int}
    options |= {name: kind(wishes[name]) for name, kind in kinds.items() if name in wishes}
    if "keep_away" in wishes:
        options["keep_away"] = timedelta(hours=float(wishes["keep_away"]))
    return start(world, **options).state()


def control_stop(world: World, _: dict[str, Any]) -> dict[str, Any]:
    """Handle the control command `script/stop`."""
    script = world.notes.get("script")
    if isinstance(script, Script):
        script.stop()
    return control_state(world, {})


def control_state(world: World, _: dict[str, Any]) -> dict[str, Any]:
    """Handle the control command `script/state`."""
    script = world.notes.get("script")
    return script.state() if isinstance(script, Script) else {"running": False, "done": 0, "left": 0, "next": None}
