"""What a batch has before it, counted from the rows: for the planner, the report and the checks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db.models import Count, Exists, F, IntegerField, OuterRef, Q, QuerySet, Subquery, Value

from calendars.models import Assignment, Connection, Event, Handover, OAuthClient, Occurrence, RateBudget
from calendars.scheduling.rows import numbers_for
from calendars.scheduling.values import Numbers
from migrations_app.itineraries import Step
from migrations_app.models import Batch, ErrorKind, Item, SelectedCalendar, Selection
from migrations_app.planner import SOURCE, TARGET, Limits, Load, usable
from recallops import clock

EVENTS_A_CALENDAR = 20  # before the export has counted


def chosen(batch: Batch) -> QuerySet[Connection]:
    """Return the connections of the source that a batch is to move."""
    connections = within(batch, Connection.objects.live().filter(workspace=batch.source_id))
    return connections.select_related("calendar__customer", "workspace").order_by("pk")


def within(batch: Batch, connections: QuerySet[Connection]) -> QuerySet[Connection]:
    """Return those of some connections whose calendars were chosen for a batch."""
    if batch.selection == Selection.CUSTOMERS:
        connections = connections.filter(calendar__customer__in=batch.customers.order_by().values("pk"))
    elif batch.selection in Selection.listed():
        listed = SelectedCalendar.objects.filter(batch=batch.pk, problem="")
        connections = connections.filter(calendar__in=listed.order_by().values("calendar"))
    return connections


def free(batch: Batch) -> QuerySet[Connection]:
    """Return those of the chosen ones that no other open batch has: the export makes items of these."""
    elsewhere = Item.objects.filter(open=True, connection=OuterRef("pk")).exclude(batch=batch.pk)
    return chosen(batch).filter(~Exists(elsewhere))


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


def whose_turn(connection: Connection) -> ErrorKind:
    """Return who has to do something about a calendar that cannot be moved as it is."""
    if connection.status == "connected" and connection.has_token and not connection.has_secret:
        return ErrorKind.CONFIGURATION
    return ErrorKind.CUSTOMER


def needs_person() -> Q:
    """Return the same as `why_not_movable` as a condition on connections: whether there is a reason at all."""
    known = OAuthClient.objects.filter(platform=OuterRef("calendar__platform"), client_id=OuterRef("oauth_client_id"))
    stored = known.exclude(Q(client_secret="") & Q(private_key=""))
    nameless = Q(calendar__email=F("remote_id"))
    secretless = Q(Q(has_secret=False), ~Exists(stored))
    return nameless | ~Q(status="connected") | Q(has_token=False) | secretless


def _client(connection: Connection) -> bool:
    known = OAuthClient.objects.filter(platform=connection.calendar.platform, client_id=connection.oauth_client_id)
    return known.exclude(Q(client_secret="") & Q(private_key="")).exists()


def meetings(batch: Batch, *, until: datetime | None = None) -> list[tuple[datetime, datetime]]:
    """Return start and end of each coming meeting of a batch's calendars, in the order of their starts.

    Before the export there are no assignments: then of each meeting with a bot that was read.
    """
    now = clock.now()
    if batch.step in (Step.PREFLIGHT, Step.EXPORT):
        events = _events(batch).filter(start__gte=now).exclude(Q(bots=[]) | Q(url=""))
        rows: Any = events.order_by("start").values_list("start", "end", "url").distinct()
    else:
        rows = _coming(batch).order_by("start").values_list("start", "end", "pk")
    if until is not None:
        rows = rows.filter(start__lte=until)
    return [(start, end) for start, end, _ in rows]


def _coming(batch: Batch) -> QuerySet[Assignment]:
    theirs = Occurrence.objects.filter(calendar__in=chosen(batch).values("calendar"), assignment=OuterRef("pk"))
    return Assignment.objects.filter(Exists(theirs), start__gte=clock.now(), over=False)


def _events(batch: Batch) -> QuerySet[Event]:
    return Event.objects.filter(workspace=batch.source_id, connection__in=chosen(batch).values("pk"), is_deleted=False)


def members(batch: Batch) -> QuerySet[Event]:
    """Return the coming events of a batch's calendars that have a bot, as far as the source was read."""
    return _events(batch).filter(start__gt=clock.now()).exclude(bots=[])


def load(batch: Batch) -> Load:
    """Return what a batch has to move, as far as it is known."""
    connections, now = chosen(batch).order_by(), clock.now()
    clients = connections.values("calendar__platform", "oauth_client_id").distinct()
    found = counts(
        calendars=connections,
        events=Event.objects.filter(workspace=batch.source_id, end__gt=now, is_deleted=False),
        members=members(batch),
        meetings=_coming(batch),
        adopted=Item.objects.filter(batch=batch.pk, kind=Item.Kind.CONNECTION)
        .exclude(target_connection=None)
        .filter(created_target=False),
        source=Connection.objects.live().filter(workspace=batch.source_id),
        target=Connection.objects.live().filter(workspace=batch.target_id),
    )
    calendars, moved = found["calendars"], found["members"]
    return Load(
        calendars=calendars,
        events_source=found["events"] or calendars * EVENTS_A_CALENDAR,
        meetings=found["meetings"],
        adds=moved or calendars * EVENTS_A_CALENDAR,
        removes=moved or calendars * EVENTS_A_CALENDAR,
        adopted=found["adopted"],
        calendars_source=found["source"],
        calendars_target=found["target"],
        canaries=clients.count(),
    )


def counts(**rows: QuerySet[Any]) -> dict[str, int]:
    """Count several sets of rows in one query."""
    numbers: dict[str, Any] = {
        f"of_{name}": Subquery(_counted(query), output_field=IntegerField()) for name, query in rows.items()
    }
    found: Any = Handover.objects.order_by("pk").values(**numbers)[:1]
    return {name.removeprefix("of_"): number or 0 for one in found for name, number in one.items()}


def _counted(query: QuerySet[Any]) -> QuerySet[Any]:
    # an aggregate over the whole set: the one group is that of a constant
    of_all: Any = query.order_by().annotate(of_all=Value(1)).values("of_all")
    number: QuerySet[Any] = of_all.annotate(number=Count("pk", distinct=True)).values("number")
    return number


def limits(batch: Batch) -> Mapping[str, Limits]:
    """Return what may be used of each workspace's limits, by role and endpoint, in calls a minute."""
    budgets = RateBudget.objects.filter(workspace__in=[batch.source_id, batch.target_id])
    rows = list(budgets.values_list("workspace", "endpoint", "per_minute"))
    return {
        role: {
            endpoint: usable(per_minute, reserve_percent=workspace.reserve_percent)
            for owner, endpoint, per_minute in rows
            if owner == workspace.pk
        }
        for role, workspace in ((SOURCE, batch.source), (TARGET, batch.target))
    }


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
