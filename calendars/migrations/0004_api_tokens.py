"""Tokens of the API; and in which transaction a row of the id map was written last.

The indexes are made in the transaction of the migration: the id map has some ten thousand rows and is written in
passing, so writers wait for a moment.
"""

from __future__ import annotations

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

# A number given at the time of writing (a time, a sequence) says nothing of when the row can be seen: a transaction
# that began earlier may commit later. The transaction's own number does, together with the list of those that run.
STAMP = """
CREATE FUNCTION calendars_idmapping_stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed_in := pg_current_xact_id()::text::bigint;
    RETURN NEW;
END $$;
CREATE TRIGGER calendars_idmapping_stamp BEFORE INSERT OR UPDATE ON calendars_idmapping
    FOR EACH ROW EXECUTE FUNCTION calendars_idmapping_stamp();
"""
UNSTAMP = """
DROP TRIGGER calendars_idmapping_stamp ON calendars_idmapping;
DROP FUNCTION calendars_idmapping_stamp();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("calendars", "0003_scheduling_and_webhooks"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ApiToken",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "label",
                    models.CharField(
                        help_text="Which application uses it, for those who revoke it one day.", max_length=80
                    ),
                ),
                (
                    "prefix",
                    models.CharField(editable=False, help_text="How it begins, to recognise it.", max_length=16),
                ),
                ("digest", models.CharField(editable=False, max_length=64, unique=True)),
                (
                    "scopes",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(
                            choices=[
                                ("ids:read", "the id map"),
                                ("ownership:read", "which workspace owns a meeting"),
                                ("calendars:read", "calendars"),
                                ("batches:read", "batches and their items"),
                            ],
                            max_length=20,
                        ),
                        help_text="What it may read.",
                        size=None,
                    ),
                ),
                (
                    "expires_at",
                    models.DateTimeField(blank=True, help_text="Domain time. Empty: it does not expire.", null=True),
                ),
                ("revoked_at", models.DateTimeField(editable=False, null=True)),
                ("last_used_at", models.DateTimeField(editable=False, help_text="To the minute.", null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "tat",
                    models.FloatField(
                        default=0, editable=False, help_text="Machine time up to which requests are spent."
                    ),
                ),
            ],
            options={
                "verbose_name": "API token",
                "ordering": ["-id"],
            },
        ),
        migrations.AddField(
            model_name="idmapping",
            name="changed_in",
            field=models.BigIntegerField(
                default=0,
                editable=False,
                help_text="The transaction that wrote it last; set by a trigger, whatever is saved here.",
            ),
        ),
        migrations.AddIndex(
            model_name="idmapping",
            index=models.Index(fields=["kind", "source_remote_id"], name="id_mapping_by_source"),
        ),
        migrations.AddIndex(
            model_name="idmapping",
            index=models.Index(fields=["kind", "target_remote_id"], name="id_mapping_by_target"),
        ),
        migrations.AddIndex(
            model_name="idmapping",
            index=models.Index(fields=["changed_in", "id"], name="id_mapping_by_change"),
        ),
        migrations.AddField(
            model_name="apitoken",
            name="created_by",
            field=models.ForeignKey(
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddConstraint(
            model_name="apitoken",
            constraint=models.CheckConstraint(
                condition=models.Q(("scopes", []), _negated=True), name="api_token_reads_something"
            ),
        ),
        migrations.RunSQL(STAMP, UNSTAMP),
    ]
