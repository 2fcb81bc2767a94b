"""Export: read the source whole, and know of each calendar what will become of it.

1. Sweep the source's calendars (credentials are kept, encrypted, until the batch is closed), events and scheduled
   bots, and the target's events; each sweep goes on where it stopped.
2. Learn the pattern of the deduplication keys, then form the assignments: what must be covered exactly once.
3. Make one item for each chosen calendar; those that cannot be moved say why and stay in the source.
4. Take the first reading of the ledger; from now on both workspaces' changes are read again and again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice

from django.db import connection, transaction
from django.db.models import F, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from calendars import assignments, sync
from calendars.models import Assignment, Bot, Calendar, Connection, Event, Sweep, Workspace
from calendars.relay import outbox
from calendars.scheduling.bot_config import bound_parts
from migrations_app import coverage, inventory, planner, selection
from migrations_app.findings import Found, renew
from migrations_app.itineraries import Step
from migrations_app.models import Batch, CoverageReading, ErrorKind, Item, ItemStatus, Severity
from migrations_app.outcomes import DONE, Outcome, wait
from recallops import clock

CHUNK = 500
READING = "reading {kind} of {workspace}: {rows} so far"
STANDALONE = "{count} scheduled bot(s) in the source belong to no calendar event; this batch does not move them."
STANDALONE_REMEDY = "The application that made them makes them again in the target."
BOUND = "The bots' configuration names something of the source: {part}"
BOUND_REMEDY = (
    "Add a rewrite on the hand-over (old text, new text), or accept that it is copied (a login group: left out)."
)
SHARED = "{count} meeting(s) are shared with calendars that do not move; they stay in the source until those can go."
KEYS = "The deduplication keys follow the pattern {pattern}."
NO_PATTERN = (
    "The deduplication keys follow no pattern: they are carried over, and events that share a bot stay together."
)
TURNED = "It was sent back meanwhile."


# As one join, which no Exists of the ORM becomes: bot by bot it takes seconds where there are many.
_STANDALONE = f"""
SELECT count(*) FROM {Bot._meta.db_table} AS bot
WHERE bot.workspace_id = %(workspace)s AND NOT bot.terminal AND bot.join_at > %(now)s AND NOT EXISTS (
    SELECT FROM {Event._meta.db_table} AS event, jsonb_array_elements(event.bots) AS entry
    WHERE event.workspace_id = %(workspace)s AND event."end" > %(now)s AND entry ->> 'bot_id' = bot.remote_id
)
"""  # noqa: S608 (our own tables' names)


def run(batch: Batch) -> Outcome:
    """Read everything, form the assignments, make the items."""
    for lists in _lists(batch):
        sweeps = [sync.open_sweep(*one) for one in lists if not _swept(batch, *one)]
        if sweeps and not sync.run_sweeps(sweeps):
            largest = max(sweeps, key=lambda sweep: sweep.rows)
            said = READING.format(kind=largest.get_kind_display(), workspace=largest.workspace, rows=largest.rows)
            return wait(said, sync.go_on_at(Sweep.objects.filter(pk__in=[sweep.pk for sweep in sweeps])))
    selection.look_for_unknown(batch)
    if not batch.source.key_template:
        assignments.learn_keys(batch.source)
    _make_rewrites(batch)
    if not _make_items(batch):
        return wait(TURNED, clock.now())
    assignments.form(batch.source)
    assignments.form(batch.target)
    _note_nearest(batch)
    _predict(batch)
    coverage.read(batch, CoverageReading.Moment.BEFORE)
    for workspace in (batch.source, batch.target):
        mark = Sweep.objects.filter(workspace=workspace, kind=Sweep.Kind.EVENTS).order_by("-pk")[0].mark
        sync.watch(workspace, from_mark=mark)
    renew(batch, Step.EXPORT, _checks(batch))
    return DONE


def _lists(batch: Batch) -> Iterator[list[tuple[Workspace, Sweep.Kind]]]:
    """Return what is read, in this order; what stands together has budgets of its own and is read in turns.

    Events belong to calendars, so those come first.
    """
    yield [(batch.source, Sweep.Kind.CALENDARS)]
    yield [(side, kind) for kind in (Sweep.Kind.EVENTS, Sweep.Kind.BOTS) for side in (batch.source, batch.target)]


def _predict(batch: Batch) -> None:
    """Say beforehand how long the calls will take and what bounds them; the report compares."""
    load, limits = inventory.load(batch), inventory.limits(batch)
    bound = planner.bound(load, limits)
    Batch.objects.filter(pk=batch.pk).update(
        planned=asdict(load),
        predicted_seconds=planner.predicted_duration(load, limits).total_seconds(),
        predicted_bound=f"{bound.endpoint} in {inventory.regions(batch)[bound.role]}" if bound else "",
    )


def _swept(batch: Batch, workspace: Workspace, kind: Sweep.Kind) -> bool:
    done = Sweep.objects.filter(workspace=workspace, kind=kind, begun_at__gte=batch.started_at)
    return done.exclude(finished_at=None).exists()


def _make_rewrites(batch: Batch) -> None:
    """By default the source region's code inside addresses becomes the target's; staff may say otherwise."""
    handover = batch.handover
    codes = {batch.source.region.code: batch.target.region.code}
    if not handover.rewrites and batch.source.region_id != batch.target.region_id:
        type(handover).objects.filter(pk=handover.pk, rewrites={}).update(rewrites=codes)
        handover.rewrites = codes


def _make_items(batch: Batch) -> bool:
    """Make the items; return whether the batch still is at this step."""
    with transaction.atomic():
        # whoever sends it back holds this row, too: items are made before that, or not at all
        mine = Batch.objects.select_for_update().filter(pk=batch.pk, step=Step.EXPORT, closed_at=None)
        if not mine.exists():
            return False
        _make_those_of(batch)
    if batch.handover.external:
        theirs = Calendar.objects.filter(handover=batch.handover).exclude(relayed_from=batch.source_id)
        with outbox.quiet([batch.source.family]):
            outbox.route(theirs, batch.source_id, at=clock.now())
    return True


def _make_those_of(batch: Batch) -> None:
    mine = inventory.free(batch).defer("refresh_token", "oauth_client_secret")
    connections = mine.iterator(chunk_size=CHUNK)
    while chunk := list(islice(connections, CHUNK)):
        Item.objects.bulk_create([_item(batch, connection) for connection in chunk], ignore_conflicts=True)
    chosen = Item.objects.filter(batch=batch, open=True).values("connection__calendar")
    Calendar.objects.filter(pk__in=chosen, handover=None).update(handover=batch.handover)


def _item(batch: Batch, connection: Connection) -> Item:
    reason, remedy = inventory.why_not_movable(connection)
    return Item(
        batch=batch,
        source_id=connection.remote_id,
        title=connection.calendar.email,
        connection=connection,
        status=ItemStatus.USER if reason else ItemStatus.READY,
        reason=f"{reason} {remedy}".strip()[:600],
        error_kind=inventory.whose_turn(connection) if reason else ErrorKind.NONE,
    )


def _note_nearest(batch: Batch) -> None:
    """Write down each item's nearest wanted meeting: the nearest is served first."""
    theirs = Assignment.objects.filter(
        occurrences__calendar__connections=OuterRef("connection"), start__gt=clock.now()
    ).order_by("start")
    items = Item.objects.filter(batch=batch, kind=Item.Kind.CONNECTION)
    items.update(nearest=Coalesce(Subquery(theirs.values("start")[:1]), F("nearest")))


