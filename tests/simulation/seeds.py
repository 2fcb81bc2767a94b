"""From a seed to a scenario: a pure function. Same seed, same scenario, in every process."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from migrations_app.itineraries import FORWARD
from recallops.sandbox.meetings import GOOGLE, OUTLOOK
from tests.harness import SOURCE, TARGET
from tests.simulation.scenario import (
    CALL_TROUBLE,
    CUSTOMERS,
    HOUR,
    NAMES,
    WORKER_TROUBLE,
    Act,
    Happening,
    Person,
    Planned,
    Scenario,
    Strike,
    link,
)

REGIONS = (SOURCE, TARGET)
LAST_CHANGE = 4 * HOUR  # minutes after the start; the move is mostly over by then
LATER_TOLD = 45  # minutes until an application that was ill for a while is told again, at the latest
EARLY_ENOUGH = 35  # minutes beyond a sweep that people leave before a meeting, old or new start
NEXT_STEPS = (1, 4, 15, 40)  # minutes between two presses
OFTEN_EXTERNAL = 0.12
NOT_FOR_APPLICATIONS = (
    "adhoc_507",
    "conflict_window",
    "conflict_probability",
)  # the sample's writes are not tried again
STRUCK = 220  # calls within which trouble strikes
SWITCHES: tuple[dict[str, Any], ...] = (
    {"remove_takes": "latest"},
    {"new_key": "adds"},
    {"delete_spares_shared": False},
    {"live_bots_spared": False},
    {"late_changes_applied": False},
    {"bot_change_touches_event": True},
    {"revocation_lag": 600.0},
    {"late_commit": 60.0},
    {"left_window": "kept"},
    {"adhoc_507": 0.3},
    {"conflict_window": 2.0, "conflict_probability": 0.5},
    {"svix_headers": True},
    {"sync_delay": [20.0, 90.0]},
)


def derive(seed: int, *, calendars: int | None = None, days: float | None = None) -> Scenario:
    """Return what happens under a seed."""
    return _Deriving(seed, calendars, days).scenario()


class _Deriving:
    """Draws a scenario, part by part, from one generator."""

    def __init__(self, seed: int, calendars: int | None, days: float | None) -> None:
        self.rng = random.Random(f"scenario {seed}")
        self.seed = seed
        self.sweep_every = self.rng.choice((10, 20, 30, 30))
        self.external = random.Random(f"external {seed}").random() < OFTEN_EXTERNAL
        self.lead = self.sweep_every + EARLY_ENOUGH + LATER_TOLD * self.external
        self.farthest = round((days or self.rng.choice((1.5, 2.5))) * 24 * HOUR)
        self.people = self._people(calendars or self.rng.choice((2, 2, 3, 3, 4)))
        self.meetings: list[Planned] = []
        self.starts: dict[int, int] = {}  # of meetings that go on, as planned up to the present change
        self.links = 0

    def scenario(self) -> Scenario:
        rng = self.rng
        self._plan_meetings()
        happenings = sorted(self._changes() + self._trouble(), key=lambda one: one.at)
        webhooks = rng.random() < 0.4
        limited = rng.random() < 0.15
        found = Scenario(
            seed=self.seed,
            people=self.people,
            meetings=tuple(self.meetings),
            happenings=tuple(happenings),
            acts=tuple(self._acts(happenings)),
            strikes=tuple(self._strikes()),
            switches=self._switches(),
            batches=2 if rng.random() < 0.25 and len({p.email.partition("@")[2] for p in self.people}) > 1 else 1,
            soak=rng.choice((15, 40)),
            canary_wait=rng.choice((5, 10)),
            sweep_every=self.sweep_every,
            cut=rng.choice((None, HOUR, HOUR, 90, 2 * HOUR, 2 * HOUR, 3 * HOUR)),
            always_on=rng.random() < 0.15 or any(one.what == "bot_lost" for one in happenings),
            webhooks=webhooks,
            disturbed=rng.choice((0.0, 0.3)) if webhooks else 0.0,
            shuffled=rng.random() < 0.8,
            takes=rng.choice((0.0, 0.3, 1.5)),
            skew=rng.choice((0.0, 0.0, 0.0, -60.0, 60.0)),
            rate_factor=0.5 if limited else 100_000.0,
            page_size=rng.choice((100, 3, 5)),
        )
        return self._with_application(found) if self.external else found

    def _with_application(self, found: Scenario) -> Scenario:
        """Let the company's own application schedule: it hears of each change, and may be ill for some minutes."""
        rng = random.Random(f"application {self.seed}")
        happenings = [one for one in found.happenings if one.what not in ("key_revoked", "bot_lost")]
        if rng.random() < 0.5:
            at = rng.uniform(2, LAST_CHANGE)
            happenings.append(Happening(at, "application_ill", to=rng.choice((500, 503, 404))))
            happenings.append(Happening(at + rng.uniform(2, 13), "application_well"))
        return replace(
            found,
            external=True,
            happenings=tuple(sorted(happenings, key=lambda one: one.at)),
            acts=tuple(act for act in found.acts if act.what not in ("new_key", "cut")),
            switches={name: to for name, to in found.switches.items() if name not in NOT_FOR_APPLICATIONS},
            batches=1,
            cut=None,
            always_on=False,
            webhooks=True,
            disturbed=0.0,
        )

    def _people(self, count: int) -> tuple[Person, ...]:
        people = []
        for number in range(count):
            domain = CUSTOMERS[number % 2] if self.rng.random() < 0.6 else CUSTOMERS[0]
            platform = OUTLOOK if self.rng.random() < 0.3 else GOOGLE
            name = NAMES[number] if number < len(NAMES) else f"person{number}"
            people.append(Person(f"{name}@{domain}.example", platform))
        return tuple(people)

    def _link(self) -> str:
        self.links += 1
        return link(self.links)

    # -- meetings

    def _plan_meetings(self) -> None:
        """Near ones and far ones, alone and shared, a series, a personal room used twice, some without a bot."""
        rng, everybody = self.rng, range(len(self.people))
        for number in range(rng.randint(3, 6) * max(1, len(self.people) // 4)):
            near = rng.random() < 0.35
            at = rng.randint(4, 50) * 5 if near else rng.randint(5 * HOUR // 5, self.farthest // 5) * 5
            who = tuple(sorted(rng.sample(everybody, min(len(everybody), rng.choice((1, 1, 2, 3))))))
            self._add(Planned(f"m{number}", at, rng.choice((15, 30, 60)), who, self._link(), rng.random() < 0.85))
        if rng.random() < 0.5:  # a series
            first, url, who = rng.randint(6, 12) * HOUR, self._link(), (rng.choice(everybody),)
            for number in range(2):
                self._add(Planned(f"series {number}", first + number * 12 * HOUR, 30, who, url, series=f"s{self.seed}"))
        if rng.random() < 0.4:  # a room of one's own, back to back
            at, url, who = rng.randint(20, 30) * HOUR, self._link(), (rng.choice(everybody),)
            for number in range(2):
                self._add(Planned(f"room {number}", at + number * 30, 30, who, url))

    def _add(self, planned: Planned) -> None:
        self.starts[len(self.meetings)] = planned.at
        self.meetings.append(planned)

    # -- what people do

    def _changes(self) -> list[Happening]:
        """People change their calendars, each change early enough for a sweep to see it."""
        changes: list[Happening] = []
        kinds = ("made", "moved", "moved", "moved", "cancelled", "declined", "left", "retitled", "relinked", "shared")
        made = len(self.meetings)
        for at in sorted(self.rng.uniform(1, LAST_CHANGE) for _ in range(self.rng.randint(0, 9))):
            kind = self.rng.choice(kinds)
            person = self.rng.randrange(len(self.people))
            if kind == "made":
                start = self._when(at + 5)
                changes.append(Happening(at, kind, made, person, start, self._link()))
                self.starts[made] = start
                made += 1
                continue
            free = sorted(number for number, start in self.starts.items() if start - at > self.lead and number < made)
            if not free:
                continue
            number = self.rng.choice(free)
            change = self._change(at, kind, number, person)
            if change is not None:
                changes.append(change)
        return changes

    def _when(self, at: float) -> int:
        """Return a start that is early enough known: mostly near, so that it crosses cut lines."""
        low = int(at + self.lead) // 5 * 5 + 5
        high = self.farthest if self.rng.random() < 0.5 else low + 4 * HOUR
        return self.rng.randrange(low, max(high, low + HOUR), 5)

    def _change(self, at: float, kind: str, number: int, person: int) -> Happening | None:
        if kind == "moved":
            start = self._when(at)
            self.starts[number] = start
            return Happening(at, kind, number, to=start)
        if kind == "cancelled":
            del self.starts[number]
            return Happening(at, kind, number)
        if kind == "relinked":
            return Happening(at, kind, number, region=self._link())
        return Happening(at, kind, number, person)

    # -- what providers do

    def _trouble(self) -> list[Happening]:
        """Calendars that are disconnected for a while, outages, keys that are revoked, bots that are lost."""
        found: list[Happening] = []
        rng = self.rng
        near = sorted(start for start in self.starts.values() if start < LAST_CHANGE + 3 * HOUR)
        for _ in range(rng.choice((0, 0, 0, 1, 2))):
            kind = rng.choice(("disconnect", "outage", "outage", "key", "bot_lost"))
            at = rng.uniform(2, LAST_CHANGE)
            lasts = rng.uniform(2, 13)
            if kind == "bot_lost":
                soon = (self.lead, self.lead + 6 * HOUR)  # only the last look can see it, so workers run until then
                hit = sorted(number for number, start in self.starts.items() if soon[0] < start - at < soon[1])
                if hit:
                    found.append(Happening(at, "bot_lost", rng.choice(hit), region=rng.choice(REGIONS)))
                continue
            if any(at - 5 < start < at + lasts + self.lead for start in near):
                continue  # what starts meanwhile could not be helped
            region = rng.choice(REGIONS)
            if kind == "outage":
                found += [
                    Happening(at, "outage_begins", region=region),
                    Happening(at + lasts, "outage_ends", region=region),
                ]
            elif kind == "key":
                found.append(Happening(at, "key_revoked", region=region, to=int(lasts)))
            else:
                person = rng.randrange(len(self.people))
                found += [
                    Happening(at, "disconnect", person=person, region=region),
                    Happening(at + lasts, "reconnect", person=person, region=region),
                ]
        return found

    # -- what staff do

    def _acts(self, happenings: list[Happening]) -> list[Act]:
        rng = self.rng
        acts: list[Act] = []
        at = 0.0
        order = [step.value for step in FORWARD]
        goals = ["clean_up"]
        if rng.random() < 0.5:
            goals = [*sorted(rng.sample(order[:-1], 2), key=order.index), "clean_up"]
        for goal in goals:
            acts += [Act(at, "allow", goal, batch) for batch in (0, 1)]
            at += rng.choice(NEXT_STEPS)
        if rng.random() < 0.3:
            begun, batch = rng.uniform(0.2, 150), rng.randrange(2)
            acts += [Act(begun, "pause", None, batch), Act(begun + rng.uniform(1, 25), "resume", None, batch)]
        if rng.random() < 0.2:
            acts.append(Act(rng.uniform(1, 100), "cut", rng.choice((HOUR, 2 * HOUR, 3 * HOUR)), rng.randrange(2)))
        if rng.random() < 0.25:
            acts.append(Act(rng.uniform(0.2, 170), "go_back", None, rng.randrange(2)))
        if rng.random() < 0.2:
            acts.append(Act(rng.uniform(1, 100), "retry", None, rng.randrange(2)))
        acts += [Act(one.at + one.to, "new_key", one.region) for one in happenings if one.what == "key_revoked"]
        return sorted(acts, key=lambda act: act.at)

    # -- what goes wrong at calls

    def _strikes(self) -> list[Strike]:
        rng = self.rng
        strikes = []
        for call in sorted(rng.randint(1, STRUCK) for _ in range(rng.choice((0, 2, 5, 10)))):
            kind, details = rng.choice(CALL_TROUBLE)
            strikes.append(Strike(call, kind, dict(details)))
        for call in sorted(rng.randint(1, STRUCK) for _ in range(rng.choice((0, 1, 2, 4)))):
            kind = rng.choice(WORKER_TROUBLE)
            details = {}
            if kind.startswith("asleep"):
                details = {"seconds": round(rng.uniform(20, 240), 1)}
            elif kind == "database_lost":
                details = {"statements": rng.randint(0, 12)}
            strikes.append(Strike(call, kind, details))
        return strikes

    def _switches(self) -> dict[str, Any]:
        chosen: dict[str, Any] = {}
        for switch in self.rng.sample(SWITCHES, self.rng.choice((0, 1, 2, 3))):
            chosen |= switch
        return chosen
