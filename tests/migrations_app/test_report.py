"""The report: it says what happened, adds up, can be checked later, and holds no secret."""

from __future__ import annotations

import hashlib
import importlib
import json
import re
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from calendars.models import (
    ApiKey,
    Assignment,
    AuditEntry,
    Calendar,
    Connection,
    Customer,
    Handover,
    IdMapping,
    RateBudget,
    Region,
    Sweep,
    Workspace,
)
from calendars.providers import limits
from calendars.providers.connect import use_transport
from migrations_app import control, report, report_format
from migrations_app.itineraries import Step
from migrations_app.models import Batch, BatchStatus, CoverageReading, Finding, Item, ItemStatus, Severity
from recallops import clock
from tests.harness import Move

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
CANARY = "canary-9d41c6-Zq7"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def batch(db: None) -> Iterator[Batch]:
    """A batch of three exported calendars of which nothing is moved yet."""
    with clock.use(clock.ManualClock(NOON)):
        sides = [_workspace(slug, code) for slug, code in (("us", "us-west-2"), ("eu", "eu-central-1"))]
        made = control.create_batch(slug="autumn", source=sides[0], target=sides[1], actor=None)
        Batch.objects.filter(pk=made.pk).update(started_at=NOON, goal=Step.CLEAN_UP, status=BatchStatus.RUNNING)
        Sweep.objects.create(
            workspace=sides[0], kind=Sweep.Kind.CALENDARS, begun_at=NOON, finished_at=NOON, rows=3, pages=1
        )
        for name in ("ann", "bob", "cyd"):
            exported(made, name)
        yield Batch.objects.get(pk=made.pk)


def _workspace(slug: str, code: str) -> Workspace:
    region, _ = Region.objects.get_or_create(
        provider="recall", code=code, defaults={"label": code, "base_url": f"https://{code}.recall.ai"}
    )
    return Workspace.objects.create(slug=slug, name=slug.upper(), region=region)


def connected(batch: Batch, name: str, **fields: Any) -> Connection:
    customer, _ = Customer.objects.get_or_create(slug="acme", defaults={"name": "Acme"})
    calendar = Calendar.objects.create(
        customer=customer, family=batch.source.family, platform="google_calendar", email=f"{name}@acme.example"
    )
    return Connection.objects.create(
        calendar=calendar, workspace=batch.source, remote_id=f"us-{name}", status="connected", **fields
    )


def exported(batch: Batch, name: str, status: str = ItemStatus.READY, **fields: Any) -> Item:
    source = connected(batch, name)
    return Item.objects.create(
        batch=batch, source_id=source.remote_id, title=source.calendar.email, connection=source, status=status, **fields
    )


def moved(item: Item) -> None:
    Item.objects.filter(pk=item.pk).update(status=ItemStatus.DONE)
    IdMapping.objects.create(
        kind="calendar",
        source=item.batch.source,
        source_remote_id=item.source_id,
        target=item.batch.target,
        target_remote_id=item.source_id.replace("us-", "eu-"),
    )


def written(batch: Batch, folder: Path) -> dict[str, Any]:
    report.write(batch, folder / "report.json")
    loaded: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return loaded


# -- nothing lost


def test_exported_is_the_sum_of_what_became_of_it(batch: Batch) -> None:
    ann, bob, cyd = batch.items.order_by("pk")
    moved(ann)
    Item.objects.filter(pk=bob.pk).update(status=ItemStatus.USER, reason="Connect it again.")
    Item.objects.filter(pk=cyd.pk).update(status=ItemStatus.FAILED, reason="The provider refused it.")
    exported(batch, "dan", ItemStatus.NOT_MOVABLE)
    found = report.build(batch)["items"]
    assert found["sentence"] == "4 exported = 1 moved + 1 waiting + 1 not movable + 1 failed."
    assert found["adds_up"] is True
    assert found["unaccounted"] == {"total": 0, "rows": []}
    assert [(row["calendar"], row["label"], row["reason"]) for row in found["not_moved"]["rows"]] == [
        ("bob@acme.example", "waiting for user", "Connect it again."),
        ("cyd@acme.example", "failed", "The provider refused it."),
        ("dan@acme.example", "not movable", ""),
    ]


