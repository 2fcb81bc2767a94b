"""Thousands of requests made from the description, each with a token and without: no server error, all as described.

Two thousand usually, ten thousand with `-m thorough`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connection
from hypothesis import HealthCheck, Phase, given, seed, settings

from recallops import clock
from tests.admin import builders as make

SEED = 20261121
REQUESTS = [2_000, pytest.param(10_000, marks=pytest.mark.thorough)]
OPERATIONS = [
    ("GET", "/api/v1/batches/"),
    ("GET", "/api/v1/batches/{name}/"),
    ("GET", "/api/v1/batches/{name}/items/"),
    ("GET", "/api/v1/calendars/"),
    ("GET", "/api/v1/calendars/{number}/"),
    ("GET", "/api/v1/ids/"),
    ("GET", "/api/v1/ids.csv"),
    ("GET", "/api/v1/ids.ndjson"),
    ("GET", "/api/v1/ids/changes/"),
    ("GET", "/api/v1/ids/{kind}/{remote_id}/"),
    ("POST", "/api/v1/ids/lookup/"),
    ("GET", "/api/v1/ownership/"),
    ("POST", "/api/v1/ownership/lookup/"),
]
MODES = ("positive", "negative")


@pytest.fixture(scope="module")
def schema() -> Any:
    import schemathesis  # here: it takes a second, which only this file needs
    from drf_spectacular.generators import SchemaGenerator
    from drf_spectacular.renderers import OpenApiJsonRenderer

    from recallops.wsgi import application

    described = OpenApiJsonRenderer().render(SchemaGenerator().get_schema(request=None, public=True), {})
    loaded = schemathesis.openapi.from_dict(json.loads(described))
    loaded.app = application
    return loaded


@pytest.fixture
def secret(db: None, settings: Any) -> Iterator[str]:
    """Rows under the short names that a generator likes, and a token that is never throttled."""
    settings.API_PER_MINUTE = 10**9
    settings.ALLOWED_HOSTS = ["*"]
    source, target = make.make_workspace("0"), make.make_workspace("1")
    batch = make.make_batch("0", source=source, target=target)
    calendar = make.make_calendar(email="0", family=source.family)
    old = make.make_connection(source, calendar, remote_id="0")
    new = make.make_connection(target, calendar, remote_id="1")
    assignment = make.make_assignment(source, calendars=(calendar,), start=clock.now() + timedelta(hours=1))
    occurrence = assignment.occurrences.get()
    make.make_event(old, occurrence=occurrence, remote_id="0", bots=[{"bot_id": "0"}])
    make.make_event(new, occurrence=occurrence, remote_id="1")
    make.make_item(batch, connection=old, target_connection=new)
    with connection.cursor() as cursor:  # as if committed long ago, so that changes tell them
        cursor.execute("ALTER TABLE calendars_idmapping DISABLE TRIGGER calendars_idmapping_stamp")
    for kind in ("calendar", "event", "bot"):
        make.make_mapping(source, target, kind=kind, source_remote_id="0", target_remote_id="1")
    logging.disable(logging.WARNING)
    signals = (request_started, request_finished)  # as Django's own client does: the test's transaction stays open
    for one in signals:
        one.disconnect(close_old_connections)
    yield make.make_token()[1]
    for one in signals:
        one.connect(close_old_connections)
    logging.disable(logging.NOTSET)


@pytest.mark.django_db
def test_every_address_is_tried(schema: Any) -> None:
    described = {(one.ok().method.upper(), one.ok().path) for one in schema.get_all_operations()}
    assert described == set(OPERATIONS)


@pytest.mark.parametrize("requests", REQUESTS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=lambda part: str(part))
def test_no_request_is_a_server_error_and_every_answer_is_as_described(
    schema: Any, secret: str, method: str, path: str, mode: str, requests: int
) -> None:
    from schemathesis import GenerationMode, checks
    from schemathesis.specs.openapi import checks as described

    chosen = [
        checks.not_a_server_error,
        described.status_code_conformance,
        described.content_type_conformance,
        described.response_headers_conformance,
        described.response_schema_conformance,
    ]
    cases = schema[path][method].as_strategy(generation_mode=GenerationMode(mode))
    sent, each = 0, -(-requests // (len(OPERATIONS) * len(MODES)))

    def send(case: Any) -> None:
        nonlocal sent
        for headers in ({"Authorization": f"Bearer {secret}"}, {}):
            sent += 1
            case.validate_response(case.call(headers=headers), checks=chosen)

    run = 0
    while sent < each:  # a small space is walked through before its share is sent
        test = given(case=cases)(send)
        test = settings(
            max_examples=max(1, (each - sent) // 2),
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )(test)
        try:
            seed(SEED + run)(test)()
        except Exception as error:
            error.add_note(f"Seed {SEED + run}, {mode}, {method} {path}, after {sent} requests.")
            raise
        run += 1
        assert run < 50, f"only {sent} different requests"
