"""Where a request of the relay, or an alert, may go: hosts that are allowed, and no address of a private network.

A name is resolved once, every address it has is looked at, and the request goes to the address that was looked at:
a name that points elsewhere a moment later leads nowhere. Pure but for the resolver, which is handed in.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

Resolver = Callable[[str, int], Sequence[str]]

NOT_A_URL = "This is no URL: it must begin with https:// and name a host."
NOT_ENCRYPTED = "The URL must begin with https://: webhooks name people's meetings."
USER_IN_URL = "The URL must not hold a user or password before the host."
FRAGMENT = "The URL must not hold a fragment (#…)."
STRANGE = "The URL holds characters that belong in no URL: blanks, control or other than ASCII ones."
NOT_ALLOWED = "The host {host} is not among those that {setting}_HOSTS allows."
NOT_FOUND = "The host {host} is not known to the name service."
PRIVATE = "The host {host} is inside a private network ({address}); only {setting}_PRIVATE=true allows that."

_UNICAST = ipaddress.ip_network("2000::/3")  # all of IPv6 that is given out
_PROTOCOLS = ipaddress.ip_network("192.0.0.0/24")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_MAPPED = (ipaddress.ip_network("::/96"), ipaddress.ip_network("::ffff:0:0:0/96"), _NAT64)


class Forbidden(ValueError):
    """A URL that the relay does not go to; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Which hosts may be gone to: names, or `.example.com` for all below it; none: every public one."""

    setting: str
    hosts: Sequence[str]
    private: bool


def of_relay() -> Rules:
    """Return the rules for webhooks that are passed on."""
    return Rules("RELAY", settings.RELAY_HOSTS, settings.RELAY_PRIVATE)


def of_alerts() -> Rules:
    """Return the rules for what staff are told in their chat tool."""
    return Rules("ALERT", settings.ALERT_HOSTS, settings.ALERT_PRIVATE)


@dataclass(frozen=True, slots=True)
class Place:
    """A URL that was looked at, and the address to connect to."""

    parts: SplitResult
    host: str
    port: int
    address: str

    @property
    def encrypted(self) -> bool:
        """Tell whether the connection is."""
        return self.parts.scheme == "https"


def check(url: str, rules: Rules | None = None) -> tuple[SplitResult, str, int]:
    """Return a URL's parts, host and port. Raises Forbidden for one that the rules (the relay's) do not let pass."""
    rules = rules or of_relay()
    if not url.isascii() or any(ord(letter) <= 32 or ord(letter) == 127 for letter in url) or "\\" in url:
        raise Forbidden(STRANGE)
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        raise Forbidden(NOT_A_URL) from None
    if parts.scheme not in {"https", "http"} or not host or "%" in host:
        raise Forbidden(NOT_A_URL)
    if parts.scheme == "http" and not rules.private:
        raise Forbidden(NOT_ENCRYPTED)
    if parts.username is not None or parts.password is not None:
        raise Forbidden(USER_IN_URL)
    if parts.fragment:
        raise Forbidden(FRAGMENT)
    if not _allowed(host, rules.hosts):
        raise Forbidden(NOT_ALLOWED.format(host=host[:100], setting=rules.setting))
    return parts, host, port if port is not None else (443 if parts.scheme == "https" else 80)


def place(url: str, *, rules: Rules | None = None, resolve: Resolver | None = None) -> Place:
    """Look a URL up. Raises Forbidden, also when one of several addresses is private."""
    rules = rules or of_relay()
    parts, host, port = check(url, rules)
    try:
        addresses = (resolve or addresses_of)(host, port)
    except (OSError, UnicodeError):
        addresses = ()
    if not addresses:
        raise Forbidden(NOT_FOUND.format(host=host[:100]))
    if not rules.private:
        for address in addresses:
            if not is_public(address):
                raise Forbidden(PRIVATE.format(host=host[:100], address=address[:60], setting=rules.setting))
    return Place(parts, host, port, addresses[0])


def addresses_of(host: str, port: int) -> list[str]:
    """Ask the name service. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def is_public(address: str) -> bool:
    """Tell whether an address is one of the internet's own, in whatever form it is written."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        if inner := _inner(found):
            return is_public(str(inner))
        if found.sixtofour is not None or found.teredo is not None or found not in _UNICAST:
            return False
    elif found in _PROTOCOLS:
        return False
    return found.is_global and not found.is_multicast and not found.is_reserved


def _inner(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that an IPv6 address stands for."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if any(address in network for network in _MAPPED):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def _allowed(host: str, allowed: Sequence[str]) -> bool:
    if not allowed:
        return True
    name = host.lower()
    return any(name == one or (one.startswith(".") and name.endswith(one)) for one in map(str.lower, allowed))
