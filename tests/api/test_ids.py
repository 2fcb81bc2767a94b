"""The id map: lists, single ids, many ids, files."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from calendars.models import IdMapping, Workspace
from recallops.webhook_door import without_content_type
from tests.admin import builders as make

pytestmark = pytest.mark.django_db


@pytest.fixture
def us() -> Workspace:
    return make.make_workspace("us", region=make.make_region("us-west-2"))


@pytest.fixture
def eu() -> Workspace:
    return make.make_workspace("eu", region=make.make_region("eu-central-1"))


def moved(source: Workspace, old: str, target: Workspace, new: str, **fields: Any) -> IdMapping:
    return make.make_mapping(source, target, source_remote_id=old, target_remote_id=new, **fields)


def current(app: Client, one: str, kind: str = "calendar") -> Any:
    answer = app.get(f"/api/v1/ids/{kind}/{one}/").json()
    return answer["current"] and (answer["current"]["workspace"], answer["current"]["id"])


def test_a_row_says_both_sides_with_their_regions(app: Client, us: Workspace, eu: Workspace) -> None:
    moved(us, "old", eu, "new")
    (row,) = app.get("/api/v1/ids/").json()["results"]
    assert row.pop("created_at")
    assert row == {
        "kind": "calendar",
        "source": {"workspace": "us", "region": "us-west-2", "id": "old"},
        "target": {"workspace": "eu", "region": "eu-central-1", "id": "new"},
        "superseded": False,
    }


def test_pages_hold_every_row_once(app: Client, us: Workspace, eu: Workspace) -> None:
    rows = [moved(us, f"old-{number}", eu, f"new-{number}") for number in range(7)]
    url, seen, pages = "/api/v1/ids/?limit=3&kind=calendar", [], 0
    while url:
        page = app.get(url).json()
        seen += [row["source"]["id"] for row in page["results"]]
        url, pages = page["next"], pages + 1
    assert seen == [row.source_remote_id for row in rows]
    assert pages == 3


def test_filters_keep_what_they_say(app: Client, us: Workspace, eu: Workspace) -> None:
    moved(us, "a", eu, "b")
    moved(us, "c", eu, "d", kind="event", superseded=True)
    moved(eu, "b", us, "e")
    for query, expected in {
        "kind=event": ["c"],
        "source=us": ["a", "c"],
        "target=us": ["b"],
        "superseded=true": ["c"],
        "superseded=false&source=us": ["a"],
    }.items():
        found = app.get(f"/api/v1/ids/?{query}").json()["results"]
        assert [row["source"]["id"] for row in found] == expected


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("knd=event", "This address takes: limit, after, kind"),
        ("kind=meeting", "Write one of: calendar, event, bot."),
        ("kind=event&kind=bot", "only once"),
        ("source=nowhere", "no workspace of this name"),
        ("source=a%00b", "A name has letters"),
        ("superseded=1", "Write true or false"),
        ("limit=0", "from 1 to 500"),
        ("limit=99999999999999999999", "from 1 to 500"),
        ("limit=%D9%A1", "from 1 to 500"),
        ("after=-1", "This is no cursor"),
        ("after=9" + 30 * "9", "This is no cursor"),
        ("kind=%ff%fe", "Write one of"),
        ("format=xml", "not known here"),
        ("&".join(f"a{number}=1" for number in range(2000)), "cannot be read"),
    ],
)
def test_a_wrong_question_is_answered_with_how_to_ask(app: Client, query: str, says: str) -> None:
    response = app.get(f"/api/v1/ids/?{query}")
    assert response.status_code == 400
    assert says in response.json()["detail"]


def test_an_id_of_either_side_leads_to_where_the_thing_is(app: Client, us: Workspace, eu: Workspace) -> None:
    moved(us, "a", eu, "b")
    moved(eu, "b", us, "c")
    assert {current(app, one) for one in "abc"} == {("us", "c")}
    moves = app.get("/api/v1/ids/calendar/b/").json()["moves"]
    assert [(move["source"]["id"], move["target"]["id"]) for move in moves] == [("a", "b"), ("b", "c")]


def test_a_thing_that_went_back_to_its_old_id_is_found_there(app: Client, us: Workspace, eu: Workspace) -> None:
    moved(us, "a", eu, "b", kind="bot")
    moved(eu, "b", us, "a", kind="bot")
    assert {current(app, one, "bot") for one in "ab"} == {("us", "a")}


def test_the_id_of_a_lost_target_leads_to_its_successor(app: Client, us: Workspace, eu: Workspace) -> None:
    lost = moved(us, "a", eu, "b", superseded=True)
    assert current(app, "a") is None
    moved(us, "a", eu, "b2")
    assert {current(app, one) for one in ("a", "b", "b2")} == {("eu", "b2")}
    assert lost.superseded


def test_the_same_id_in_two_workspaces_is_two_things(app: Client, us: Workspace, eu: Workspace) -> None:
    moved(us, "a", eu, "same")
    moved(make.make_workspace("other"), "same", make.make_workspace("fourth"), "z")
    assert current(app, "a") == ("eu", "same")


def test_an_id_that_never_moved_is_404_with_a_sentence(app: Client, us: Workspace, eu: Workspace) -> None:
    moved(us, "a", eu, "b")
    response = app.get("/api/v1/ids/event/a/")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert "still valid" in response.json()["detail"]


@pytest.mark.parametrize("address", ["meeting/a/", "calendar/a%00b/", "calendar/a%20b/", f"calendar/{'a' * 81}/"])
def test_what_cannot_be_an_id_is_400(app: Client, address: str) -> None:
    assert app.get(f"/api/v1/ids/{address}").status_code == 400


def lookup(app: Client, body: Any, **extra: Any) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body)
    return app.post("/api/v1/ids/lookup/", raw, content_type="application/json", **extra)


def test_many_ids_are_looked_up_at_once(app: Client, us: Workspace, eu: Workspace) -> None:
    moved(us, "a", eu, "b")
    moved(us, "e", eu, "f", kind="event")
    answer = lookup(app, {"ids": ["b", "e", "nothing", "b"]}).json()
    assert [(one["kind"], one["id"], one["current"]["id"]) for one in answer["found"]] == [
        ("calendar", "b", "b"),
        ("event", "e", "f"),
    ]
    assert answer["unknown"] == ["nothing"]
    assert lookup(app, {"ids": ["b", "e"], "kind": "event"}).json()["unknown"] == ["b"]


def test_a_thousand_ids_take_as_many_queries_as_one(app: Client, us: Workspace, eu: Workspace) -> None:
    for number in range(1000):
        moved(us, f"old-{number}", eu, f"new-{number}")
    counts = []
    for many in (1, 1000):
        with CaptureQueriesContext(connection) as captured:
            answer = lookup(app, {"ids": [f"old-{number}" for number in range(many)]}).json()
        assert len(answer["found"]) == many
        counts.append(len(captured))
    assert counts == [4, 4]  # token, throttle, chains, rows


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"", 400, "ids"),
        (b"{", 400, "no JSON"),
        (b"\xff\xfe", 400, "no JSON"),
        (b"[" * 100_000, 400, "no JSON"),
        (b'{"ids": [' + b"9" * 5000 + b"]}", 400, "no JSON"),
        (b" " * 300_000, 413, "too large"),
        ([], 400, "Send a JSON object with these names: ids, kind."),
        ({"ids": ["a"], "limit": 3}, 400, "Send a JSON object with these names: ids, kind."),
        ({"ids": []}, 400, "ids"),
        ({"ids": "abc"}, 400, "ids"),
        ({"ids": ["a", "b\x00"]}, 400, "ids, entry 2: An id has"),
        ({"ids": ["\ud800"]}, 400, "ids, entry 1: An id has"),
        ({"ids": [12]}, 400, "ids, entry 1: An id has"),
        ({"ids": ["a"] * 1001}, 400, "1000"),
        ({"ids": ["a"], "kind": "\ud800"}, 400, "Write one of"),
        ({"ids": ["a"], "kind": ["event"]}, 400, "Write one of"),
    ],
    ids=repr,
)
def test_a_wrong_body_is_answered_with_what_to_send(app: Client, body: Any, status: int, says: str) -> None:
    response = lookup(app, body)
    assert response.status_code == status
    assert says in response.json()["detail"]


def test_a_body_is_taken_as_json_only(app: Client) -> None:
    response = app.post("/api/v1/ids/lookup/", {"ids": "a"})
    assert (response.status_code, response.json()["detail"]) == (415, "Send the body as application/json.")


@pytest.mark.parametrize("charset", ["x\xff", "x\x00", "rot13", "idna", "base64", "none"])
def test_a_charset_that_does_not_exist_is_no_server_error(client: Client, charset: str) -> None:
    secret = make.make_token()[1]
    seen = []
    environ = client._base_environ(
        REQUEST_METHOD="POST",
        PATH_INFO="/api/v1/ids/lookup/",
        QUERY_STRING="",
        CONTENT_TYPE=f"application/json; charset={charset}",
        CONTENT_LENGTH="14",
        HTTP_AUTHORIZATION=f"Bearer {secret}",
        **{"wsgi.input": io.BytesIO(b'{"ids": ["a"]}')},
    )
    ask = without_content_type(lambda given, start: seen.append(client.handler(given)) or [])
    ask(environ, lambda *_: None)
    assert (seen[0].status_code, json.loads(seen[0].content)) == (200, {"found": [], "unknown": ["a"]})


@pytest.mark.parametrize("address", ["/api/", "/api/v1/idz/", "/api/v1/ids", "/api/v2/ids/", "/api/v1/ids/calendar/"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_what_leads_nowhere_is_404_in_the_form_of_all_answers(client: Client, address: str, method: str) -> None:
    response = getattr(client, method)(address)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_nothing_can_be_written(app: Client) -> None:
    for method in ("post", "put", "patch", "delete"):
        response = getattr(app, method)("/api/v1/ids/")
        assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")


# --- files


def text_of(response: Any) -> str:
    assert response.status_code == 200
    return b"".join(response.streaming_content).decode()


def test_a_csv_holds_all_rows_and_no_formula(app: Client, us: Workspace, eu: Workspace) -> None:
    bad = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", 'quo"te,d']
    for one in bad:
        moved(us, one, eu, f"new {one}")
    response = app.get("/api/v1/ids.csv?kind=calendar")
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    head, *rows = csv.reader(io.StringIO(text_of(response), newline=""))
    column = head.index("source_id")
    assert [row[column] for row in rows] == ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\tx", 'quo"te,d']


def test_lines_of_json_are_the_rows_of_the_list(app: Client, us: Workspace, eu: Workspace) -> None:
    for number in range(5):
        moved(us, f"old-{number}", eu, f"new-{number}", superseded=number > 3)
    response = app.get("/api/v1/ids.ndjson?superseded=false")
    assert response["Content-Type"] == "application/x-ndjson"
    rows = [json.loads(line) for line in text_of(response).splitlines()]
    assert rows == app.get("/api/v1/ids/?superseded=false").json()["results"]
    assert len(rows) == 4


def test_files_take_the_same_filters_and_refuse_others(app: Client) -> None:
    for name in ("ids.csv", "ids.ndjson"):
        assert app.get(f"/api/v1/{name}?limit=3").status_code == 400
        assert Client().get(f"/api/v1/{name}").status_code == 401