def test_a_calendar_that_was_listed_but_has_no_item_is_named(batch: Batch) -> None:
    connected(batch, "eve")
    found = report.build(batch)["items"]
    assert (found["adds_up"], found["exported"]) == (False, 4)
    assert found["sentence"].startswith("It does not add up: 1 of 4 exported calendar(s) are unaccounted for: eve@acme")
    assert "4 exported ≠ 0 moved + 3 waiting" in found["sentence"]
    assert found["unaccounted"]["rows"][0]["why"] == "the source listed it, and no item was made for it"


def test_a_calendar_marked_as_moved_without_a_new_id_is_named(batch: Batch) -> None:
    Item.objects.filter(title__startswith="bob").update(status=ItemStatus.DONE)
    found = report.build(batch)["items"]
    assert (found["adds_up"], found["moved"]) == (False, 0)
    assert found["unaccounted"]["rows"] == [
        {
            "id": "us-bob",
            "calendar": "bob@acme.example",
            "why": "marked as moved, but its id in the target is not on record",
        }
    ]


def test_a_status_that_nobody_knows_is_named(batch: Batch) -> None:
    Item.objects.filter(title__startswith="cyd").update(status="vanished")
    found = report.build(batch)["items"]
    assert found["unaccounted"]["rows"][0] == {
        "id": "us-cyd",
        "calendar": "cyd@acme.example",
        "why": "its status “vanished” is none of these",
    }


def test_what_was_not_exported_by_this_batch_is_not_missed(batch: Batch) -> None:
    later = (NOON + timedelta(hours=1)).isoformat()
    connected(batch, "newcomer", status_changes=[{"status": "connected", "created_at": later}])
    connected(batch, "long-gone", deleted_at=NOON - timedelta(days=1))
    other = control.create_batch(slug="other", source=batch.source, target=batch.target)
    exported(other, "elsewhere")
    assert report.build(batch)["items"]["adds_up"] is True


def test_before_the_export_it_says_so(batch: Batch) -> None:
    batch.items.all().delete()
    found = report.build(batch)["items"]
    assert (found["sentence"], found["adds_up"]) == ("Nothing has been exported yet.", True)


# -- the lists, and how they are checked later


def test_a_page_gets_the_first_rows_and_the_file_all_of_them(batch: Batch, tmp_path: Path) -> None:
    for number in range(150):
        moved(exported(batch, f"many-{number:03}"))
    page, file = report.build(batch), written(batch, tmp_path)
    for name, total in (("inventory", 153), ("id_map", 150)):
        assert (page[name]["total"], len(page[name]["rows"])) == (total, report_format.PAGE_ROWS)
        assert (file[name]["total"], len(file[name]["rows"])) == (total, total)
        assert file[name]["rows"][:100] == page[name]["rows"]
        assert file[name]["sha256"] == page[name]["sha256"]


def test_the_hashes_are_over_the_lines_of_the_file(batch: Batch, tmp_path: Path) -> None:
    moved(batch.items.order_by("pk")[0])
    file = written(batch, tmp_path)
    lines = [
        json.dumps(row, sort_keys=True, ensure_ascii=False, separators=(",", ":")) for row in file["inventory"]["rows"]
    ]
    assert file["inventory"]["sha256"] == hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
    assert all(line in (tmp_path / "report.json").read_text() for line in lines)


def test_the_check_in_the_documentation_finds_a_changed_byte(batch: Batch, tmp_path: Path) -> None:
    moved(batch.items.order_by("pk")[0])
    report.write(batch, tmp_path / "report.json")
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "report.md").read_text(), re.DOTALL)
    run = [sys.executable, "-c", code, str(tmp_path / "report.json")]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == "id_map: ok\ninventory: ok\n"
    text = (tmp_path / "report.json").read_text()
    (tmp_path / "report.json").write_text(text.replace("us-bob", "us-bop"))
    changed = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert changed == "id_map: ok\ninventory: CHANGED\n"


def test_the_inventory_keeps_its_hash_while_the_batch_moves(batch: Batch) -> None:
    before = report.build(batch)["inventory"]["sha256"]
    for item in batch.items.all():
        moved(item)
    Connection.objects.update(status="deleted", deleted_at=NOON + timedelta(days=1))
    assert report.build(batch)["inventory"]["sha256"] == before


