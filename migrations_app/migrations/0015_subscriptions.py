"""Customers' people may ask for e-mails themselves; an e-mail is about a notice, or asks whether one is wanted."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("calendars", "0013_subscribers"),
        ("migrations_app", "0014_consents"),
    ]

    operations = [
        migrations.AddField(
            model_name="message",
            name="contact",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="messages",
                to="calendars.customercontact",
            ),
        ),
        migrations.AddField(
            model_name="notice",
            name="subscribers_only",
            field=models.BooleanField(
                default=False, help_text="It was found while the batch told nobody but who had asked for it."
            ),
        ),
        migrations.AlterField(
            model_name="message",
            name="notice",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="messages",
                to="migrations_app.notice",
            ),
        ),
        migrations.AlterField(
            model_name="message",
            name="state",
            field=models.CharField(
                choices=[
                    ("waiting", "to be sent"),
                    ("sending", "being sent"),
                    ("sent", "sent"),
                    ("failed", "not sent"),
                    ("perhaps", "perhaps sent"),
                    ("withdrawn", "no longer true or wanted, not sent"),
                ],
                default="waiting",
                max_length=10,
                verbose_name="state",
            ),
        ),
        migrations.CreateModel(
            name="Subscription",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("email", models.EmailField(max_length=254, verbose_name="e-mail")),
                ("language", models.CharField(help_text="That of the page on which it was asked for.", max_length=20)),
                ("asked_at", models.DateTimeField(help_text="Domain time.", verbose_name="asked for")),
                ("confirmed_at", models.DateTimeField(null=True, verbose_name="confirmed")),
                (
                    "contact",
                    models.OneToOneField(
                        help_text="Whom it made a subscriber. Nobody: it is not confirmed, or over.",
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="subscription",
                        to="calendars.customercontact",
                    ),
                ),
                (
                    "link",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="subscriptions",
                        to="migrations_app.statuslink",
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
            },
        ),
        migrations.AddField(
            model_name="message",
            name="subscription",
            field=models.ForeignKey(
                help_text="That it asks to confirm.",
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="messages",
                to="migrations_app.subscription",
            ),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("notice__isnull", False), ("subscription", None)),
                    models.Q(("notice", None), ("subscription__isnull", False)),
                    _connector="OR",
                ),
                name="message_of_notice_or_subscription",
            ),
        ),
        migrations.AddIndex(
            model_name="subscription",
            index=models.Index(fields=["email", "asked_at"], name="subscription_by_email"),
        ),
    ]
