"""Why, from what to what and from where, as columns of audit entries; and the chain that binds them.

The chain is made at commit, by a deferred trigger: its lock is then the last one that a transaction takes, and it is
held for no longer than the commit. What was written before this is chained in the order of its ids.
"""

from __future__ import annotations

from django.db import migrations, models

CHAIN = """
CREATE FUNCTION calendars_auditentry_hash(entry calendars_auditentry) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT encode(sha256(convert_to(jsonb_build_array(
        entry.id, entry.number, entry.previous,
        to_char(entry.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US BC'),
        to_char(entry.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US BC'),
        entry.actor_id, entry.actor_name, entry.action,
        entry.subject_kind, entry.subject_id, entry.subject_name,
        entry.reason, entry.before::text, entry.after::text,
        entry.data::text, entry.door, entry.address,
        entry.request_id
    )::text, 'UTF8')), 'hex')
$$;

CREATE FUNCTION calendars_auditentry_chain() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    head calendars_audithead;
    entry calendars_auditentry;
BEGIN
    SELECT * INTO head FROM calendars_audithead WHERE id = 1 FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO calendars_audithead (id, number, hash) VALUES (1, 0, repeat('0', 64)) ON CONFLICT DO NOTHING;
        SELECT * INTO head FROM calendars_audithead WHERE id = 1 FOR UPDATE;
    END IF;
    entry := NEW;
    entry.number := head.number + 1;
    entry.previous := head.hash;
    entry.hash := calendars_auditentry_hash(entry);
    UPDATE calendars_auditentry SET number = entry.number, previous = entry.previous, hash = entry.hash
        WHERE id = entry.id;
    UPDATE calendars_audithead SET number = entry.number, hash = entry.hash WHERE id = 1;
    RETURN NULL;
END $$;

CREATE FUNCTION calendars_auditentry_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.number IS NULL AND NEW.number IS NOT NULL AND
            to_jsonb(NEW) - ARRAY['number', 'previous', 'hash'] = to_jsonb(OLD) - ARRAY['number', 'previous', 'hash']
        THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'Entries of the audit trail are never changed or removed.' USING ERRCODE = 'restrict_violation';
END $$;

DO $$
DECLARE
    entry calendars_auditentry;
    last_number bigint := 0;
    last_hash text := repeat('0', 64);
BEGIN
    UPDATE calendars_auditentry SET
        reason = coalesce(data ->> 'reason', ''),
        before = nullif(data -> 'before', 'null'),
        after = nullif(data -> 'after', 'null'),
        data = data - ARRAY['reason', 'before', 'after'];
    FOR entry IN SELECT * FROM calendars_auditentry ORDER BY id LOOP
        entry.number := last_number + 1;
        entry.previous := last_hash;
        entry.hash := calendars_auditentry_hash(entry);
        UPDATE calendars_auditentry SET number = entry.number, previous = entry.previous, hash = entry.hash
            WHERE id = entry.id;
        last_number := entry.number;
        last_hash := entry.hash;
    END LOOP;
    INSERT INTO calendars_audithead (id, number, hash) VALUES (1, last_number, last_hash);
END $$;

CREATE CONSTRAINT TRIGGER calendars_auditentry_chain AFTER INSERT ON calendars_auditentry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.number IS NULL)
    EXECUTE FUNCTION calendars_auditentry_chain();
CREATE TRIGGER calendars_auditentry_keep BEFORE UPDATE OR DELETE ON calendars_auditentry
    FOR EACH ROW EXECUTE FUNCTION calendars_auditentry_keep();
CREATE TRIGGER calendars_auditentry_keep_all BEFORE TRUNCATE ON calendars_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION calendars_auditentry_keep();
"""
UNCHAIN = """
DROP TRIGGER calendars_auditentry_keep_all ON calendars_auditentry;
DROP TRIGGER calendars_auditentry_keep ON calendars_auditentry;
DROP TRIGGER calendars_auditentry_chain ON calendars_auditentry;
DROP FUNCTION calendars_auditentry_keep();
DROP FUNCTION calendars_auditentry_chain();
DROP FUNCTION calendars_auditentry_hash(calendars_auditentry);
UPDATE calendars_auditentry SET data = data
    || jsonb_strip_nulls(jsonb_build_object('reason', nullif(reason, ''), 'before', before, 'after', after));
"""


class Migration(migrations.Migration):
    dependencies = [("calendars", "0005_relay")]

    operations = [
        migrations.CreateModel(
            name="AuditHead",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.BigIntegerField()),
                ("hash", models.CharField(max_length=64)),
            ],
            options={
                "constraints": [models.CheckConstraint(condition=models.Q(("pk", 1)), name="audit_head_is_one_row")]
            },
        ),
        migrations.AddField("auditentry", "reason", models.TextField(blank=True, default="")),
        migrations.AddField("auditentry", "before", models.JSONField(null=True)),
        migrations.AddField("auditentry", "after", models.JSONField(null=True)),
        migrations.AddField(
            "auditentry",
            "door",
            models.CharField(
                default="system", help_text="admin, api, terminal, worker, or system: nobody's press.", max_length=16
            ),
        ),
        migrations.AddField(
            "auditentry",
            "address",
            models.CharField(blank=True, default="", help_text="A client's, or an account or a host.", max_length=64),
        ),
        migrations.AddField(
            "auditentry",
            "request_id",
            models.CharField(blank=True, default="", help_text="As the proxy in front says.", max_length=64),
        ),
        migrations.AddField(
            "auditentry",
            "number",
            models.BigIntegerField(editable=False, help_text="Without gaps, from 1.", null=True, unique=True),
        ),
        migrations.AddField(
            "auditentry",
            "previous",
            models.CharField(default="", editable=False, help_text="The hash of the one before.", max_length=64),
        ),
        migrations.AddField(
            "auditentry",
            "hash",
            models.CharField(default="", editable=False, help_text="SHA-256 of everything else.", max_length=64),
        ),
        migrations.AddIndex("auditentry", models.Index(fields=["action", "id"], name="audit_by_action")),
        migrations.AddIndex("auditentry", models.Index(fields=["actor_name", "id"], name="audit_by_actor")),
        migrations.AddIndex("auditentry", models.Index(fields=["at"], name="audit_by_time")),
        migrations.RunSQL(CHAIN, UNCHAIN),
    ]