def test_the_same_rows_give_the_same_file(batch: Batch, tmp_path: Path) -> None:
    Batch.objects.filter(pk=batch.pk).update(closed_at=NOON, status=BatchStatus.CLOSED)
    report.write(batch, tmp_path / "one.json")
    with clock.use(clock.ManualClock(NOON + timedelta(days=30))):
        report.write(batch, tmp_path / "two.json")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    keys = list(json.loads((tmp_path / "one.json").read_text()))
    assert keys == sorted(keys)
    assert keys == [
        "acts", "batch", "calls", "findings", "id_map", "inventory", "items", "ledger", "not_checked", "prediction",
    ]  # fmt: skip


def test_a_write_that_fails_leaves_the_older_file_alone(
    batch: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "report.json").write_text("older")
    monkeypatch.setattr(report, "_prediction", lambda batch: {"of no kind": object()})
    with pytest.raises(TypeError):
        report.write(batch, tmp_path / "report.json")
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
    assert (tmp_path / "report.json").read_text() == "older"


def test_a_long_map_is_written_without_being_held_in_memory(batch: Batch, tmp_path: Path) -> None:
    item = batch.items.order_by("pk")[0]
    events = 60_000
    with connection.cursor() as cursor:  # rows as they are, without an object each
        cursor.execute(
            """
            WITH occurrence AS (
                INSERT INTO calendars_occurrence (calendar_id, platform_id, ical_uid, wanted, found, reason, scope)
                VALUES (%s, 'p', '', true, true, '', '') RETURNING id
            ), event AS (
                INSERT INTO calendars_event (workspace_id, connection_id, occurrence_id, remote_id, start, "end", url,
                    meeting_platform, is_deleted, bots, raw, digest, remote_updated_at, read_begun_at)
                SELECT %s, %s, occurrence.id, 'event-' || n, now(), now(), '', '', false, '[]', '{}', '', now(), now()
                FROM occurrence, generate_series(1, %s) AS n
            )
            INSERT INTO calendars_idmapping
                (kind, source_id, source_remote_id, target_id, target_remote_id, superseded, created_at)
            SELECT 'event', %s, 'event-' || n, %s, 'there-' || n, false, now() FROM generate_series(1, %s) AS n
            """,
            [
                item.connection.calendar_id if item.connection else 0, batch.source_id, item.connection_id, events,
                batch.source_id, batch.target_id, events,
            ],
        )  # fmt: skip
    tracemalloc.start()
    try:
        report.write(batch, tmp_path / "report.json")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    size = (tmp_path / "report.json").stat().st_size
    assert size > 4_000_000
    assert peak < size / 2
    page = report.build(batch)["id_map"]
    assert (page["counts"], len(page["rows"]), page["sha256"]) == ({"event": events}, 100, "")  # too long for a page


def test_a_page_makes_as_many_queries_for_many_rows_as_for_few(batch: Batch) -> None:
    with CaptureQueriesContext(connection) as few:
        report.build(batch)
    for number in range(40):
        item = exported(batch, f"more-{number}")
        moved(item)
        assert item.connection is not None
        Assignment.objects.create(
            family="us", start=NOON, end=NOON + timedelta(hours=1), url="https://meet.example/a", owner=batch.source,
            identity=str(number),
        ).occurrences.create(calendar=item.connection.calendar, platform_id="p", wanted=True)  # fmt: skip
        Finding.objects.create(
            batch=batch, step=Step.VERIFY, code="differ", subject=str(number), severity=Severity.WARNING,
            sentence="They differ.", found_at=NOON,
        )  # fmt: skip
    with CaptureQueriesContext(connection) as many:
        report.build(batch)
    assert len(many) == len(few)


# -- no secrets


