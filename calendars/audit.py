"""The chain of the audit trail: each entry holds the hash of the one before it, so that no byte changes unseen.

The database makes the chain (a trigger, at commit, under the lock of the head's one row), so that whatever writes an
entry is chained, and concurrent writers wait for each other for no longer than a commit. It is checked here, by hashes
of our own, not by the database's word.

A person with the database's rights can compute the whole chain anew. That is found by whoever kept a head elsewhere:
`manage.py verify_audit --head` prints it, `--since` proves that it is still part of the chain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.db.models import F
from django.db.models.expressions import RawSQL

from calendars.models import AuditEntry, AuditHead
from recallops.snapshots import one_moment

NOTHING = "0" * 64
BATCH = 2_000

# Every column of an entry but its hash, as one text that no two entries share. Texts of JSON as they are stored, since
# 1.0 and 1.00, or no value and the value null, are not the same bytes. Migration 0006 has the same for the trigger.
LINE = """jsonb_build_array(
    calendars_auditentry.id, calendars_auditentry.number, calendars_auditentry.previous,
    to_char(calendars_auditentry.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US BC'),
    to_char(calendars_auditentry.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US BC'),
    calendars_auditentry.actor_id, calendars_auditentry.actor_name, calendars_auditentry.action,
    calendars_auditentry.subject_kind, calendars_auditentry.subject_id, calendars_auditentry.subject_name,
    calendars_auditentry.reason, calendars_auditentry.before::text, calendars_auditentry.after::text,
    calendars_auditentry.data::text, calendars_auditentry.door, calendars_auditentry.address,
    calendars_auditentry.request_id
)::text"""

BESIDE = "Entry with id {id} stands beside the chain: it has no number. It was not written by this product."
MISSING = "Entry {number} is missing: after entry {before} comes entry {found}."
TWICE = "Entry {number} is there twice; the second has id {id}."
CHANGED = "Entry {number} (id {id}) was changed: its hash is not that of its content."
DETACHED = "Entry {number} (id {id}) does not follow the one before it: that was changed, or taken away."
CUT_OFF = "The chain ends with entry {last}, but {head} were written: the last ones are missing."
HEAD_CHANGED = "The chain's last entry is {last}, and the head says {head} with another hash: one of them was changed."
NOT_KEPT = "Entry {number} has another hash than the one that was kept: what came up to it was written anew."
NOT_REACHED = "The head that was kept is entry {number}, and the chain ends with entry {last}: later ones are missing."


@dataclass(frozen=True, slots=True)
class Link:
    """One entry, as the chain sees it."""

    id: int
    number: int | None
    previous: str
    hash: str
    line: str


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain: how many entries there are, and the last one's hash."""

    number: int
    hash: str

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"


@dataclass(frozen=True, slots=True)
class Break:
    """The first place where the chain is not whole."""

    number: int | None
    sentence: str


def check(links: Iterable[Link], head: Head, *, kept: Head | None = None) -> Break | None:
    """Walk a chain from its first entry to its last, and return the first break. Pure.

    Entries come by number, those without one first.
    """
    last = Head(0, NOTHING)
    for link in links:
        if found := _break(link, last, kept):
            return found
        last = Head(link.number or 0, link.hash)
    if last.number < head.number:
        return Break(last.number + 1, CUT_OFF.format(last=last.number, head=head.number))
    if last != head:
        return Break(last.number, HEAD_CHANGED.format(last=last.number, head=head.number))
    if kept is not None and kept.number > last.number:
        return Break(last.number + 1, NOT_REACHED.format(number=kept.number, last=last.number))
    return None


def _break(link: Link, last: Head, kept: Head | None) -> Break | None:
    number = link.number
    if number is None:
        return Break(None, BESIDE.format(id=link.id))
    if number > last.number + 1:
        return Break(last.number + 1, MISSING.format(number=last.number + 1, before=last.number, found=number))
    if number <= last.number:
        return Break(number, TWICE.format(number=number, id=link.id))
    if link.previous != last.hash:
        return Break(number, DETACHED.format(number=number, id=link.id))
    if hashlib.sha256(link.line.encode()).hexdigest() != link.hash:
        return Break(number, CHANGED.format(number=number, id=link.id))
    if kept is not None and kept.number == number and kept.hash != link.hash:
        return Break(number, NOT_KEPT.format(number=number))
    return None


def verify(*, kept: Head | None = None) -> tuple[Head, Break | None]:
    """Check the whole trail of the database as it is at one moment, in batches."""
    with one_moment():
        end = head()
        return end, check(_links(), end, kept=kept)


def head() -> Head:
    """Return the end of the chain as the database keeps it."""
    row = AuditHead.objects.filter(pk=1).values_list("number", "hash").first()
    return Head(*row) if row else Head(0, NOTHING)


def _links() -> Iterator[Link]:
    rows = AuditEntry.objects.annotate(line=RawSQL(LINE, [])).order_by(F("number").asc(nulls_first=True), "pk")  # noqa: S611
    for row in rows.values_list("pk", "number", "previous", "hash", "line").iterator(BATCH):
        yield Link(*row)
