"""A batch that is still being put together, with pages of its own."""

from __future__ import annotations

from django.db import models

from migrations_app.models.batch import Batch


class DraftManager(models.Manager["BatchDraft"]):
    """Only drafts."""

    def get_queryset(self) -> models.QuerySet[BatchDraft]:
        """Leave out the batches that were made."""
        return super().get_queryset().filter(draft=True)


class BatchDraft(Batch):
    """A batch before it is made: each page of the guided form saves what it asks."""

    objects = DraftManager()  # type: ignore[misc]

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = "draft of a batch"
        verbose_name_plural = "drafts of batches"
        ordering = ["-changed_at", "-id"]