def test_no_secret_gets_into_it(batch: Batch, tmp_path: Path) -> None:
    secrets = {where: f"{CANARY}-{where}" for where in ("api-key", "token", "client", "meeting")}
    ApiKey.objects.create(workspace=batch.source, secret=secrets["api-key"])
    Connection.objects.update(refresh_token=secrets["token"], oauth_client_secret=secrets["client"])
    room = f"https://zoom.example/j/123?pwd={secrets['meeting']}#x"
    exceptions = [{"start": NOON.isoformat(), "url": room, "verdict": "missed", "note": "", "owner": "us"}]
    CoverageReading.objects.create(
        batch=batch, moment="cut", at=NOON, total=1, counts={"missed": 1}, exceptions=exceptions
    )
    calendar = Calendar.objects.get(email="ann@acme.example")
    Assignment.objects.create(
        family="us", start=NOON + timedelta(days=1), end=NOON + timedelta(days=1, hours=1), url=room,
        identity="x", owner=batch.source, bot_config={"zoom": {"secret": secrets["client"]}},
    ).occurrences.create(calendar=calendar, platform_id="p", wanted=True)  # fmt: skip
    Finding.objects.create(
        batch=batch, step=Step.DELETE_OLD, code="delete_refused", severity=Severity.WARNING, found_at=NOON,
        sentence=f"Refused: the meeting at {room} is missed. Recall says: Token 1234{CANARY}5678abcd.",
    )  # fmt: skip
    Item.objects.update(reason=f"Recall says: “Bearer 1234{CANARY}5678abcd” is wrong")
    AuditEntry.objects.record(actor="ann", action="batch.pause", subject=batch, reason=f"see {room}")
    report.write(batch, tmp_path / "report.json")
    text = (tmp_path / "report.json").read_text()
    assert CANARY not in text
    assert CANARY not in json.dumps(report.build(batch))
    assert text.count("https://zoom.example/j/123?…") == 4  # what it names is still told


# -- ledger, calls, acts, findings, prediction


def test_the_ledger_shows_its_readings_and_the_present(batch: Batch, tmp_path: Path) -> None:
    CoverageReading.objects.create(
        batch=batch, moment="before", at=NOON, source_read_at=NOON, total=5, counts={"source": 4, "missed": 1}
    )
    calendar = Calendar.objects.get(email="ann@acme.example")
    Assignment.objects.create(
        family="us", start=NOON + timedelta(days=1), end=NOON + timedelta(days=1, hours=1), url="https://meet.example/a",
        identity="x", owner=batch.source,
    ).occurrences.create(calendar=calendar, platform_id="p", wanted=True)  # fmt: skip
    found = report.build(batch)["ledger"]
    assert (found["cut"], found["after"]) == (None, None)
    assert found["before"]["counts"] == [
        {"verdict": "missed", "label": "missed", "count": 1},
        {"verdict": "source", "label": "covered by source", "count": 4},
    ]
    assert (found["before"]["covered"], found["before"]["not_covered"]) == (4, 1)
    assert (found["before"]["source_read_at"], found["before"]["target_read_at"]) == (NOON.isoformat(), None)
    assert [row["verdict"] for row in found["now"]["counts"]] == ["stale"]  # as it was last judged: never
    assert found["now"]["exceptions"][0]["url"] == "https://meet.example/a"
    anew = written(batch, tmp_path)["ledger"]["now"]
    assert [row["verdict"] for row in anew["counts"]] == ["missed"]
    assert anew["exceptions"][0]["url"] == "https://meet.example/a"


def test_calls_are_those_since_the_batch_began(batch: Batch) -> None:
    for workspace, endpoint, taken in (("us", "GET /a/", 12), ("us", "GET /b/", 7), ("eu", "POST /a/", 3)):
        RateBudget.objects.create(
            workspace=Workspace.objects.get(slug=workspace), endpoint=endpoint, per_minute=60, emission=1.25,
            taken=taken, refused=2 if taken == 3 else 0,
        )  # fmt: skip
    Batch.objects.filter(pk=batch.pk).update(calls_before={"us GET /a/": 10, "us GET /b/": 7})
    batch.refresh_from_db()
    built = report.build(batch)
    assert [(row["workspace"], row["endpoint"], row["count"], row["refused"]) for row in built["calls"]] == [
        ("eu", "POST /a/", 3, 2),
        ("us", "GET /a/", 2, 0),
    ]
    assert (built["prediction"]["calls_seconds"], built["prediction"]["calls_bound"]) == (3.75, "POST /a/ in eu")


