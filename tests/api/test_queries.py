"""A page takes the same few queries for a hundred rows as for ten."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from calendars.models import Calendar, Event, IdMapping
from migrations_app.models import Batch, Item
from tests.admin import builders as make
from tests.api.test_ownership import make_meeting

pytestmark = pytest.mark.django_db

MOST = 10  # of them two for the token


def fill(rows: int) -> None:
    batch = Batch.objects.filter(slug="one").first() or make.make_batch("one")
    for number in range(rows):
        meeting = make_meeting()
        make.make_mapping(meeting.us, meeting.eu, kind="event", source_remote_id=f"gone-{meeting.old.remote_id}")
        make.make_mapping(
            *(meeting.us, meeting.eu),
            kind="event",
            source_remote_id=f"old-{meeting.old.remote_id}",
            target_remote_id=meeting.new.remote_id,
        )
        make.make_item(batch, connection=meeting.here, target_connection=meeting.there)
        make.make_batch(f"batch-{meeting.us.slug}-{number}", source=meeting.us, target=meeting.eu)


def counts(app: Client) -> dict[str, int]:
    events = [f"old-{one}" for one in Event.objects.values_list("remote_id", flat=True)[:250]]
    events += list(Event.objects.values_list("remote_id", flat=True)[:250])
    asked: dict[str, Any] = {
        "ids/?limit=500": None,
        "ids/changes/?limit=500": None,
        "ids.csv": None,
        "ids.ndjson": None,
        "calendars/?limit=500": None,
        f"calendars/{Calendar.objects.values_list('pk', flat=True)[0]}/": None,
        "batches/?limit=500": None,
        "batches/one/": None,
        "batches/one/items/?limit=500": None,
        f"ownership/?event={Event.objects.values_list('remote_id', flat=True)[0]}": None,
        "ids/lookup/": {"ids": list(IdMapping.objects.values_list("source_remote_id", flat=True)[:500])},
        "ownership/lookup/": {"events": events},
    }
    found = {}
    for address, body in asked.items():
        with CaptureQueriesContext(connection) as captured:
            if body is None:
                response: Any = app.get(f"/api/v1/{address}")
            else:
                response = app.post(f"/api/v1/{address}", json.dumps(body), content_type="application/json")
            assert response.status_code == 200, response.content
            if response.streaming:
                list(response.streaming_content)
        found[address] = len([one for one in captured.captured_queries if "SAVEPOINT" not in one["sql"]])
    return found


def test_pages_take_the_same_few_queries_for_many_rows_as_for_few(app: Client) -> None:
    fill(10)
    few = list(counts(app).items())
    fill(90)
    many = list(counts(app).items())
    assert Item.objects.count() == 100
    for (address, before), (_, after) in zip(few, many, strict=True):
        assert before == after <= MOST, f"{address}: {before} became {after}"
