"""What must hold at the start of the model's meeting (docs/handover.md, 8), and what may excuse that it does not."""

from __future__ import annotations

from calendars.models.assignment import Verdict
from calendars.scheduling.verdicts import verdict
from tests.scheduling.loading import load, order_of
from tests.scheduling.regions import (
    FREEZE,
    LATE,
    LEASE,
    NEAR,
    REGIONS,
    SOURCE,
    SWEEP,
    TARGET,
    Setting,
    State,
    View,
    Wrong,
    moment,
)

# What befalls a meeting shortly before its start may excuse a miss or a double; in ticks before the start.
HEARD = SWEEP + 2  # until a sweep brings what no webhook said, and the worker has acted
EXCUSES = {
    "move": FREEZE + HEARD,  # a bot that is frozen at the old time cannot be removed
    "cancel": FREEZE + HEARD,
    "disconnect": HEARD,
    "connect": HEARD,
    "lose bot": NEAR,  # seen by nobody but the last look
    "foreign bot": NEAR,
    "late write": NEAR,  # by a worker that was frozen past its lease: as the two above
}
OURS = {"loss", "crash", "refusal", "outage", "reverse"}  # these never excuse anything
SETTLES = 5  # ticks from the last of these until the meeting is where it should be


def exactly_one_bot(state: State, setting: Setting) -> str:
    """Judge the end: one bot at the true start and none at another; return what excuses it otherwise."""
    ledger_tells_the_truth(state, setting)
    start, wanted = state.truth.start, 0 if state.truth.deleted else 1
    count = len(state.fitting(start))
    stray = [bot.start for bot in state.bots.values() if bot.start != start]
    if count == wanted and not stray:
        in_its_place(state, setting)
        return ""
    what = "missed" if count < wanted else "left over" if stray or not wanted else "doubled"
    connected = {calendar for (_, calendar), shown in state.shown.items() if shown.connected}
    if what == "missed" and not connected:
        return "missed: nobody was able"
    if not wanted and connected != set(state.placed):
        return "left over: a calendar that is connected nowhere does not tell that it was cancelled"
    if not wanted and {bot.key for bot in state.bots.values()} == {"foreign"}:
        return "left over: somebody added a bot to a cancelled meeting"
    more = delay(state, setting)
    first = min([start, *stray])
    late = {mark.kind for mark in state.marks if first - mark.tick <= EXCUSES.get(mark.kind, -99) + more}
    if not late:
        raise Wrong(f"{what}: {count} bots at {start}, others at {stray}")
    return f"{what}: {', '.join(sorted(late))}"


def delay(state: State, setting: Setting) -> int:
    """Return for how long our own faults could keep us from acting."""
    spans = {"outage": setting.outage, "loss": LATE, "restore": LATE, "crash": LEASE, "frozen": LATE, "refusal": 1}
    return sum(spans.get(mark.kind, 0) for mark in state.marks)


def in_its_place(state: State, setting: Setting) -> None:
    """A meeting that nothing befell but our own faults is where the order wants it, if there was time."""
    kinds = {mark.kind for mark in state.marks}
    if not kinds <= OURS or setting.missing or setting.cut >= setting.start or state.paused:
        return
    last = max([setting.ordered_at, *(mark.tick for mark in state.marks)]) + delay(state, setting) + SETTLES
    place = SOURCE if state.backwards else TARGET
    if last <= setting.start - setting.near and not state.fitting(setting.start, place):
        raise Wrong(f"nothing kept the meeting from the {REGIONS[place]}, and it is not there")


def ledger_tells_the_truth(state: State, setting: Setting) -> None:
    """Where everything was read since it last changed, the verdict is what is the case."""
    at = state.truth.start
    if at not in state.rows or state.rows[at].intents or set(state.placed.values()) != {at}:
        return
    for cell, view in state.views.items():
        if view != View(state.shown[cell], tuple(state.bots[bot] for bot in state.held[cell]), view.read_at):
            return  # something newer is not read yet
    row = load(state, at, setting)
    if not row.wanted:
        return
    order = order_of(state, list(state.placed), setting)
    said, note = verdict(row, now=moment(state.now - 1), numbers=setting.numbers, order=order)
    count = len(state.fitting(at))
    expected = Verdict.MISSED if count == 0 else Verdict.DOUBLED if count > 1 else None
    if said is not Verdict.STALE and (said if said in (Verdict.MISSED, Verdict.DOUBLED) else None) != expected:
        raise Wrong(f"the ledger says {said} ({note}) of a meeting with {count} bots")
