"""Takes one item, or a batch as a whole, one step further.

1. Somebody holds the row's lease (taken in one UPDATE by the driver).
2. Count the attempt before the work: nothing else notices a task that kills its worker.
3. Run the step. Steps are *ensure*: they read, compare, and act only where needed; they run any number of times.
4. Write the outcome under the lease's token; whoever lost the lease writes nothing.

Status is apart from step, and the reason for any wait is in the row.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from django.db import OperationalError, connection
from django.db.models import F, Q, QuerySet

from calendars.leases import Lease, taker
from calendars.models import Connection
from calendars.providers import errors
from migrations_app import outcomes
from migrations_app.findings import Found, note
from migrations_app.itineraries import BACK, OF_THE_BATCH, Step, after, allows, position
from migrations_app.models import Batch, BatchStatus, ErrorKind, Item, ItemStatus, Severity, StepRecord
from migrations_app.outcomes import How, Outcome
from migrations_app.steps import BATCH_STEPS, ITEM_STEPS
from recallops import clock
from recallops.prepared import Given, changing, prepared

logger = logging.getLogger("recallops.engine")

OUR_FAULT = "RecallOps met an error of its own ({error}). It is in the log under this item's number; report it."
FAILED = "{count} calendar(s) failed. Retry them, or leave them in {where}; then the batch goes on."
DATABASE = "The database broke off; trying again."
AT_REST = "Everything up to “{goal}” has come to rest. The next press goes on."

# By hand, since it is asked again and again.
_NEXT_DUE = f"""
SELECT min(COALESCE(due_at, %s)) FROM {Item._meta.db_table}
WHERE batch_id = %s AND kind = %s AND status = ANY(%s) AND step = ANY(%s)
"""  # noqa: S608 (our own table's name)


def take_due(batch: Batch, *, limit: int, lease: Lease) -> list[int]:
    """Take items that may take their step now, nearest meeting first."""
    steps = [step.value for step in batch.steps if step not in OF_THE_BATCH and allows(batch.goal, step)]
    return _take_due(limit=limit, lease=lease, batch=batch.pk, steps=steps, now=clock.now())


@taker("nearest", "pk")
def _take_due() -> QuerySet[Item]:
    return Item.objects.filter(
        Q(due_at=None) | Q(due_at__lte=Given("now")),
        batch=Given("batch"),
        kind=Item.Kind.CONNECTION,
        status__in=ItemStatus.active(),
        step__any=Given("steps"),
    )


@changing(attempts=F("attempts") + 1)
def _count_attempt() -> QuerySet[Item]:
    return Item.objects.filter(pk=Given("pk"), lease_token=Given("token"))


@changing(changed_at=Given("now"))
def _note_change() -> QuerySet[Batch]:
    return Batch.objects.filter(pk=Given("pk"))


def advance(item_id: int, *, lease: Lease) -> None:
    """Run the next step of a leased item and store what came of it."""
    if not _count_attempt(pk=item_id, token=lease.token):
        return
    mine = Item.objects.filter(pk=item_id, lease_token=lease.token)
    item = _load(item_id)
    before, said = (item.step, item.status), (item.status, item.reason, item.error_kind)
    step = Step(item.step)
    outcome = _guarded(lambda: ITEM_STEPS[step](item), attempts=item.attempts, what=f"item {item_id}")
    fields: dict[str, Any] = {"reason": outcome.reason[:600], "error_kind": outcome.kind, "due_at": outcome.due_at}
    if outcome.how is How.DONE:
        following = after(step)
        done = following is None or following in OF_THE_BATCH
        end = ItemStatus.BACK if step in BACK else ItemStatus.DONE
        fields |= {"status": end if done else ItemStatus.READY, "attempts": 0}
        fields |= {"step": step if done or following is None else following}
    elif outcome.how is How.STOP:
        fields |= {"status": ItemStatus.WAITING, "due_at": clock.now() + outcomes.LONGEST_RETRY}
        stop_batch(item.batch, outcome.reason)
    else:
        fields["status"] = {
            How.WAIT: ItemStatus.WAITING,
            How.USER: ItemStatus.USER,
            How.FAILED: ItemStatus.FAILED,
            How.NOT_MOVABLE: ItemStatus.NOT_MOVABLE,
        }[outcome.how]
        if outcome.how is not How.WAIT or not outcome.passing:
            fields["attempts"] = 0
        if outcome.anew is not None:
            fields["step"] = outcome.anew
    # what was sent back, or to another step, while this ran goes on from there
    won = mine.filter(step=step).update(lease_token=None, lease_until=None, **fields)
    if not won:
        mine.update(lease_token=None, lease_until=None)
        return
    if outcome.how is How.DONE or (fields["status"], fields["reason"], fields["error_kind"]) != said:
        _note(item, step, fields)
    if (fields.get("step", step), fields["status"]) != before:
        _note_change(pk=item.batch_id, now=clock.now())


@prepared
def _items() -> QuerySet[Item]:
    sides = ("connection", "target_connection")
    sealed = [f"{side}__{name}" for side in sides for name in Connection.SEALED]  # opened by the few that need them
    items = Item.objects.filter(pk=Given("pk"))
    return items.select_related("connection__calendar", "target_connection", "group").defer(*sealed)


@prepared
def batches() -> QuerySet[Batch]:
    """A batch with all that its steps look at."""
    return Batch.objects.filter(pk=Given("pk")).select_related("source__region", "target__region", "handover")


def _load(pk: int) -> Item:
    """Return an item with its connections, its group, and its batch with both workspaces."""
    item = _items.get(pk=pk)
    # by itself: the database takes longer to plan one query over many tables than to answer these two
    item.batch = batches.get(pk=item.batch_id)
    for side, workspace in ((item.connection, item.batch.source), (item.target_connection, item.batch.target)):
        if side is not None and side.workspace_id == workspace.pk:
            side.workspace = workspace
    return item


def _note(item: Item, step: Step, fields: dict[str, Any]) -> None:
    """Keep what came of a step, for the item's timeline; not the same outcome again."""
    StepRecord.objects.create(
        item=item,
        at=clock.now(),
        step=step,
        status=fields["status"],
        reason=fields["reason"],
        error_kind=fields["error_kind"],
        attempt=item.attempts,
    )


