"""Which policy judges an event, and which profile its bot gets: the rows of people, read for many events at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any

from django.db.models import CharField, F, Func, Q, QuerySet, Value
from django.db.models.functions import Lower

from calendars.models import Calendar, Connection, CustomerDomain, Event, Occurrence, RecordingChoice, RecordingPolicy
from calendars.scheduling.policy import Choice, Judgement, Meeting, Rule, judge, meeting_of
from recallops.prepared import Given, prepared

AS_FOUND = Rule(which="as_found")


@prepared
def _policies() -> QuerySet[RecordingPolicy]:
    theirs = Q(calendar__any=Given("calendars")) | Q(customer__any=Given("customers"))
    return RecordingPolicy.objects.filter(theirs)


@prepared
def _choices() -> QuerySet[RecordingChoice]:
    theirs = Q(occurrence__any=Given("occurrences")) | Q(customer__any=Given("customers"))
    return RecordingChoice.objects.filter(theirs)


def policies_of(calendars: Collection[Calendar]) -> dict[int, RecordingPolicy]:
    """Return the policy of each calendar that has one: its own, else its customer's."""
    customers = {calendar.customer_id for calendar in calendars}
    rows = _policies(calendars=[calendar.pk for calendar in calendars], customers=list(customers))
    own = {row.calendar_id: row for row in rows if row.calendar_id}
    common = {row.customer_id: row for row in rows if row.customer_id}
    found = {calendar.pk: own.get(calendar.pk) or common.get(calendar.customer_id) for calendar in calendars}
    return {pk: policy for pk, policy in found.items() if policy is not None}


class Judge:
    """The policies and choices for some calendars. A few queries, whatever their number."""

    def __init__(self, calendars: Collection[Calendar], occurrences: Collection[Occurrence] = ()) -> None:
        customers = {calendar.customer_id for calendar in calendars}
        self._policies = policies_of(calendars)
        self._of_event: dict[int, Choice] = {}
        self._of_series: dict[tuple[int, str], Choice] = {}
        for row in _choices(occurrences=[one.pk for one in occurrences], customers=list(customers)):
            if row.occurrence_id:
                self._of_event[row.occurrence_id] = Choice(record=row.record, what="event", reason=row.reason)
            else:
                choice = Choice(record=row.record, what="series", reason=row.reason)
                self._of_series[(row.customer_id or 0, row.series)] = choice
        self._inside: dict[int, set[str]] = defaultdict(set)
        self._addresses: dict[int, set[str]] = defaultdict(set)
        if self.rules:
            self._read_people(calendars, customers)

    @property
    def rules(self) -> bool:
        """Tell whether anybody has said anything about these calendars."""
        return bool(self._policies or self._of_event or self._of_series)

    def _read_people(self, calendars: Collection[Calendar], customers: set[int]) -> None:
        for customer, domain in CustomerDomain.objects.filter(customer__in=customers).values_list("customer", "domain"):
            self._inside[customer].add(domain)
        their_domain = Lower(Func(F("email"), Value("@"), Value(2), function="split_part", output_field=CharField()))
        theirs = Calendar.objects.filter(customer__in=customers, email__contains="@").order_by()
        for customer, found in theirs.values_list("customer", their_domain).distinct():
            self._inside[customer].add(found)
        for calendar in calendars:
            self._addresses[calendar.pk].add(calendar.email)
        known = Connection.objects.filter(calendar__in=calendars)
        for pk, *emails in known.values_list("calendar", "platform_email", "oauth_email"):
            self._addresses[pk] |= {email for email in emails if email}

    def rule(self, calendar: Calendar) -> Rule:
        """Return the rule for a calendar; as found without a policy."""
        policy = self._policies.get(calendar.pk)
        if policy is None:
            return AS_FOUND
        return Rule(which=policy.which, confirmed_only=policy.confirmed_only, organizer_only=policy.organizer_only)

    def judge(self, occurrence: Occurrence, event: Event, *, found: bool) -> Judgement | None:
        """Judge an event; None when nobody has said anything about it, so that it stays as it was found."""
        calendar = occurrence.calendar
        rule, meeting = self.rule(calendar), self._meeting(calendar, event, occurrence)
        choice = self._of_event.get(occurrence.pk) or self._of_a_series(calendar, meeting.series)
        if rule.which == AS_FOUND.which and choice is None:
            return None
        return judge(meeting, rule, inside=self._inside[calendar.customer_id], choice=choice, found=found)

    def _meeting(self, calendar: Calendar, event: Event, occurrence: Occurrence) -> Meeting:
        raw: Any = event.raw
        return meeting_of(
            platform=calendar.platform,
            raw=raw if isinstance(raw, dict) else {},
            ical_uid=occurrence.ical_uid,
            url=event.url,
            is_deleted=event.is_deleted,
            addresses=self._addresses[calendar.pk],
        )

    def _of_a_series(self, calendar: Calendar, names: Iterable[str]) -> Choice | None:
        choices = [self._of_series.get((calendar.customer_id, name)) for name in sorted(names)]
        return next((choice for choice in choices if choice is not None), None)
