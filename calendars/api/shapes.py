"""The forms of answers that several addresses share, for the schema and for those who write clients."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from calendars.models import Workspace


class Problem(serializers.Serializer[Any]):
    """A refusal."""

    code = serializers.CharField(help_text="For programs.")
    detail = serializers.CharField(help_text="For people: what is wrong, and what to do.")


class Place(serializers.Serializer[Any]):
    """A workspace, and where it is."""

    workspace = serializers.CharField(help_text="Its name.")
    region = serializers.CharField(help_text="Its region's code, as in the provider's addresses.")


class Known(Place):
    """Something as one workspace knows it."""

    id = serializers.CharField(help_text="The provider's id there.")


def place(workspace: Workspace) -> dict[str, str]:
    """Return where a workspace is; its region is read along."""
    return {"workspace": workspace.slug, "region": workspace.region.code}


def known(workspace: Workspace, remote_id: str) -> dict[str, str]:
    """Return something as a workspace knows it."""
    return {**place(workspace), "id": remote_id}
