"""What a reading says of a write: late enough, done or not, and whether an event without the bot proves anything."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from calendars.scheduling.settling import answered, happened, must_name_bot, too_late_to_be_sure
from calendars.scheduling.values import BotEntry, Member, OpenIntent, Purpose
from tests.scheduling.worlds import FAR, INSTANT, NUMBERS, OTHER_ROOM, SOURCE, START, F, L, Meeting, bot

SENT = START - FAR
ADD = OpenIntent(purpose=Purpose.ADD, event=11, bot_id="", sent_at=SENT)
REMOVE = OpenIntent(purpose=Purpose.REMOVE, event=11, bot_id="s", sent_at=SENT)


def member(*bots: BotEntry, **changes: object) -> Member:
    return Meeting().shows(SOURCE, *bots, **changes).members[SOURCE][0]  # type: ignore[arg-type]


@pytest.mark.parametrize(("sent", "after"), [(ADD, L), (replace(ADD, answered_at=SENT), timedelta(0))])
def test_only_a_reading_that_began_late_enough_answers_a_write(sent: OpenIntent, after: timedelta) -> None:
    for more, expected in ((timedelta(0), False), (INSTANT, True)):
        read = member(age=FAR)  # its time is set below
        read = replace(read, read_at=SENT + after + more)
        assert answered(sent, read, now=START, numbers=NUMBERS) is expected
        assert answered(sent, None, now=SENT + after + more, numbers=NUMBERS) is expected


def test_an_add_happened_when_a_bot_that_fits_is_there_and_a_removal_when_its_bot_is_not() -> None:
    row = Meeting().shows(SOURCE).row()

    def done(sent: OpenIntent, one: Member | None) -> bool:
        return happened(sent, one, row, now=SENT, numbers=NUMBERS)

    assert done(ADD, member(bot("other")))
    assert not done(ADD, member(bot("s", url=OTHER_ROOM)))
    assert not done(ADD, None)
    assert done(REMOVE, member(bot("other")))
    assert not done(REMOVE, member(bot("s")))
    assert done(REMOVE, None)


@pytest.mark.parametrize(("away", "late"), [(F + INSTANT, False), (F, True), (INSTANT, True), (timedelta(0), False)])
def test_a_removal_in_the_freeze_is_not_proven_by_its_event(away: timedelta, late: bool) -> None:
    row = Meeting().shows(SOURCE).row()
    assert too_late_to_be_sure(replace(REMOVE, sent_at=START - away), row, NUMBERS) is late
    assert not too_late_to_be_sure(replace(ADD, sent_at=START - away), row, NUMBERS)


def test_a_bot_is_removed_by_its_own_id_where_the_event_would_lose_another_or_is_gone() -> None:
    assert not must_name_bot(member(bot("s")), ["s"])
    assert not must_name_bot(member(bot("s"), bot("old", terminal=True)), ["s"])
    assert must_name_bot(member(bot("s"), bot("stays")), ["s"])
    assert must_name_bot(member(bot("s"), connected=False), ["s"])
    assert must_name_bot(None, ["s"])
