"""Contacts that asked for e-mails themselves."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("calendars", "0012_people_connect_again"),
    ]

    operations = [
        migrations.AddField(
            model_name="customercontact",
            name="by_staff",
            field=models.BooleanField(default=True, editable=False),
        ),
        migrations.AddField(
            model_name="customercontact",
            name="subscribed_at",
            field=models.DateTimeField(
                editable=False,
                help_text="Asked for it on a status page: is told also of batches that do not tell their customers.",
                null=True,
                verbose_name="subscribed",
            ),
        ),
    ]
