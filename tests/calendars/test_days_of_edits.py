"""Days of edits in a workspace that RecallOps schedules: every wanted meeting is held by exactly one bot."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import pytest

from recallops.sandbox.meetings import GOOGLE
from tests.standing import OUTSIDER, Stand

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)
SOON, LATER = timedelta(minutes=8), timedelta(hours=24)
REMOVABLE = timedelta(minutes=45)  # a bot nearer to its start than this is not asked to be somewhere else
EMAILS = tuple(f"{name}@{domain}.example" for domain in ("northwind", "southwind") for name in ("ada", "ben", "cat"))
EDITS = 36  # a day


class Edits:
    """Edits at random; the proof is told what the policy (external meetings, nobody who declined) makes of each."""

    def __init__(self, stand: Stand, seed: int) -> None:
        self.stand, self.chance = stand, random.Random(seed)
        self.links = 0

    def edit(self) -> None:
        """Do one thing that people do."""
        coming = [one for one in self.stand.world.meetings.values() if self._is_free(one)]
        act = self.chance.choice(
            (self.make, self.make, self.move, self.move, self.cancel, self.answer, self.relink, self.share)
        )
        if act == self.make or not coming:
            self.judge(self.make())
        else:
            meeting = self.chance.choice(coming)
            act(meeting)
            self.judge(meeting)

    def _is_free(self, meeting: Any) -> bool:
        return bool(meeting.start > self.stand.time.now() + REMOVABLE and not meeting.cancelled)

    def _when(self, low: timedelta) -> datetime:
        minutes = (low + (LATER - low) * self.chance.random() ** 4) / timedelta(minutes=1)
        return self.stand.time.now().replace(microsecond=0) + timedelta(minutes=int(minutes) + 1)

    def link(self) -> str:
        """Return a link; some people use theirs again and again."""
        self.links += 1
        letters = "abcdefghij"
        return "https://meet.google.com/abc-defg-" + "".join(letters[int(digit)] for digit in f"{self.links % 150:03d}")

    def make(self, _: Any = None) -> Any:
        """Make a meeting, some only minutes ahead; some with somebody from outside, some without a link."""
        start = self._when(SOON)
        accounts = [
            self.stand.world.accounts[(GOOGLE, email)]
            for email in self.chance.sample(EMAILS, self.chance.randint(1, 4))
        ]
        return self.stand.world.make_meeting(
            start=start,
            end=start + timedelta(minutes=self.chance.choice((15, 30, 60))),
            accounts=accounts,
            url=self.link() if self.chance.random() < 0.9 else None,
            attendees={OUTSIDER: "accepted"} if self.chance.random() < 0.7 else {},
            wanted=False,
        )

    def move(self, meeting: Any) -> None:
        """Move a meeting, sometimes to a few minutes from now."""
        self.stand.world.move(meeting, self._when(SOON))

    def cancel(self, meeting: Any) -> None:
        """Cancel a meeting."""
        self.stand.world.cancel(meeting)

    def answer(self, meeting: Any) -> None:
        """Let one of them decline, or accept after all."""
        email = self.chance.choice(sorted(email for _, email in meeting.copies))
        self.stand.world.respond(meeting, email, self.chance.choice(("declined", "declined", "accepted", "tentative")))

    def relink(self, meeting: Any) -> None:
        """Give it another link, or its first one."""
        self.stand.world.change_url(meeting, self.link())

    def share(self, meeting: Any) -> None:
        """Invite one more of the company."""
        self.stand.world.add_copy(
            meeting, self.stand.world.accounts[(GOOGLE, self.chance.choice(EMAILS))], wanted=False
        )

    def judge(self, meeting: Any) -> None:
        """Tell the proof who wants it now."""
        for _, email in meeting.copies:
            others = {person.partition("@")[2] for person in meeting.attendees} - {email.partition("@")[2]}
            wanted = bool(others) and meeting.attendees[email] != "declined"
            self.stand.want(meeting, email, wanted=wanted and not meeting.cancelled and bool(meeting.url))


@pytest.mark.parametrize("days", [1, pytest.param(7, marks=pytest.mark.thorough)])
def test_days_of_edits_end_with_one_bot_in_every_wanted_meeting(days: int) -> None:
    seed = days
    stand = Stand(people=EMAILS, batches=0, seed=seed, sweep_every=timedelta(hours=1))
    stand.keep(dedup_scheme="all")
    stand.settle()
    stand.policy("external")
    stand.hear()
    for kind, often in (("webhook_doubled", 0.2), ("webhook_late", 0.1)):
        stand.world.faults.add(kind, probability=often, times=None, seconds=90.0)
    edits = Edits(stand, seed)
    end = stand.time.now() + days * DAY
    moments = sorted(stand.time.now() + days * DAY * edits.chance.random() for _ in range(days * EDITS))
    for moment in moments:
        stand.run_to(moment)
        edits.edit()
    stand.run_to(end + LATER + timedelta(hours=3))
    proof = stand.assert_proven()
    assert proof.stray == [], f"seed {seed}"
    assert proof.wanted > EDITS / 8
