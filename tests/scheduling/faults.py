"""What may befall the model's world: each is a fault, and a path has a bounded number of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from calendars.scheduling.values import Purpose
from tests.scheduling.regions import (
    REGIONS,
    Cell,
    Mark,
    Setting,
    Shown,
    State,
    Write,
    attach,
    bury,
    carry_out,
    first_state,
    happen,
    notice,
    wake,
)

LAGS = ((0, 0), (0, 2), (2, 0))  # ticks until source and target learn of a change
WEBHOOKS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {  # ticks from then until we hear of it, by region
    "": ((0,), (0,)),
    ", webhooks lost": ((), ()),
    ", only the source's webhook comes": ((0,), ()),
    ", only the target's webhook comes": ((), (0,)),
    ", webhooks doubled": ((0, 2), (0, 2)),
    ", webhooks late": ((2,), (2,)),
    ", the source's webhook overtaken": ((3,), (0,)),
    ", the target's webhook overtaken": ((0,), (3,)),
}
HEARD = ("", ", webhooks lost")

Effect = Callable[[State], None]


def befall(state: State, setting: Setting) -> Iterator[tuple[str, State]]:
    """Let nothing happen, or one of the faults that are possible here and now; or let who was frozen go on."""
    yield "", state
    for frozen in state.asleep:
        new = state.fork()
        new.asleep = tuple(other for other in new.asleep if other is not frozen)
        new.marks = (*new.marks, Mark("late write", new.tick))
        carry_out(new, frozen.write, setting, late=True)
        kept = new.rows[frozen.row]
        intents = tuple(sent for sent in kept.intents if sent != frozen.sent)
        answered = frozen.sent._replace(answered_at=new.now)
        new.rows[frozen.row] = kept._replace(intents=(*intents, answered))
        yield f"the frozen worker goes on: {frozen.sent.purpose} in the {REGIONS[frozen.write.cell[0]]}", new
    if not state.left:
        return
    for kind, label, effect in _faults(state, setting):
        if kind in setting.kinds:
            new = state.fork()
            new.left -= 1
            new.marks = (*new.marks, Mark(kind, state.tick))
            effect(new)
            yield label, new


def _faults(state: State, setting: Setting) -> Iterator[tuple[str, str, Effect]]:
    length = setting.outage
    yield "outage", f"nobody works for {length} ticks", lambda new: setattr(new, "down_until", new.tick + length)
    if not state.paused:
        yield "pause", "staff pause the batch", lambda new: setattr(new, "paused", True)
    yield from _orders(state)
    if not state.truth.deleted:
        yield from _changes(state, setting)
    for cell, shown in state.shown.items():
        yield from _cells(state, cell, shown, setting)
    yield "restore", "the database is restored from the beginning", partial(_restore, setting=setting)


def _orders(state: State) -> Iterator[tuple[str, str, Effect]]:
    everybody = frozenset(state.placed)
    if state.backwards != everybody:
        yield "reverse", "staff order the reverse", partial(_order, backwards=everybody)
    if state.backwards:
        yield "reverse", "staff order the hand-over again", partial(_order, backwards=frozenset())
    if not state.backwards and len(everybody) > 1:
        label = "staff order the reverse of one of two batches"
        yield "reverse one", label, partial(_order, backwards=frozenset({min(everybody)}))


def _changes(state: State, setting: Setting) -> Iterator[tuple[str, str, Effect]]:
    for lag in LAGS:
        for said in setting.webhooks:
            delays = WEBHOOKS[said]
            for start in {setting.start - 4, setting.start + 4} - {state.truth.start}:
                if start > state.tick:
                    effect = partial(
                        _change, to=state.truth._replace(start=start), lag=lag, delays=delays, setting=setting
                    )
                    yield "move", f"moved to {start}, lag {lag}{said}", effect
            effect = partial(_change, to=state.truth._replace(deleted=True), lag=lag, delays=delays, setting=setting)
            yield "cancel", f"cancelled, lag {lag}{said}", effect


def _cells(state: State, cell: Cell, shown: Shown, setting: Setting) -> Iterator[tuple[str, str, Effect]]:
    region, calendar = REGIONS[cell[0]], cell[1]
    for said in HEARD:
        heard = not said
        if shown.connected:
            yield "disconnect", f"calendar {calendar} disconnects in the {region}{said}", partial(_cut_off, cell, heard)
        else:
            yield "connect", f"calendar {calendar} connects in the {region}{said}", partial(_connect, cell, heard)
    if ids := state.held[cell]:
        yield "lose bot", f"the {region} loses {ids[0]}", partial(_lose, ids[0])
    if shown.connected and not shown.deleted:
        add = Write(Purpose.ADD, cell, "foreign")
        effect = partial(attach, write=add, setting=setting, replaces=False)
        yield "foreign bot", f"somebody adds a bot in the {region}", effect


def _order(state: State, *, backwards: frozenset[int]) -> None:
    state.backwards = backwards
    wake(state)


def _restore(state: State, *, setting: Setting) -> None:
    """A restored database is stale throughout, and nothing runs until what was sent can be read."""
    first = first_state(setting)
    state.rows, state.placed = first.rows, first.placed
    state.views = {cell: view._replace(changed_at=state.now) for cell, view in first.views.items()}
    state.down_until = state.tick + setting.late
    wake(state)


def _change(
    state: State, *, to: Shown, lag: tuple[int, int], delays: tuple[tuple[int, ...], ...], setting: Setting
) -> None:
    state.truth = to
    for cell in state.shown:
        learns = state.tick + lag[cell[0] - 1]
        state.coming += ((learns, "news", cell), *((learns + later, "webhook", cell) for later in delays[cell[0] - 1]))
    state.marks = (*state.marks[:-1], state.marks[-1]._replace(tick=state.tick + max(lag)))
    happen(state, setting)


def _cut_off(cell: Cell, heard: bool, state: State) -> None:
    state.shown[cell] = state.shown[cell]._replace(connected=False)
    state.held[cell] = ()
    bury(state)
    if heard:
        notice(state, cell)


def _connect(cell: Cell, heard: bool, state: State) -> None:
    state.shown[cell] = state.truth
    if heard:
        notice(state, cell)


def _lose(bot: str, state: State) -> None:
    state.held = {cell: tuple(other for other in ids if other != bot) for cell, ids in state.held.items()}
    bury(state)
