"""The audit trail: who, what, why, before, after, from where; append-only, and whatever is done to it is found."""

# ruff: noqa: S608 (statements of our own, against our own table)

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib import import_module
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client, RequestFactory
from django.urls import reverse

from calendars import audit
from calendars.models import AuditEntry, AuditHead
from recallops import caller
from tests import trail
from tests.admin.builders import make_batch, make_key, make_staff, make_workspace

pytestmark = pytest.mark.django_db
TABLE = "calendars_auditentry"


def run(sql: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def written(entries: int = 5) -> list[AuditEntry]:
    """Entries as they are after their commit."""
    actor = User.objects.filter(username="dana").first() or make_staff("dana")
    for number in range(entries):
        AuditEntry.objects.record(
            actor=actor, action="user.try", subject=actor, reason=f"why {number}", after={"n": 1.0}, number_of=number
        )
    connection.check_constraints()  # what a commit does
    return list(AuditEntry.objects.order_by("number"))


@pytest.fixture
def unguarded() -> Callable[[], None]:
    """Let a test do what only a database's owner can."""
    return lambda: run(f"ALTER TABLE {TABLE} DISABLE TRIGGER USER")


def found() -> str:
    _, broken = audit.verify()
    return broken.sentence if broken else ""


# --- what an entry says


def test_reason_before_and_after_have_places_of_their_own() -> None:
    batch = make_batch()
    AuditEntry.objects.record(
        actor=None, action="batch.goal", subject=batch, before="", after="export", reason="go", a=1
    )
    entry = AuditEntry.objects.get(action="batch.goal")
    assert (entry.before, entry.after, entry.reason, entry.data) == ("", "export", "go", {"a": 1})
    assert entry.details == {"after": "export", "a": 1, "reason": "go"}


def test_what_a_form_changed_is_on_record_with_what_it_was_and_became_but_no_texts(client: Client) -> None:
    key = make_key(make_workspace("us"), label="before")
    boss = make_staff("boss", superuser=True)
    client.force_login(boss)
    page = reverse("admin:calendars_apikey_change", args=[key.pk])
    client.post(page, {"workspace": key.workspace_id, "label": "afterwards", "new_secret": "another-secret-of-theirs"})
    entry = AuditEntry.objects.get(action="apikey.change")
    assert entry.data == {"fields": ["Enabled", "Key", "Label"]}
    assert (entry.before, entry.after) == ({"enabled": True}, {"enabled": False})


def test_who_switched_the_second_person_off_is_on_record(client: Client) -> None:
    workspace = make_workspace("us", second_person=True)
    client.force_login(make_staff("boss", superuser=True))
    page = reverse("admin:calendars_workspace_change", args=[workspace.pk])
    form = client.get(page).context["adminform"].form
    data = {name: form[name].value() for name in form.fields if name != "second_person"}
    data |= {"budgets-TOTAL_FORMS": 0, "budgets-INITIAL_FORMS": 0}
    ticked = {name: value for name, value in data.items() if value is not None and value is not False}
    response = client.post(page, ticked)
    assert response.status_code == 302, response.context["errors"]
    entry = AuditEntry.objects.get(action="workspace.change")
    assert (entry.actor_name, entry.before, entry.after) == ("boss", {"second_person": True}, {"second_person": False})


def test_a_request_says_from_where_it_came(settings: Any) -> None:
    staff = make_staff("dana")
    settings.BEHIND_PROXY = False
    request = RequestFactory().get("/admin/", REMOTE_ADDR="203.0.113.9")
    seen = caller.CallerMiddleware(lambda _: AuditEntry.objects.record(actor=staff, action="a", subject=staff))(request)
    assert isinstance(seen, AuditEntry)
    assert (seen.door, seen.address) == ("admin", "203.0.113.9")
    after = AuditEntry.objects.record(actor=None, action="b", subject=staff)
    assert (after.door, after.address, after.actor_name) == ("system", "", "system")


@pytest.mark.parametrize(
    ("behind", "forwarded", "address"),
    [
        (False, "198.51.100.7", "203.0.113.9"),
        (True, "198.51.100.7", "198.51.100.7"),
        (True, "10.9.9.9, 198.51.100.7", "198.51.100.7"),
        (True, "", "203.0.113.9"),
        (True, "10.9.9.9, <script>", ""),
    ],
)
def test_an_address_is_the_proxys_word_only_behind_one_and_never_the_clients(
    behind: bool, forwarded: str, address: str, settings: Any
) -> None:
    settings.BEHIND_PROXY = behind
    headers = {"X-Forwarded-For": forwarded, "X-Request-ID": "abc-123"}
    request = RequestFactory().get("/admin/", REMOTE_ADDR="203.0.113.9", headers=headers)
    came = caller.of_request(request)
    assert came.address == address
    assert came.request_id == ("abc-123" if behind else "")


def test_commands_workers_and_requests_come_by_doors_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caller, "_process", caller.Caller())
    doors = {}
    for command in ("run_batch", "qcluster", "pump"):
        caller.of_process(command)
        doors[command] = caller.current().door
    assert doors == {"run_batch": "terminal", "qcluster": "worker", "pump": "worker"}
    assert caller.of_request(RequestFactory().get("/api/ids/")).door == "api"


