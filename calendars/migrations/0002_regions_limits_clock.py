"""The four Recall regions, the stated limits of their endpoints, and machine time."""

from __future__ import annotations

from typing import Any

from django.db import migrations

REGIONS = [
    ("us-west-2", "US West (Oregon)"),
    ("us-east-1", "US East (Virginia)"),
    ("eu-central-1", "EU (Frankfurt)"),
    ("ap-northeast-1", "Japan (Tokyo)"),
]

# Calls a minute for each workspace, as the vendor's reference states them.
LIMITS = {
    "GET /api/v2/calendars/": 60,
    "POST /api/v2/calendars/": 300,
    "GET /api/v2/calendars/{id}/": 300,
    "PATCH /api/v2/calendars/{id}/": 300,
    "DELETE /api/v2/calendars/{id}/": 300,
    "POST /api/v2/calendars/{id}/access-token/": 300,
    "GET /api/v2/calendar-events/": 60,
    "GET /api/v2/calendar-events/{id}/": 300,
    "POST /api/v2/calendar-events/{id}/bot/": 600,
    "DELETE /api/v2/calendar-events/{id}/bot/": 600,
    "GET /api/v1/bot/": 60,
    "POST /api/v1/bot/": 60,
    "GET /api/v1/bot/{id}/": 300,
    "PATCH /api/v1/bot/{id}/": 300,
    "DELETE /api/v1/bot/{id}/": 300,
    "POST /api/v1/bot/{id}/leave_call/": 300,
}

# The simulation moves machine time by setting `recallops.machine_now` in its session.
MACHINE_NOW = """
CREATE OR REPLACE FUNCTION recallops_machine_now() RETURNS timestamptz
LANGUAGE sql VOLATILE AS $$
    SELECT COALESCE(
        NULLIF(current_setting('recallops.machine_now', true), '')::timestamptz,
        clock_timestamp()
    )
$$
"""


def fill(apps: Any, schema_editor: Any) -> None:
    """Insert what the vendor publishes; staff may edit every row."""
    region = apps.get_model("calendars", "Region")
    for code, label in REGIONS:
        region.objects.update_or_create(
            provider="recall",
            code=code,
            defaults={"label": label, "base_url": f"https://{code}.recall.ai"},
        )
    limit = apps.get_model("calendars", "EndpointLimit")
    for endpoint, per_minute in LIMITS.items():
        limit.objects.update_or_create(provider="recall", endpoint=endpoint, defaults={"per_minute": per_minute})


class Migration(migrations.Migration):
    """Data that comes with the product."""

    dependencies = [("calendars", "0001_initial")]

    operations = [
        migrations.RunSQL(MACHINE_NOW, "DROP FUNCTION IF EXISTS recallops_machine_now()"),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
