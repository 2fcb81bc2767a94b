"""Requests that a second person approves, and what the planner reckons with."""

from __future__ import annotations

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

STEPS = [
    ("preflight", "Preflight"),
    ("export", "Export"),
    ("recreate", "Recreate"),
    ("verify", "Verify"),
    ("hand_over", "Hand over"),
    ("delete_old", "Delete old"),
    ("restore", "Restore"),
    ("hand_back", "Hand back"),
    ("empty_target", "Empty target"),
    ("clean_up", "Clean up"),
]


class Migration(migrations.Migration):
    dependencies = [
        ("migrations_app", "0008_step_records"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="batch",
            name="planned",
            field=models.JSONField(
                default=dict, editable=False, help_text="What the planner reckons with; made after the export."
            ),
        ),
        migrations.CreateModel(
            name="Approval",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "act",
                    models.CharField(
                        choices=[("goal", "allow a step"), ("go_back", "go back")], default="goal", max_length=16
                    ),
                ),
                (
                    "step",
                    models.CharField(blank=True, choices=STEPS, help_text="Empty: the way back.", max_length=16),
                ),
                ("asked_at", models.DateTimeField(help_text="Domain time.")),
                ("reason", models.CharField(blank=True, help_text="Of the person who asked.", max_length=400)),
                (
                    "sentences",
                    models.JSONField(default=list, help_text="What it would do, as that person read it."),
                ),
                ("shown", models.CharField(help_text="Digest of the batch's state that was seen.", max_length=16)),
                ("expires_at", models.DateTimeField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "waiting for approval"),
                            ("approved", "approved"),
                            ("refused", "refused"),
                            ("withdrawn", "withdrawn"),
                            ("lapsed", "lapsed"),
                        ],
                        default="waiting",
                        max_length=12,
                    ),
                ),
                ("decided_at", models.DateTimeField(null=True)),
                (
                    "said",
                    models.CharField(
                        blank=True, help_text="Of the person who decided, or why it lapsed.", max_length=400
                    ),
                ),
                (
                    "asked_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "batch",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="approvals",
                        to="migrations_app.batch",
                    ),
                ),
                (
                    "decided_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "waiting")), fields=["expires_at"], name="approval_waiting"
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state", "waiting")),
                        fields=("batch",),
                        name="approval_one_waiting_per_batch",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "approved"), _negated=True),
                            models.Q(
                                ("decided_by__isnull", False),
                                models.Q(("decided_by", models.F("asked_by")), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="approval_by_another",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("act", "goal"), models.Q(("step", ""), _negated=True)),
                            models.Q(("act", "go_back"), ("step", "")),
                            _connector="OR",
                        ),
                        name="approval_names_what",
                    ),
                ],
            },
        ),
    ]