def test_what_is_asked_for_in_a_thread_of_a_process_comes_by_its_door(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caller, "_process", caller.Caller())
    caller.of_process("qcluster")
    heard: list[str] = []
    thread = threading.Thread(target=lambda: heard.append(caller.current().door))
    thread.start()
    thread.join()
    assert heard == ["worker"]


# --- the chain


def test_entries_are_numbered_from_one_without_gaps_and_each_names_the_one_before() -> None:
    entries = written()
    assert [entry.number for entry in entries] == [1, 2, 3, 4, 5]
    assert entries[0].previous == audit.NOTHING
    assert [entry.previous for entry in entries[1:]] == [entry.hash for entry in entries[:-1]]
    assert str(audit.head()) == f"5:{entries[-1].hash}"
    assert found() == ""


def test_the_trail_is_empty_and_whole_before_anything_happened() -> None:
    assert audit.verify() == (audit.Head(0, audit.NOTHING), None)


@pytest.mark.parametrize("statement", [f"UPDATE {TABLE} SET reason = ''", f"DELETE FROM {TABLE}"])
def test_the_database_refuses_to_change_or_remove_an_entry(statement: str) -> None:
    written(1)
    with pytest.raises(IntegrityError, match="never changed or removed"), transaction.atomic():
        run(statement)
    assert found() == ""


def test_the_database_refuses_to_empty_the_trail() -> None:
    written(1)
    run(f"ALTER TABLE {TABLE} ENABLE TRIGGER {TABLE}_keep_all")
    with pytest.raises(IntegrityError, match="never changed or removed"), transaction.atomic():
        run(f"TRUNCATE {TABLE}")
    trail.let_it_be_emptied()


def test_an_entry_cannot_be_changed_before_it_is_chained_either() -> None:
    entry = AuditEntry.objects.record(actor=None, action="a", subject=make_staff())
    with pytest.raises(IntegrityError), transaction.atomic():
        AuditEntry.objects.filter(pk=entry.pk).update(reason="another", number=1, hash="0" * 64)


CHANGES = {
    "id": "id = id + 1000",
    "number": "number = 1003",
    "previous": "previous = reverse(previous)",
    "hash": "hash = reverse(hash)",
    "at": "at = at + interval '1 microsecond'",
    "created_at": "created_at = created_at - interval '1 microsecond'",
    "actor_id": "actor_id = NULL",
    "actor_name": "actor_name = 'Dana'",
    "action": "action = 'user.tri'",
    "subject_kind": "subject_kind = 'auth.usex'",
    "subject_id": "subject_id = subject_id + 1",
    "subject_name": "subject_name = subject_name || ' '",
    "reason": "reason = 'why not'",
    "before": "before = 'null'",
    "after": """after = '{"n": 1.00}'""",
    "data": "data = data || '{\"extra\": null}'",
    "door": "door = 'admin'",
    "address": "address = '::1'",
    "request_id": "request_id = 'x'",
}


def test_every_column_is_bound_by_the_chain() -> None:
    assert set(CHANGES) == {field.column for field in AuditEntry._meta.concrete_fields}


@pytest.mark.parametrize("column", CHANGES)
def test_a_changed_byte_of_any_column_is_found_and_named(column: str, unguarded: Callable[[], None]) -> None:
    entries = written()
    unguarded()
    run(f"UPDATE {TABLE} SET {CHANGES[column]} WHERE id = {entries[2].pk}")
    assert "Entry 3 " in found()


def test_the_same_day_before_our_era_is_another(unguarded: Callable[[], None]) -> None:
    entries = written()
    unguarded()
    run(f"UPDATE {TABLE} SET at = (at::text || ' BC')::timestamptz WHERE id = {entries[2].pk}")
    assert "Entry 3 " in found()


@pytest.mark.parametrize(("taken", "says"), [(0, "Entry 1 is missing"), (2, "Entry 3 is missing"), (4, "last ones")])
def test_an_entry_taken_away_is_found(taken: int, says: str, unguarded: Callable[[], None]) -> None:
    entries = written()
    unguarded()
    run(f"DELETE FROM {TABLE} WHERE id = {entries[taken].pk}")
    assert says in found()


def test_an_entry_put_in_beside_the_chain_is_found(unguarded: Callable[[], None]) -> None:
    entries = written()
    unguarded()
    columns = ", ".join(name for name in CHANGES if name not in ("id", "number"))
    run(f"INSERT INTO {TABLE} (id, {columns}) SELECT id + 1000, {columns} FROM {TABLE} WHERE id = {entries[1].pk}")
    assert "stands beside the chain" in found()


