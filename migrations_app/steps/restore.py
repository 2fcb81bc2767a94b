"""Restore: on the way back, the calendar is in the source, and nothing that was sent is open any more.

1. A creation in the target, or a delete in the source, whose answer was lost is settled by reading.
2. What is not in the target never left: done.
3. What was deleted in the source is made there again, with the credentials that are kept until clean up; where its
   user has connected it again, that one is taken.
4. The source shows it connected, with the events that the target shows.
"""

from __future__ import annotations

from calendars.models import Connection, IdMapping
from migrations_app.models import ErrorKind, Item
from migrations_app.outcomes import DONE, How, Outcome, failed, not_movable, user, wait
from migrations_app.steps import delete_old, recreate, verify
from recallops import clock

SETTLED = "What was sent on the way there is settled."
MADE = "The source has it again; comparing."
GONE = "Somebody deleted it in the source before it could be moved; there is nothing to bring back."
TAKEN = (
    "It was connected again in the source, and batch {batch} moves that one. Send that batch back first and retry, or "
    "leave this one."
)
TOKENLESS = "It was deleted in the source, and its token is not known any more: its user must connect it again there."


def run(item: Item) -> Outcome:
    """See to it that the calendar is in the source."""
    source, target = item.connection, item.target_connection
    if source is None:
        raise ValueError("an item of a calendar needs its connection")
    if (unsure := recreate.open_intent(item, item.batch.target)) is not None:
        outcome = recreate.settle(item, source, unsure)
        return wait(SETTLED, clock.now()) if outcome.how is How.DONE else outcome
    if (waiting := delete_old.settle(source)) is not None:
        return waiting
    if source.status == "deleted":
        return _again(item)
    if target is None or target.status == "deleted":
        return DONE
    outcome = verify.run(item)
    if outcome.how is How.DONE:
        ids = [(target.remote_id, source.remote_id)]
        IdMapping.objects.moved("calendar", ids, source=target.workspace_id, target=source.workspace_id)
    return outcome


def _again(item: Item) -> Outcome:
    source = item.connection
    if source is None or item.target_connection is None:
        return not_movable(GONE)
    connected_again = Connection.objects.live().filter(workspace=source.workspace_id, calendar=source.calendar_id)
    taken = Item.objects.filter(open=True, connection__in=connected_again).exclude(pk=item.pk).first()
    if taken is not None:
        return failed(TAKEN.format(batch=taken.batch), ErrorKind.CONFIGURATION)
    if not source.refresh_token and not connected_again.exists():
        return user(TOKENLESS)
    outcome = recreate.ensure(item, source)
    return wait(MADE, clock.now()) if outcome.how is How.DONE else outcome
