"""What is kept for ever: which id became which, and who did what."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q

from calendars.models.workspace import Workspace
from calendars.storable import storable
from recallops import caller, clock


class IdMappingManager(models.Manager["IdMapping"]):
    """Writes which ids became which."""

    def moved(self, kind: str, pairs: Collection[tuple[str, str]], *, source: int, target: int) -> None:
        """Record (old id, new id) of things that went from one workspace to another.

        Of rows that say otherwise of one of these ids, or that are taken back by this, it is noted that they hold no
        more.
        """
        with transaction.atomic():
            known = self.select_for_update().filter(kind=kind, superseded=False)
            named = known.filter(
                Q(source=source, source_remote_id__in=[old for old, _ in pairs])
                | Q(target=target, target_remote_id__in=[new for _, new in pairs])
                | Q(source=target, target=source, source_remote_id__in=[new for _, new in pairs])
            )
            wanted = {(source, old, target, new) for old, new in pairs}
            stale = [
                row.pk
                for row in named
                if (row.source_id, row.source_remote_id, row.target_id, row.target_remote_id) not in wanted
            ]
            self.filter(pk__in=stale).update(superseded=True)
            self.bulk_create(
                [
                    IdMapping(kind=kind, source_id=source, source_remote_id=old, target_id=target, target_remote_id=new)
                    for old, new in pairs
                ],
                ignore_conflicts=True,
            )


class IdMapping(models.Model):
    """A thing's id in the source and its id in the target. A move back or a second move supersedes."""

    kind = models.CharField(max_length=16, choices=[("calendar", "calendar"), ("event", "event"), ("bot", "bot")])
    source = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="mappings_out")
    source_remote_id = models.CharField(max_length=80)
    target = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="mappings_in")
    target_remote_id = models.CharField(max_length=80)
    superseded = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_in = models.BigIntegerField(
        default=0,
        editable=False,
        help_text="The transaction that wrote it last; set by a trigger, whatever is saved here.",
    )

    objects = IdMappingManager()

    class Meta:
        verbose_name = "id mapping"
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "source", "source_remote_id"],
                condition=Q(superseded=False),
                name="id_mapping_once_from_source",
            ),
            models.UniqueConstraint(
                fields=["kind", "target", "target_remote_id"],
                condition=Q(superseded=False),
                name="id_mapping_once_from_target",
            ),
        ]
        indexes = [
            models.Index(fields=["kind", "source_remote_id"], name="id_mapping_by_source"),
            models.Index(fields=["kind", "target_remote_id"], name="id_mapping_by_target"),
            models.Index(fields=["changed_in", "id"], name="id_mapping_by_change"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.source_remote_id} → {self.target_remote_id}"


class AuditEntryManager(models.Manager["AuditEntry"]):
    """Writes entries; nothing changes or deletes one, and the database refuses it."""

    def record(
        self,
        *,
        actor: Any,
        action: str,
        subject: models.Model,
        reason: str = "",
        before: Any = None,
        after: Any = None,
        **data: Any,
    ) -> AuditEntry:
        """Note who did what to which row, why, and what it was and became; from where, is known by itself.

        `data` holds what else there is, as plain values; secrets are never passed.
        """
        known = actor is not None and getattr(actor, "pk", None) is not None
        came = caller.current()
        return self.create(
            at=clock.now(),
            actor=actor if known else None,
            actor_name=str(actor)[:200] if actor is not None else "system",
            action=action,
            subject_kind=subject._meta.label_lower,
            subject_id=subject.pk,
            subject_name=str(subject)[:200],
            reason=storable(reason),
            before=before,
            after=after,
            data=data,
            door=came.door,
            address=came.address,
            request_id=came.request_id,
        )


class AuditEntry(models.Model):
    """Who did what, why, to which row, and from where. Append-only, and each is chained to the one before it.

    `number`, `previous` and `hash` are written by the database at commit (calendars/audit.py).
    """

    at = models.DateTimeField(help_text="Domain time.")
    created_at = models.DateTimeField(auto_now_add=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT)
    actor_name = models.CharField(max_length=200)
    action = models.CharField(max_length=80)
    subject_kind = models.CharField(max_length=80)
    subject_id = models.BigIntegerField()
    subject_name = models.CharField(max_length=200)
    reason = models.TextField(blank=True, default="")
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    data = models.JSONField(default=dict)
    door = models.CharField(
        max_length=16, default="system", help_text="admin, api, status, terminal, worker, or system: nobody's press."
    )
    address = models.CharField(max_length=64, blank=True, default="", help_text="A client's, or an account or a host.")
    request_id = models.CharField(max_length=64, blank=True, default="", help_text="As the proxy in front says.")
    number = models.BigIntegerField(null=True, editable=False, unique=True, help_text="Without gaps, from 1.")
    previous = models.CharField(max_length=64, default="", editable=False, help_text="The hash of the one before.")
    hash = models.CharField(max_length=64, default="", editable=False, help_text="SHA-256 of everything else.")

    objects = AuditEntryManager()

    class Meta:
        verbose_name_plural = "audit entries"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["subject_kind", "subject_id"], name="audit_by_subject"),
            models.Index(fields=["action", "id"], name="audit_by_action"),
            models.Index(fields=["actor_name", "id"], name="audit_by_actor"),
            models.Index(fields=["at"], name="audit_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name}: {self.action} {self.subject_name}"

    @property
    def details(self) -> dict[str, Any]:
        """Everything that was noted besides who did what to which row, by name."""
        told = {"before": self.before, "after": self.after, **self.data, "reason": self.reason}
        return {name: value for name, value in told.items() if value is not None and value != ""}


class AuditHead(models.Model):
    """The end of the chain, in one row that the database writes: how many entries there are, the last one's hash."""

    number = models.BigIntegerField()
    hash = models.CharField(max_length=64)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="audit_head_is_one_row")]

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"
