"""A move played on virtual time says what the move would come to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from recallops.rehearsal.document import Document
from tests.harness import Move, quick
from tests.rehearsal.building import copied, exported, played

pytestmark = pytest.mark.django_db(transaction=True)


def company() -> Move:
    """A company by chance, with one calendar that is disconnected and one that shows no token; short waits."""
    return Move(
        calendars=6,
        events=60,
        customers=2,
        seed=2,  # ids follow from the seed: with the rehearsal's own they would be the same
        odd={"disconnected": 1, "tokenless": 1},
        soak=timedelta(hours=1),
        canary_wait=timedelta(minutes=10),
        cut=timedelta(hours=2),
        sweep_every=timedelta(minutes=30),
    )


@pytest.fixture
def document() -> Document:
    return copied(exported(quick()))


def _rows_of_every_table() -> str:
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        texts = []
        for table in tables:
            cursor.execute(f'SELECT row_to_json(t)::text FROM "{table}" AS t')  # noqa: S608 (our own tables)
            texts += [text for (text,) in cursor.fetchall()]
    return "\n".join(texts)


def _names(move: Move) -> set[str]:
    """Everything in the real inventory that names somebody or something."""
    found: set[str | None] = set()
    for account in move.world.accounts.values():
        found |= {account.email, account.domain, *account.tokens}
    for meeting in move.world.meetings.values():
        found |= {meeting.id, meeting.url, meeting.ical_uid, meeting.google_id, meeting.series}
        found |= {meeting.title} if len(meeting.title) > 8 else set()
    for there in (move.there, move.here):
        found |= {*there.api_keys, *there.calendars, *there.events, *there.bots, *there.keys}
    for client in move.world.clients.values():
        found |= {client.client_id, client.secret}
    return {name for name in found if name and len(name) > 5}


def test_a_move_that_is_played_ends_with_every_meeting_held_and_says_how_long_it_takes(document: Document) -> None:
    came = played(document)
    assert came["ended"] == "closed"
    assert came["held"] == {"wanted": 6, "held": 6, "missed": 0, "doubled": 0, "unaccounted": 0}
    assert came["items"] == {"done": 2}
    assert came["errors"] == []
    assert came["stops"] == []
    assert timedelta(hours=1) < timedelta(seconds=came["seconds"]) < timedelta(hours=8)
    assert [one["step"] for one in came["steps"]][-1] == "clean_up"
    assert sum(one["lasted"] for one in came["steps"]) == pytest.approx(came["seconds"], abs=1)
    assert came["calls"]["target"]["POST /api/v2/calendar-events/{id}/bot/"] >= 8
    assert came["groups"] == {"largest": [2], "count": 1, "mixed": 0}
    assert came["cut"]["chosen"]


def test_nothing_in_a_rehearsal_names_anybody_of_the_inventory() -> None:
    move = exported(company())
    names = _names(move)
    assert len(names) > 100
    document = copied(move)
    came = played(document)
    everything = "\n".join([document.text(), _rows_of_every_table(), str(came)])
    assert [name for name in sorted(names) if name in everything] == []
    assert came["items"]["user"] == 2, "what cannot go as it is waits for its user, as it would"
    assert came["held"]["missed"] == came["held"]["doubled"] == 0
    assert len(came["reasons"]) == 2


def test_lower_limits_make_the_same_move_longer(document: Document) -> None:
    quickly: dict[str, Any] = played(document)
    for side in (document.source, document.target):
        side.limits = dict.fromkeys(side.limits, 3)
    slowly = played(document)
    assert slowly["ended"] == "closed"
    assert slowly["seconds"] > quickly["seconds"]
    assert slowly["slowest"][0]["minutes"] > quickly["slowest"][0]["minutes"]