def advance_batch(batch: Batch, *, lease: Lease) -> bool:
    """Run the batch's own next step, or notice where its items are. Returns whether to come again at once."""
    mine = Batch.objects.filter(pk=batch.pk, lease_token=lease.token, step=batch.step)
    step = Step(batch.step)
    if not allows(batch.goal, step):
        return _rest(batch, mine)
    mine.update(attempts=F("attempts") + 1, status=BatchStatus.RUNNING)
    outcome = _guarded(lambda: BATCH_STEPS[step](batch), attempts=batch.attempts + 1, what=f"batch {batch.slug}")
    now = clock.now()
    if outcome.how is How.DONE:
        following = after(step)
        fields: dict[str, Any] = {"attempts": 0, "reason": outcome.reason, "due_at": None, "changed_at": now}
        if following is None:
            fields |= {"status": BatchStatus.CLOSED, "closed_at": now, "reached": batch.goal}
        else:
            fields |= {"step": following}
        return bool(mine.update(**fields)) and following is not None
    if outcome.how is How.WAIT:
        attempts = {} if outcome.passing else {"attempts": 0}
        mine.update(status=BatchStatus.RUNNING, reason=outcome.reason[:600], due_at=outcome.due_at, **attempts)
        return outcome.due_at is not None and outcome.due_at <= now
    stop_batch(batch, outcome.reason)
    return False


def stop_batch(batch: Batch, reason: str) -> None:
    """Stop a batch with a reason; a person solves it and presses retry."""
    # what happened on the way there does not stop the way back
    same_way = Batch.objects.filter(pk=batch.pk, closed_at=None, handover__backwards=batch.goes_back)
    if not same_way.update(status=BatchStatus.STOPPED, reason=reason[:600], reached=F("goal"), changed_at=clock.now()):
        return
    note(
        batch,
        Step(batch.step),
        Found("stopped", Severity.WARNING, reason, "Solve it, then press “retry failed”.", subject=batch.step),
    )


