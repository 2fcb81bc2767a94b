"""V2 calendars: connecting, connected, disconnected, deleted."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from recallops.sandbox.events import DAYS_BACK, Events
from recallops.sandbox.meetings import GOOGLE, OUTLOOK, Credentials, CredentialsRefused
from recallops.sandbox.messages import Refused, invalid, iso, not_found
from recallops.sandbox.records import Calendar

if TYPE_CHECKING:
    from datetime import datetime

    from recallops.sandbox.meetings import Account

TOKEN_LASTS = timedelta(hours=1)
_TEXTS = {
    "oauth_client_id": "client_id",
    "oauth_client_secret": "client_secret",
    "oauth_refresh_token": "refresh_token",
    "oauth_client_certificate": "certificate",
    "oauth_client_private_key": "private_key",
    "oauth_email": "oauth_email",
    "webhook_url": "webhook_url",
}
_LONGEST = {"oauth_client_certificate": 20_000, "oauth_client_private_key": 20_000}
_NEVER_NULL = ("client_id", "client_secret", "certificate", "private_key")
_OPENS = {"client_id", "client_secret", "refresh_token", "certificate", "private_key"}


class Calendars(Events):
    """The calendars of a workspace."""

    def calendar(self, calendar_id: str) -> Calendar:
        """Return a calendar or refuse with 404."""
        if calendar_id not in self.calendars:
            raise not_found()
        return self.calendars[calendar_id]

    # --- what the API asks for ----------------------------------------------------------------------------------

    def create_calendar(self, fields: dict[str, Any]) -> Calendar:
        """Make a calendar; it connects a little later."""
        values = _checked(fields)
        required = ["oauth_client_id", "oauth_refresh_token"]
        if not (fields.get("oauth_client_certificate") and fields.get("oauth_client_private_key")):
            required.append("oauth_client_secret")
        missing = {name: "This field is required." for name in required if not fields.get(name)}
        platform = fields.get("platform")
        if platform is None:
            missing["platform"] = "This field is required."
        elif platform not in (GOOGLE, OUTLOOK):
            missing["platform"] = f'"{platform}" is not a valid choice.'
        if missing:
            raise invalid(**missing)
        now = self.world.now()
        calendar = Calendar(
            id=self.world.new_id(),
            platform=str(platform),
            client_id=values.pop("client_id"),
            client_secret=values.pop("client_secret", None) or "",
            refresh_token=values.pop("refresh_token"),
            created_at=now,
            updated_at=now,
        )
        for name, value in values.items():
            setattr(calendar, name, value)
        self._enter(calendar)
        calendar.connecting = self.world.after(
            self.world.between(self.world.switches.connect_delay), self._connect, calendar.id
        )
        return calendar

    def change_calendar(self, calendar_id: str, fields: dict[str, Any]) -> Calendar:
        """Change a calendar. New credentials, or nothing at all while disconnected, make it connect again."""
        calendar = self.calendar(calendar_id)
        values = _checked(fields)
        for name, value in values.items():
            setattr(calendar, name, value)
        calendar.hide_token = calendar.hide_token and "refresh_token" not in values
        calendar.updated_at = self.world.now()
        if _OPENS & values.keys() or (not fields and calendar.status == "disconnected"):
            self.world.timers.cancel(calendar.connecting)
            calendar.access_token = None
            if calendar.status != "connecting":
                self._calendar_status(calendar, "connecting")
            delay = self.world.between(self.world.switches.connect_delay)
            calendar.connecting = self.world.after(delay, self._connect, calendar_id)
        return calendar

    def delete_calendar(self, calendar_id: str) -> None:
        """Delete a calendar, its events and their future bots. No webhook tells of it."""
        calendar = self.calendar(calendar_id)
        self.world.timers.cancel(calendar.connecting)
        self._unwatch(calendar)
        cascade = not self.world.switches.delete_spares_shared
        for event_id in list(calendar.by_start):
            event = self.events[event_id]
            self.unschedule(event, cascade=cascade)
            self._unindex(calendar, event)
            for entry in event.bots:
                if entry.bot_id in self.bots:
                    self.bots[entry.bot_id].events.pop(event_id, None)
            del self.events[event_id]
        self.calendars_by_age.remove(calendar.created_at, calendar.id)
        del self.calendars[calendar_id]
        token = calendar.refresh_token
        if calendar.platform in self.world.switches.delete_revokes_grant and token in self.world.grants:
            self.world.revoke(token)

    def access_token(self, calendar_id: str) -> dict[str, Any]:
        """Return the access token; it is minted anew only when the last one has run out."""
        calendar = self.calendar(calendar_id)
        if not calendar.refresh_token:
            raise Refused(400, {"code": "no_oauth_credentials", "message": "Calendar has no OAuth credentials."})
        kept = calendar.access_token
        if kept is None or kept[1] <= self.world.now():
            try:
                self.world.open(self.credentials(calendar))
            except CredentialsRefused as refusal:
                message = f"Unable to refresh the access token: {refusal.code}"
                raise Refused(400, {"code": "bad_refresh_token", "message": message}) from None
            kept = self._mint(calendar)
        token, expires_at = kept
        return {"token": token, "expires_at": iso(expires_at)}

    # --- for filling a world ------------------------------------------------------------------------------------

    def add_calendar(
        self,
        account: Account,
        *,
        client_id: str,
        client_secret: str = "",
        certificate: str = "",
        private_key: str = "",
        token: str | None = None,
        metadata: dict[str, str] | None = None,
        oauth_email: str | None = None,
        connect: bool = True,
        hide_token: bool = False,
    ) -> Calendar:
        """Put a calendar here without HTTP, limits, delay or webhooks. `hide_token` shows its refresh token as null."""
        now = self.world.now()
        calendar = Calendar(
            id=self.world.new_id(),
            platform=account.platform,
            client_id=client_id,
            client_secret=client_secret,
            refresh_token=token or self.world.grant(account, client_id),
            created_at=now,
            updated_at=now,
            certificate=certificate,
            private_key=private_key,
            oauth_email=oauth_email,
            metadata=dict(metadata or {}),
            hide_token=hide_token,
        )
        self._enter(calendar)
        if connect:
            self._connect(calendar.id, quiet=True)
        else:
            delay = self.world.between(self.world.switches.connect_delay)
            calendar.connecting = self.world.after(delay, self._connect, calendar.id)
        return calendar

    # --- connection ---------------------------------------------------------------------------------------------

    def credentials(self, calendar: Calendar) -> Credentials:
        """Return what the workspace holds of the account."""
        return Credentials(
            calendar.platform,
            calendar.client_id,
            calendar.client_secret,
            calendar.certificate,
            calendar.private_key,
            calendar.refresh_token,
        )

    def check_grant(self, calendar_id: str) -> None:
        """Find out whether the account can still be read."""
        calendar = self.calendars.get(calendar_id)
        if calendar is None or calendar.status != "connected":
            return
        try:
            self.world.open(self.credentials(calendar))
        except CredentialsRefused as refusal:
            self.disconnect(calendar_id, refusal.code)

    def disconnect(self, calendar_id: str, code: str = "invalid_grant", *, quiet: bool = False) -> None:
        """Disconnect: future bots go, the calendar and its events stay."""
        calendar = self.calendars[calendar_id]
        self._unwatch(calendar)
        calendar.access_token = None
        now = self.world.now()
        for event_id in list(calendar.by_start):
            event = self.events[event_id]
            if event.bots and event.end > now:
                before = len(event.bots)
                self.unschedule(event)
                if len(event.bots) != before:
                    self.touched(event)
        self._calendar_status(calendar, "disconnected", code, quiet=quiet)

    def _connect(self, calendar_id: str, quiet: bool = False) -> None:
        calendar = self.calendars.get(calendar_id)
        if calendar is None:
            return
        calendar.connecting = None
        try:
            account = self.world.open(self.credentials(calendar))
        except CredentialsRefused as refusal:
            self.disconnect(calendar_id, refusal.code, quiet=quiet)
            return
        if calendar.account not in (None, account.key):
            self._forget_events(calendar)
        calendar.account = account.key
        account.watchers[self.region_code, self.slug, calendar_id] = None
        self._mint(calendar)
        self._calendar_status(calendar, "connected", quiet=quiet)
        now = self.world.now()
        changed = False
        for meeting_id in account.meetings:
            meeting = self.world.meetings[meeting_id]
            if meeting.start >= now - DAYS_BACK or meeting_id in calendar.events:
                changed |= self.take_over(calendar, account, meeting_id)
        if changed and not quiet:
            self.mark_dirty(calendar)

    def _forget_events(self, calendar: Calendar) -> None:
        """The credentials open another account now: what was seen in the old one is deleted."""
        self._unwatch(calendar)
        for event_id in list(calendar.by_start):
            event = self.events[event_id]
            self._unindex(calendar, event)
            event.is_deleted, event.updated_at = True, self.world.now()
            self._index(calendar, event)
            self.unschedule(event)
        calendar.events.clear()

    def _enter(self, calendar: Calendar) -> None:
        self.calendars[calendar.id] = calendar
        self.calendars_by_age.add(calendar.created_at, calendar.id)
        calendar.status_changes.append({"status": "connecting", "created_at": iso(calendar.created_at)})

    def _mint(self, calendar: Calendar) -> tuple[str, datetime]:
        prefix = "ya29." if calendar.platform == GOOGLE else "EwB"
        expires_at: datetime = self.world.now() + TOKEN_LASTS
        calendar.access_token = (prefix + self.world.digest(24).hex(), expires_at)
        return calendar.access_token

    def _unwatch(self, calendar: Calendar) -> None:
        if calendar.account is not None:
            watchers = self.world.accounts[calendar.account].watchers
            watchers.pop((self.region_code, self.slug, calendar.id), None)

    def _calendar_status(
        self, calendar: Calendar, status: str, code: str | None = None, *, quiet: bool = False
    ) -> None:
        now = self.world.now()
        calendar.status = status
        calendar.updated_at = now
        change: dict[str, Any] = {"status": status, "created_at": iso(now)}
        if code is not None:
            change["code"] = code
        calendar.status_changes.append(change)
        if not quiet:
            self.notify("calendar.update", {"calendar_id": calendar.id})


def calendar_json(calendar: Calendar, *, certificate_echoed: bool) -> dict[str, Any]:
    """Return a calendar as the API shows it: secrets in clear."""
    shown: dict[str, Any] = {
        "id": calendar.id,
        "oauth_client_id": calendar.client_id,
        "oauth_client_secret": calendar.client_secret,
        "oauth_refresh_token": None if calendar.hide_token else calendar.refresh_token,
        "platform": calendar.platform,
        "webhook_url": calendar.webhook_url,
        "oauth_email": calendar.oauth_email,
        "platform_email": calendar.account[1] if calendar.account else None,
        "status": calendar.status,
        "status_changes": calendar.status_changes,
        "metadata": calendar.metadata,
        "created_at": iso(calendar.created_at),
        "updated_at": iso(calendar.updated_at),
    }
    if certificate_echoed:
        shown["oauth_client_certificate"] = calendar.certificate or None
        shown["oauth_client_private_key"] = calendar.private_key or None
    return shown


def _checked(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the writable fields under our names; unknown ones are ignored, as the vendor's framework does."""
    values: dict[str, Any] = {}
    errors = {}
    for name, ours in _TEXTS.items():
        if name not in fields:
            continue
        value = fields[name]
        if value is not None and not isinstance(value, str):
            errors[name] = "Not a valid string."
        elif value is not None and len(value) > _LONGEST.get(name, 2_000):
            errors[name] = f"Ensure this field has no more than {_LONGEST.get(name, 2_000)} characters."
        else:
            values[ours] = value or "" if ours in _NEVER_NULL else value
    if fields.get("metadata") is not None:
        metadata = fields["metadata"]
        if isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values()):
            values["metadata"] = dict(metadata)
        else:
            errors["metadata"] = "Expected a map of strings."
    if errors:
        raise invalid(**errors)
    return values
