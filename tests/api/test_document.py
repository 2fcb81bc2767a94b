"""What docs/api.md says is so: its client is run against the API, and its answers have the fields of real ones."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.test import Client

from calendars.models import IdMapping
from tests.admin import builders as make
from tests.api.conftest import wait_for_others
from tests.api.test_ownership import make_meeting
from tests.conftest import ROOT

TEXT = (ROOT / "docs/api.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def recallops(live_server: Any, settings: Any) -> Any:
    (source,) = blocks("python")
    names: dict[str, Any] = {}
    exec(compile(source, "docs/api.md", "exec"), names)  # noqa: S102 - that it runs as it stands is the point
    client = names["RecallOps"](live_server.url, make.make_token()[1])
    yield client
    client.http.close()


@pytest.mark.django_db(transaction=True)
def test_the_client_of_the_document_follows_a_move(recallops: Any) -> None:
    meeting = make_meeting()
    ends = (meeting.us, meeting.eu)
    first = make.make_mapping(*ends, source_remote_id="old", target_remote_id="new")
    make.make_mapping(*ends, kind="event", source_remote_id="e-old", target_remote_id=meeting.new.remote_id)
    assert recallops.current_id("calendar", "old") == "new"
    assert recallops.current_id("calendar", "never-moved") == "never-moved"
    assert recallops.owner("e-old") == meeting.us.slug
    with pytest.raises(LookupError, match="No event with this id is known"):
        recallops.owner("nothing")
    wait_for_others()
    ((rows, after),) = recallops.changes()
    assert [row["source"]["id"] for row in rows] == ["old", "e-old"]
    IdMapping.objects.filter(pk=first.pk).update(superseded=True)
    wait_for_others()
    ((rows, after),) = recallops.changes(after)
    assert [(row["source"]["id"], row["superseded"]) for row in rows] == [("old", True)]
    assert [rows for rows, _ in recallops.changes(after)] == [[]]


@pytest.mark.django_db
def test_the_answers_of_the_document_have_the_fields_of_real_ones(app: Client) -> None:
    meeting = make_meeting()
    make.make_mapping(meeting.us, meeting.eu, source_remote_id="a", target_remote_id="b")
    batch = make.make_batch("move")
    make.make_item(batch)
    addresses = [
        "ids/calendar/a/",
        f"ownership/?event={meeting.old.remote_id}",
        f"calendars/{meeting.calendar.pk}/",
        "batches/move/",
    ]
    written = [json.loads(block) for block in blocks("json")]
    for address, answer in zip(addresses, written, strict=True):
        assert shape(app.get(f"/api/v1/{address}").json()) == shape(answer), address


def shape(value: Any) -> Any:
    """Return the names in an answer."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    return shape(value[0]) if isinstance(value, list) and value else None
