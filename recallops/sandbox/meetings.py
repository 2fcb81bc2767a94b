"""Accounts at Google and Microsoft and the meetings in them: the third party that all regions share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

GOOGLE = "google_calendar"
OUTLOOK = "microsoft_outlook"

# (platform, email): what names an account everywhere
AccountKey = tuple[str, str]


class CredentialsRefused(Exception):
    """Google or Microsoft did not accept a refresh token or an OAuth client; the code is theirs."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """A company's own OAuth client: opened by a secret or, at Microsoft, by a certificate."""

    platform: str
    client_id: str
    secret: str = field(default="", repr=False)
    certificate: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    redirect_uris: tuple[str, ...] = ()  # where the identity provider may lead a person back to


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a region holds of an account."""

    platform: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    certificate: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    refresh_token: str | None = field(default=None, repr=False)


@dataclass(slots=True)
class Grant:
    """What an account has allowed one OAuth client; the refresh token is its name."""

    token: str = field(repr=False)
    client_id: str
    account: AccountKey
    revoked_at: datetime | None = None


@dataclass(slots=True)
class Account:
    """One person's primary calendar at Google or Microsoft."""

    platform: str
    email: str
    name: str
    meetings: dict[str, None] = field(default_factory=dict)  # meeting ids, in order of arrival
    watchers: dict[tuple[str, str, str], None] = field(default_factory=dict)  # (region, workspace, calendar id)
    tokens: list[str] = field(default_factory=list, repr=False)

    @property
    def key(self) -> AccountKey:
        """Return (platform, email)."""
        return self.platform, self.email

    @property
    def domain(self) -> str:
        """Return what stands behind the @."""
        return self.email.rpartition("@")[2]


@dataclass(slots=True)
class Copy:
    """One account's copy of a meeting.

    `wanted` and `scope` are the truth that attendance is measured by: one bot is expected for each distinct scope among
    the wanted copies that are still there. Scope "" shares one bot among all; a domain or an e-mail narrows it.
    """

    platform_id: str
    wanted: bool = False
    scope: str = ""
    deleted: bool = False
    version: int = 1


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happened to a meeting."""

    at: datetime
    what: str  # made, moved, cancelled, responded, url, removed, added, wanted
    account: AccountKey | None = None
    start: datetime | None = None
    url: str | None = None


@dataclass(slots=True)
class Meeting:
    """One meeting, region-free, as it is now."""

    id: str
    ical_uid: str
    start: datetime
    end: datetime
    title: str
    organizer: str
    url: str | None
    attendees: dict[str, str]  # email -> accepted, declined, tentative, needsAction
    series: str | None = None
    original_start: datetime | None = None  # of an instance of a series
    google_id: str = ""
    description: str = ""
    cancelled: bool = False
    made_at: datetime | None = None
    copies: dict[AccountKey, Copy] = field(default_factory=dict)
    history: list[Change] = field(default_factory=list)

    def expected_scopes(self) -> set[str]:
        """Return the scopes for which exactly one bot is to attend; empty when nobody wants the meeting."""
        if self.cancelled:
            return set()
        return {copy.scope for copy in self.copies.values() if copy.wanted and not copy.deleted}