def _guarded(run: Any, *, attempts: int, what: str) -> Outcome:
    """Run a step; every way it can end becomes an outcome."""
    try:
        outcome: Outcome = run()
    except errors.ProviderError as error:
        return outcomes.after_error(error, attempts=attempts)
    except OperationalError:
        # the database was restarted, or two writers met: nothing of ours is wrong, and every step may run again
        logger.warning("the database broke off a step", extra={"subject": what}, exc_info=True)
        connection.close_if_unusable_or_obsolete()
        return outcomes.Outcome(How.WAIT, DATABASE, clock.now() + outcomes.FIRST_RETRY, passing=True)
    except Exception as error:
        logger.exception("step failed", extra={"subject": what})
        return outcomes.failed(OUR_FAULT.format(error=type(error).__name__), ErrorKind.OURS)
    return outcome


def _rest(batch: Batch, mine: QuerySet[Batch]) -> bool:
    """Everything up to the goal is done: wait for the next press."""
    mine.filter(goal=batch.goal).update(
        status=BatchStatus.WAITING, reached=F("goal"), reason=AT_REST.format(goal=batch.get_goal_display())
    )
    return False


@prepared
def _where_items_are() -> QuerySet[Item, tuple[str, str]]:
    items = Item.objects.filter(batch=Given("batch"), kind=Item.Kind.CONNECTION)
    return items.values_list("step", "status").distinct().order_by()


def follow_items(batch: Batch) -> None:
    """Set the batch's step to that of its slowest item; when all have ended, clean up comes next.

    Guarded updates of what the items say: anybody may do it at any time.
    """
    mine = Batch.objects.filter(pk=batch.pk, step=batch.step)
    # one statement sees all items at one moment: between two, the last of them may end
    found = set(_where_items_are(batch=batch.pk))
    active = [step for step, status in found if status in ItemStatus.active()]
    if not active and any(status == ItemStatus.FAILED for _, status in found):
        count = Item.objects.filter(batch=batch, kind=Item.Kind.CONNECTION, status=ItemStatus.FAILED).count()
        stop_batch(batch, FAILED.format(count=count, where=batch.origin))
    elif not active:
        mine.update(step=Step.CLEAN_UP, due_at=None, attempts=0, changed_at=clock.now())
    else:
        slowest = min(active, key=position)
        if slowest != batch.step:
            mine.update(step=slowest)
        if not any(allows(batch.goal, step) for step in active):
            _rest(batch, Batch.objects.filter(pk=batch.pk))
        elif batch.status != BatchStatus.RUNNING:
            Batch.objects.filter(pk=batch.pk).update(status=BatchStatus.RUNNING, reason="")


def turn_round(batch: Batch) -> int:
    """Put the items of a batch that goes back onto the way back; return how many were not on it.

    Anybody may do it at any time.
    """
    strays = Item.objects.filter(batch=batch, kind=Item.Kind.CONNECTION).exclude(step__in=BACK)
    return strays.update(
        step=BACK[0],
        status=ItemStatus.READY,
        reason="",
        error_kind=ErrorKind.NONE,
        due_at=None,
        attempts=0,
        canary=False,
        token_until=None,
        deleted_at=None,
    )


def next_due(batch: Batch, now: datetime) -> datetime | None:
    """Return the earliest domain time at which an item of a batch wants to be looked at: `now`, or before, for some.

    None when all of them have ended, or wait for a person or for the next press.
    """
    steps = [step.value for step in batch.steps if allows(batch.goal, step)]
    active = [status.value for status in ItemStatus.active()]
    with connection.cursor() as cursor:
        cursor.execute(_NEXT_DUE, [now, batch.pk, Item.Kind.CONNECTION.value, active, steps])
        found: datetime | None = cursor.fetchone()[0]
    return found
