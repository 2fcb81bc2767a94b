"""What the dashboard counts and what is searched for: indexes, the calls of an hour, whether a key passed its test."""

from __future__ import annotations

from typing import Any

import django.contrib.postgres.indexes
import django.db.models.functions.text
from django.db import migrations, models

PASSED = "The key opens"  # how the sentence of a test that passed has always begun


def tell_whether_keys_passed(apps: Any, schema_editor: Any) -> None:
    """Take the result of earlier tests out of their sentences."""
    tested = apps.get_model("calendars", "ApiKey").objects.filter(tested_at__isnull=False)
    tested.filter(test_result__startswith=PASSED).update(test_passed=True)
    tested.exclude(test_result__startswith=PASSED).update(test_passed=False)


class Migration(migrations.Migration):
    dependencies = [
        ("calendars", "0007_messages"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="bot",
            name="bot_remote_id_once",
        ),
        migrations.RemoveConstraint(
            model_name="connection",
            name="connection_remote_id_once",
        ),
        migrations.RemoveConstraint(
            model_name="delivery",
            name="delivery_once_per_workspace",
        ),
        migrations.RemoveConstraint(
            model_name="event",
            name="event_remote_id_once",
        ),
        migrations.AddField(
            model_name="apikey",
            name="test_passed",
            field=models.BooleanField(
                editable=False, help_text="Empty: never tested.", null=True, verbose_name="opens its workspace"
            ),
        ),
        migrations.AddField(
            model_name="ratebudget",
            name="hour_refused",
            field=models.IntegerField(db_default=0, default=0, editable=False, help_text="Answers 429 in this hour."),
        ),
        migrations.AddField(
            model_name="ratebudget",
            name="hour_start",
            field=models.FloatField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            model_name="ratebudget",
            name="hour_taken",
            field=models.IntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.AddIndex(
            model_name="assignment",
            index=models.Index(condition=models.Q(("over", False)), fields=["start", "id"], name="assignment_coming"),
        ),
        migrations.AddIndex(
            model_name="calendar",
            index=models.Index(fields=["email"], name="calendar_by_email", opclasses=["varchar_pattern_ops"]),
        ),
        migrations.AddIndex(
            model_name="connection",
            index=models.Index(
                condition=models.Q(("status", "disconnected")), fields=["workspace"], name="connection_fell_off"
            ),
        ),
        migrations.AddIndex(
            model_name="customer",
            index=models.Index(
                django.contrib.postgres.indexes.OpClass(
                    django.db.models.functions.text.Upper("name"), name="text_pattern_ops"
                ),
                name="customer_by_name",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(condition=models.Q(("state", "failed")), fields=["received_at"], name="delivery_failed"),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(
                django.contrib.postgres.indexes.OpClass(
                    django.db.models.functions.text.Left("url", 200), name="text_pattern_ops"
                ),
                name="event_by_url",
            ),
        ),
        migrations.AddIndex(
            model_name="relayed",
            index=models.Index(condition=models.Q(("state", "dead")), fields=["id"], name="relayed_dead"),
        ),
        migrations.AddConstraint(
            model_name="bot",
            constraint=models.UniqueConstraint(
                fields=("workspace", "remote_id"),
                name="bot_remote_id_once",
                opclasses=("int8_ops", "varchar_pattern_ops"),
            ),
        ),
        migrations.AddConstraint(
            model_name="connection",
            constraint=models.UniqueConstraint(
                fields=("workspace", "remote_id"),
                name="connection_remote_id_once",
                opclasses=("int8_ops", "varchar_pattern_ops"),
            ),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.UniqueConstraint(
                fields=("workspace", "delivery_id"),
                name="delivery_once_per_workspace",
                opclasses=("int8_ops", "varchar_pattern_ops"),
            ),
        ),
        migrations.AddConstraint(
            model_name="event",
            constraint=models.UniqueConstraint(
                fields=("workspace", "remote_id"),
                name="event_remote_id_once",
                opclasses=("int8_ops", "varchar_pattern_ops"),
            ),
        ),
        migrations.RunPython(tell_whether_keys_passed, migrations.RunPython.noop, elidable=True),
    ]
