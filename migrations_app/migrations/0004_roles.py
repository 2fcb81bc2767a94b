"""Rights that are more than Django's own four; migrations_app/roles.py says who has them."""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("migrations_app", "0003_going_back")]

    operations = [
        migrations.AlterModelOptions(
            name="batch",
            options={
                "ordering": ["-id"],
                "permissions": [
                    ("delete_old", "Can allow a batch to delete calendars"),
                    ("approve", "Can approve what somebody else asked for"),
                ],
                "verbose_name_plural": "batches",
            },
        ),
        migrations.AlterModelOptions(
            name="finding",
            options={"ordering": ["id"], "permissions": [("waive_blocking", "Can waive blocking findings")]},
        ),
    ]
