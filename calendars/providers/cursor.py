"""Where a list goes on: `next` is an absolute URL chosen by whoever answers, and our key must not follow it anywhere.

Only its query is taken over; scheme, host, port and path come from our own base URL. So even a mistake in the
comparison below could not send the key to another host.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from calendars.providers.errors import ErrorKind, ForeignHost, ProviderError
from calendars.providers.redaction import quote

# printable ASCII without the characters on which URL parsers disagree
_NEXT = re.compile(r"(https?)://([a-z0-9.\-:\[\]]+)(/[a-z0-9._~/\-]*)\?([!$-\[\]^-~]{0,4000})", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}


def normal_base(base_url: str) -> str:
    """Return the base URL in the one form used everywhere; ProviderError when it is not a plain http(s) address."""
    refusal = ProviderError(
        f"“{quote(base_url, limit=100)}” is no base URL. It must look like https://us-west-2.recall.ai, "
        "without user name, query or fragment.",
        kind=ErrorKind.CONFIGURATION,
    )
    try:
        parts = urlsplit(base_url.strip())
        port = parts.port
    except ValueError:
        raise refusal from None
    host = (parts.hostname or "").lower()
    plain = re.fullmatch(r"[a-z0-9.\-:]+", host) and re.fullmatch(r"[A-Za-z0-9._~/\-]*", parts.path)
    if parts.scheme not in _DEFAULT_PORTS or not plain or "@" in parts.netloc or parts.query or parts.fragment:
        raise refusal
    shown = f"[{host}]" if ":" in host else host
    if port is not None and port != _DEFAULT_PORTS[parts.scheme]:
        shown = f"{shown}:{port}"
    return f"{parts.scheme}://{shown}{parts.path.rstrip('/')}"


def next_query(next_url: str, *, base_url: str, path: str, endpoint: str = "") -> str:
    """Return the query of `next_url`, or raise ForeignHost when it is not the same list at the same place.

    `http` for `https` of the same host is tolerated (it has been seen): the call is made with the base URL's scheme.
    """
    match = _NEXT.fullmatch(next_url)
    if match:
        scheme, place, found_path, query = match.groups()
        if place.lower() in _places(base_url, scheme.lower()) and found_path == _base_path(base_url) + path:
            return query
    raise ForeignHost(
        f"The list {endpoint or path} says that it goes on at “{quote(next_url.split('?')[0], limit=100)}”, which is "
        f"not the place that was asked ({base_url}). The key was not sent there and reading has stopped. Check the "
        "region's base URL; if it is right, ask the provider.",
        endpoint=endpoint,
    )


def _places(base_url: str, scheme: str) -> set[str]:
    """The spellings of host and port, under this scheme, that mean the base URL's own."""
    base = urlsplit(base_url)
    if scheme == base.scheme:
        if base.port is None:
            return {base.netloc, f"{base.netloc}:{_DEFAULT_PORTS[scheme]}"}
        return {base.netloc}
    if scheme == "http" and base.port is None:  # behind a proxy that ends TLS, a server believes it speaks http
        return {base.netloc, f"{base.netloc}:80"}
    if scheme == "http":
        return {base.netloc}
    return set()


def _base_path(base_url: str) -> str:
    return urlsplit(base_url).path
