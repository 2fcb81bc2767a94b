"""Who has the batches before them: presses what the scenario says, and "retry failed" whenever something stopped."""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import connection

from calendars.models import ApiKey
from calendars.providers import connect
from migrations_app import control
from migrations_app.itineraries import Step
from migrations_app.models import Batch
from tests.harness import SOURCE
from tests.simulation.happenings import key_replaced

if TYPE_CHECKING:
    from tests.simulation.play import Play
    from tests.simulation.scenario import Act

PRESSED_AGAIN = timedelta(minutes=4)  # so long they wait between two presses of "retry failed"
PRESSES = 40
# By hand, since they look at every turn of every play.
IN_TROUBLE = """
SELECT slug FROM migrations_app_batch AS batch WHERE closed_at IS NULL AND (status = 'stopped' OR EXISTS (
    SELECT FROM migrations_app_item WHERE batch_id = batch.id AND status IN ('failed', 'user')))
ORDER BY slug
"""


class Staff:
    """The people who run a play's batches."""

    def __init__(self, play: Play) -> None:
        self.play = play

    def next_act(self) -> datetime | None:
        """Return when the next act of the scenario is; None when all are done."""
        acts, acted = self.play.scenario.acts, self.play.course.acted
        return self.play.start + timedelta(minutes=acts[acted].at) if acted < len(acts) else None

    def look(self) -> bool:
        """Look at the batches, and press what is to be pressed; return whether anything was."""
        play, course = self.play, self.play.course
        told = len(course.told)
        while (due := self.next_act()) is not None and due <= play.time.at:
            course.acted += 1
            self.press(play.scenario.acts[course.acted - 1])
        if course.pressed_at is not None and play.time.at < course.pressed_at + PRESSED_AGAIN:
            return len(course.told) > told
        for slug in self._in_trouble():
            batch = Batch.objects.get(slug=slug)
            course.pressed += 1
            course.pressed_at = play.time.at
            course.told.append(f"{play.time.at:%H:%M:%S} retry: {batch.reason}")
            if course.pressed > PRESSES:
                course.stuck = f"staff give up: {batch.reason}"
            with contextlib.suppress(control.Refused):
                control.retry_failed(batch, actor=None)
        return len(course.told) > told

    @staticmethod
    def _in_trouble() -> list[str]:
        """Return the batches that stopped, or of which calendars failed or wait for their user."""
        with connection.cursor() as cursor:
            cursor.execute(IN_TROUBLE)
            return [slug for (slug,) in cursor.fetchall()]

    def press(self, act: Act) -> None:
        """Press a button."""
        said = f"{self.play.time.at:%H:%M:%S} {act.what} {act.to}"
        try:
            ACTS[act.what](self.play, act)
        except control.Refused as refused:
            said = f"{said} refused: {refused}"
        self.play.course.told.append(said)


def batch_of(play: Play, act: Act) -> Batch:
    """Return the batch that an act is about."""
    return Batch.objects.get(slug=play.batch_slugs[act.batch % len(play.batch_slugs)])


def _allow(play: Play, act: Act) -> None:
    play.allow(Step(act.to), batch_of(play, act))


def _cut(play: Play, act: Act) -> None:
    control.set_cut_line(batch_of(play, act), play.start + timedelta(minutes=act.to), actor=None)


def _new_key(play: Play, act: Act) -> None:
    """Staff enter a new key in place of the one that was revoked."""
    workspace = play.source if act.to == SOURCE else play.target
    there = play.world.regions[act.to].workspaces["main"]
    ApiKey.objects.filter(workspace=workspace).update(enabled=False)
    fresh = ApiKey.objects.create(workspace=workspace, label="new", secret=there.add_key())
    connect.test_key(fresh)
    key_replaced(play.happenings.history, act.to, play.world.now())


def _go_back(play: Play, act: Act) -> None:
    batch = batch_of(play, act)
    control.go_back(batch, actor=None, confirm=batch.slug)
    play.course.gone_back.add(batch.slug)


ACTS: dict[str, Any] = {
    "go_back": _go_back,
    "allow": _allow,
    "pause": lambda play, act: control.set_paused(batch_of(play, act), True, actor=None, reason="a look"),
    "resume": lambda play, act: control.set_paused(batch_of(play, act), False, actor=None),
    "cut": _cut,
    "retry": lambda play, act: control.retry_failed(batch_of(play, act), actor=None),
    "new_key": _new_key,
}
