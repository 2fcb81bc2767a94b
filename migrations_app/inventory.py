"""What a batch has before it, counted from the rows: for the planner, the report and the checks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.db.models import Exists, OuterRef, Q, QuerySet

from calendars.models import Assignment, Connection, Event, OAuthClient, Occurrence, RateBudget, Workspace
from calendars.scheduling.rows import numbers_for
from calendars.scheduling.values import Numbers
from migrations_app.models import Batch, Item
from migrations_app.planner import SOURCE, TARGET, Limits, Load, usable
from recallops import clock

EVENTS_A_CALENDAR = 20  # before the export has counted


def chosen(batch: Batch) -> QuerySet[Connection]:
    """Return the connections of the source that a batch is to move."""
    connections = Connection.objects.live().filter(workspace=batch.source)
    customers = list(batch.customers.values_list("pk", flat=True))
    if customers:
        connections = connections.filter(calendar__customer__in=customers)
    return connections.select_related("calendar__customer", "workspace").order_by("pk")


def why_not_movable(connection: Connection) -> tuple[str, str]:
    """Return why a connection cannot be moved as it is, with what to do; two empty texts when it can."""
    if connection.calendar.email == connection.remote_id:
        return "The provider knows no e-mail address of it: it never came up.", "Delete it, or let its user reconnect."
    if connection.status != "connected":
        return (
            f"It is {connection.status} in the source: nothing works there that could be moved.",
            "Let its user reconnect it, then press retry.",
        )
    if not connection.has_token:
        return (
            "The provider shows no refresh token for it.",
            "Its user must connect it again in the target; until then it stays in the source.",
        )
    if not connection.has_secret and not _client(connection):
        return (
            "It uses certificate authentication, and the certificate is not shown by the provider.",
            f"Add the certificate and key of client {connection.oauth_client_id[:60]} under “OAuth clients”, then "
            "press retry.",
        )
    return "", ""


def _client(connection: Connection) -> bool:
    known = OAuthClient.objects.filter(platform=connection.calendar.platform, client_id=connection.oauth_client_id)
    return known.exclude(Q(client_secret="") & Q(private_key="")).exists()


def starts(batch: Batch) -> list[datetime]:
    """Return the starts of the coming assignments of a batch's calendars, in order."""
    return list(_coming(batch).order_by("start").values_list("start", flat=True))


def _coming(batch: Batch) -> QuerySet[Assignment]:
    theirs = Occurrence.objects.filter(calendar__in=chosen(batch).values("calendar"), assignment=OuterRef("pk"))
    return Assignment.objects.filter(Exists(theirs), start__gte=clock.now(), over=False)


def load(batch: Batch) -> Load:
    """Return what a batch has to move, as far as it is known."""
    connections = chosen(batch)
    calendars = connections.count()
    events = Event.objects.filter(workspace=batch.source, end__gt=clock.now(), is_deleted=False).count()
    members = Event.objects.filter(
        workspace=batch.source, connection__in=connections, start__gt=clock.now(), is_deleted=False
    ).exclude(bots=[])
    moved = members.count()
    items = Item.objects.filter(batch=batch, kind=Item.Kind.CONNECTION)
    return Load(
        calendars=calendars,
        events_source=events or calendars * EVENTS_A_CALENDAR,
        meetings=_coming(batch).count(),
        adds=moved or calendars * EVENTS_A_CALENDAR,
        removes=moved or calendars * EVENTS_A_CALENDAR,
        adopted=items.exclude(target_connection=None).filter(created_target=False).count(),
        calendars_source=Connection.objects.live().filter(workspace=batch.source).count(),
        calendars_target=Connection.objects.live().filter(workspace=batch.target).count(),
        canaries=connections.values("calendar__platform", "oauth_client_id").distinct().count(),
    )


def limits(batch: Batch) -> Mapping[str, Limits]:
    """Return what may be used of each workspace's limits, by role and endpoint, in calls a minute."""
    return {SOURCE: _limits(batch.source), TARGET: _limits(batch.target)}


def _limits(workspace: Workspace) -> Limits:
    budgets = RateBudget.objects.filter(workspace=workspace).values_list("endpoint", "per_minute")
    return {endpoint: usable(per_minute, reserve_percent=workspace.reserve_percent) for endpoint, per_minute in budgets}


def regions(batch: Batch) -> Mapping[str, str]:
    """Return the regions' codes by role."""
    return {SOURCE: batch.source.region.code, TARGET: batch.target.region.code}


def numbers(batch: Batch) -> Numbers:
    """Return the numbers of the hand-over between a batch's workspaces."""
    return numbers_for([batch.source, batch.target])


def calls(batch: Batch) -> dict[str, int]:
    """Return the calls made so far in both workspaces, by "workspace endpoint"."""
    budgets = RateBudget.objects.filter(workspace__in=[batch.source_id, batch.target_id])
    return {
        f"{slug} {endpoint}": taken
        for slug, endpoint, taken in budgets.values_list("workspace__slug", "endpoint", "taken")
    }