def _standalone(workspace: Workspace) -> int:
    """Return how many scheduled bots no coming event names."""
    with connection.cursor() as cursor:
        cursor.execute(_STANDALONE, {"workspace": workspace.pk, "now": clock.now()})
        count: int = cursor.fetchone()[0]
        return count


def _checks(batch: Batch) -> Iterator[Found]:
    if batch.source.key_template:
        yield Found("keys", Severity.INFO, KEYS.format(pattern=batch.source.key_template))
    else:
        yield Found("keys", Severity.INFO, NO_PATTERN)
    scheduled = Bot.objects.filter(workspace=batch.source, terminal=False, join_at__gt=clock.now())
    if loose := _standalone(batch.source):
        yield Found("standalone", Severity.WARNING, STANDALONE.format(count=loose), STANDALONE_REMEDY)
    parts: set[str] = set()
    for config in scheduled.exclude(config=None).values_list("config", flat=True).iterator(chunk_size=500):
        parts |= bound_parts(config or {}, rewrites=batch.handover.rewrites, source_code=batch.source.region.code)
    for part in sorted(parts)[:20]:
        yield Found("bound", Severity.WARNING, BOUND.format(part=part), BOUND_REMEDY, subject=part)
    staying = Assignment.objects.filter(
        occurrences__calendar__handover=batch.handover, over=False, start__gt=clock.now()
    ).filter(
        Q(occurrences__calendar__connections__items__batch=batch)
        & Q(occurrences__calendar__connections__items__status=ItemStatus.USER)
    )
    moving = Assignment.objects.filter(
        pk__in=staying.values("pk"),
        occurrences__calendar__connections__items__status=ItemStatus.READY,
        occurrences__calendar__connections__items__batch=batch,
    ).distinct()
    if count := moving.count():
        yield Found("shared", Severity.WARNING, SHARED.format(count=count))
