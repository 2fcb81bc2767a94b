"""E-mails from before messages knew their contact get it: one without is taken for one whose contact was deleted."""

from __future__ import annotations

from django.db import migrations

FILL = """
UPDATE migrations_app_message AS message SET contact_id = contact.id
FROM migrations_app_notice AS notice, calendars_customercontact AS contact
WHERE message.contact_id IS NULL AND notice.id = message.notice_id
  AND contact.customer_id = notice.customer_id AND contact.email = message.email
"""


class Migration(migrations.Migration):
    dependencies = [
        ("calendars", "0013_subscribers"),
        ("migrations_app", "0015_subscriptions"),
    ]

    operations = [migrations.RunSQL(FILL, migrations.RunSQL.noop)]
