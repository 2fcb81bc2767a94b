"""Indexes for what somebody must look at."""

from __future__ import annotations

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("calendars", "0008_cockpit_reads"),
        ("migrations_app", "0005_messages"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddIndex(
            model_name="finding",
            index=models.Index(
                condition=models.Q(("gone_at", None), ("waived_at", None)), fields=["severity"], name="finding_open"
            ),
        ),
        migrations.AddIndex(
            model_name="item",
            index=models.Index(
                condition=models.Q(("open", True), ("status__in", ["failed", "user"])),
                fields=["status"],
                name="item_needs_somebody",
            ),
        ),
    ]