@pytest.mark.parametrize("place", [4, 6])
def test_an_entry_put_in_under_a_number_of_its_own_is_found(place: int, unguarded: Callable[[], None]) -> None:
    entries = written()
    unguarded()
    columns = ", ".join(name for name in CHANGES if name not in ("id", "number"))
    for number in range(5, place - 1, -1):
        run(f"UPDATE {TABLE} SET number = number + 1 WHERE number = {number}")
    run(
        f"INSERT INTO {TABLE} (id, number, {columns}) SELECT id + 1000, {place}, {columns} FROM {TABLE}"
        f" WHERE id = {entries[1].pk}"
    )
    assert f"Entry {place} " in found()


def test_two_entries_that_changed_places_are_found(unguarded: Callable[[], None]) -> None:
    first, second = written()[1:3]
    unguarded()
    run(f"UPDATE {TABLE} SET number = NULL WHERE id = {first.pk}")
    run(f"UPDATE {TABLE} SET number = 2 WHERE id = {second.pk}")
    run(f"UPDATE {TABLE} SET number = 3 WHERE id = {first.pk}")
    assert "Entry 2 " in found()


def test_a_head_that_says_something_else_is_found() -> None:
    written()
    AuditHead.objects.update(hash="f" * 64)
    assert "another hash" in found()
    AuditHead.objects.update(number=9)
    assert "the last ones are missing" in found()


def test_a_chain_that_was_computed_anew_is_whole_and_only_a_kept_head_shows_it(unguarded: Callable[[], None]) -> None:
    kept = audit.Head(3, written()[2].hash)
    assert audit.verify(kept=kept)[1] is None
    unguarded()
    run(f"UPDATE {TABLE} SET reason = 'never mind' WHERE number = 2")
    previous = AuditEntry.objects.get(number=1).hash
    for number in (2, 3, 4, 5):
        run(f"UPDATE {TABLE} SET previous = %s WHERE number = {number}", previous)
        run(f"UPDATE {TABLE} AS entry SET hash = {TABLE}_hash(entry) WHERE number = {number}")
        previous = AuditEntry.objects.get(number=number).hash
    AuditHead.objects.update(hash=previous)
    assert found() == ""
    _, broken = audit.verify(kept=kept)
    assert broken is not None
    assert broken.number == 3


def test_a_trail_that_ends_before_the_kept_head_is_found() -> None:
    written()
    _, broken = audit.verify(kept=audit.Head(6, "a" * 64))
    assert broken is not None
    assert "later ones are missing" in broken.sentence


def test_a_person_who_gets_another_name_breaks_nothing() -> None:
    entries = written()
    User.objects.filter(pk=entries[0].actor_id).update(username="mallory")
    assert found() == ""
    assert AuditEntry.objects.get(number=1).actor_name == "dana"


def test_entries_from_before_the_chain_are_chained_by_the_migration() -> None:
    entries = written()
    migration = import_module("calendars.migrations.0006_audit_chain")
    run(migration.UNCHAIN)
    assert AuditEntry.objects.get(pk=entries[0].pk).data == {"number_of": 0, "reason": "why 0", "after": {"n": 1.0}}
    AuditHead.objects.all().delete()
    AuditEntry.objects.update(number=None, previous="", hash="", reason="", after=None)
    run(migration.CHAIN)
    assert found() == ""
    again = AuditEntry.objects.get(pk=entries[0].pk)
    assert (again.number, again.reason, again.after, again.data) == (1, "why 0", {"n": 1.0}, {"number_of": 0})


@pytest.mark.django_db(transaction=True)
def test_writers_at_the_same_time_make_one_chain_and_what_is_rolled_back_leaves_no_gap() -> None:
    staff = make_staff("dana")
    ready = threading.Barrier(4)

    def write(number: int) -> None:
        try:
            ready.wait()
            for turn in range(5):
                try:
                    with transaction.atomic():
                        AuditEntry.objects.record(actor=staff, action="a.b", subject=staff, number_of=number)
                        if turn == 2:
                            raise ZeroDivisionError
                except ZeroDivisionError:
                    pass
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(AuditEntry.objects.order_by("number").values_list("number", flat=True)) == list(range(1, 17))
    assert audit.verify()[1] is None


# --- the command


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("verify_audit", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_says_that_all_is_there_and_prints_a_head_to_keep() -> None:
    entries = written()
    assert "All 5 entries are there" in command()
    head = command("--head").strip()
    assert head == f"5:{entries[-1].hash}"
    assert "Entry 5 is the one that was kept" in command("--since", head)


def test_the_command_ends_with_one_and_names_the_first_break(unguarded: Callable[[], None]) -> None:
    written()
    unguarded()
    run(f"UPDATE {TABLE} SET reason = 'x' WHERE number IN (2, 4)")
    with pytest.raises(CommandError, match="Entry 2 ") as error:
        command()
    assert error.value.returncode == 1


@pytest.mark.parametrize("head", ["5", "five:abc", "5:" + "g" * 64, f"5:{'a' * 64}\n"])
def test_a_head_that_is_none_is_refused_with_a_sentence(head: str) -> None:
    with pytest.raises(CommandError, match="--since wants a head") as error:
        command("--since", head)
    assert error.value.returncode == 2
