"""The API is described as it is, and its pages load nothing from elsewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.test import Client
from django.urls import URLPattern, get_resolver

pytestmark = pytest.mark.django_db


@pytest.fixture
def schema(client: Client) -> Any:
    response = client.get("/api/schema/", headers={"Accept": "application/vnd.oai.openapi+json"})
    assert response.status_code == 200
    return json.loads(response.content)


def test_the_description_is_made_without_a_warning(tmp_path: Path) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yaml"))


def test_every_address_is_described_with_its_refusals_and_examples(schema: Any) -> None:
    assert len(schema["paths"]) == 13
    for path, methods in schema["paths"].items():
        for operation in methods.values():
            assert operation["security"] == [{"token": []}]
            assert {"200", "400", "401", "403", "429"} <= operation["responses"].keys(), path
            for status, answer in operation["responses"].items():
                assert all(content["examples"] for content in answer["content"].values()), f"{path} {status}"
            assert "Retry-After" in operation["responses"]["429"]["headers"]
            assert "WWW-Authenticate" in operation["responses"]["401"]["headers"]
            if "requestBody" in operation:
                assert operation["requestBody"]["content"]["application/json"]["examples"]
                assert {"413", "415"} <= operation["responses"].keys()


def test_no_address_is_left_out(schema: Any) -> None:
    def routes(patterns: Any, prefix: str = "") -> Any:
        for one in patterns:
            if isinstance(one, URLPattern):
                yield prefix + str(one.pattern)
            else:
                yield from routes(one.url_patterns, prefix + str(one.pattern))

    served = {route for route in routes(get_resolver().url_patterns, "/") if route.startswith("/api/v1/")}
    assert {re.sub(r"<\w+:(\w+)>", r"{\1}", route) for route in served} == set(schema["paths"])


def test_the_pages_to_try_it_load_nothing_from_elsewhere(client: Client) -> None:
    page = client.get("/api/docs/").content.decode()
    script = client.get("/api/docs/?script=").content.decode()
    assert 'url: "/api/schema/"' in script.replace("'", '"')
    loaded = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(loaded) >= 4
    for address in loaded:
        if address.startswith("/static/"):
            assert finders.find(address.removeprefix("/static/")), address
        else:
            assert address.startswith("/api/docs/"), address
    assert not re.search(r"<script[^>]*>(?!</script>)", page), "a script stands in the page"
    assert 'persistAuthorization": false' in script
