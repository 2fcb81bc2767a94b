"""Measures the first page of some lists in one process: `python -m tests.bench.admin_side ROUNDS`, prints JSON.

Which pages these are, the settings say (DJANGO_SETTINGS_MODULE).
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import django

django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext, override_settings  # noqa: E402
from django.urls import reverse  # noqa: E402

MODELS = ("calendars_event", "calendars_assignment", "calendars_connection", "migrations_app_item")


def main() -> None:
    """Measure."""
    with override_settings(ALLOWED_HOSTS=["testserver"], DEBUG=False):
        client = Client()
        client.force_login(get_user_model().objects.get())
        found = {model: _measure(client, reverse(f"admin:{model}_changelist")) for model in MODELS}
    sys.stdout.write(json.dumps(found))


def _measure(client: Client, url: str) -> dict[str, Any]:
    _get(client, url)  # fills caches, is not counted
    with CaptureQueriesContext(connection) as captured:
        _get(client, url)
    queries = len(captured)
    return {"ms": [round(_get(client, url), 1) for _ in range(int(sys.argv[1]))], "queries": queries}


def _get(client: Client, url: str) -> float:
    begun = time.perf_counter()
    response = client.get(url)
    if response.status_code != 200:
        raise RuntimeError(f"{url}: {response.status_code}")
    return 1000 * (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
