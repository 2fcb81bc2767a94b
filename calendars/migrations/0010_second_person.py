"""Deletes may need a second person, where a workspace says so."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("calendars", "0009_call_records")]

    operations = [
        migrations.AddField(
            model_name="workspace",
            name="second_person",
            field=models.BooleanField(
                default=False,
                help_text="Deleting calendars in a batch from or to here waits until another person has approved it.",
                verbose_name="second person for deletes",
            ),
        ),
    ]
