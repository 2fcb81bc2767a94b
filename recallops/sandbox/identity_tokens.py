"""Codes and tokens: what a person allowed a client, what becomes of it, and when it ends."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from recallops.sandbox.identity_faults import TokenRefused
from recallops.sandbox.meetings import GOOGLE, OUTLOOK

if TYPE_CHECKING:
    from datetime import datetime

    from recallops.sandbox.meetings import Account, AccountKey, OAuthClient
    from recallops.sandbox.world import World

CODE_LIFETIME = timedelta(minutes=10)  # domain time, which may run fast
TOKEN_LIFETIME = timedelta(hours=1)
GOOGLE_SCOPE = "https://www.googleapis.com/auth/"
EMAIL_SCOPE = f"{GOOGLE_SCOPE}userinfo.email"
# What a grant allows that came into the world without being asked for here.
_USUAL_SCOPES = {GOOGLE: (EMAIL_SCOPE, f"{GOOGLE_SCOPE}calendar.events.readonly"), OUTLOOK: ("Calendars.Read",)}
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


@dataclass(slots=True)
class Code:
    """An authorization code and all that it is bound to. A used one is kept for an hour, to be known again."""

    client: tuple[str, str]  # (platform, client id)
    account: AccountKey
    redirect_uri: str
    challenge: str  # PKCE's; "": none
    scopes: tuple[str, ...]
    offline: bool  # a refresh token is due
    made_at: datetime
    issued: Issued | None = None


@dataclass(frozen=True, slots=True)
class Issued:
    """What a client gets."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Access:
    """What an access token opens, and until when."""

    client_id: str
    account: AccountKey
    scopes: tuple[str, ...]
    expires_at: datetime
    refresh_token: str | None = field(default=None, repr=False)  # ends with its grant, where it has one


class Tokens:
    """All codes and access tokens of a world; refresh tokens are the world's own grants."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.codes: dict[str, Code] = {}
        self.access: dict[str, Access] = {}
        self.scopes: dict[str, tuple[str, ...]] = {}  # by refresh token, as far as it was granted here

    def new_code(
        self,
        client: OAuthClient,
        account: Account,
        *,
        redirect_uri: str,
        challenge: str,
        scopes: tuple[str, ...],
        offline: bool,
    ) -> str:
        """Return a code for what a person allowed."""
        self._forget()
        name = ("4/0" if client.platform == GOOGLE else "0.AX") + self.world.digest(24).hex()
        owner = (client.platform, client.client_id)
        self.codes[name] = Code(owner, account.key, redirect_uri, challenge, scopes, offline, self.world.now())
        return name

    def redeem(self, client: OAuthClient, name: str, redirect_uri: str, verifier: str) -> Issued:
        """Turn a code into tokens, once."""
        code = self.codes.get(name)
        if code is None:
            raise TokenRefused("code")
        if code.client != (client.platform, client.client_id):
            raise TokenRefused("foreign")
        if code.issued is not None:  # somebody else has it too: nobody keeps what came of it (RFC 6749, 4.1.2)
            if code.issued.refresh_token is not None:
                self.world.revoke(code.issued.refresh_token)
            self.access.pop(code.issued.access_token, None)
            raise TokenRefused("used")
        if self.world.now() >= code.made_at + CODE_LIFETIME:
            raise TokenRefused("expired")
        if redirect_uri != code.redirect_uri:
            raise TokenRefused("redirect")
        _prove(code.challenge, verifier)
        granted = self._grant(code.account, client, code.scopes) if code.offline else None
        code.issued = Issued(self._open(code.account, client, code.scopes, granted), granted, code.scopes)
        return code.issued

    def refresh(self, client: OAuthClient, token: str) -> Issued:
        """Return a new access token; Microsoft gives a new refresh token with it, and lets the old one live."""
        grant = self.world.grants.get(token)
        if grant is None or grant.revoked_at is not None:
            raise TokenRefused("refresh")
        if (grant.account[0], grant.client_id) != (client.platform, client.client_id):
            raise TokenRefused("refresh")
        scopes = self.scopes.get(token, _USUAL_SCOPES[client.platform])
        renewed = None if client.platform == GOOGLE else self._grant(grant.account, client, scopes)
        return Issued(self._open(grant.account, client, scopes, renewed or token), renewed, scopes)

    def find(self, platform: str, token: str) -> Access | None:
        """Return what an access token opens now."""
        access = self.access.get(token)
        if access is None or access.account[0] != platform or self.world.now() >= access.expires_at:
            return None
        if access.refresh_token is not None and self.world.grants[access.refresh_token].revoked_at is not None:
            return None
        return access

    def revoke(self, platform: str, token: str) -> bool:
        """Take back everything that the token's account has granted its client: Google knows nothing smaller."""
        found: Access | None = self.find(platform, token)
        grant = self.world.grants.get(token)
        if found is not None:
            key, client_id = found.account, found.client_id
        elif grant is not None and grant.account[0] == platform and grant.revoked_at is None:
            key, client_id = grant.account, grant.client_id
        else:
            return False
        for granted in self.standing(self.world.accounts[key], client_id):
            self.world.revoke(granted)
        self.access = {
            name: access
            for name, access in self.access.items()
            if (access.account, access.client_id) != (key, client_id)
        }
        return True

    def standing(self, account: Account, client_id: str) -> list[str]:
        """Return the refresh tokens with which a client can read an account now."""
        grants = [self.world.grants[token] for token in account.tokens]
        return [grant.token for grant in grants if grant.client_id == client_id and grant.revoked_at is None]

    def _grant(self, key: AccountKey, client: OAuthClient, scopes: tuple[str, ...]) -> str:
        token = self.world.grant(self.world.accounts[key], client.client_id)
        self.scopes[token] = scopes
        return token

    def _open(self, key: AccountKey, client: OAuthClient, scopes: tuple[str, ...], refresh_token: str | None) -> str:
        self._forget()
        token = ("ya29." if client.platform == GOOGLE else "EwB.") + self.world.digest(32).hex()
        self.access[token] = Access(client.client_id, key, scopes, self.world.now() + TOKEN_LIFETIME, refresh_token)
        return token

    def _forget(self) -> None:
        """Let go of codes and access tokens that nothing could come of any more."""
        now = self.world.now()
        self.codes = {name: code for name, code in self.codes.items() if now < code.made_at + TOKEN_LIFETIME}
        self.access = {token: access for token, access in self.access.items() if now < access.expires_at}


def _prove(challenge: str, verifier: str) -> None:
    """Refuse a code whose bearer is not who asked for it (RFC 7636)."""
    if not challenge:
        if verifier:  # the challenge was taken out on the way
            raise TokenRefused("no_challenge")
        return
    if not verifier:
        raise TokenRefused("no_verifier")
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    if not _VERIFIER.fullmatch(verifier) or digest != challenge:
        raise TokenRefused("verifier")
