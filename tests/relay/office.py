"""A company with teams that meet in working hours, whose own application schedules."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

from migrations_app.itineraries import Step
from migrations_app.models import Batch, Item
from recallops.sandbox.meetings import GOOGLE
from tests.relaying import Relaying

DOMAIN = "northwind.example"
SHORT = {"soak": timedelta(hours=1), "canary_wait": timedelta(minutes=10), "sweep_every": timedelta(minutes=30)}
SLACK = timedelta(minutes=70)  # from an edit to the meeting's start


def office(people: int, *, teams: int, seed: int = 1, days: int = 3, **options: Any) -> Relaying:
    """Return the company; everybody's meetings are to be recorded."""
    chance = random.Random(seed)
    emails = tuple(f"p{number:02}@{DOMAIN}" for number in range(people))
    stand = Relaying(people=emails, batches=0, room=16, seed=seed, **{**SHORT, **options})
    for day in range(days):
        for number in range(teams):
            team = emails[number::teams]
            hour = 24.0 * day + 2 + chance.randrange(16) / 2
            stand.want(stand.meet(f"team {number}", hour, *team, bot=False, url=link(stand)), *team)
            for email in team:
                hour = 24.0 * day + 2 + chance.randrange(18) / 2 + 0.25 * chance.randrange(2)
                own = stand.meet(f"own of {email}", hour, email, bot=False, minutes=25, url=link(stand))
                stand.want(own, email)
    return stand


def link(stand: Relaying) -> str:
    """Return a link that nobody has yet."""
    letters = "".join("abcdefghij"[int(digit)] for digit in f"{len(stand.world.meetings):07d}")
    return f"https://meet.google.com/{letters[:3]}-{letters[3:7]}-rec"


def edit_meanwhile(stand: Relaying, *, edits: int, span: timedelta, seed: int = 1) -> None:
    """Let people make, move, cancel, decline and share meetings at times of the coming span."""
    chance = random.Random(seed)
    for _ in range(edits):
        stand.world.at(stand.time.now() + span * chance.random(), lambda: _edit(stand, chance))


def _edit(stand: Relaying, chance: random.Random) -> None:
    now = stand.world.now().replace(second=0, microsecond=0)
    coming = [one for one in stand.world.meetings.values() if one.start > now + SLACK and not one.cancelled]
    start = now + SLACK + timedelta(minutes=15 * chance.randrange(100))
    act = chance.choice(("make", "make", "move", "move", "cancel", "decline"))
    if act == "make" or not coming:
        email = chance.choice(stand.people)
        account = stand.world.accounts[(GOOGLE, email)]
        meeting = stand.world.make_meeting(
            start=start,
            end=start + timedelta(minutes=30),
            accounts=[account],
            url=link(stand),
            wanted=False,
        )
        stand.want(meeting, email)
        return
    meeting = chance.choice(coming)
    emails = sorted(email for _, email in meeting.copies)
    if act == "move":
        stand.world.move(meeting, start)
    elif act == "cancel":
        stand.world.cancel(meeting)
    elif len(emails) > 1:
        stand.world.respond(meeting, emails[0], "declined")
        stand.want(meeting, emails[0], wanted=False)


def move(stand: Relaying, step: Step = Step.CLEAN_UP) -> Batch:
    """Make the batch, and run it to a step."""
    stand.batch = stand.new_batch("move")
    stand.allow(step, stand.batch)
    stand.run()
    stand.batch.refresh_from_db()
    return stand.batch


def statuses() -> set[str]:
    """Return the statuses of the calendars' items."""
    return set(Item.objects.filter(kind="connection").values_list("status", flat=True))
