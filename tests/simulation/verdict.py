"""What a run is judged by: the attendance log and the sandbox's rows, never our own tables alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.db.models import Q

from calendars.leases import free
from calendars.models import Assignment, Intent
from recallops.sandbox.company import deduplication_key
from recallops.sandbox.limits import WINDOW
from recallops.sandbox.records import SCHEDULED
from recallops.sandbox.truth import Case
from tests.harness import LEASED, REGIONS, SOURCE, TARGET
from tests.secret_places import secrets_of, tables_of
from tests.simulation.excuses import why_doubled, why_missed
from tests.simulation.play import Play

HOLDING = {"source": (1, 0), "target": (0, 1)}


@dataclass(slots=True)
class Verdict:
    """How a run ended. Everything but `excused`, `unseen` and the counts must be empty."""

    missed: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)  # calendars that ended in no region, or in both
    strays: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    intents: list[str] = field(default_factory=list)
    leases: list[str] = field(default_factory=list)
    ledger: list[str] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)  # bots under another key than the application would have given
    errors: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    excused: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)  # doubles that the ledger did not show
    calls: int = 0
    died: int = 0

    @property
    def bad(self) -> dict[str, list[str]]:
        """Return what must not be, by name."""
        names = (
            "missed",
            "doubled",
            "lost",
            "secrets",
            "intents",
            "leases",
            "ledger",
            "limits",
            "keys",
            "errors",
            "broken",
        )
        found = {name: getattr(self, name) for name in (*names, "unseen")}
        return {name: values for name, values in found.items() if values}

    def __str__(self) -> str:
        return "\n".join(f"{name}: {value}" for name, values in self.bad.items() for value in values) or "well"


def judge(play: Play, said: Any, *, secrets: bool = True) -> Verdict:
    """Judge a play that has ended; the world runs on to the end of its 28 days for it."""
    verdict = Verdict(calls=play.door.calls, died=play.workers.died)
    verdict.errors = [line for line in said.errors if "OperationalError" not in line and "InterfaceError" not in line]
    verdict.broken = list(play.course.broken)
    if play.course.stuck:
        verdict.broken.append(play.course.stuck)
    if play.course.forged_taken:
        verdict.broken.append(f"{play.course.forged_taken} forged webhooks were accepted")
    verdict.intents = [
        str(row) for row in Intent.objects.filter(state__in=Intent.OPEN).values_list("subject", "purpose")
    ]
    unhurt = not (play.workers.died or play.workers.lost_database)
    for model in LEASED:  # what somebody held who died has to run out, no more: rows that are done with keep it
        held = model.objects.exclude(lease_token=None).exclude(Q(pk=None) if unhurt else free())
        verdict.leases += [f"{model.__name__} {pk}" for pk in held.values_list("pk", flat=True)]
    verdict.ledger = _ledger(play)
    verdict.lost = _calendars(play)
    verdict.limits = _windows(play)
    if secrets:
        verdict.secrets = _secrets(play, said.lines)
    _attended(play, verdict)
    verdict.keys = _keys(play)
    return verdict


def _attended(play: Play, verdict: Verdict) -> None:
    proof = play.proof()
    for case in proof.missed:
        excuse = why_missed(play, case)
        (verdict.excused if excuse else verdict.missed).append(_told(case, excuse))
    for case in proof.doubled:
        excuse = why_doubled(play, case)
        (verdict.excused if excuse else verdict.doubled).append(_told(case, excuse))
        if (case.start, case.url) not in {(f"{at:%Y-%m-%dT%H:%M:%SZ}", url) for at, url in play.course.doubled_seen}:
            verdict.unseen.append(_told(case, excuse))
    if proof.unaccounted:
        verdict.lost.append(f"{proof.unaccounted} meetings are unaccounted for")
    verdict.strays = [_told(case, "") for case in proof.stray]


def _told(case: Case, excuse: str) -> str:
    return f"{case.title} at {case.start}: {case.reason} {excuse} {case.details}"


def _ledger(play: Play) -> list[str]:
    """Compare each coming meeting of the ledger with the bots that the regions have."""
    wrong = []
    now = play.world.now()
    slugs = {play.source.pk: SOURCE, play.target.pk: TARGET}
    for row in Assignment.objects.filter(over=False, start__gt=now):
        held = {
            code: sum(
                bot.status == SCHEDULED and bot.join_at == row.start and bot.meeting_url == row.url
                for bot in play.world.regions[code].workspaces["main"].bots.values()
            )
            for code in REGIONS
        }
        true = (held[SOURCE], held[TARGET])
        said = {"covered_source": (1, 0), "covered_target": (0, 1)}.get(row.verdict)
        if said is None and row.verdict.startswith("covered"):
            said = (1, 0) if slugs[row.owner_id] == SOURCE else (0, 1)
        if said is not None and said != true:
            wrong.append(f"{row.start:%d %H:%M} {row.url} is {row.verdict} ({row.note}), in truth {true}")
    return wrong


def _calendars(play: Play) -> list[str]:
    """Each person has one calendar: in the target when the batch has closed, in the source when it went back."""
    lost = []
    if play.scenario.switches.get("delete_revokes_grant"):
        gone = [one for one in range(len(play.scenario.people)) if play.happenings.calendar(SOURCE, one) is None]
        return [f"{len(gone)} calendars lost their grant"] if len(gone) > 1 else []
    for number, person in enumerate(play.scenario.people):
        where = [code for code in REGIONS for _ in play.happenings.calendars(code, number)]
        slug = "move" if play.scenario.batches == 1 else person.email.partition("@")[2].replace(".", "-")
        belongs = SOURCE if slug in play.course.gone_back else TARGET
        if where != [belongs] and not play.course.stuck:
            lost.append(f"{person.email} is in {where or 'no region'}")
    return lost


def _windows(play: Play) -> list[str]:
    """No endpoint was asked more often in 60 seconds than it allows, and none answered 429 by itself."""
    if play.scenario.rate_factor >= 1000:
        return []
    wrong = []
    for code in REGIONS:
        there = play.world.regions[code].workspaces["main"]
        times: dict[str, list[float]] = {}
        for call in play.world.log.calls:
            if call.region == code:
                times.setdefault(call.endpoint, []).append(call.at.timestamp())
        for endpoint, moments in times.items():
            limit = there.limit(endpoint)
            most = max(sum(at - WINDOW < other <= at for other in moments) for at in moments)
            if limit is not None and most > limit:
                wrong.append(f"{code} {endpoint}: {most} calls in a minute, {limit} are allowed")
    planned = any(strike.details.get("status") == 429 for strike in play.scenario.strikes)
    refused = sum(call.status == 429 for call in play.world.log.calls)
    if refused and not planned:
        wrong.append(f"{refused} calls were answered 429")
    return wrong


def _keys(play: Play) -> list[str]:
    """Keys are opaque and go over to the letter: another one would let the application add a second bot."""
    wrong = []
    for bot in play.world.attendance:
        key = deduplication_key(bot.join_at, bot.meeting_url)
        foreign = (bot.meeting_id, bot.region) in play.happenings.history.foreign_bots
        meeting = play.world.meetings.get(bot.meeting_id or "")
        if meeting is None or foreign or any(change.what in ("moved", "url") for change in meeting.history[1:]):
            continue  # a meeting that moved needs another key
        if bot.meeting_start == bot.join_at and bot.deduplication_key != key:
            wrong.append(f"{bot.join_at:%d %H:%M} {bot.deduplication_key!r} instead of {key!r}")
    return wrong


def _secrets(play: Play, lines: list[str]) -> list[str]:
    secrets = secrets_of(play.world)
    connection.ensure_connection()
    places = {f"table {name}": text for name, text in tables_of(connection.connection).items()}
    places["log"] = "\n".join(lines)
    return [name for name, text in places.items() if any(secret in text for secret in secrets)]