def test_acts_name_who_pressed_what_when(batch: Batch) -> None:
    ann = User.objects.create(username="ann")
    found = Finding.objects.create(
        batch=batch, step=Step.PREFLIGHT, code="key", severity=Severity.BLOCKING, sentence="A key is refused.",
        found_at=NOON,
    )  # fmt: skip
    control.waive(found, actor=ann, reason="known")
    control.set_paused(batch, True, actor=ann, reason="lunch")
    other = control.create_batch(slug="other", source=batch.source, target=batch.target, actor=ann)
    control.set_cut_line(other, NOON, actor=ann)
    built = report.build(batch)
    assert [(row["who"], row["act"], row["at"]) for row in built["acts"]["rows"]] == [
        ("system", "batch.create", NOON.isoformat()),
        ("ann", "finding.waive", NOON.isoformat()),
        ("ann", "batch.pause", NOON.isoformat()),
    ]
    assert built["acts"]["rows"][2]["data"] == {"reason": "lunch"}
    (row,) = built["findings"]["rows"]
    assert row["waived"] == {"at": NOON.isoformat(), "by": "ann", "reason": "known"}
    assert built["findings"]["counts"] == [{"severity": "blocking", "count": 1, "open": 0}]


def test_the_prediction_is_the_one_made_before_the_first_write(batch: Batch) -> None:
    Batch.objects.filter(pk=batch.pk).update(
        predicted_seconds=2100.5,
        predicted_bound="GET /a/ in us-west-2",
        closed_at=NOON + timedelta(minutes=50),
        status=BatchStatus.CLOSED,
    )
    batch.refresh_from_db()
    found = report.build(batch)["prediction"]
    assert (found["predicted_seconds"], found["bound"]) == (2100.5, "GET /a/ in us-west-2")
    assert found["actual_seconds"] == 3000


def test_what_was_not_checked_stands_beside_what_was(batch: Batch) -> None:
    sentences = " ".join(report.build(batch)["not_checked"])
    for word in (
        "really joins",
        "nobody put into the calendar",
        "after a reading",
        "28 days",
        "checklist",
        "Recordings",
    ):
        assert word in sentences


def test_a_batch_that_never_began_has_a_report(db: None) -> None:
    made = control.create_batch(
        slug="new", source=_workspace("us", "us-west-2"), target=_workspace("eu", "eu-central-1")
    )
    built = report.build(made)
    assert (built["batch"]["status"], built["calls"], built["ledger"]["now"]) == ("draft", [], None)
    assert Handover.objects.count() == 1


# -- a whole move


@pytest.mark.django_db(transaction=True)
def test_the_report_of_a_move_tells_what_the_sandbox_saw(tmp_path: Path) -> None:
    importlib.import_module("calendars.migrations.0002_regions_limits_clock").fill(apps, None)
    before = clock._clock
    try:
        move = Move(calendars=3, events=8)
        Batch.objects.filter(pk=move.batch.pk).update(soak=timedelta(0), canary_wait=timedelta(minutes=5))
        move.allow(Step.CLEAN_UP)
        move.run()
        file = written(move.batch, tmp_path)
        (there,) = move.world.regions["eu-central-1"].workspaces.values()
        seen: Counter[tuple[str, str]] = Counter()
        for (region, _, endpoint, _), number in move.world.log.counts.items():
            seen["us" if region == "us-west-2" else "eu", endpoint] += number
        text = (tmp_path / "report.json").read_text()
        secrets = [key.secret for key in ApiKey.objects.all()]
    finally:
        clock.install(before)
        use_transport(None)
        limits.close()
    assert file["items"]["sentence"] == "3 exported = 3 moved + 0 waiting + 0 not movable + 0 failed."
    assert {row["target"] for row in file["id_map"]["rows"] if row["kind"] == "calendar"} == set(there.calendars)
    assert file["id_map"]["counts"].keys() == {"calendar", "event", "bot"}
    assert {(row["workspace"], row["endpoint"]): row["count"] for row in file["calls"]} == dict(seen)
    assert file["ledger"]["now"] is None
    for moment in ("before", "after"):
        assert file["ledger"][moment]["not_covered"] == 0, moment
    assert file["prediction"]["predicted_seconds"] > 0
    assert 0 < file["prediction"]["handed_over_seconds"] < file["prediction"]["actual_seconds"]
    assert file["inventory"]["total"] == 3
    assert not [secret for secret in secrets if secret in text]
