"""What is not known about the vendor, as switches: the product must stand both settings of each."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(slots=True)
class Switches:
    """Settings of one world. Spans are seconds of domain time; probabilities lie between 0 and 1."""

    remove_takes: str = "all"  # Remove takes "all" scheduled bots of the event, or only the "latest"
    new_key: str = "replaces"  # Add under a new key "replaces" the event's scheduled bot, or "adds" another
    delete_spares_shared: bool = True  # deleting a calendar detaches a shared bot; else it cascades to it
    live_bots_spared: bool = True  # Remove and delete leave a bot that is in a call; else it leaves the call
    late_changes_applied: bool = True  # inside ten minutes a removal works; else the bot joins all the same
    bot_change_touches_event: bool = False  # adding and removing a bot changes the event's updated_at
    revocation_lag: float = 5.0  # how long a calendar still says "connected" after its grant was revoked
    late_commit: float = 0.0  # a write whose connection was lost before commit is carried out this much later
    delete_revokes_grant: tuple[str, ...] = ()  # platforms at which deleting a calendar revokes the grant
    certificate_echoed: bool = False  # certificate and private key are shown in answers
    left_window: str = "deleted"  # an event moved beyond the window is shown "deleted", or "kept" as it was
    adhoc_507: float = 0.0  # how often a bot for a start within ten minutes is refused with 507
    conflict_window: float = 0.0  # writes with one key from two events this close together may get a 409
    conflict_probability: float = 1.0  # how often they do
    refuse_localhost: bool = True  # the firewall refuses payloads with a localhost address
    svix_headers: bool = False  # the default for new workspaces: legacy header names of webhooks
    sync_delay: tuple[float, float] = (2.0, 8.0)  # from a change in an account to the region's event
    connect_delay: tuple[float, float] = (5.0, 20.0)  # from creating a calendar to connected
    sync_batch: float = 1.0  # changes of one calendar within this span share one sync_events webhook

    def update(self, values: dict[str, Any]) -> None:
        """Set some switches by name; an unknown name or a wrong kind of value is refused."""
        known = {field.name: getattr(self, field.name) for field in fields(self)}
        checked = {}
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"no such switch: {name}")
            checked[name] = _like(known[name], value, name)
        for name, value in checked.items():
            setattr(self, name, value)

    def as_dict(self) -> dict[str, Any]:
        """Return all settings by name."""
        return asdict(self)


_WORDS = {"remove_takes": ("all", "latest"), "new_key": ("replaces", "adds"), "left_window": ("deleted", "kept")}


def _like(example: Any, value: Any, name: str) -> Any:
    if isinstance(example, bool):
        if not isinstance(value, bool):
            raise ValueError(f"{name} is true or false")
        return value
    if isinstance(example, float):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{name} is a number")
        return float(value)
    if isinstance(example, tuple):
        if not isinstance(value, list | tuple):
            raise ValueError(f"{name} is a list")
        return tuple(value)
    if value not in _WORDS[name]:
        raise ValueError(f"{name} is one of {', '.join(_WORDS[name])}")
    return value
