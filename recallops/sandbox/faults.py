"""Planned trouble: which call, which webhook, what goes wrong."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUEST_KINDS = ("latency", "status", "html", "truncated", "oversized", "drop")
LIE_KINDS = ("hide_calendar", "drop_page")
WEBHOOK_KINDS = ("webhook_lost", "webhook_doubled", "webhook_late")
STATUSES = (409, 429, 500, 502, 503, 504, 507)


@dataclass(slots=True)
class Fault:
    """One planned fault. What is None matches everything.

    latency    answer after `seconds`
    status     answer `status` (with `retry_after`); with `commit` the call is carried out first and its answer lost
    html       answer an HTML page under `status` (200 unless given) in place of the call's own answer; under 4xx it
               is a firewall's, and the call is not carried out
    truncated  cut the answer's JSON in half
    oversized  pad the answer to `size` bytes
    drop       close the connection: "before" the call is carried out, "after", or it is carried out "late" (`seconds`);
               "connect": it was never opened
    hide_calendar  `calendar_id` is missing in lists, 404 when read
    drop_page  a list leaves out one page
    webhook_lost, webhook_doubled, webhook_late (`seconds`)
    """

    kind: str
    region: str | None = None
    workspace: str | None = None
    method: str | None = None
    endpoint: str | None = None  # a label such as `POST /api/v2/calendars/`, or the beginning of one
    event: str | None = None  # of webhooks: `calendar.sync_events`
    calendar_id: str | None = None
    nth: int | None = None  # from the n-th matching call on
    times: int | None = 1  # how often; None: for ever
    probability: float | None = None
    seconds: float = 0.0
    status: int | None = None
    retry_after: int | None = None
    when: str = "before"
    commit: bool = False
    size: int = 10_000_000
    seen: int = 0
    fired: int = 0

    def __post_init__(self) -> None:
        if self.kind not in (*REQUEST_KINDS, *LIE_KINDS, *WEBHOOK_KINDS):
            raise ValueError(f"no such fault: {self.kind}")
        if self.when not in ("connect", "before", "after", "late"):
            raise ValueError("a drop is connect, before, after or late")
        if self.kind == "status" and self.status not in STATUSES:
            raise ValueError(f"status is one of {STATUSES}")


_NAMES = {field.name for field in fields(Fault)} - {"seen", "fired"}


class Faults:
    """The faults planned in one world. Costs nothing while there are none."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(f"faults {seed}")
        self._rules: dict[int, Fault] = {}
        self._count = 0

    def add(self, kind: str, **values: Any) -> int:
        """Plan a fault (fields of `Fault`); return its number."""
        unknown = set(values) - _NAMES
        if unknown:
            raise ValueError(f"a fault has no {', '.join(sorted(unknown))}")
        fault = Fault(kind, **values)
        self._count += 1
        self._rules[self._count] = fault
        return self._count

    def clear(self, number: int | None = None) -> None:
        """Take one fault back, or all."""
        if number is None:
            self._rules.clear()
        else:
            self._rules.pop(number, None)

    def as_dicts(self) -> dict[int, dict[str, Any]]:
        """Return all faults by number."""
        return {number: asdict(fault) for number, fault in self._rules.items()}

    def __bool__(self) -> bool:
        return bool(self._rules)

    def of_call(self, *, region: str, workspace: str, method: str, endpoint: str) -> list[Fault]:
        """Return the faults that strike this call."""
        return list(self._strike(REQUEST_KINDS, region, workspace, method=method, endpoint=endpoint))

    def of_webhook(self, *, region: str, workspace: str, event: str) -> list[Fault]:
        """Return the faults that strike this webhook."""
        return list(self._strike(WEBHOOK_KINDS, region, workspace, event=event))

    def drops_page(self, *, region: str, workspace: str, endpoint: str) -> bool:
        """Tell whether this list is to leave out a page."""
        return any(self._strike(("drop_page",), region, workspace, method="GET", endpoint=endpoint))

    def hides(self, *, region: str, calendar_id: str) -> bool:
        """Tell whether a calendar is hidden."""
        return any(
            fault.kind == "hide_calendar" and fault.calendar_id == calendar_id and fault.region in (None, region)
            for fault in self._rules.values()
        )

    def _strike(
        self,
        kinds: tuple[str, ...],
        region: str,
        workspace: str,
        *,
        method: str = "",
        endpoint: str = "",
        event: str = "",
    ) -> Iterator[Fault]:
        for fault in list(self._rules.values()):
            if (
                fault.kind not in kinds
                or fault.region not in (None, region)
                or fault.workspace not in (None, workspace)
                or fault.method not in (None, method)
                or fault.event not in (None, event)
                or not endpoint.startswith(fault.endpoint or "")
            ):
                continue
            fault.seen += 1
            if fault.nth is not None and fault.seen < fault.nth:
                continue
            if fault.times is not None and fault.fired >= fault.times:
                continue
            if fault.probability is not None and self._rng.random() >= fault.probability:
                continue
            fault.fired += 1
            yield fault
